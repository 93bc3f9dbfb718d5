/* Convolution as indirect matrix product (Dukhan, "The Indirect Convolution Algorithm", 2019): no
 * im2col; pointers to the channels of each pixel and tap, a page of zeros for the padding. */
#include <string.h>

#include "infer/arena.h"
#include "infer/kernels/conv_kernel.h"
#include "infer/kernels/gate.h"
#include "infer/kernels/gemm_kernel.h"
#include "infer/kernels/igemm.h"
#include "infer/kernels/isa.h"
#include "infer/kernels/scale.h"

/* Pixels a task: with their window they should stay in L2. */
#define BLOCK 96

/* Fewer pixels are better cut along the channels. */
#define PREPARED_LEAST 128

const struct igemm_isa *igemm_best(void)
{
#ifdef __x86_64__
	if (isa_best() == ISA_AVX512)
		return &igemm__avx512;
	if (isa_best() == ISA_AVX2)
		return &igemm__avx2;
#endif
	return &igemm__base;
}

static size_t panels_of(size_t columns)
{
	size_t cols = igemm_best()->cols;

	return (columns + cols - 1) / cols;
}

size_t igemm_panel_floats(size_t columns, size_t sums)
{
	return panels_of(columns) * igemm_best()->cols * (1 + sums);
}

void igemm_pack_panels(float *out, size_t columns, size_t sums, const float *bias, const float *w,
		       ptrdiff_t column_step, size_t taps, size_t depth, ptrdiff_t step,
		       bool use_up)
{
	size_t cols = igemm_best()->cols;
	const char *left = (const char *)w;

	use_up = use_up && step == 1 && column_step == (ptrdiff_t)sums;

	for (size_t first = 0; first < columns; first += cols) {
		size_t n = columns - first < cols ? columns - first : cols;
		memset(out, 0, cols * (1 + sums) * sizeof *out);
		if (bias)
			memcpy(out, bias + first, n * sizeof *out);
		out += cols;
		for (size_t i = 0; i < sums; i++, out += cols) {
			const float *from = w + (ptrdiff_t)(i % depth * taps + i / depth) * step;
			for (size_t j = 0; j < n; j++)
				out[j] = from[(ptrdiff_t)(first + j) * column_step];
		}
		if (use_up)
			left = memory_spend(left, (const char *)(w + (first + n) * sums));
	}
}

/* --- Conv: zeros, then per group its panels ---------------------------------------------------- */

static size_t conv_zeros(const struct conv *c)
{
	size_t n = conv_has_runs(c) ? conv_run_floats(c) : c->c;

	return kernel_lines(n * sizeof(float)) / sizeof(float);
}

static size_t group_floats(const struct conv *c)
{
	return igemm_panel_floats(c->k / c->groups, conv_taps(c) * (c->c / c->groups));
}

/* Taps as the matrix product sees them, pointers to them, and copies where windows hang over. */
static size_t igemm_taps(const struct conv *c)
{
	return conv_has_runs(c) ? c->kernel[0] * c->kernel[1] : conv_taps(c);
}

static size_t pointer_bytes(const struct conv *c)
{
	return kernel_lines(igemm_taps(c) * BLOCK * sizeof(float *));
}

static size_t lane_bytes(const struct conv *c)
{
	size_t spare = conv_has_runs(c) ? igemm_taps(c) * BLOCK * conv_run_floats(c) : 0;

	if (conv_prepares(c))
		spare = BLOCK * c->c;
	return pointer_bytes(c) + kernel_lines(spare * sizeof(float));
}

bool conv_takes_gate(const struct conv *c)
{
	for (int a = 0; a < 3; a++)
		if (c->stride[a] != 1 || c->pad[a] != 0 || c->in[a] != c->out[a])
			return false;
	return !conv_prepares(c) && conv_taps(c) == 1 && c->groups == 1 && c->c > 4 &&
	       conv_pixels(c) >= PREPARED_LEAST;
}

static void conv_measure(struct conv *c, int lanes)
{
	c->packed_bytes = (conv_zeros(c) + c->groups * group_floats(c)) * sizeof(float);
	c->work_bytes = (size_t)lanes * lane_bytes(c);
}

