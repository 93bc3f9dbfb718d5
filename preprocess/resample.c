/* Horizontal first, rounded to samples, then vertical: the order is Pillow's, and the rounding
 * between the passes makes it count. Only what the crop keeps is computed: each output row pulls the
 * source rows that it needs through the horizontal pass into a ring of rows, a few at a time, so that
 * they are still in the cache when the vertical pass sums them. */
#include "preprocess/resample.h"

#include <stdlib.h>
#include <string.h>

#include "preprocess/deep.h"
#include "preprocess/opencv.h"

struct resampler {
	const struct kernels *kernels;
	struct filter across, down;

	/* of the picture at hand */
	const struct picture *in;
	const struct geometry *g;
	struct samples samples;
	int done; /* source rows below this are in the ring, as far as they are still needed */

	uint8_t *memory; /* all rows below */
	size_t memory_size;
	uint8_t *source[KERNEL_ROWS]; /* converted rows */
	uint8_t *ring, *line;
	size_t row_bytes; /* of a ring's row and of line */
	int ring_rows;
	const uint8_t **taps; /* rows of one vertical sum */
	int *column;          /* nearest: source column of each output column */
	size_t list_size;
};

struct resampler *resampler_new(const struct kernels *kernels)
{
	struct resampler *r = calloc(1, sizeof *r);

	if (r)
		r->kernels = kernels ? kernels : kernels_best();
	return r;
}

void resampler_free(struct resampler **r)
{
	if (!*r)
		return;
	filter_free(&(*r)->across);
	filter_free(&(*r)->down);
	free((*r)->memory);
	free((*r)->taps);
	free((*r)->column);
	free(*r);
	*r = NULL;
}

static size_t round_up(size_t n)
{
	return (n + KERNEL_SLACK - 1) / KERNEL_SLACK * KERNEL_SLACK;
}

/* Room for the rows: kept from picture to picture, grown when needed. */
static int reserve_rows(struct resampler *r, struct err *e)
{
	size_t source = (size_t)r->in->width * samples_bytes(&r->samples), size;

	if (r->across.reach > source)
		source = r->across.reach;
	source = round_up(source + KERNEL_SLACK);
	r->row_bytes = round_up((size_t)r->g->x.count * samples_bytes(&r->samples)) + KERNEL_SLACK;
	r->ring_rows = (r->down.identity ? 1 : r->down.stride) + KERNEL_ROWS;
	if (__builtin_mul_overflow(r->row_bytes, (size_t)r->ring_rows + 1, &size) ||
	    __builtin_add_overflow(size, source * KERNEL_ROWS, &size))
		return err_set(e, "the resize needs too much memory");
	if (size > r->memory_size) {
		free(r->memory);
		r->memory_size = 0;
		r->memory = calloc(1, size);
		if (!r->memory)
			return err_memory(e, size, "rows");
		r->memory_size = size;
	}
	for (int i = 0; i < KERNEL_ROWS; i++)
		r->source[i] = r->memory + (size_t)i * source;
	r->line = r->memory + KERNEL_ROWS * source;
	r->ring = r->line + r->row_bytes;
	return 0;
}

/* Lists as long as the longer side of anything here. */
static int reserve_lists(struct resampler *r, struct err *e)
{
	size_t n = (size_t)r->g->x.count;

	if (n < (size_t)r->down.stride)
		n = (size_t)r->down.stride;
	if (n <= r->list_size)
		return 0;
	r->list_size = 0;
	free(r->taps);
	free(r->column);
	r->taps = calloc(n, sizeof *r->taps);
	r->column = calloc(n, sizeof *r->column);
	if (!r->taps || !r->column)
		return err_code(e, EX_TEMPFAIL, "no memory for %zu rows", n);
	r->list_size = n;
	return 0;
}

/* Source row y as samples, readable as far as the kernels reach; slot: which buffer it may use. */
static const uint8_t *source_row(struct resampler *r, int y, int slot)
{
	const struct extent *x = &r->g->x;
	const uint8_t *row = picture_row(r->in, r->g->y.from + y);
	int from = 0, to = x->size;

	if (picture_is(r->in, &r->samples)) {
		row += (size_t)x->from * samples_bytes(&r->samples);
		if (r->across.reach <= (size_t)(r->in->end - row))
			return row;
	}
	if (!r->across.identity && r->across.start) { /* only the columns that have weights */
		int last = x->count - 1;
		from = r->across.start[0];
		to = r->across.start[last] + r->across.count[last];
	}
	picture_convert(r->in, &r->samples, r->g->y.from + y, x->from + from, x->from + to,
			r->source[slot] + (size_t)from * samples_bytes(&r->samples));
	return r->source[slot];
}

static uint8_t *ring_row(struct resampler *r, int y)
{
	return r->ring + (size_t)(y % r->ring_rows) * r->row_bytes;
}

/* The horizontal pass over up to KERNEL_ROWS source rows from r->done on; `end`: there are no more. */
static void pull_rows(struct resampler *r, int end)
{
	const struct extent *x = &r->g->x;
	const uint8_t *row[KERNEL_ROWS];
	uint8_t *out[KERNEL_ROWS];

	for (int i = 0; i < KERNEL_ROWS; i++) {
		/* Past the end the last row is computed again, to the same place. */
		int y = r->done + i < end ? r->done + i : end - 1;
		out[i] = ring_row(r, y);
		if (r->across.identity)
			picture_convert(r->in, &r->samples, r->g->y.from + y, x->from + x->first,
					x->from + x->first + x->count, out[i]);
		else
			row[i] = source_row(r, y, i);
	}
	if (!r->across.identity && r->samples.depth == 8)
		r->kernels->across(&r->across, r->samples.channels, row, out);
	if (!r->across.identity && r->samples.depth == 16)
		for (int i = 0; i < KERNEL_ROWS; i++)
			deep_across(&r->across, r->samples.channels, row[i], out[i]);
	r->done += KERNEL_ROWS;
}

