/* The indirect product of bytes for processors with VNNI: four channels at a time, u8 by i8.
 *
 * Weights come in panels of 32 columns, the last one of 16 if that is enough. A panel: bias (i32), factor
 * (f32), spread (i32), sum of the weights (i32) of each column, then for each tap and four channels the columns' four weights,
 * filled up with zeros. In a panel of 32 the columns are ordered 8l … 8l+3 (l = 0 … 3), then 8l+4 …
 * 8l+7, since that is how the processor's packing instructions will bring them side by side. */
#ifndef INFER_KERNELS_QPRODUCT_H
#define INFER_KERNELS_QPRODUCT_H

#include "infer/kernels/qconv.h"

#define QPANEL 32
#define QPANEL_HEAD 16 /* bytes a column before the weights */

struct qproduct {
	size_t count, taps, depth; /* depth: bytes of a tap */
	const void *const *rows;   /* rows[tap * count + i]; 3 bytes behind a tap may be read */
	size_t offset;             /* bytes to add to each of these pointers */
	const char *panel;         /* first panel */
	size_t columns;            /* valid ones, over all panels from here on */
	const int32_t *row_sum;    /* of each row's bytes, times spread: or NULL */
	void *y;
	size_t y_pitch;
	const uint8_t *residual; /* or NULL */
	size_t r_pitch;
	const struct requant *requant;
};

/* Columns of a panel of which n are valid, its bytes, and where column j stands in it. */
static inline size_t qpanel_columns(size_t n)
{
	return n > QPANEL / 2 ? QPANEL : QPANEL / 2;
}

static inline size_t qpanel_bytes(size_t columns, size_t taps, size_t depth)
{
	return columns * (QPANEL_HEAD + taps * ((depth + 3) / 4) * 4);
}

static inline size_t qpanel_place(size_t columns, size_t j)
{
	return columns == QPANEL ? (j & 4 ? 16 : 0) + j / 8 * 4 + j % 4 : j;
}

void qproduct__vnni(const struct qproduct *g);

#endif
