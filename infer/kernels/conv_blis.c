/* Convolution and matrix product over BLIS's micro-kernel: weights packed once into V panels, pixels
 * packed on the fly into U panels through the indirection (no im2col), bias, residual and activation
 * applied while the block is in the cache. Each pixel's sums run over depth in order and in pieces of
 * kc, so that neither neighbours nor the block change a byte. */
#include <string.h>

#include "infer/kernels/blis.h"
#include "infer/kernels/conv_kernel.h"
#include "infer/kernels/gemm_kernel.h"

#define BLOCK 144 /* pixels: with kc channels they fill a part of L2 */
#define PAD 64    /* floats: micro-kernels preload past the end of a panel */

/* One product: `count` pixels whose depth consists of taps x run floats, times packed weights of n
 * columns. Weights: n bias values (rounded up to v), then for each piece of depth its V panels. */
struct product {
	size_t count, taps, run, n;
	const void *const *rows; /* rows[tap * count + i] + offset */
	size_t offset;
	const float *weights;
	float *y;
	size_t y_pitch;
	const float *residual;
	size_t r_pitch;
	const struct epilogue *epilogue;
	bool alone;    /* rows are of different pictures: none may see how many there are */
	float *panels; /* workspace: work_floats(depth) */
};

static size_t round_up(size_t n, size_t unit)
{
	return (n + unit - 1) / unit * unit;
}

/* A block's pixels (all of the depth, where bli_sgemm does the work), and a tile for the edges. */
static size_t work_floats(size_t depth)
{
	const struct blis_shape *b = blis_shape();

	if (!b->micro)
		return BLOCK * depth;
	return round_up(BLOCK, b->u) * b->kc + PAD + BLIS_TILE_MAX * BLIS_TILE_MAX;
}

static size_t packed_floats(size_t depth, size_t n)
{
	const struct blis_shape *b = blis_shape();

	return b->micro ? round_up(n, b->v) * (depth + 1) + PAD : n * (depth + 1);
}

/* weight(j, l): column j, depth l in the order tap, channel. */
struct weights {
	const float *w;
	ptrdiff_t column;
	size_t taps,
	    run; /* Conv: l = tap * run + channel lies at channel * taps + tap; Gemm: taps 1 */
	ptrdiff_t depth; /* stride along depth, after that permutation */
};

static float weight_at(const struct weights *w, size_t j, size_t l)
{
	size_t at = l % w->run * w->taps + l / w->run;

	return w->w[(ptrdiff_t)j * w->column + (ptrdiff_t)at * w->depth];
}

static void pack_weights(const struct weights *w, size_t depth, size_t n, const float *bias,
			 float *out)
{
	const struct blis_shape *b = blis_shape();
	size_t v = b->micro ? b->v : n, kc = b->micro ? b->kc : depth;

	memset(out, 0, packed_floats(depth, n) * sizeof *out);
	if (bias)
		memcpy(out, bias, n * sizeof *out);
	out += round_up(n, v);
	for (size_t piece = 0; piece < depth; piece += kc) {
		size_t end = piece + kc < depth ? piece + kc : depth;
		for (size_t first = 0; first < n; first += v)
			for (size_t l = piece; l < end; l++, out += v)
				for (size_t j = 0; j < v && first + j < n; j++)
					out[j] = weight_at(w, first + j, l);
	}
}

/* Depth [from, from + depth) of pixels [i, i + u) as a U panel; pixels past the last are zeros. */
static void pack_pixels(const struct product *p, size_t i, size_t u, size_t from, size_t depth,
			float *out)
{
	size_t tap = from / p->run, c = from % p->run;
	size_t have = p->count - i < u ? p->count - i : u;

	while (depth) {
		size_t n = p->run - c < depth ? p->run - c : depth;
		for (size_t r = 0; r < u; r++) {
			const float *x = r < have ? (const float *)p->rows[tap * p->count + i + r] +
							p->offset + c
						  : NULL;
			for (size_t l = 0; l < n; l++)
				out[l * u + r] = x ? x[l] : 0;
		}
		out += n * u;
		depth -= n;
		c = 0;
		tap++;
	}
}