/* Output row i (of the kept ones), from the ring. */
static const uint8_t *sum_row(struct resampler *r, int i)
{
	const struct filter *f = &r->down;
	int from = f->start[i], count = f->count[i];
	size_t samples = (size_t)r->g->x.count * (size_t)r->samples.channels;
	size_t at = (size_t)i * (size_t)f->stride;

	for (int k = 0; k < count; k++)
		r->taps[k] = ring_row(r, from + k);
	if (r->samples.depth == 8)
		r->kernels->down(f->fixed + at, count, r->taps, samples, r->line);
	else
		deep_down(f->weight + at, count, r->taps, samples, r->line);
	return r->line;
}

static void run_filtered(struct resampler *r, const struct tensor *t)
{
	const struct extent *y = &r->g->y;
	bool identity = r->down.identity;
	int last = y->count - 1;
	int end = identity ? y->first + y->count : r->down.start[last] + r->down.count[last];

	r->done = identity ? y->first : r->down.start[0];
	for (int i = 0; i < y->count; i++) {
		int need = identity ? y->first + i + 1 : r->down.start[i] + r->down.count[i];
		while (r->done < need)
			pull_rows(r, end);
		tensor_row(t, r->g->x.at, y->at + i,
			   identity ? ring_row(r, y->first + i) : sum_row(r, i), r->g->x.count);
	}
}

static void pick(uint8_t *out, const uint8_t *row, const int *column, int count, size_t bytes)
{
	for (int i = 0; i < count; i++)
		memcpy(out + (size_t)i * bytes, row + (size_t)column[i] * bytes, bytes);
}

static int run_nearest(struct resampler *r, const struct tensor *t, struct err *e)
{
	const struct geometry *g = r->g;
	int *row = malloc((size_t)g->y.count * sizeof *row);

	if (!row)
		return err_code(e, EX_TEMPFAIL, "no memory for rows");
	filter_nearest(&g->x, r->column);
	filter_nearest(&g->y, row);
	for (int i = 0; i < g->y.count; i++) {
		if (i == 0 || row[i] != row[i - 1])
			pick(r->line, source_row(r, row[i], 0), r->column, g->x.count,
			     samples_bytes(&r->samples));
		tensor_row(t, g->x.at, g->y.at + i, r->line, g->x.count);
	}
	free(row);
	return 0;
}

/* Source row y through the horizontal pass, kept for the next output row. */
static const int32_t *opencv_row(struct resampler *r, struct opencv *o, int y, int other)
{
	int slot = o->held[0] == y ? 0 : o->held[1] == y ? 1 : o->held[0] == other ? 1 : 0;

	if (o->held[slot] != y)
		opencv_across(o, r->samples.channels, source_row(r, y, slot), o->row[slot]);
	o->held[slot] = y;
	return o->row[slot];
}

static int run_opencv(struct resampler *r, const struct tensor *t, struct err *e)
{
	const struct extent *y = &r->g->y;
	struct opencv o;

	if (opencv_open(&o, r->g, r->samples.channels, e) < 0)
		return -1;
	for (int i = 0; i < y->count; i++) {
		const struct opencv_tap *tap = &o.down[i];
		if (o.halves) {
			opencv_halve(&o, r->samples.channels, source_row(r, tap->at, 0),
				     source_row(r, tap->next, 1), r->line);
		} else {
			const int32_t *upper = opencv_row(r, &o, tap->at, tap->next);
			const int32_t *lower = opencv_row(r, &o, tap->next, tap->at);
			opencv_down(tap, upper, lower, o.samples, r->line);
		}
		tensor_row(t, r->g->x.at, y->at + i, r->line, r->g->x.count);
	}
	opencv_close(&o);
	return 0;
}

int resampler_run(struct resampler *r, const struct picture *in, const struct geometry *g,
		  enum recipe_interp interp, const struct tensor *t, struct err *e)
{
	bool resizes = g->x.full != g->x.size || g->y.full != g->y.size || g->x.box0 > 0;
	bool nearest = interp == INTERP_NEAREST && resizes;
	bool opencv = interp == INTERP_OPENCV_LINEAR && resizes;

	r->in = in;
	r->g = g;
	r->samples = t->samples;
	if (nearest || opencv) { /* no weights, and whatever was planned before is of no use */
		filter_free(&r->across);
		filter_free(&r->down);
	} else if (filter_plan(&r->across, &g->x, interp, e) < 0 ||
		   filter_plan(&r->down, &g->y, interp, e) < 0 ||
		   (t->samples.depth == 8 && filter_pack(&r->across, t->samples.channels, e) < 0)) {
		return -1;
	}
	if (reserve_rows(r, e) < 0 || reserve_lists(r, e) < 0)
		return -1;
	if (nearest)
		return run_nearest(r, t, e);
	if (opencv)
		return run_opencv(r, t, e);
	run_filtered(r, t);
	return 0;
}
