/* The products of bytes for processors without VNNI: pictures and weights without their zero points, as
 * 16-bit words, two channels at a time.
 *
 * A panel of `columns`: bias (i32), factor (f32) of each, then for each tap and two channels the columns'
 * two weights, filled up with zeros. */
#ifndef INFER_KERNELS_QWORDS_H
#define INFER_KERNELS_QWORDS_H

#include "infer/kernels/qconv.h"

struct qwords {
	size_t count, taps, depth; /* depth: words of a tap, even */
	const void *const *rows;   /* rows[tap * count + i], of words */
	size_t offset;             /* bytes to add to each of these pointers */
	const char *panel;
	size_t columns;
	void *y;
	size_t y_pitch;
	const uint8_t *residual; /* or NULL */
	size_t r_pitch;
	const struct requant *requant;
};

/* One output row of a depthwise convolution: bytes as they are; weights as words by tap, channel. */
struct qwords_depthwise {
	size_t channels, width, taps;
	const void *const *rows; /* rows[tap * width + i] */
	bool x_signed;
	int32_t x_zero;
	const int32_t *bias;
	const float *factor;
	const int16_t *weights;
	void *y;
	size_t y_pitch;
	const uint8_t *residual;
	size_t r_pitch;
	const struct requant *requant;
};

struct qwords_isa {
	size_t columns; /* of a panel */
	void (*product)(const struct qwords *g);
	void (*depthwise)(const struct qwords_depthwise *d);
};

extern const struct qwords_isa qwords__base, qwords__avx2, qwords__avx512;

#endif
