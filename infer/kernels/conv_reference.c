/* Convolution as it is defined (ONNX Conv): the oracle of all other kernels, and what
 * --kernels reference runs. Sums run over depth, height, width and channel of the window, in this
 * order, from zero; then bias, residual, activation. Taps over the edge are left out. */
#include <string.h>

#include "infer/kernels/conv_kernel.h"

struct job {
	const struct conv *c;
	const float *x, *residual;
	float *y;
};

/* Packed: weights as k, tap, channel; then the bias. */
static void pack(const struct conv *c, const float *weights, const float *bias, void *packed)
{
	size_t taps = conv_taps(c), depth = c->c / c->groups;
	float *w = packed;

	for (size_t k = 0; k < c->k; k++)
		for (size_t t = 0; t < taps; t++)
			for (size_t i = 0; i < depth; i++)
				*w++ = weights[(k * depth + i) * taps + t];
	for (size_t k = 0; k < c->k; k++)
		*w++ = bias ? bias[k] : 0;
}

static void measure(struct conv *c, int lanes)
{
	(void)lanes;
	c->packed_bytes = (c->k * conv_taps(c) * (c->c / c->groups) + c->k) * sizeof(float);
	c->work_bytes = 0;
}

static float sum_at(const struct conv *c, const float *x, const size_t o[3], size_t k)
{
	size_t depth = c->c / c->groups, group = k / (c->k / c->groups);
	const float *w = (const float *)c->packed + k * conv_taps(c) * depth;
	float sum = 0;

	for (size_t d = 0; d < c->kernel[0]; d++)
		for (size_t h = 0; h < c->kernel[1]; h++)
			for (size_t v = 0; v < c->kernel[2]; v++, w += depth) {
				ptrdiff_t i[3] = {
					(ptrdiff_t)(o[0] * c->stride[0] + d * c->dilation[0]) -
					    c->pad[0],
					(ptrdiff_t)(o[1] * c->stride[1] + h * c->dilation[1]) -
					    c->pad[1],
					(ptrdiff_t)(o[2] * c->stride[2] + v * c->dilation[2]) -
					    c->pad[2]
				};
				if (i[0] < 0 || i[1] < 0 || i[2] < 0 || (size_t)i[0] >= c->in[0] ||
				    (size_t)i[1] >= c->in[1] || (size_t)i[2] >= c->in[2])
					continue;
				const float *p =
				    x +
				    (((size_t)i[0] * c->in[1] + (size_t)i[1]) * c->in[2] +
				     (size_t)i[2]) *
					c->x_pitch +
				    group * depth;
				for (size_t j = 0; j < depth; j++)
					sum += p[j] * w[j];
			}
	return sum;
}

/* One row of output pixels. */
static void row(void *context, size_t task, int lane)
{
	const struct job *j = context;
	const struct conv *c = j->c;
	const float *bias = (const float *)c->packed + c->k * conv_taps(c) * (c->c / c->groups);
	size_t rows = c->out[0] * c->out[1], picture = task / rows, at = task * c->out[2];
	size_t o[3] = { task % rows / c->out[1], task % c->out[1], 0 };
	const float *x = j->x + picture * c->in[0] * c->in[1] * c->in[2] * c->x_pitch;

	(void)lane;
	for (; o[2] < c->out[2]; o[2]++, at++) {
		float *y = j->y + at * c->y_pitch;
		for (size_t k = 0; k < c->k; k++) {
			y[k] = sum_at(c, x, o, k) + bias[k];
			if (j->residual)
				y[k] += j->residual[at * c->r_pitch + k];
		}
		activate(&c->epilogue, y, y, c->k);
	}
}

static void run(const struct conv *c, const float *x, const float *residual, float *y, void *work,
		struct crew *crew)
{
	struct job j = { c, x, residual, y };

	(void)work;
	crew_run(crew, row, &j, c->n * c->out[0] * c->out[1]);
}

const struct conv_kernel conv_reference = {
	.name = "reference",
	.sets = 1u << KERNELS_REFERENCE | 1u << KERNELS_BLIS | 1u << KERNELS_NATIVE,
	.measure = measure,
	.pack = pack,
	.run = run,
};
