/* For the files of this folder, which are compiled once, for x86-64 with AVX-512 and VNNI. */
#ifndef INFER_KERNELS_VNNI_VNNI_H
#define INFER_KERNELS_VNNI_VNNI_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "infer/kernels/qconv.h"

#define INLINE static inline __attribute__((always_inline))

/* Sums to numbers that are ready to be rounded; res: 16 bytes of the residual, made u8 and widened. */
INLINE __m512 scaled(const struct requant *r, __m512i sum, __m512 factor, __m512i res)
{
	__m512 v = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), factor);
	const __m512 most = _mm512_set1_ps(200000.0f);

	if (r->residual) {
		__m512 other =
		    _mm512_cvtepi32_ps(_mm512_sub_epi32(res, _mm512_set1_epi32(r->other_zero)));
		v = _mm512_max_ps(v, _mm512_set1_ps(r->own_low));
		v = _mm512_min_ps(v, _mm512_set1_ps(r->own_high));
		v = _mm512_roundscale_ps(v, 0);
		v = _mm512_mul_ps(v, _mm512_set1_ps(r->mine));
		v = _mm512_add_ps(v, _mm512_mul_ps(other, _mm512_set1_ps(r->other)));
	}
	return _mm512_min_ps(v, most);
}

/* 32 rounded values in the order that packing leaves: zero point added, stopped at low and high. What
 * overflowed below is the least integer, which saturates to low as it should. */
INLINE __m512i packed(const struct requant *r, __m512 a, __m512 b)
{
	__m512i p = _mm512_packs_epi32(_mm512_cvtps_epi32(a), _mm512_cvtps_epi32(b));

	p = _mm512_adds_epi16(p, _mm512_set1_epi16((short)r->zero));
	p = _mm512_max_epi16(p, _mm512_set1_epi16((short)r->low));
	return _mm512_min_epi16(p, _mm512_set1_epi16((short)r->high));
}

/* The first n bytes of what has just been stored at from. Some processors take tens of cycles for a store
 * under a mask; parts of a whole one are forwarded to these loads. */
INLINE void store_first(uint8_t *y, const uint8_t *from, size_t n)
{
	if (n & 32) {
		memcpy(y, from, 32);
		y += 32, from += 32;
	}
	if (n & 16) {
		memcpy(y, from, 16);
		y += 16, from += 16;
	}
	if (n & 8) {
		memcpy(y, from, 8);
		y += 8, from += 8;
	}
	if (n & 4) {
		memcpy(y, from, 4);
		y += 4, from += 4;
	}
	if (n & 2) {
		memcpy(y, from, 2);
		y += 2, from += 2;
	}
	if (n & 1)
		*y = *from;
}

#endif