static void conv_pack_igemm(const struct conv *c, const float *weights, const float *bias,
			    void *packed)
{
	size_t k = c->k / c->groups, sums = conv_taps(c) * (c->c / c->groups);
	float *out = packed;

	memset(out, 0, conv_zeros(c) * sizeof *out);
	out += conv_zeros(c);
	for (size_t g = 0; g < c->groups; g++, out += group_floats(c))
		igemm_pack_panels(out, k, sums, bias ? bias + g * k : NULL, weights + g * k * sums,
				  (ptrdiff_t)sums, conv_taps(c), c->c / c->groups, 1, c->use_up);
}

struct conv_job {
	const struct conv *c;
	const float *x, *residual;
	float *y;
	char *work;
	struct conv_cut cut;
};

static void prepare(const struct conv *c, size_t picture, const float *x, size_t count, float *y)
{
	if (c->before) {
		struct scale s = *c->before;

		s.pixels = count;
		s.channels = c->c;
		s.x_pitch = c->x_pitch;
		s.y_pitch = c->c;
		scale_pixels(&s, x, y);
	} else {
		struct gate g = { .x = x,
				  .gate = c->gate + picture * c->c,
				  .y = y,
				  .pixels = count,
				  .channels = c->c,
				  .x_pitch = c->x_pitch,
				  .y_pitch = c->c };

		gate_pixels(&g);
	}
}

static void indirection(const struct conv_job *j, size_t picture, size_t first, size_t count,
			const void **rows)
{
	const struct conv *c = j->c;
	const float *x = j->x + picture * c->in[0] * c->in[1] * c->in[2] * c->x_pitch;

	float *spare = (float *)(void *)((char *)rows + pointer_bytes(c));

	if (conv_has_runs(c))
		conv_runs(c, x, first, count, c->packed, spare, rows);
	else
		conv_rows(c, x, first, count, c->packed, rows);
	if (!conv_prepares(c))
		return;
	prepare(c, picture, rows[0], count, spare);
	for (size_t i = 0; i < count; i++)
		rows[i] = spare + i * c->c;
}

void conv_igemm_row(const struct conv *c, const float *x, const void **rows, float *y)
{
	struct igemm g = {
		.count = c->in[2],
		.taps = 1,
		.depth = c->c,
		.rows = rows,
		.panel = (const float *)c->packed + conv_zeros(c),
		.columns = c->k,
		.y = y,
		.y_pitch = c->y_pitch,
		.epilogue = &c->epilogue,
	};

	for (size_t i = 0; i < g.count; i++)
		rows[i] = x + i * c->x_pitch;
	igemm_best()->run(&g);
}

static void conv_task(void *context, size_t task, int lane)
{
	const struct conv_job *j = context;
	const struct conv *c = j->c;
	size_t part = task % j->cut.parts, block = task / j->cut.parts % j->cut.blocks;
	size_t group = task / j->cut.parts / j->cut.blocks % c->groups;
	size_t picture = task / j->cut.parts / j->cut.blocks / c->groups;
	size_t first = block * j->cut.block, pixels = conv_pixels(c);
	size_t count = pixels - first < j->cut.block ? pixels - first : j->cut.block;
	size_t k = c->k / c->groups, depth = c->c / c->groups, cols = igemm_best()->cols;
	size_t column = part * j->cut.part * cols;
	const void **rows = (const void **)(void *)(j->work + (size_t)lane * lane_bytes(c));
	size_t at = picture * pixels + first, channel = group * k + column;

	indirection(j, picture, first, count, rows);
	struct igemm g = {
		.count = count,
		.taps = igemm_taps(c),
		.depth = conv_has_runs(c) ? conv_run_floats(c) : depth,
		.rows = rows,
		.offset = group * depth,
		.panel = (const float *)c->packed + conv_zeros(c) + group * group_floats(c) +
			 column * (1 + conv_taps(c) * depth),
		.columns = k - column < j->cut.part * cols ? k - column : j->cut.part * cols,
		.y = j->y + at * c->y_pitch + channel,
		.y_pitch = c->y_pitch,
		.residual = j->residual ? j->residual + at * c->r_pitch + channel : NULL,
		.r_pitch = c->r_pitch,
		.epilogue = &c->epilogue,
	};
	igemm_best()->run(&g);
}

