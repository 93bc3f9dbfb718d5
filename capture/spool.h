/* What a live source has delivered and is not yet durable at the end of the line, on disk: pictures
 * as they were received, with their keys. Written with write(2) before they are sent, so that they
 * outlive this process; synced every tenth of a second, so that little is lost when the power goes.
 *
 * The spool is a queue of segments (files), each a queue of records: a picture, or the drop of a
 * range of them. Three may work on it at once: one puts (the reader), one takes and acknowledges
 * (the stage), one syncs. Pictures that were taken are never dropped.
 *
 * Nothing grows with what waits: memory holds the segments, at most some sixty, and what is under
 * way. */
#ifndef CAPTURE_SPOOL_H
#define CAPTURE_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/frame.h"

#define SPOOL_LEAST ((int64_t)1 << 20)

struct spool;

enum spool_why {
	SPOOL_WHY_FULL,
	SPOOL_WHY_DISK,
	SPOOL_WHY_LARGE,   /* larger than the whole spool */
	SPOOL_WHY_LOST,    /* its record is missing: the power went, or the process in the middle */
	SPOOL_WHY_DAMAGED, /* its record is, on the disk */
};

/* Open the spool in a folder, made if need be, for pictures of this source, of at most size bytes:
 * what an earlier process left is found again, and a run begins whose number never was before.
 * NULL with *e. */
struct spool *spool_open(const char *folder, const char *source, uint64_t size, struct err *e);

uint64_t spool_run(const struct spool *s);

/* --- for the reader ----------------------------------------------------------------------------- */

enum { SPOOL_KEPT, SPOOL_FULL, SPOOL_DISK, SPOOL_LARGE };

/* Keep a picture of the present run (f's payload is not looked at): SPOOL_KEPT, and it is safe from
 * any signal; else *e says what there is no room in. */
int spool_put(struct spool *s, const struct frame *f, const void *bytes, size_t size,
	      struct err *e);

/* Drop the oldest pictures that were not taken, a segment's at once: how many; 0 there are none. */
uint64_t spool_drop_oldest(struct spool *s, enum spool_why why);

/* Drop the picture that came just now. It needs no room. */
void spool_drop_this(struct spool *s, const struct frame *f, enum spool_why why);

/* --- for the stage ------------------------------------------------------------------------------ */

struct spool_item {
	struct frame *frame;  /* of a picture: key and meta, the receiver's own; else NULL */
	const uint8_t *bytes; /* borrowed until the next call */
	size_t size;
	bool unread; /* the source could not read it; frame->reason says why */
	/* of a drop, frame is NULL */
	const char *source, *reason; /* borrowed until the next call */
	uint64_t run, first, last;
};

/* The next in the order in which they came, those of earlier runs first: 1; 0 nothing waits; 2
 * nothing now, for half of the spool is under way, and the other half is for what may be dropped;
 * -1 with *e (no memory). */
int spool_take(struct spool *s, struct spool_item *item, struct err *e);

/* The row of a picture, or of a drop that begins with seq, is durable. True: spool_take, which said
 * 2, may be called again. */
bool spool_acked(struct spool *s, uint64_t run, uint64_t seq);

/* Pictures that wait to be taken. */
uint64_t spool_waiting(struct spool *s);

/* What is known of an earlier run. */
struct spool_total {
	char source[FRAME_SOURCE_MAX];
	uint64_t run, emitted;
	uint64_t dropped; /* of those, drops that will not be taken again */
	bool ended;       /* all is durable; dropped counts all drops */
};

/* Each earlier run once when it is found, and once more when it has ended: 1, or 0. */
int spool_total(struct spool *s, struct spool_total *total);

/* --- for the one that syncs --------------------------------------------------------------------- */

/* What was put so far is on the disk. 0, or -1 with *e. */
int spool_sync(struct spool *s, struct err *e);

/* told: the end of the line has confirmed the end of all runs. */
void spool_close(struct spool **s, bool told);

#endif
