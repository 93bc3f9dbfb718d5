/* Pointers to what windows see: see rows.h. */
#include "infer/kernels/rows.h"

#include <string.h>

#define RUN_MOST 256 /* bytes of a window row */
#define TAPS_MOST 32 /* window rows: copies of them take memory */

size_t rows_taps(const struct rows *r)
{
	return r->kernel[0] * r->kernel[1] * r->kernel[2];
}

size_t rows_pixels(const struct rows *r)
{
	return r->out[0] * r->out[1] * r->out[2];
}

/* Where window row `tap` (kernel depth x height) of output line `line` lies: false over the edge. */
static bool line_at(const struct rows *r, size_t tap, size_t line, size_t *at)
{
	size_t o[2] = { line / r->out[1], line % r->out[1] };
	size_t k[2] = { tap / r->kernel[1], tap % r->kernel[1] };

	*at = 0;
	for (int a = 0; a < 2; a++) {
		ptrdiff_t i = (ptrdiff_t)(o[a] * r->stride[a] + k[a] * r->dilation[a]) - r->pad[a];
		if (i < 0 || (size_t)i >= r->in[a])
			return false;
		*at = *at * r->in[a] + (size_t)i;
	}
	*at *= r->in[2] * r->pitch;
	return true;
}

/* One tap along one line: output pixels [w, w + many) of it. */
static void point_line(const struct rows *r, const char *line, size_t k, size_t w, size_t many,
		       const void *padding, const void **to)
{
	ptrdiff_t at = (ptrdiff_t)(w * r->stride[2] + k * r->dilation[2]) - r->pad[2];
	ptrdiff_t in = (ptrdiff_t)r->in[2], step = (ptrdiff_t)r->stride[2];
	const char *p;
	size_t i = 0;

	for (; i < many && at < 0; i++, at += step)
		to[i] = padding;
	p = line + at * (ptrdiff_t)r->pitch;
	for (; i < many && at < in; i++, at += step, p += step * (ptrdiff_t)r->pitch)
		to[i] = p;
	for (; i < many; i++)
		to[i] = padding;
}

static bool as_they_lie(const struct rows *r)
{
	for (int a = 0; a < 3; a++)
		if (r->kernel[a] != 1 || r->stride[a] != 1 || r->pad[a] != 0 ||
		    r->in[a] != r->out[a])
			return false;
	return true;
}

void rows_point(const struct rows *r, const void *x, size_t first, size_t count,
		const void *padding, const void **to)
{
	if (as_they_lie(r)) {
		for (size_t i = 0; i < count; i++)
			to[i] = (const char *)x + (first + i) * r->pitch;
		return;
	}
	for (size_t tap = 0; tap < r->kernel[0] * r->kernel[1]; tap++, to += count * r->kernel[2])
		for (size_t i = 0, w = first % r->out[2], many; i < count; i += many, w = 0) {
			size_t at;
			bool inside = line_at(r, tap, (first + i) / r->out[2], &at);

			many = r->out[2] - w < count - i ? r->out[2] - w : count - i;
			for (size_t k = 0; k < r->kernel[2]; k++) {
				const void **put = to + k * count + i;
				if (inside)
					point_line(r, (const char *)x + at, k, w, many, padding,
						   put);
				else
					for (size_t j = 0; j < many; j++)
						put[j] = padding;
			}
		}
}

/* --- window rows as one tap ------------------------------------------------------------------------- */

bool rows_run(const struct rows *r, size_t groups, size_t channel_bytes)
{
	return groups == 1 && r->kernel[2] > 1 && r->dilation[2] == 1 &&
	       r->pitch == channel_bytes && channel_bytes <= 64 && rows_run_bytes(r) <= RUN_MOST &&
	       rows_run_taps(r) <= TAPS_MOST;
}

size_t rows_run_taps(const struct rows *r)
{
	return r->kernel[0] * r->kernel[1];
}

size_t rows_run_bytes(const struct rows *r)
{
	return r->kernel[2] * r->pitch;
}

/* The window row that begins at pixel `left` of the line. */
static const char *run_at(const struct rows *r, const char *line, ptrdiff_t left,
			  const char *padding, char **spare)
{
	ptrdiff_t wide = (ptrdiff_t)r->kernel[2], in = (ptrdiff_t)r->in[2];
	ptrdiff_t from = left < 0 ? -left : 0, to = in - left < wide ? in - left : wide;
	char *copy = *spare;

	if (from == 0 && to == wide)
		return line + (size_t)left * r->pitch;
	*spare += rows_run_bytes(r);
	memcpy(copy, padding, rows_run_bytes(r));
	if (from < to)
		memcpy(copy + (size_t)from * r->pitch, line + (size_t)(left + from) * r->pitch,
		       (size_t)(to - from) * r->pitch);
	return copy;
}

/* Window rows of output pixels [w, w + many) of one line: copies at its ends, pointers between. */
static void point_runs(const struct rows *r, const char *line, size_t w, size_t many,
		       const void *padding, char **spare, const void **to)
{
	ptrdiff_t at = (ptrdiff_t)(w * r->stride[2]) - r->pad[2], step = (ptrdiff_t)r->stride[2];
	ptrdiff_t last = (ptrdiff_t)r->in[2] - (ptrdiff_t)r->kernel[2];

	for (size_t i = 0; i < many; i++, at += step)
		to[i] = at >= 0 && at <= last ? line + (size_t)at * r->pitch
					      : run_at(r, line, at, padding, spare);
}

void rows_point_runs(const struct rows *r, const void *x, size_t first, size_t count,
		     const void *padding, void *spare, const void **to)
{
	char *copies = spare;

	for (size_t tap = 0; tap < rows_run_taps(r); tap++)
		for (size_t i = 0, w = first % r->out[2], many; i < count; i += many, w = 0) {
			size_t at;
			bool inside = line_at(r, tap, (first + i) / r->out[2], &at);

			many = r->out[2] - w < count - i ? r->out[2] - w : count - i;
			if (inside)
				point_runs(r, (const char *)x + at, w, many, padding, &copies, to);
			else
				for (size_t j = 0; j < many; j++)
					to[j] = padding;
			to += many;
		}
}
