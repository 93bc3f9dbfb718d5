/* What a convolution kernel gives to conv.c's table, and what several of them share. */
#ifndef INFER_KERNELS_CONV_KERNEL_H
#define INFER_KERNELS_CONV_KERNEL_H

#include "infer/kernels/conv.h"
#include "infer/kernels/igemm.h"

struct conv_kernel {
	const char *name;
	unsigned sets; /* bits 1u << KERNELS_… in which it may be chosen */
	/* Does it serve this shape? NULL: every shape. Must not look at c->n. */
	bool (*fits)(const struct conv *c);
	/* Set packed_bytes and work_bytes (lanes x what one lane needs). */
	void (*measure)(struct conv *c, int lanes);
	void (*pack)(const struct conv *c, const float *weights, const float *bias, void *packed);
	void (*run)(const struct conv *c, const float *x, const float *residual, float *y,
		    void *work, struct crew *crew);
};

extern const struct conv_kernel conv_reference, conv_blis, conv_igemm, conv_depthwise, conv_grouped,
    conv_planar, conv_winograd;

/* Taps of the kernel window, and pixels of one output picture. */
size_t conv_taps(const struct conv *c);
size_t conv_pixels(const struct conv *c);

/* For output pixels [first, first + count) of one picture x: rows[tap * count + i] points at the
 * channel run that this tap of the window sees (group 0), or at zeros where it hangs over the edge;
 * zeros must hold c->c elements. */
void conv_rows(const struct conv *c, const float *x, size_t first, size_t count, const float *zeros,
	       const void **rows);

/* Few channels without gaps: rows of the window as one tap (rows.h). As conv_rows, but with
 * kernel depth x height taps of conv_run_floats each (zeros must hold as many); spare: memory for
 * as many floats for each of taps x count pointers. */
bool conv_has_runs(const struct conv *c);
size_t conv_run_floats(const struct conv *c);
void conv_runs(const struct conv *c, const float *x, size_t first, size_t count, const float *zeros,
	       float *spare, const void **rows);

/* One row of output pixels (conv_pair.c). x is the picture; of depthwise, `high` lines of it, in which line
 * i lies at i % high; of igemm, whose window must be one pixel, the row (rows: as many pointers). */
void conv_depthwise_row(const struct conv *c, const float *x, size_t high, size_t h,
			const float *residual, float *y);
void conv_planar_row(const struct conv *c, const float *x, size_t h, const float *residual,
		     float *y);
void conv_igemm_row(const struct conv *c, const float *x, const void **rows, float *y);

/* Does x have to be brought up, pixel by pixel, before it is multiplied? */
static inline bool conv_prepares(const struct conv *c)
{
	return c->gated || c->before;
}

/* How a layer is cut into tasks: blocks of pixels of one picture (and one group), times parts of
 * the output channels. Depends on the shape alone. */
struct conv_cut {
	size_t block, blocks; /* pixels a block, blocks a picture */
	size_t part, parts;   /* column panels a task, parts */
	size_t tasks;
};
void conv_cut(const struct conv *c, size_t panels, size_t block, struct conv_cut *cut);

/* Bytes rounded up to whole cache lines; the size of so many about equal parts, in whole units. */
size_t kernel_lines(size_t bytes);
size_t kernel_even(size_t all, size_t parts, size_t unit);

#endif
