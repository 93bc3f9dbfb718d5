/* Inside of the spool: shared by spool.c (the queue), spool_take.c (the way out of it),
 * spool_drop.c (what there is no room for) and spool_open.c (what an earlier process left). The lock is
 * held in all that takes a struct seg. */
#ifndef CAPTURE_SPOOL_PRIVATE_H
#define CAPTURE_SPOOL_PRIVATE_H

#include <pthread.h>

#include "capture/segment.h"
#include "capture/spool.h"

#define SPOOL_PARTS 64 /* segments that a full spool has */
#define SPOOL_NAME 64

struct run {
	struct run *next;
	struct segment_facts facts; /* as in its last segment */
	struct seg *last;           /* its last segment; NULL once it is closed */
	uint64_t emitted;
	uint64_t dropped;  /* all drops */
	uint64_t resent;   /* of these, drops that will be taken again */
	uint64_t expected; /* the seq to be taken next */
	uint64_t cut;      /* bytes of a record that was not whole, at its end */
	bool told, told_end;
};

/* A segment. Records in [read, end) wait to be taken. */
struct seg {
	struct seg *next, *previous;
	struct run *run;
	uint64_t index, begin; /* begin: the seq that came next when it was begun */
	int fd;
	uint64_t end, read;
	uint64_t floor;   /* nothing before it may be dropped: rows are durable there */
	uint64_t waiting; /* pictures in [read, end) */
	uint64_t dropped; /* by its records, or missing after them */
	int taken;        /* and not yet acknowledged */
	uint64_t tail;    /* where its last record is, if that is a drop; else 0 */
	uint64_t tail_first, tail_last;
	enum spool_why tail_why;
	bool dirty;
};

struct taken {
	struct seg *seg;
	uint64_t run, seq;
	uint64_t offset; /* 0: there is no record, it is missing */
	uint64_t bytes;
};

struct spool {
	pthread_mutex_t lock;
	int dir;
	bool dir_dirty;
	uint64_t limit, used, part;
	uint64_t highest; /* run that was before */
	char boot[SEGMENT_BOOT];
	struct run *runs, *current; /* in rising order; the present one is the last */
	struct seg *first, *last;
	struct taken *taken; /* in the order in which they were */
	size_t taken_count, taken_capacity;
	uint64_t taken_bytes;
	bool held_back; /* nothing was given, for that is too much */
	uint8_t *buffer;
	size_t buffer_size;
	char source[FRAME_SOURCE_MAX], reason[FRAME_REASON_MAX]; /* of the item given last */
};

const char *spool_why_text(uint64_t why);
void spool_name(char name[SPOOL_NAME], uint64_t run, uint64_t index);

/* A segment that stands in a file already, at the end of the queue. NULL: no memory. */
struct seg *spool_append(struct spool *s, struct run *run, int fd,
			 const struct segment_facts *facts);

/* A fresh segment of the present run: 0, or -1 and errno. */
int spool_rotate(struct spool *s);

/* Remove what is settled at the head of the queue. */
void spool_clean(struct spool *s);

/* Out of the queue, its file gone. */
void spool_remove(struct spool *s, struct seg *seg);

int spool_look(const struct seg *seg, uint64_t offset, struct record *r);

/* spool_drop.c. A drop that had no room, and was not yet taken, gets its record: 0, or -1 and errno.
 * It was taken, and is settled now. */
int spool_add_lost(struct spool *s);
void spool_lost_settled(struct spool *s);

/* spool_open.c */
int spool_recover(struct spool *s, struct err *e);
int spool_run_begin(struct spool *s, const char *source, struct err *e);
void spool_forget_told(struct spool *s);

#endif
