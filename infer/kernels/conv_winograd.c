/* 3x3 convolution of stride 1 by Winograd's minimal filtering: F(4x4, 3x3) on larger pictures,
 * F(2x2, 3x3) on small ones. Blocks of tiles are transformed, multiplied (one matrix product per
 * position of the transformed tile) and transformed back while they are in the cache. Weights are
 * transformed once, in double. Against the reference the relative error is some 1e-6; what a pixel
 * becomes depends on its tile alone. */
#include <string.h>

#include "infer/kernels/conv_kernel.h"
#include "infer/kernels/igemm.h"
#include "infer/kernels/isa.h"
#include "infer/kernels/winograd.h"

#define LARGE 13 /* rows from which F(4x4) pays */
#define BLOCK 56 /* tiles for which the weights are fetched once */
#define WEIGHTS_SMALL \
	2500000              /* floats of weights that may as well be fetched twice, by two lanes */
#define WEIGHTS_NEAR 1200000 /* or by every lane */
#define PIXELS_LEAST 8

static const struct winograd_isa *best(void)
{
#ifdef __x86_64__
	if (isa_best() == ISA_AVX512)
		return &winograd__avx512;
	if (isa_best() == ISA_AVX2)
		return &winograd__avx2;
#endif
	return &winograd__base;
}

static bool fits(const struct conv *c)
{
	for (int a = 1; a < 3; a++)
		if (c->kernel[a] != 3 || c->stride[a] != 1 || c->dilation[a] != 1)
			return false;
	return c->kernel[0] == 1 && c->in[0] == 1 && c->out[0] == 1 && c->groups == 1 &&
	       c->c >= 16 && c->k >= 16 && c->out[1] * c->out[2] >= 4 * PIXELS_LEAST;
}

/* Sizes that follow from the shape. */
struct sizes {
	size_t m, side, positions; /* output tile, input tile, its square */
	size_t high, wide, tiles;  /* tiles of a picture */
	size_t block, blocks;      /* tiles a block */
	size_t columns;            /* k, rounded up to whole panels */
	size_t panel_floats;       /* all panels of one position */
};

static struct sizes sizes_of(const struct conv *c)
{
	struct sizes s = { .m = c->out[1] >= LARGE && c->out[2] >= LARGE ? 4 : 2 };
	size_t cols = igemm_best()->cols;

	s.side = s.m + 2;
	s.positions = s.side * s.side;
	s.high = (c->out[1] + s.m - 1) / s.m;
	s.wide = (c->out[2] + s.m - 1) / s.m;
	s.tiles = s.high * s.wide;
	s.columns = (c->k + cols - 1) / cols * cols;
	s.panel_floats = s.columns * (1 + c->c);
	s.blocks = (s.tiles + BLOCK - 1) / BLOCK;
	if (s.blocks > 1 || (s.tiles >= 24 && s.positions * s.panel_floats <= WEIGHTS_SMALL))
		s.blocks += s.blocks % 2;
	s.block = (s.tiles + s.blocks - 1) / s.blocks;
	s.blocks = (s.tiles + s.block - 1) / s.block;
	return s;
}

static size_t line_floats(size_t n)
{
	return kernel_lines(n * sizeof(float)) / sizeof(float);
}

/* Packed: zeros for the padding, bias, then for each position the panels of igemm.h. */
static float *weights_of(const struct conv *c)
{
	return (float *)(uintptr_t)c->packed + line_floats(c->c) + line_floats(c->k);
}

static size_t lane_floats(const struct conv *c)
{
	struct sizes s = sizes_of(c);

	return line_floats(s.positions * s.block * c->c) +
	       line_floats(s.positions * s.block * s.columns) +
	       kernel_lines(s.block * sizeof(float *)) / sizeof(float);
}

static void measure(struct conv *c, int lanes)
{
	struct sizes s = sizes_of(c);

	c->packed_bytes =
	    (line_floats(c->c) + line_floats(c->k) + s.positions * s.panel_floats) * sizeof(float);
	c->work_bytes = (size_t)lanes * lane_floats(c) * sizeof(float);
}

/* A panel's columns at a time: their windows of one channel side by side. */
static void pack(const struct conv *c, const float *weights, const float *bias, void *packed)
{
	struct sizes s = sizes_of(c);
	size_t cols = igemm_best()->cols;
	float windows[9 * WINOGRAD_COLUMNS];

	memset(packed, 0, (line_floats(c->c) + line_floats(c->k)) * sizeof(float));
	if (bias)
		memcpy((float *)packed + line_floats(c->c), bias, c->k * sizeof *bias);
	for (size_t first = 0; first < c->k; first += cols) {
		size_t n = c->k - first < cols ? c->k - first : cols;
		float *at = weights_of(c) + first * (1 + c->c);

		memset(windows, 0, sizeof windows);
		for (size_t p = 0; p < s.positions; p++)
			memset(at + p * s.panel_floats, 0, cols * sizeof *at);
		for (size_t i = 0; i < c->c; i++) {
			for (size_t k = 0; k < n; k++)
				for (size_t t = 0; t < 9; t++)
					windows[t * cols + k] =
					    weights[((first + k) * c->c + i) * 9 + t];
			at += cols;
			(s.m == 2 ? best()->weights2 : best()->weights4)(windows, cols, at,
									 s.panel_floats);
		}
	}
}

struct job {
	const struct conv *c;
	struct sizes s;
	const float *x, *residual;
	float *y;
	float *work;
	size_t parts, part; /* columns a task: whole panels */
};