/* One tile into y, by way of a buffer where it would reach beyond the pixels or columns. */
static void tile(const struct product *p, const struct blis_shape *b, size_t i, size_t j,
		 size_t depth, const float *pixels, const float *weights, bool add)
{
	size_t have = p->count - i < b->u ? p->count - i : b->u,
	       n = p->n - j < b->v ? p->n - j : b->v;
	float *y = p->y + i * p->y_pitch + j;

	if (have == b->u && n == b->v) {
		blis_tile(depth, pixels, weights, add, y, p->y_pitch);
		return;
	}
	float *edge = p->panels + round_up(BLOCK, b->u) * b->kc + PAD;
	for (size_t r = 0; add && r < have; r++)
		memcpy(edge + r * b->v, y + r * p->y_pitch, n * sizeof *y);
	blis_tile(depth, pixels, weights, add, edge, b->v);
	for (size_t r = 0; r < have; r++)
		memcpy(y + r * p->y_pitch, edge + r * b->v, n * sizeof *y);
}

static void multiply(const struct product *p)
{
	const struct blis_shape *b = blis_shape();
	const float *w = p->weights + round_up(p->n, b->v);
	size_t all = p->taps * p->run;

	for (size_t from = 0; from < all; from += b->kc) {
		size_t depth = all - from < b->kc ? all - from : b->kc;
		for (size_t i = 0; i < p->count; i += b->u)
			pack_pixels(p, i, b->u, from, depth, p->panels + i * b->kc);
		for (size_t j = 0; j < p->n; j += b->v, w += b->v * depth)
			for (size_t i = 0; i < p->count; i += b->u)
				tile(p, b, i, j, depth, p->panels + i * b->kc, w, from > 0);
	}
}

/* The library is another one: gather the rows, and let bli_sgemm do the rest. It chooses its kernels
 * by the number of rows too. */
static void multiply_whole(const struct product *p)
{
	size_t depth = p->taps * p->run, group = p->alone ? 1 : p->count;

	for (size_t i = 0; i < p->count; i++)
		for (size_t t = 0; t < p->taps; t++)
			memcpy(p->panels + i * depth + t * p->run,
			       (const float *)p->rows[t * p->count + i] + p->offset,
			       p->run * sizeof(float));
	for (size_t i = 0; i < p->count; i += group)
		blis_product(group, p->n, depth, p->panels + i * depth, p->weights + p->n,
			     p->y + i * p->y_pitch, p->y_pitch);
}

static void product(const struct product *p)
{
	if (blis_shape()->micro)
		multiply(p);
	else
		multiply_whole(p);
	for (size_t i = 0; i < p->count; i++) {
		float *y = p->y + i * p->y_pitch;
		const float *r = p->residual ? p->residual + i * p->r_pitch : NULL;
		for (size_t j = 0; j < p->n; j++)
			y[j] += p->weights[j];
		for (size_t j = 0; r && j < p->n; j++)
			y[j] += r[j];
		activate(p->epilogue, y, y, p->n);
	}
}

/* --- Conv: zeros, then per group its weights ---------------------------------------------------- */

static size_t zeros_of(const struct conv *c)
{
	return kernel_lines(c->c * sizeof(float)) / sizeof(float);
}

static size_t group_floats(const struct conv *c)
{
	size_t depth = conv_taps(c) * (c->c / c->groups);

	return kernel_lines(packed_floats(depth, c->k / c->groups) * sizeof(float)) / sizeof(float);
}

static size_t rows_bytes(const struct conv *c)
{
	return kernel_lines(conv_taps(c) * BLOCK * sizeof(float *));
}

static size_t conv_lane_bytes(const struct conv *c)
{
	return rows_bytes(c) +
	       kernel_lines(work_floats(conv_taps(c) * (c->c / c->groups)) * sizeof(float));
}

static void conv_measure(struct conv *c, int lanes)
{
	c->packed_bytes = (zeros_of(c) + c->groups * group_floats(c)) * sizeof(float);
	c->work_bytes = (size_t)lanes * conv_lane_bytes(c);
}

static void conv_pack_blis(const struct conv *c, const float *weights, const float *bias,
			   void *packed)
{
	size_t k = c->k / c->groups, depth = conv_taps(c) * (c->c / c->groups);
	float *out = packed;

	memset(out, 0, zeros_of(c) * sizeof *out);
	out += zeros_of(c);
	for (size_t g = 0; g < c->groups; g++, out += group_floats(c)) {
		struct weights w = { weights + g * k * depth, (ptrdiff_t)depth, conv_taps(c),
				     c->c / c->groups, 1 };
		pack_weights(&w, depth, k, bias ? bias + g * k : NULL, out);
	}
}

struct conv_job {
	const struct conv *c;
	const float *x, *residual;
	float *y;
	char *work;
	struct conv_cut cut;
};

