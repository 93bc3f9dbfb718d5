/* Which pictures are used, if there are more than wanted: those with the least of a number that is
 * drawn from name and place of each. It is a fair draw over the whole stream, needs not know how long
 * that is, and the same whoever is first. */
#include "infer/quantize/parts.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "infer/input.h"

#define MEMORY_MAX ((size_t)2 << 30) /* of all that are kept */

/* FNV-1a over the source's name, then the finisher of MurmurHash3. */
static uint64_t rank_of(const struct frame *f)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (const char *p = f->source; *p; p++)
		h = (h ^ (unsigned char)*p) * 0x100000001b3u;
	h ^= f->seq * 0x9e3779b97f4a7c15u;
	h = (h ^ h >> 33) * 0xff51afd7ed558ccdu;
	h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53u;
	return h ^ h >> 33;
}

/* The order of the draw. */
static int by_rank(const struct picture *a, const struct picture *b)
{
	int names = strcmp(a->source, b->source);

	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	return names ? names : (a->seq > b->seq) - (a->seq < b->seq);
}

/* The order of the stream. */
static int by_place(const void *a, const void *b)
{
	const struct picture *x = a, *y = b;
	int names = strcmp(x->source, y->source);

	return names ? names : (x->seq > y->seq) - (x->seq < y->seq);
}

/* Into the list, which is in the order of the draw; the last falls out if it is full. */
static int insert(struct pictures *p, struct picture *new, struct err *e)
{
	size_t low = 0, high = p->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (by_rank(&p->picture[middle], new) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == p->most) {
		buffer_unref(&new->values);
		return 0;
	}
	if (p->count == p->most)
		buffer_unref(&p->picture[--p->count].values);
	if ((p->count & (p->count - 1)) == 0) { /* room is the next power of two */
		size_t room = p->count ? 2 * p->count : 1;
		struct picture *grown = realloc(p->picture, room * sizeof *grown);

		if (!grown) {
			buffer_unref(&new->values);
			return err_code(e, EX_OSERR, "memory is short");
		}
		p->picture = grown;
	}
	memmove(p->picture + low + 1, p->picture + low, (p->count - low) * sizeof *p->picture);
	p->picture[low] = *new;
	p->count++;
	return 0;
}

/* The frame's values as x wants them: its own payload where it can be. NULL with *e. */
static struct buffer *values_of(const struct frame *f, const struct tensor *x, struct err *e)
{
	struct buffer *b = f->dtype == x->dtype ? NULL : buffer_new(tensor_bytes(x));
	const void *in = NULL;

	if (f->dtype != x->dtype && !b) {
		err_code(e, EX_OSERR, "memory is short");
		return NULL;
	}
	if (input_accept(&(struct input){ .x = x, .batch = 1 }, f, b ? b->data : NULL, 0, &in, e) ==
	    0)
		return b ? b : buffer_ref(f->payload);
	buffer_unref(&b);
	return NULL;
}

static int keep(struct pictures *p, const struct frame *f, const struct tensor *x, struct err *e)
{
	struct picture new = { .rank = rank_of(f), .seq = f->seq };
	struct err why;

	p->seen++;
	if (f->status == FRAME_OK)
		new.values = values_of(f, x, &why);
	else
		err_set(&why, "%s", f->reason);
	if (new.values) {
		memcpy(new.source, f->source, sizeof new.source);
		return insert(p, &new, e);
	}
	if (p->failed++ == 0)
		log_warn("picture %llu of '%s' cannot be used: %s", (unsigned long long)f->seq,
			 f->source, why.text);
	return 0;
}

int pictures_collect(struct pictures *p, struct stage *s, const struct tensor *x, struct err *e)
{
	size_t fit = MEMORY_MAX / (tensor_bytes(x) + 1);
	struct frame *f;
	int got, result = 0;

	if (p->most > fit)
		p->most = fit > 0 ? fit : 1;
	while (result == 0 && (got = stage_next(s, &f)) == 1) {
		result = keep(p, f, x, e);
		stage_done(s, &f);
	}
	if (result < 0)
		return -1;
	if (got < 0 || stage_stopping(s)) /* broken: the stage has said why */
		return err_code(e, EX_TEMPFAIL, "the stream broke off; nothing is written");
	if (p->failed > 1)
		log_warn("%llu of %llu pictures could not be used", (unsigned long long)p->failed,
			 (unsigned long long)p->seen);
	if (p->count == 0)
		return err_set(e, "no pictures came that could be used");
	qsort(p->picture, p->count, sizeof *p->picture, by_place);
	return 0;
}

void pictures_free(struct pictures *p)
{
	for (size_t i = 0; i < p->count; i++)
		buffer_unref(&p->picture[i].values);
	free(p->picture);
	p->picture = NULL;
	p->count = 0;
}
