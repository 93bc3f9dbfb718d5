/* Convolution in narrow groups (2 to 16 channels in and out), one picture row at a time, channels last: a
 * vector holds several groups; each input channel is spread over its own group and multiplied. */
#ifndef INFER_KERNELS_GROUPED_H
#define INFER_KERNELS_GROUPED_H

#include <stddef.h>

#include "infer/kernels/kernels.h"

/* One row of output pixels. Only the window's rows that lie inside the picture are listed: line[i]
 * points at the input row's first pixel; tap[i] is the number of that window row's first tap. */
struct grouped {
	size_t channels, group; /* all channels, channels of one group */
	size_t width, in_width; /* output and input pixels of the row */
	size_t lines, kernel_width, taps, stride, dilation;
	size_t pad;
	const float *const *line;
	const size_t *tap;
	size_t x_pitch;
	const float *packed; /* per vector of channels: bias; taps x group vectors of weights */
	float *spare;        /* lines x grouped_spare pixels of a vector each */
	float *y;
	size_t y_pitch;
	const float *residual; /* or NULL */
	size_t r_pitch;
	const struct epilogue *epilogue;
};

#define GROUPED_FLIGHT 4 /* output pixels at a time */

/* One instruction set's version. */
struct grouped_isa {
	size_t vec; /* floats of a vector */
	void (*run)(const struct grouped *g);
};

extern const struct grouped_isa grouped__base, grouped__avx2, grouped__avx512;

/* Pixels of a line with its zeros to the left and right. */
static inline size_t grouped_spare(size_t width, size_t kernel_width, size_t stride,
				   size_t dilation)
{
	size_t whole = (width + GROUPED_FLIGHT - 1) / GROUPED_FLIGHT * GROUPED_FLIGHT;

	return (whole - 1) * stride + (kernel_width - 1) * dilation + 1;
}

#endif
