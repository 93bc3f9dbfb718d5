/* Where pictures come from. A source is one file of static functions with its descriptor at the
 * foot, and one row in sources.c. */
#ifndef CAPTURE_SOURCE_H
#define CAPTURE_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "capture/image/decode.h"
#include "common/frame.h"

struct stage;
struct live;

#define SPOOL_SIZE ((int64_t)1 << 30) /* unless told */

struct source_options {
	const char *run;  /* "new", a number, or NULL: what suits the source */
	const char *done; /* folder for files whose rows are durable, or NULL */
	bool recursive, watch;
	int64_t loop;        /* times round; 0 for ever */
	int64_t count;       /* pictures at most; 0 any number */
	const char *spool;   /* folder for what is not yet stored, or NULL */
	const char *on_full; /* what to do when it is full, or NULL */
	int64_t spool_size;
	double rate; /* pictures per second at most; 0 as fast as they are taken */
	struct decode_options decode;
};

/* One encoded picture on its way to the decoder. */
struct picture {
	struct frame *frame;  /* key and meta are set; belongs to whom source_next gave it */
	const uint8_t *bytes; /* borrowed until the next call */
	size_t size;
	int64_t began_ns; /* when work on it began; 0 when it was captured */
	bool unread;      /* there are no bytes, because of why */
	struct err why;
};

struct source {
	const struct source_kind *kind;
	const struct source_options *options;
	struct stage *stage; /* to wait with; NULL in tests of recorded sources */
	int operands;
	char **operand;
	/* what the kind's open fills */
	char name[FRAME_SOURCE_MAX];
	uint64_t run;
	uint64_t total; /* pictures there will be, 0 unknown */
	void *self;     /* the kind's own */
	/* sources.c's */
	struct live *live; /* with a spool in between; NULL without */
	uint64_t given;
	int64_t due_ns; /* when the last picture was due (monotonic); 0 before the first */
};

struct source_kind {
	const char *name;
	bool
	    live; /* what is not read is gone: it may have a spool, and then next is called by a thread
		      of its own */
	bool (*takes)(const struct source *s); /* judging by options and operands */
	int (*open)(struct source *s, struct err *e);
	/* Next picture: 1, 0 end or asked to stop, -1 broken with *e. Fills *p, all zeroes before. */
	int (*next)(struct source *s, struct picture *p, struct err *e);
	/* The row of this key is durable; or NULL. May come until close. */
	void (*acked)(struct source *s, uint64_t run, uint64_t seq);
	void (*close)(struct source *s); /* also after an open that failed */
};

/* Choose by the operands, open. 0, or -1 with *e; close it in both cases. */
int source_open(struct source *s, struct stage *stage, const struct source_options *options,
		int operands, char **operand, struct err *e);

/* Next picture: as the kind's next. */
int source_next(struct source *s, struct picture *p, struct err *e);

/* The row of this key, or the drop that begins with it, is durable. */
void source_acked(struct source *s, uint64_t run, uint64_t seq);

/* Pixels, or the reason why there are none, the file's name in it. 0, or -1 with *e. */
int picture_decode(struct picture *p, const struct decode_options *options, struct err *e);

/* told: the end of the stream was confirmed by the end of the line. */
void source_close(struct source *s, bool told);

/* --- for the kinds ----------------------------------------------------------------------------- */

/* A frame with its key, and path (NULL for none) as meta; NULL with *e when memory is short. */
struct frame *source_frame(const struct source *s, uint64_t run, uint64_t seq, const char *path,
			   struct err *e);

/* s->name: what --name says, else made of the operand's name, else of fallback. */
void source_name(struct source *s, const char *operand, const char *fallback);

/* s->run: what --run says, else otherwise; otherwise 0 makes a number that never comes again. */
int source_run(struct source *s, uint64_t otherwise, struct err *e);

/* Wait, in next: as stage_wait. */
int source_wait(struct source *s, int fd, int64_t timeout_ms);

/* For live.c: the kind's next picture, when --rate wants it, until --count is reached. */
int source_take(struct source *s, struct picture *p, struct err *e);

extern const struct source_kind source_files, source_stream, source_watch;

#endif