static void in_tiles(const struct job *j, const float *x, size_t first, size_t count, float *v)
{
	const struct conv *c = j->c;
	const float *zeros = c->packed;
	struct winograd_in t = { .channels = c->c, .v_step = j->s.block * c->c };

	for (size_t i = 0; i < count; i++) {
		ptrdiff_t top = (ptrdiff_t)((first + i) / j->s.wide * j->s.m) - c->pad[1];
		ptrdiff_t left = (ptrdiff_t)((first + i) % j->s.wide * j->s.m) - c->pad[2];
		const float **pixel = t.pixel;
		for (size_t h = 0; h < j->s.side; h++)
			for (size_t w = 0; w < j->s.side; w++) {
				size_t a = (size_t)(top + (ptrdiff_t)h),
				       b = (size_t)(left + (ptrdiff_t)w);
				/* negative ones have wrapped around */
				*pixel++ = a < c->in[1] && b < c->in[2]
					       ? x + (a * c->in[2] + b) * c->x_pitch
					       : zeros;
			}
		t.v = v + i * c->c;
		(j->s.m == 2 ? best()->in2 : best()->in4)(&t);
	}
}

static void out_tiles(const struct job *j, size_t picture, size_t first, size_t count,
		      size_t column, size_t columns, const float *products)
{
	const struct conv *c = j->c;
	struct winograd_out t = { .channels = columns,
				  .m_step = j->s.block * j->part,
				  .bias = (const float *)c->packed + line_floats(c->c) + column,
				  .epilogue = &c->epilogue };

	for (size_t i = 0; i < count; i++) {
		size_t top = (first + i) / j->s.wide * j->s.m,
		       left = (first + i) % j->s.wide * j->s.m;
		int n = 0;
		for (size_t h = top; h < top + j->s.m; h++)
			for (size_t w = left; w < left + j->s.m; w++, n++) {
				size_t at = picture * conv_pixels(c) + h * c->out[2] + w;
				bool there = h < c->out[1] && w < c->out[2];
				t.pixel[n] = there ? j->y + at * c->y_pitch + column : NULL;
				t.residual[n] = there && j->residual
						    ? j->residual + at * c->r_pitch + column
						    : NULL;
			}
		t.m = products + i * j->part;
		(j->s.m == 2 ? best()->out2 : best()->out4)(&t);
	}
}

static void task(void *context, size_t number, int lane)
{
	const struct job *j = context;
	const struct conv *c = j->c;
	const struct sizes *s = &j->s;
	size_t part = number % j->parts, block = number / j->parts % s->blocks;
	size_t picture = number / j->parts / s->blocks, first = block * s->block;
	size_t count = s->tiles - first < s->block ? s->tiles - first : s->block;
	size_t column = part * j->part, columns = c->k - column < j->part ? c->k - column : j->part;
	float *v = j->work + (size_t)lane * lane_floats(c);
	float *products = v + line_floats(s->positions * s->block * c->c);
	const void **rows =
	    (const void **)(void *)(products + line_floats(s->positions * s->block * s->columns));
	static const struct epilogue none = { ACT_NONE, 0, 0 };
	struct igemm g = { .count = count,
			   .taps = 1,
			   .depth = c->c,
			   .rows = rows,
			   .y_pitch = j->part,
			   .epilogue = &none };

	in_tiles(j, j->x + picture * c->in[1] * c->in[2] * c->x_pitch, first, count, v);
	for (size_t i = 0; i < count; i++)
		rows[i] = v + i * c->c;
	/* Whole panels: the columns that fill up the last one are computed too, and left alone. */
	g.columns = s->columns - column < j->part ? s->columns - column : j->part;
	for (size_t p = 0; p < s->positions; p++) {
		g.offset = p * s->block * c->c;
		g.panel = weights_of(c) + p * s->panel_floats + column * (1 + c->c);
		g.y = products + p * s->block * j->part;
		igemm_best()->run(&g);
	}
	out_tiles(j, picture, first, count, column, columns, products);
}

/* Too few blocks for the crew: the columns are divided too where weights are many and that is even; pixels are
 * transformed more than once then, to the same values. Else there are as many blocks as lanes, and weights
 * are fetched more than once. */
static void divide(struct job *j, size_t lanes)
{
	size_t cols = igemm_best()->cols, panels = j->s.columns / cols;
	size_t blocks = j->c->n * j->s.blocks;
	bool enough = blocks % lanes == 0 || blocks >= 4 * lanes;
	bool small = j->s.positions * j->s.panel_floats <= WEIGHTS_NEAR;

	j->parts = !enough && !small && panels % lanes == 0 ? lanes : 1;
	j->part = j->s.columns / j->parts;
	if (enough || j->parts > 1)
		return;
	blocks = (lanes + j->c->n - 1) / j->c->n;
	if (blocks > j->s.blocks) {
		j->s.block = (j->s.tiles + blocks - 1) / blocks;
		j->s.blocks = (j->s.tiles + j->s.block - 1) / j->s.block;
	}
}

static void run(const struct conv *c, const float *x, const float *residual, float *y, void *work,
		struct crew *crew)
{
	struct job j = {
		.c = c, .s = sizes_of(c), .x = x, .residual = residual, .y = y, .work = work
	};

	divide(&j, (size_t)crew_lanes(crew));
	crew_run(crew, task, &j, c->n * j.s.blocks * j.parts);
}

const struct conv_kernel conv_winograd = {
	.name = "winograd",
	.sets = 1u << KERNELS_NATIVE,
	.fits = fits,
	.measure = measure,
	.pack = pack,
	.run = run,
};
