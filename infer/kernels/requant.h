/* The plain form of what a sum becomes (see qconv.h): the oracle for the vectors. */
#ifndef INFER_KERNELS_REQUANT_H
#define INFER_KERNELS_REQUANT_H

#include <stdint.h>

#include "infer/kernels/qconv.h"

/* Round v to the nearest integer, ties to even, add zero, stop at low and high. NaN gives low; zero, low
 * and high are within 17 bits. Adding 1.5 * 2^23 leaves no place for a fraction, so that loops need
 * neither a branch nor a library call. */
static inline int32_t round_to(float v, int32_t zero, int32_t low, int32_t high)
{
	const float magic = 12582912.0f;
	int32_t r;

	v = v > -200000.0f ? v : -200000.0f;
	v = v < 200000.0f ? v : 200000.0f;
	r = (int32_t)((v + magic) - magic) + zero;
	r = r < low ? low : r;
	return r > high ? high : r;
}

/* A sum times its factor, and a residual byte. */
static inline uint8_t requant_byte(const struct requant *r, float v, uint8_t residual)
{
	if (r->residual) {
		const float magic = 12582912.0f;
		float own = v > r->own_low ? v : r->own_low;

		own = own < r->own_high ? own : r->own_high;
		own = (own + magic) - magic;
		v = own * r->mine + (float)((residual ^ r->other_flip) - r->other_zero) * r->other;
	}
	return (uint8_t)round_to(v, r->zero, r->low, r->high);
}

/* One result of column k. */
static inline void requant_store(const struct requant *r, int32_t sum, float factor, void *y,
				 size_t at, const uint8_t *residual)
{
	if (r->out == QOUT_SUMS)
		((int32_t *)y)[at] = sum;
	else if (r->out == QOUT_FLOATS)
		((float *)y)[at] = (float)sum * factor;
	else
		((uint8_t *)y)[at] = requant_byte(r, (float)sum * factor, residual ? *residual : 0);
}

#endif
