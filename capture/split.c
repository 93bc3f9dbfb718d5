/* Cut a stream into pictures. Each format knows where its pictures end (decode.h); what is left to
 * do here is to hold bytes, and to find the next picture after damage.
 *
 * After damage only the format of the last whole picture counts as a beginning: three bytes that
 * look like another format are too likely among pixels, and a false picture is worse than a lost
 * one. Bytes that the broken picture's own structure explained are not searched (a JPEG's thumbnail
 * is a picture too). */
#include "capture/split.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_LEAST ((size_t)64 << 10) /* a pipe gives no more at once */

int split_room(struct split *s, uint8_t **to, size_t *size, struct err *e)
{
	if (s->start > 0 && s->capacity - s->end < ROOM_LEAST) {
		memmove(s->data, s->data + s->start, s->end - s->start);
		s->end -= s->start;
		s->start = 0;
	}
	if (s->capacity - s->end < ROOM_LEAST) {
		size_t capacity = s->capacity ? 2 * s->capacity : 4 * ROOM_LEAST;
		uint8_t *more = realloc(s->data, capacity);
		if (!more)
			return err_memory(e, capacity, "a picture");
		s->data = more;
		s->capacity = capacity;
	}
	*to = s->data + s->end;
	*size = s->capacity - s->end;
	return 0;
}

void split_put(struct split *s, size_t size)
{
	s->end += size;
	s->ended = s->ended || size == 0;
}

static void step(struct split *s, size_t size)
{
	s->start += size;
	s->offset += size;
}

/* The picture at start, or what was taken for one, is broken: *e says how. Says so once. */
static int broken(struct split *s, struct err *e)
{
	bool told = s->lost;
	size_t understood = s->extent.at, left = s->end - s->start;

	if (!told)
		err_at(e, "the stream is broken at byte %llu", (unsigned long long)s->offset);
	s->lost = true;
	s->decoder = NULL;
	understood = understood > 1 ? understood : 1;
	understood = understood < left ? understood : left;
	s->searched = (told ? s->searched : 0) + understood;
	step(s, understood);
	return told ? SPLIT_MORE : SPLIT_BROKEN;
}

/* Blanks and zeroes between pictures say nothing. */
static void skip_padding(struct split *s)
{
	while (s->start < s->end && (isspace(s->data[s->start]) || s->data[s->start] == 0))
		step(s, 1);
}

/* Does a picture begin at start? SPLIT_PICTURE, SPLIT_MORE, SPLIT_END or what broken says. */
static int begin(struct split *s, struct err *e)
{
	if (!s->lost)
		skip_padding(s);
	size_t left = s->end - s->start;

	if (left == 0 && s->ended)
		return SPLIT_END;
	if (left < IMAGE_MAGIC && !s->ended)
		return SPLIT_MORE;
	memset(&s->extent, 0, sizeof s->extent);
	s->decoder = image_decoder(s->data + s->start, left, s->lost ? NULL : e);
	if (!s->decoder || (s->lost && s->last && s->decoder != s->last))
		return broken(s, e);
	return SPLIT_PICTURE;
}

/* The end of the picture that has begun. */
static int measure(struct split *s, struct err *e)
{
	size_t left = s->end - s->start;
	int got = s->decoder->extent(&s->extent, s->data + s->start, left, e);

	if (got == 0 && left > IMAGE_BYTES_MAX)
		got = err_set(e, "%s: a picture of more than %zu bytes", s->decoder->name,
			      IMAGE_BYTES_MAX);
	if (got == 0 && s->ended) {
		s->extent.at = left;
		got = err_set(e, "it ends within a picture, after %zu bytes of it", left);
	}
	if (got < 0)
		return broken(s, e);
	return got == 1 ? SPLIT_PICTURE : SPLIT_MORE;
}

/* Garbage is walked byte by byte, without a word after the first. */
static int seek(struct split *s, struct err *e)
{
	uint64_t before;
	int got;

	do {
		before = s->offset;
		if (s->searched > SPLIT_GARBAGE_MOST) {
			err_set(e, "no picture within %llu bytes after the damage",
				(unsigned long long)s->searched);
			return SPLIT_HOPELESS;
		}
		got = s->decoder ? SPLIT_PICTURE : begin(s, e);
		if (got == SPLIT_PICTURE)
			got = measure(s, e);
	} while (got == SPLIT_MORE && s->offset != before);
	return got;
}

int split_next(struct split *s, const uint8_t **bytes, size_t *size, struct err *e)
{
	int got = seek(s, e);

	if (got != SPLIT_PICTURE)
		return got;
	*bytes = s->data + s->start;
	*size = s->extent.at;
	s->last = s->decoder;
	s->decoder = NULL;
	s->lost = false;
	s->searched = 0;
	step(s, *size);
	return SPLIT_PICTURE;
}

void split_free(struct split *s)
{
	free(s->data);
	memset(s, 0, sizeof *s);
}
