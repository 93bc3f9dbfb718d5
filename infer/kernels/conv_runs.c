/* Few channels, as in the first layer: the taps of one row of the window lie side by side in the
 * picture, so they serve as one tap with kernel width x channels values. Only windows that hang over
 * the left or right edge are copied, with their zeros. */
#include <string.h>

#include "infer/kernels/conv_kernel.h"

#define RUN_MOST 64  /* floats of a window row */
#define TAPS_MOST 32 /* window rows: copies of them take memory */

bool conv_has_runs(const struct conv *c)
{
	return c->groups == 1 && c->kernel[2] > 1 && c->dilation[2] == 1 && c->x_pitch == c->c &&
	       c->c <= 16 && c->kernel[2] * c->c <= RUN_MOST &&
	       c->kernel[0] * c->kernel[1] <= TAPS_MOST;
}

size_t conv_run_floats(const struct conv *c)
{
	return c->kernel[2] * c->c;
}

/* The window row that begins at pixel `left` of the line. */
static const float *run_at(const struct conv *c, const float *line, ptrdiff_t left, float **spare)
{
	ptrdiff_t wide = (ptrdiff_t)c->kernel[2], in = (ptrdiff_t)c->in[2];
	ptrdiff_t from = left < 0 ? -left : 0, to = in - left < wide ? in - left : wide;
	float *copy = *spare;

	if (from == 0 && to == wide)
		return line + (size_t)left * c->c;
	*spare += conv_run_floats(c);
	memset(copy, 0, conv_run_floats(c) * sizeof *copy);
	if (from < to)
		memcpy(copy + (size_t)from * c->c, line + (size_t)(left + from) * c->c,
		       (size_t)(to - from) * c->c * sizeof *copy);
	return copy;
}

void conv_runs(const struct conv *c, const float *x, size_t first, size_t count, const float *zeros,
	       float *spare, const float **rows)
{
	for (size_t tap = 0; tap < c->kernel[0] * c->kernel[1]; tap++) {
		ptrdiff_t deep = (ptrdiff_t)(tap / c->kernel[1] * c->dilation[0]) - c->pad[0];
		ptrdiff_t high = (ptrdiff_t)(tap % c->kernel[1] * c->dilation[1]) - c->pad[1];
		size_t w = first % c->out[2], line = first / c->out[2];

		for (size_t i = 0; i < count; line++, w = 0) {
			/* negative ones wrap around */
			size_t d = (size_t)((ptrdiff_t)(line / c->out[1] * c->stride[0]) + deep);
			size_t h = (size_t)((ptrdiff_t)(line % c->out[1] * c->stride[1]) + high);
			bool inside = d < c->in[0] && h < c->in[1];
			const float *from = x + (inside ? (d * c->in[1] + h) * c->in[2] * c->c : 0);

			for (; w < c->out[2] && i < count; w++, i++)
				*rows++ = inside ? run_at(c, from,
							  (ptrdiff_t)(w * c->stride[2]) - c->pad[2],
							  &spare)
						 : zeros;
		}
	}
}
