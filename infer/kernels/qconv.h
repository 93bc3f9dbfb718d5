/* Convolution of bytes in whole numbers, channels last; a matrix product is one of 1x1 over a line of
 * rows.
 *
 * x: n, d, h, w, c (u8 or i8)      y: n, od, oh, ow, k      weights u8 or i8, any order
 *
 * sum[k] = bias[k] + Σ (x - x_zero)(w - w_zero[k]), exactly, modulo 2^32; what hangs over the edge adds
 * nothing. Then, as `requant` says,
 *
 *   bytes      round(sum · factor[k]), ties to even, + zero, stopped at low and high; with a residual,
 *              before that is stored: round(mine · that + other · (residual - its zero)), likewise;
 *              with a table, at last what stands there
 *   floats     act(sum · factor[k])
 *   integers   sum
 *
 * All kernels give the same bytes, on every machine: sums are exact, and each step after them is one
 * rounding that IEEE 754 defines. */
#ifndef INFER_KERNELS_QCONV_H
#define INFER_KERNELS_QCONV_H

#include "infer/kernels/kernels.h"
#include "infer/kernels/rows.h"

enum qout { QOUT_BYTES, QOUT_FLOATS, QOUT_SUMS };

struct requant {
	enum qout out;
	int32_t zero, low, high; /* of the result */
	bool residual;
	float mine, other;        /* how much of itself and of the residual is in the result */
	int32_t other_zero;       /* the residual's zero point, as u8 */
	uint8_t other_flip;       /* 0x80 if the residual is i8: makes it u8 */
	float own_low, own_high;  /* what itself is stopped at first, less its own zero point */
	const uint8_t *table;     /* 256 bytes that the results are looked up in, or NULL */
	struct epilogue epilogue; /* of floats */
};

struct qweights {
	const void *w;
	bool is_signed;
	bool use_up; /* qconv_pack may destroy w: its pages go as they are packed */
	ptrdiff_t k_step, c_step, tap_step; /* bytes from output to output, channel, tap */
	const int32_t *zero;                /* k values */
	const int32_t *bias;                /* k values */
	const float *factor;                /* k values; not of QOUT_SUMS */
};

struct qconv {
	size_t n, c, k, groups;
	struct rows rows;
	size_t y_pitch, r_pitch; /* elements from pixel to pixel */
	bool x_signed;
	int parts; /* all weights less their zero points are sums of so many i8: 1 to 3 */
	int32_t x_zero;
	struct requant requant;
	/* set by qconv_choose */
	const struct qconv_kernel *kernel_used;
	size_t packed_bytes, work_bytes;
	/* set by qconv_pack */
	const void *packed;
};

/* For q->parts. */
int qweights_parts(const struct qconv *q, const struct qweights *w);

/* Choose by shape and set. plain: the reference alone (x is not followed by slack, or a factor is not
 * finite). */
void qconv_choose(struct qconv *q, enum kernel_set set, bool plain, int lanes);
const char *qconv_kernel_name(const struct qconv *q);

/* Bring the weights into the kernel's order, in packed_bytes of memory (64-byte aligned). */
void qconv_pack(struct qconv *q, const struct qweights *w, void *packed);

/* x_zero is another now, which only QOUT_SUMS without a bias may ask for: bring what was packed up to it. */
void qconv_rezero(const struct qconv *q, void *packed);

/* residual: as y, bytes, or NULL. work: work_bytes, 64-byte aligned. x is followed by at least 64 bytes
 * that may be read, unless chosen plain. */
void qconv_run(const struct qconv *q, const void *x, const void *residual, void *y, void *work,
	       struct crew *crew);

#endif
