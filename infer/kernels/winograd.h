/* The transforms of Winograd's minimal filtering for 3x3 windows of stride 1 (Lavin and Gray, "Fast
 * Algorithms for Convolutional Neural Networks", 2015), channels last. An output tile of m x m pixels
 * (m 2 or 4) comes from an input tile of (m + 2) x (m + 2) pixels by way of (m + 2)² products. */
#ifndef INFER_KERNELS_WINOGRAD_H
#define INFER_KERNELS_WINOGRAD_H

#include <stddef.h>

#include "infer/kernels/kernels.h"

#define WINOGRAD_SIDE_MAX 6

/* v[xi * v_step + c] = (Bᵀ d B)[xi] for channels c, xi over the side x side tile, where pixel (y, x) of
 * the tile is pixel[y * side + x] (a run of channels; zeros where it hangs over the edge). */
struct winograd_in {
	const float *pixel[WINOGRAD_SIDE_MAX * WINOGRAD_SIDE_MAX];
	size_t channels;
	float *v;
	size_t v_step;
};

/* pixel (y, x) of the tile = act((Aᵀ m A)[y, x] + bias + residual), for channels columns; NULL: not in
 * the picture. */
struct winograd_out {
	const float *m;
	size_t m_step;
	size_t channels;
	const float *bias;
	float *pixel[16];
	const float *residual[16]; /* or NULL */
	const struct epilogue *epilogue;
};

#define WINOGRAD_COLUMNS 32 /* of a panel, at most */

/* weights: G g Gᵀ for 3x3 windows side by side, window[tap * columns + i], each position's into a row
 * `step` apart from the next one's; in double. */
struct winograd_isa {
	void (*in2)(const struct winograd_in *), (*in4)(const struct winograd_in *);
	void (*out2)(const struct winograd_out *), (*out4)(const struct winograd_out *);
	void (*weights2)(const float *window, size_t columns, float *out, size_t step);
	void (*weights4)(const float *window, size_t columns, float *out, size_t step);
};

extern const struct winograd_isa winograd__base, winograd__avx2, winograd__avx512;

#endif
