/* A stream of bytes cut into pictures: PNG, JPEG and PNM one after the other, in any mixture. */
#ifndef CAPTURE_SPLIT_H
#define CAPTURE_SPLIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/image/decode.h"

/* Garbage that is searched for the next picture before the stream is given up. */
#define SPLIT_GARBAGE_MOST ((uint64_t)64 << 20)

/* Start from all zeroes. */
struct split {
	uint8_t *data;
	size_t start, end, capacity;          /* the bytes not yet used are data[start, end) */
	uint64_t offset;                      /* of data[start] in the stream */
	bool ended;                           /* no more bytes will come */
	const struct decoder *decoder, *last; /* of the picture at start; of the last whole one */
	struct extent extent;
	bool lost;         /* looking for the next picture after garbage */
	uint64_t searched; /* bytes of garbage since */
};

/* Where to put more bytes, and how many fit; then say how many were put, 0 for the end. */
int split_room(struct split *s, uint8_t **to, size_t *size, struct err *e);
void split_put(struct split *s, size_t size);

enum { SPLIT_MORE = 0, SPLIT_PICTURE = 1, SPLIT_END = 2, SPLIT_BROKEN = -1, SPLIT_HOPELESS = -2 };

/* Next picture: SPLIT_PICTURE, and its bytes, borrowed until the next call of split_room;
 * SPLIT_MORE bytes are needed; SPLIT_END; SPLIT_BROKEN with *e, once for each stretch of garbage:
 * go on calling, the next picture is looked for; SPLIT_HOPELESS with *e. */
int split_next(struct split *s, const uint8_t **bytes, size_t *size, struct err *e);

void split_free(struct split *s);

#endif
