/* Depthwise convolution, one picture row at a time, channels last: each output channel sees one input
 * channel. */
#ifndef INFER_KERNELS_DEPTHWISE_H
#define INFER_KERNELS_DEPTHWISE_H

#include <stddef.h>

#include "infer/kernels/kernels.h"

/* One row of output pixels. Only the taps that lie inside the picture vertically are listed:
 * line[i] points at the input row's first pixel and weight[i] at that kernel row's weights
 * (width x channels). */
struct depthwise {
	size_t channels, width, in_width; /* output and input pixels of the row */
	size_t lines, kernel_width, stride, dilation;
	ptrdiff_t pad;
	const float *const *line;
	const float *const *weight;
	size_t x_pitch;
	const float *bias;
	float *y;
	size_t y_pitch;
	const float *residual; /* or NULL */
	size_t r_pitch;
	const struct epilogue *epilogue;
};

extern void (*const depthwise__base)(const struct depthwise *);
extern void (*const depthwise__avx2)(const struct depthwise *);
extern void (*const depthwise__avx512)(const struct depthwise *);

#endif
