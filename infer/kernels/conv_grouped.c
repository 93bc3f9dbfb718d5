/* Convolution in narrow groups, as many channels out as in (RegNet, ResNeXt): cut into rows for
 * kernels/isa/grouped.c. */
#include <string.h>

#include "infer/kernels/conv_kernel.h"
#include "infer/kernels/grouped.h"
#include "infer/kernels/isa.h"

#define LINES_MAX 32 /* kernel height */

static const struct grouped_isa *best(void)
{
#ifdef __x86_64__
	if (isa_best() == ISA_AVX512)
		return &grouped__avx512;
	if (isa_best() == ISA_AVX2)
		return &grouped__avx2;
#endif
	return &grouped__base;
}

/* Vectors of four cannot be rearranged by a variable on every machine. */
static bool fits(const struct conv *c)
{
	size_t group = c->c / c->groups, vec = best()->vec;

	return c->groups > 1 && c->c == c->k && group > 1 && vec > 4 && group <= vec &&
	       vec % group == 0 && c->kernel[0] == 1 && c->in[0] == 1 && c->out[0] == 1 &&
	       c->kernel[1] <= LINES_MAX && c->kernel[2] <= LINES_MAX && c->stride[2] <= 8 &&
	       c->dilation[2] <= 8 && c->pad[1] >= 0 && c->pad[2] >= 0;
}

static size_t panel_floats(const struct conv *c)
{
	return (1 + conv_taps(c) * (c->c / c->groups)) * best()->vec;
}

static size_t lane_bytes(const struct conv *c)
{
	size_t wide = grouped_spare(c->out[2], c->kernel[2], c->stride[2], c->dilation[2]);

	return kernel_lines(c->kernel[1] * wide * best()->vec * sizeof(float));
}

static void measure(struct conv *c, int lanes)
{
	size_t vec = best()->vec;

	c->packed_bytes = (c->c + vec - 1) / vec * panel_floats(c) * sizeof(float);
	c->work_bytes = (size_t)lanes * lane_bytes(c);
}

static void pack(const struct conv *c, const float *weights, const float *bias, void *packed)
{
	size_t vec = best()->vec, taps = conv_taps(c), group = c->c / c->groups;

	memset(packed, 0, c->packed_bytes);
	for (size_t k = 0; k < c->k; k++) {
		float *out = (float *)packed + k / vec * panel_floats(c) + k % vec;

		*out = bias ? bias[k] : 0;
		for (size_t t = 0; t < taps; t++)
			for (size_t i = 0; i < group; i++)
				out[(1 + t * group + i) * vec] =
				    weights[(k * group + i) * taps + t];
	}
}

struct job {
	const struct conv *c;
	const float *x, *residual;
	float *y;
	char *work;
};

static void row(void *context, size_t task, int lane)
{
	const struct job *j = context;
	const struct conv *c = j->c;
	size_t picture = task / c->out[1], h = task % c->out[1], at = task * c->out[2];
	const float *x = j->x + picture * c->in[1] * c->in[2] * c->x_pitch;
	const float *line[LINES_MAX];
	size_t tap[LINES_MAX], lines = 0;

	for (size_t k = 0; k < c->kernel[1]; k++) {
		ptrdiff_t i = (ptrdiff_t)(h * c->stride[1] + k * c->dilation[1]) - c->pad[1];
		if (i < 0 || (size_t)i >= c->in[1])
			continue;
		line[lines] = x + (size_t)i * c->in[2] * c->x_pitch;
		tap[lines++] = k * c->kernel[2];
	}
	struct grouped g = {
		.channels = c->c,
		.group = c->c / c->groups,
		.width = c->out[2],
		.in_width = c->in[2],
		.lines = lines,
		.kernel_width = c->kernel[2],
		.taps = conv_taps(c),
		.stride = c->stride[2],
		.dilation = c->dilation[2],
		.pad = (size_t)c->pad[2],
		.line = line,
		.tap = tap,
		.x_pitch = c->x_pitch,
		.packed = c->packed,
		.spare = (float *)(void *)(j->work + (size_t)lane * lane_bytes(c)),
		.y = j->y + at * c->y_pitch,
		.y_pitch = c->y_pitch,
		.residual = j->residual ? j->residual + at * c->r_pitch : NULL,
		.r_pitch = c->r_pitch,
		.epilogue = &c->epilogue,
	};
	best()->run(&g);
}

static void run(const struct conv *c, const float *x, const float *residual, float *y, void *work,
		struct crew *crew)
{
	struct job j = { c, x, residual, y, work };

	crew_run(crew, row, &j, c->n * c->out[1]);
}

const struct conv_kernel conv_grouped = {
	.name = "grouped",
	.sets = 1u << KERNELS_NATIVE,
	.fits = fits,
	.measure = measure,
	.pack = pack,
	.run = run,
};
