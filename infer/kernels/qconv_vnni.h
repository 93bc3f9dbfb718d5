/* What the drivers of VNNI's kernels share. The instruction multiplies u8 by i8, so an i8 picture is made u8
 * first: it and its zero point move by 128. */
#ifndef INFER_KERNELS_QCONV_VNNI_H
#define INFER_KERNELS_QCONV_VNNI_H

#include "infer/kernels/qconv_kernel.h"

static inline size_t qvnni_picture_bytes(const struct qconv *q)
{
	return q->rows.in[0] * q->rows.in[1] * q->rows.in[2] * q->rows.pitch;
}

static inline size_t qvnni_unsigned_bytes(const struct qconv *q)
{
	return q->x_signed ? qconv_lines(q->n * qvnni_picture_bytes(q) + 64) : 0;
}

static inline uint8_t qvnni_edge(const struct qconv *q)
{
	return (uint8_t)(q->x_zero + (q->x_signed ? 128 : 0));
}

/* x as u8: it, or its copy. */
static inline const char *qvnni_unsigned(const struct qconv *q, const char *x, char *copy)
{
	if (!q->x_signed)
		return x;
	for (size_t i = 0; i < q->n * qvnni_picture_bytes(q); i++)
		copy[i] = (char)(x[i] ^ 0x80);
	return copy;
}

#endif