static void conv_run_igemm(const struct conv *c, const float *x, const float *residual, float *y,
			   void *work, struct crew *crew)
{
	struct conv_job j = { .c = c, .x = x, .residual = residual, .y = y, .work = work };

	conv_cut(c, panels_of(c->k / c->groups), BLOCK, &j.cut);
	crew_run(crew, conv_task, &j, j.cut.tasks);
}

const struct conv_kernel conv_igemm = {
	.name = "igemm",
	.sets = 1u << KERNELS_NATIVE,
	.measure = conv_measure,
	.pack = conv_pack_igemm,
	.run = conv_run_igemm,
};

/* --- Gemm: rows are pixels, one tap ------------------------------------------------------------ */

struct gemm_job {
	const struct gemm *g;
	const float *x, *residual;
	float *y;
	size_t block;       /* rows a task */
	size_t part, parts; /* panels a task */
};

static void gemm_measure(struct gemm *g, int lanes)
{
	(void)lanes;
	g->packed_bytes = panels_of(g->n) * igemm_best()->cols * (1 + g->k) * sizeof(float);
	g->work_bytes = 0;
}

static void gemm_pack_igemm(const struct gemm *g, const float *w, ptrdiff_t k_stride,
			    ptrdiff_t n_stride, const float *bias, void *packed)
{
	igemm_pack_panels(packed, g->n, g->k, bias, w, n_stride, 1, g->k, k_stride, g->use_up);
}

static void gemm_task(void *context, size_t task, int lane)
{
	const struct gemm_job *j = context;
	const struct gemm *g = j->g;
	size_t first = task / j->parts * j->block, cols = igemm_best()->cols;
	size_t column = task % j->parts * j->part * cols;
	size_t count = g->m - first < j->block ? g->m - first : j->block;
	const void *rows[BLOCK];

	(void)lane;
	for (size_t i = 0; i < count; i++)
		rows[i] = j->x + (first + i) * g->x_pitch;
	struct igemm product = {
		.count = count,
		.taps = 1,
		.depth = g->k,
		.rows = rows,
		.panel = (const float *)g->packed + column * (1 + g->k),
		.columns = g->n - column < j->part * cols ? g->n - column : j->part * cols,
		.y = j->y + first * g->y_pitch + column,
		.y_pitch = g->y_pitch,
		.residual = j->residual ? j->residual + first * g->r_pitch + column : NULL,
		.r_pitch = g->r_pitch,
		.epilogue = &g->epilogue,
	};
	igemm_best()->run(&product);
}

/* Blocks of about the same size, and with few of them parts of the columns: about sixteen tasks, or eight
 * for a single row, whose panels go side by side. */
static void gemm_run_igemm(const struct gemm *g, const float *x, const float *residual, float *y,
			   void *work, struct crew *crew)
{
	size_t panels = panels_of(g->n), blocks = (g->m + BLOCK - 1) / BLOCK;
	struct gemm_job j = { .g = g, .x = x, .residual = residual, .y = y };

	(void)work;
	j.block = kernel_even(g->m, blocks, 8);
	blocks = (g->m + j.block - 1) / j.block;
	j.parts = g->m == 1 ? 8 : (16 + blocks - 1) / blocks;
	j.part = kernel_even(panels, j.parts, g->m == 1 ? IGEMM_WIDE : 1);
	j.parts = (panels + j.part - 1) / j.part;
	crew_run(crew, gemm_task, &j, blocks * j.parts);
}

const struct gemm_kernel gemm_igemm = {
	.name = "igemm",
	.sets = 1u << KERNELS_NATIVE,
	.measure = gemm_measure,
	.pack = gemm_pack_igemm,
	.run = gemm_run_igemm,
};
