/* A file of the spool: a block of facts, then records one after the other (common/envelope.h), each
 * padded to whole blocks. Changing something in place takes one block, which a kill leaves whole and
 * a full disk allows. Only this file knows the layout; only the spool uses it. */
#ifndef CAPTURE_SEGMENT_H
#define CAPTURE_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/envelope.h"
#include "common/frame.h"

#define SEGMENT_BLOCK 512
#define SEGMENT_BOOT 40

enum segment_state {
	SEGMENT_OPEN,
	SEGMENT_CLOSED, /* the run is over and durable, its records are gone */
	SEGMENT_TOLD,   /* and the end of the line has confirmed that: it keeps its number only */
};

struct segment_facts {
	char source[FRAME_SOURCE_MAX];
	char boot[SEGMENT_BOOT]; /* of which start of the machine */
	uint64_t run, index;
	uint64_t begin; /* the seq that came next when it was begun; once closed, all that were */
	uint64_t gone;  /* pictures that were dropped in segments before index gone_index, */
	uint64_t gone_index;           /* which do not count any more */
	uint64_t lost_first, lost_end; /* dropped, and there was no room to add a record */
	uint64_t lost_why;             /* as spool.h's reasons */
	uint64_t state;
};

/* A new file, opened, its facts written (not yet synced): descriptor, or -1 and errno. */
int segment_create(int dir, const char *name, const struct segment_facts *facts);

/* Write the facts anew, in place: 0, or -1 and errno. */
int segment_note(int fd, const struct segment_facts *facts);

/* 0, or -1 with *e: the file is none of ours, or damaged. */
int segment_facts(int fd, struct segment_facts *facts, struct err *e);

struct record {
	uint64_t bytes; /* in the file, padding included */
	struct envelope size;
	bool dropped, settled; /* settled: its row is durable */
	uint64_t seq, last;    /* last: of a drop */
	struct frame *frame;   /* without payload; free it */
	uint8_t head[ENVELOPE_MOST];
};

/* The record at offset of a file of `end` bytes: 0, or -1 if there is none that can be read. */
int segment_look(int fd, uint64_t offset, uint64_t end, struct record *r);

/* Where the next readable record begins after damage at offset; end if there is none. */
uint64_t segment_seek(int fd, uint64_t offset, uint64_t end);

/* Its payload into to[size.payload]: 0, or -1 if it is damaged or cannot be read. */
int segment_payload(int fd, uint64_t offset, const struct record *r, uint8_t *to);

/* Bytes in the file of a record with a head of n bytes. */
uint64_t segment_bytes(size_t n, size_t payload);

/* Write a record (head of n bytes): 0, or -1 and errno, and then part of it may be there. */
int segment_write(int fd, uint64_t offset, const uint8_t *head, size_t n, const void *payload,
		  size_t size);

/* Write one block at offset: a drop of [first, last] of the run, in place of what was there: 0, or
 * -1 and errno. */
int segment_write_drop(int fd, uint64_t offset, const char *source, uint64_t run, uint64_t first,
		       uint64_t last, const char *reason);

/* Mark the record at offset as settled. */
void segment_settle(int fd, uint64_t offset);

#endif
