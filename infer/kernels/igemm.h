/* The indirect matrix product: y[i][j] = act(Σ over taps and depth of rows[tap][i][c] w[tap][c][j] +
 * bias[j] + residual[i][j]). Activations are not packed; pointers say where each pixel's channels lie.
 *
 * Weights come in panels of `cols` columns: cols bias values, then for each tap and channel cols
 * weights; the last panel is filled up with zeros. */
#ifndef INFER_KERNELS_IGEMM_H
#define INFER_KERNELS_IGEMM_H

#include <stdbool.h>
#include <stddef.h>

#include "infer/kernels/kernels.h"

#define IGEMM_WIDE 4 /* panels that one pixel takes side by side, if they are in one task */

struct igemm {
	size_t count, taps, depth;
	const void *const *rows; /* rows[tap * count + i] */
	size_t offset;           /* elements to add to each of these pointers */
	const float *panel;      /* first panel */
	size_t columns;          /* valid ones, over all panels from here on */
	float *y;                /* i * y_pitch + j */
	size_t y_pitch;
	const float *residual; /* or NULL */
	size_t r_pitch;
	const struct epilogue *epilogue;
};

/* One instruction set's version. */
struct igemm_isa {
	size_t cols;
	void (*run)(const struct igemm *g);
};

extern const struct igemm_isa igemm__base, igemm__avx2, igemm__avx512;

const struct igemm_isa *igemm_best(void);

/* Floats of the panels of so many columns; and the panels made from weights: that of sum i = tap * depth +
 * channel lies, from column to column column_step apart, at (channel * taps + tap) * step. use_up: the
 * pages of weights that lie column by column go back to the system as they are packed. */
size_t igemm_panel_floats(size_t columns, size_t sums);
void igemm_pack_panels(float *out, size_t columns, size_t sums, const float *bias, const float *w,
		       ptrdiff_t column_step, size_t taps, size_t depth, ptrdiff_t step,
		       bool use_up);

#endif
