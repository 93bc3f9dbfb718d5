/* The first layer: a row-major picture of few channels needs no copy to channels last. Cut into rows for
 * kernels/isa/planar.c. */
#include <string.h>

#include "infer/kernels/conv_kernel.h"
#include "infer/kernels/isa.h"
#include "infer/kernels/planar.h"

#define CHANNELS_MOST 4

static void (*best(void))(const struct planar *)
{
#ifdef __x86_64__
	if (isa_best() == ISA_AVX512)
		return planar__avx512;
	if (isa_best() == ISA_AVX2)
		return planar__avx2;
#endif
	return planar__base;
}

bool conv_takes_planes(const struct conv *c)
{
	return c->groups == 1 && c->c <= CHANNELS_MOST && c->kernel[0] == 1 && c->in[0] == 1 &&
	       c->out[0] == 1 && c->c * c->kernel[1] <= PLANAR_LINES &&
	       c->kernel[2] <= PLANAR_WIDE && c->dilation[2] == 1 &&
	       (c->stride[2] == 1 || c->stride[2] == 2 || c->stride[2] == 4) && c->pad[1] >= 0 &&
	       c->pad[2] >= 0;
}

static bool fits(const struct conv *c)
{
	return c->planar;
}

/* Packed: a line of zeros, then panels. */
static size_t zeros_of(const struct conv *c)
{
	return kernel_lines(c->in[2] * sizeof(float)) / sizeof(float);
}

static void measure(struct conv *c, int lanes)
{
	(void)lanes;
	c->packed_bytes =
	    (zeros_of(c) + igemm_panel_floats(c->k, conv_taps(c) * c->c)) * sizeof(float);
	c->work_bytes = 0;
}

static void pack(const struct conv *c, const float *weights, const float *bias, void *packed)
{
	size_t sums = conv_taps(c) * c->c;

	memset(packed, 0, zeros_of(c) * sizeof(float));
	igemm_pack_panels((float *)packed + zeros_of(c), c->k, sums, bias, weights, (ptrdiff_t)sums,
			  1, sums, 1, false);
}

/* The lines that an output row sees, plane by plane. */
static void find_lines(const struct conv *c, const float *x, size_t h, const float **line)
{
	for (size_t i = 0; i < c->c; i++, x += c->in[1] * c->in[2])
		for (size_t k = 0; k < c->kernel[1]; k++) {
			size_t row = h * c->stride[1] + k * c->dilation[1] - (size_t)c->pad[1];
			/* negative ones have wrapped around */
			*line++ = row < c->in[1] ? x + row * c->in[2] : c->packed;
		}
}

void conv_planar_row(const struct conv *c, const float *x, size_t h, const float *residual,
		     float *y)
{
	const float *line[PLANAR_LINES];
	struct planar p = {
		.out = { .count = c->out[2],
			 .panel = (const float *)c->packed + zeros_of(c),
			 .columns = c->k,
			 .y = y,
			 .y_pitch = c->y_pitch,
			 .residual = residual,
			 .r_pitch = c->r_pitch,
			 .epilogue = &c->epilogue },
		.lines = c->c * c->kernel[1],
		.line = line,
		.in_width = c->in[2],
		.pad = c->pad[2],
		.kernel_width = c->kernel[2],
		.stride = c->stride[2],
	};

	find_lines(c, x, h, line);
	best()(&p);
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
	conv_planar_row(c, j->x + picture * c->c * c->in[1] * c->in[2], task % c->out[1],
			j->residual ? j->residual + at * c->r_pitch : NULL, j->y + at * c->y_pitch);
}

static void run(const struct conv *c, const float *x, const float *residual, float *y, void *work,
		struct crew *crew)
{
	struct job j = { c, x, residual, y };

	(void)work;
	crew_run(crew, row, &j, c->n * c->out[1]);
}

const struct conv_kernel conv_planar = {
	.name = "planar",
	.sets = 1u << KERNELS_NATIVE,
	.fits = fits,
	.measure = measure,
	.pack = pack,
	.run = run,
};
