/* A tile of a matrix product: at most ROWS pixels by 2 vectors of columns in registers, and what is done
 * to it when it is summed up. Half a vector of columns is summed as such where the processor has
 * vectors of 512 bits: it takes half the time there. */
#ifndef INFER_KERNELS_ISA_TILE_H
#define INFER_KERNELS_ISA_TILE_H

#include "infer/kernels/igemm.h"

#include "infer/kernels/isa/isa.h"
#include "infer/kernels/isa/smooth.h"

#if VEC == 16
#define ROWS 8
#elif VEC == 8
#define ROWS 6
#else
#define ROWS 4
#endif
#define COLS (2 * VEC)
#define HALF (VEC == 16 ? VEC / 2 : 0)

typedef float half __attribute__((vector_size(VEC * 2), aligned(4), may_alias));

INLINE half load_half(const float *p)
{
	return *(const half *)p;
}

INLINE vec widen(half v)
{
#if VEC == 16
	return (vec)_mm512_zextps256_ps512((__m256)v);
#else
	vec all = { 0 };

	memcpy(&all, &v, sizeof v); /* never run: HALF is 0 */
	return all;
#endif
}

/* Where a tile lies: its panel, first pixel, first column, and how many columns are valid. */
struct spot {
	const float *panel;
	size_t i, column, n;
};

/* How a panel of n columns is summed: 0 two vectors, 1 one and a half, 2 one, 3 a half. */
INLINE size_t kind_of(size_t n)
{
	return n > VEC + HALF ? 0 : n > VEC ? HALF ? 1 : 0 : n > HALF ? 2 : 3;
}

/* SiLU of many vectors that are in registers pays for its code; of few, activate_rows does it. */
INLINE int has_silu(const struct igemm *g, const int vectors)
{
	return vectors >= 2 * ROWS - 2 && g->epilogue->act == ACT_SILU;
}

/* Add the residual, activate, and store: sum[pixel * vectors + vector], which began with the bias. */
INLINE void finish(const struct igemm *g, const struct spot *s, const int rows, const int vectors,
		   vec *sum)
{
	float *y = g->y + s->i * g->y_pitch + s->column;
	const float *r = g->residual ? g->residual + s->i * g->r_pitch + s->column : NULL;
	const int end = vectors - 1;
	size_t last = s->n - (size_t)end * VEC;

	if (r) {
#pragma GCC unroll 16
		for (int i = 0; i < rows; i++, r += g->r_pitch) {
			if (end)
				sum[i * vectors] += load(r);
			sum[i * vectors + end] += load_n(r + end * VEC, last);
		}
	}
	activate_quick(g->epilogue, sum, rows * vectors);
	if (has_silu(g, rows * vectors)) {
#pragma GCC unroll 16
		for (int i = 0; i < rows * vectors; i++)
			sum[i] = vec_silu(sum[i]);
	}
#pragma GCC unroll 16
	for (int i = 0; i < rows; i++, y += g->y_pitch) {
		if (end)
			store(y, sum[i * vectors]);
		if (last < VEC)
			store_n(y + end * VEC, sum[i * vectors + end], last);
		else
			store(y + end * VEC, sum[i * vectors + end]);
	}
}

#endif
