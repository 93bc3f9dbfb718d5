/* Depthwise convolution in one or two dimensions: cut into rows for kernels/isa/depthwise.c. */
#include "infer/kernels/conv_kernel.h"
#include "infer/kernels/depthwise.h"
#include "infer/kernels/isa.h"

#define LINES_MAX 32 /* kernel height */

static void (*best(void))(const struct depthwise *)
{
#ifdef __x86_64__
	if (isa_best() == ISA_AVX512)
		return depthwise__avx512;
	if (isa_best() == ISA_AVX2)
		return depthwise__avx2;
#endif
	return depthwise__base;
}

static bool fits(const struct conv *c)
{
	return c->groups > 1 && c->groups == c->c && c->groups == c->k && c->kernel[0] == 1 &&
	       c->in[0] == 1 && c->out[0] == 1 && c->kernel[1] <= LINES_MAX;
}

/* Packed: bias, then for each tap the weights of all channels. */
static void measure(struct conv *c, int lanes)
{
	(void)lanes;
	c->packed_bytes = c->c * (1 + conv_taps(c)) * sizeof(float);
	c->work_bytes = 0;
}

static void pack(const struct conv *c, const float *weights, const float *bias, void *packed)
{
	float *out = packed;
	size_t taps = conv_taps(c);

	for (size_t i = 0; i < c->c; i++)
		*out++ = bias ? bias[i] : 0;
	for (size_t t = 0; t < taps; t++)
		for (size_t i = 0; i < c->c; i++)
			*out++ = weights[i * taps + t];
}

void conv_depthwise_row(const struct conv *c, const float *x, size_t high, size_t h,
			const float *residual, float *y)
{
	const float *line[LINES_MAX], *weight[LINES_MAX], *bias = c->packed;
	size_t lines = 0;

	for (size_t k = 0; k < c->kernel[1]; k++) {
		ptrdiff_t i = (ptrdiff_t)(h * c->stride[1] + k * c->dilation[1]) - c->pad[1];
		if (i < 0 || (size_t)i >= c->in[1])
			continue;
		line[lines] = x + (size_t)i % high * c->in[2] * c->x_pitch;
		weight[lines++] = bias + c->c * (1 + k * c->kernel[2]);
	}
	struct depthwise d = {
		.channels = c->c,
		.width = c->out[2],
		.in_width = c->in[2],
		.lines = lines,
		.kernel_width = c->kernel[2],
		.stride = c->stride[2],
		.dilation = c->dilation[2],
		.pad = c->pad[2],
		.line = line,
		.weight = weight,
		.x_pitch = c->x_pitch,
		.bias = bias,
		.y = y,
		.y_pitch = c->y_pitch,
		.residual = residual,
		.r_pitch = c->r_pitch,
		.epilogue = &c->epilogue,
	};
	best()(&d);
}

struct job {
	const struct conv *c;
	const float *x, *residual;
	float *y;
};

static void row(void *context, size_t task, int lane)
{
	const struct job *j = context;
	const struct conv *c = j->c;
	size_t picture = task / c->out[1], at = task * c->out[2];

	(void)lane;
	conv_depthwise_row(c, j->x + picture * c->in[1] * c->in[2] * c->x_pitch, c->in[1],
			   task % c->out[1], j->residual ? j->residual + at * c->r_pitch : NULL,
			   j->y + at * c->y_pitch);
}

static void run(const struct conv *c, const float *x, const float *residual, float *y, void *work,
		struct crew *crew)
{
	struct job j = { c, x, residual, y };

	(void)work;
	crew_run(crew, row, &j, c->n * c->out[1]);
}

const struct conv_kernel conv_depthwise = {
	.name = "depthwise",
	.sets = 1u << KERNELS_NATIVE,
	.fits = fits,
	.measure = measure,
	.pack = pack,
	.run = run,
};
