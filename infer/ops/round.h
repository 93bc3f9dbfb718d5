/* Rounding half to even into a small integer range, without a branch or a library call, so that loops
 * over it become vectors. */
#ifndef INFER_OPS_ROUND_H
#define INFER_OPS_ROUND_H

#include <stdint.h>

/* Round v to the nearest integer, ties to even, add zero, stop at low and high. NaN gives low; zero, low
 * and high are within 17 bits. Adding 1.5 * 2^23 leaves no place for a fraction. */
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

#endif