static void conv_task(void *context, size_t task, int lane)
{
	const struct conv_job *j = context;
	const struct conv *c = j->c;
	size_t block = task % j->cut.blocks, group = task / j->cut.blocks % c->groups;
	size_t picture = task / j->cut.blocks / c->groups, pixels = conv_pixels(c);
	size_t first = block * j->cut.block, k = c->k / c->groups;
	size_t at = picture * pixels + first, channel = group * k;
	char *work = j->work + (size_t)lane * conv_lane_bytes(c);
	const void **rows = (const void **)(void *)work;
	struct product p = {
		.count = pixels - first < j->cut.block ? pixels - first : j->cut.block,
		.taps = conv_taps(c),
		.run = c->c / c->groups,
		.n = k,
		.rows = rows,
		.offset = group * (c->c / c->groups),
		.weights = (const float *)c->packed + zeros_of(c) + group * group_floats(c),
		.y = j->y + at * c->y_pitch + channel,
		.y_pitch = c->y_pitch,
		.residual = j->residual ? j->residual + at * c->r_pitch + channel : NULL,
		.r_pitch = c->r_pitch,
		.epilogue = &c->epilogue,
		.panels = (float *)(void *)(work + rows_bytes(c)),
	};

	conv_rows(c, j->x + picture * c->in[0] * c->in[1] * c->in[2] * c->x_pitch, first, p.count,
		  c->packed, rows);
	product(&p);
}

static void conv_run_blis(const struct conv *c, const float *x, const float *residual, float *y,
			  void *work, struct crew *crew)
{
	struct conv_job j = { .c = c, .x = x, .residual = residual, .y = y, .work = work };

	conv_cut(c, 1, BLOCK, &j.cut);
	crew_run(crew, conv_task, &j, j.cut.tasks);
}

const struct conv_kernel conv_blis = {
	.name = "blis",
	.sets = 1u << KERNELS_BLIS,
	.measure = conv_measure,
	.pack = conv_pack_blis,
	.run = conv_run_blis,
};

/* --- Gemm: rows are pixels, one tap --------------------------------------------------------------- */

static size_t gemm_lane_bytes(const struct gemm *g)
{
	return kernel_lines(work_floats(g->k) * sizeof(float));
}

static void gemm_measure(struct gemm *g, int lanes)
{
	g->packed_bytes = packed_floats(g->k, g->n) * sizeof(float);
	g->work_bytes = (size_t)lanes * gemm_lane_bytes(g);
}

static void gemm_pack_blis(const struct gemm *g, const float *w, ptrdiff_t k_stride,
			   ptrdiff_t n_stride, const float *bias, void *packed)
{
	struct weights weights = { w, n_stride, 1, g->k, k_stride };

	pack_weights(&weights, g->k, g->n, bias, packed);
}

struct gemm_job {
	const struct gemm *g;
	const float *x, *residual;
	float *y;
	char *work;
};

static void gemm_task(void *context, size_t task, int lane)
{
	const struct gemm_job *j = context;
	const struct gemm *g = j->g;
	size_t first = task * BLOCK;
	const void *rows[BLOCK];
	struct product p = {
		.count = g->m - first < BLOCK ? g->m - first : BLOCK,
		.taps = 1,
		.run = g->k,
		.n = g->n,
		.rows = rows,
		.weights = g->packed,
		.y = j->y + first * g->y_pitch,
		.y_pitch = g->y_pitch,
		.residual = j->residual ? j->residual + first * g->r_pitch : NULL,
		.r_pitch = g->r_pitch,
		.epilogue = &g->epilogue,
		.alone = true,
		.panels = (float *)(void *)(j->work + (size_t)lane * gemm_lane_bytes(g)),
	};

	for (size_t i = 0; i < p.count; i++)
		rows[i] = j->x + (first + i) * g->x_pitch;
	product(&p);
}

static void gemm_run_blis(const struct gemm *g, const float *x, const float *residual, float *y,
			  void *work, struct crew *crew)
{
	struct gemm_job j = { g, x, residual, y, work };

	crew_run(crew, gemm_task, &j, (g->m + BLOCK - 1) / BLOCK);
}

const struct gemm_kernel gemm_blis = {
	.name = "blis",
	.sets = 1u << KERNELS_BLIS,
	.measure = gemm_measure,
	.pack = gemm_pack_blis,
	.run = gemm_run_blis,
};
