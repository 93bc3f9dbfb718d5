/* Element by element over quantised bytes, rows of n values. Bytes of type i8 come with flip 0x80, which
 * makes them u8, and their zero point plus 128. All instruction sets give the same bytes. */
#ifndef INFER_KERNELS_QELEMENT_H
#define INFER_KERNELS_QELEMENT_H

#include "infer/kernels/qconv.h"

struct qoperand {
	int32_t zero; /* as u8 */
	uint8_t flip;
};

/* y = what r makes of (a - a's zero) and the residual b. y may be a or b. */
void qelement_add(const struct requant *r, struct qoperand a, const uint8_t *x, const uint8_t *b,
		  uint8_t *y, size_t n);

/* y = round((a - a's zero)(b - b's zero) · factor) + zero, stopped. b_step: 1, or 0 for one value. */
void qelement_mul(const struct requant *r, float factor, struct qoperand a, const uint8_t *x,
		  struct qoperand b, const uint8_t *other, size_t b_step, uint8_t *y, size_t n);

/* The same with b as numbers, its zero point taken off, one for each of the row's n channels. */
void qelement_mul_row(const struct requant *r, float factor, struct qoperand a, const uint8_t *x,
		      const float *b, uint8_t *y, size_t n);

/* y = round((x - its zero) · scale[i] + shift[i]) + zero, stopped. */
void qelement_scale(const struct requant *r, struct qoperand a, const uint8_t *x,
		    const float *scale, const float *shift, uint8_t *y, size_t n);

/* y = table[x]. y may be x. */
void qelement_lookup(const uint8_t *table, const uint8_t *x, uint8_t *y, size_t n);

/* y = round(x / scale) + zero, stopped at low and high; as bytes, i8 by their bits. */
void qelement_quantise(const float *x, float scale, int32_t zero, int32_t low, int32_t high,
		       uint8_t *y, size_t n);

/* Of one output pixel: the largest byte of each channel over a box of taps. */
struct qelement_box {
	const uint8_t *x; /* the first tap's channels */
	size_t channels, taps[3];
	ptrdiff_t step[3]; /* bytes from tap to tap */
	uint8_t flip;      /* 0x80 for i8 */
};
void qelement_max(const struct qelement_box *box, uint8_t *y);

/* Three planes of n bytes, pixel by pixel. */
void qelement_interleave(const uint8_t *x, uint8_t *y, size_t n);

struct qelement_isa {
	void (*add)(const struct requant *r, struct qoperand a, const uint8_t *x, const uint8_t *b,
		    uint8_t *y, size_t n);
	void (*mul)(const struct requant *r, float factor, struct qoperand a, const uint8_t *x,
		    struct qoperand b, const uint8_t *other, size_t b_step, uint8_t *y, size_t n);
	void (*mul_row)(const struct requant *r, float factor, struct qoperand a, const uint8_t *x,
			const float *b, uint8_t *y, size_t n);
	void (*scale)(const struct requant *r, struct qoperand a, const uint8_t *x,
		      const float *scale, const float *shift, uint8_t *y, size_t n);
	void (*quantise)(const float *x, float scale, int32_t zero, int32_t low, int32_t high,
			 uint8_t *y, size_t n);
	void (*max)(const struct qelement_box *box, uint8_t *y);
	void (*interleave)(const uint8_t *x, uint8_t *y, size_t n);
};

extern const struct qelement_isa qelement__base, qelement__avx2, qelement__avx512;

/* With VBMI. */
void qelement_lookup__vbmi(const uint8_t *table, const uint8_t *x, uint8_t *y, size_t n);

#endif
