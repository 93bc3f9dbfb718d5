/* BLIS as the provider of the matrix product: its micro-kernel over panels packed by us, or
 * bli_sgemm where the library is not the one that we were built against. */
#ifndef INFER_KERNELS_BLIS_H
#define INFER_KERNELS_BLIS_H

#include <stdbool.h>
#include <stddef.h>

#define BLIS_TILE_MAX 64 /* of v and u */

/* What the processor's micro-kernel wants. V is the side along which it has vectors: weights, so
 * output channels; U the side that it broadcasts: pixels. Both sides are packed as panels of `v`
 * (`u`) by depth, depth outermost; depth is cut into pieces of kc. */
struct blis_shape {
	bool micro; /* false: only blis_product is to be used */
	size_t v, u, kc;
	char name[48]; /* "blis-0.9.0-zen3", "blis-2.1-sgemm" */
};

/* The same answer each time. */
const struct blis_shape *blis_shape(void);

/* y[i][j] (+)= Σ over depth of pixels[l][i] weights[l][j] for i < u, j < v: one full tile of packed
 * panels; y's rows are y_pitch apart. */
void blis_tile(size_t depth, const float *pixels, const float *weights, bool add, float *y,
	       size_t y_pitch);

/* y[m][n] = x[m][k] w[k][n], x and w row-major without gaps, by bli_sgemm. */
void blis_product(size_t m, size_t n, size_t k, const float *x, const float *w, float *y,
		  size_t y_pitch);

#endif
