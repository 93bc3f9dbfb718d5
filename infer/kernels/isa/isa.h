/* For the files of this folder, which are compiled once per instruction set (see the Makefile):
 * ISA is base, avx2 or avx512. They are written in GCC's vector extensions, and the compiler may
 * fuse multiplication and addition; every name that they export carries the set's name. */
#ifndef INFER_KERNELS_ISA_ISA_H
#define INFER_KERNELS_ISA_ISA_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __AVX__
#include <immintrin.h>
#endif

#include "infer/kernels/kernels.h"

#define ISA_PASTE(name, isa) name##__##isa
#define ISA_EXPAND(name, isa) ISA_PASTE(name, isa)
#define ISA_NAME(name) ISA_EXPAND(name, ISA)
#define ISA_QUOTE(x) #x
#define ISA_TEXT_OF(x) ISA_QUOTE(x)
#define ISA_TEXT ISA_TEXT_OF(ISA)

#if defined(__AVX512F__)
#define VEC 16
#elif defined(__AVX__)
#define VEC 8
#else
#define VEC 4
#endif

/* VEC floats, at any address. */
typedef float vec __attribute__((vector_size(VEC * sizeof(float)), aligned(4), may_alias));
typedef int32_t vec_mask __attribute__((vector_size(VEC * sizeof(float)), aligned(4), may_alias));

#define INLINE static inline __attribute__((always_inline))

INLINE vec load(const float *p)
{
	return *(const vec *)p;
}

INLINE void store(float *p, vec v)
{
	*(vec *)p = v;
}

/* The first n floats, 0 < n <= VEC; the others are zero, and nothing beyond is touched. */
INLINE vec load_n(const float *p, size_t n)
{
#if VEC == 16
	return (vec)_mm512_maskz_loadu_ps((__mmask16)(0xffffu >> (16 - n)), p);
#elif VEC == 8
	static const int32_t ones[16] = { -1, -1, -1, -1, -1, -1, -1, -1 };

	return (vec)_mm256_maskload_ps(p, _mm256_loadu_si256((const void *)(ones + 8 - n)));
#else
	vec v = { 0 };

	memcpy(&v, p, n * sizeof *p);
	return v;
#endif
}

INLINE void store_n(float *p, vec v, size_t n)
{
#if VEC == 16
	_mm512_mask_storeu_ps(p, (__mmask16)(0xffffu >> (16 - n)), (__m512)v);
#elif VEC == 8
	/* Masked stores of AVX2 are slow on many processors. */
	__m128 part = _mm256_castps256_ps128((__m256)v);

	if (n == VEC) {
		store(p, v);
		return;
	}
	if (n & 4) {
		_mm_storeu_ps(p, part);
		part = _mm256_extractf128_ps((__m256)v, 1);
		p += 4;
	}
	if (n & 2) {
		_mm_storel_pi((__m64 *)(void *)p, part);
		part = _mm_movehl_ps(part, part);
		p += 2;
	}
	if (n & 1)
		_mm_store_ss(p, part);
#else
	memcpy(p, &v, n * sizeof *p);
#endif
}

/* v, which stays in a register: else the compiler may load it anew for each multiplication. */
INLINE vec held(vec v)
{
#if VEC == 16
	__asm__("" : "+v"(v));
#elif defined(__x86_64__)
	__asm__("" : "+x"(v));
#endif
	return v;
}

/* yes where mask is all ones, no where it is zero. */
INLINE vec pick(vec_mask mask, vec yes, vec no)
{
	return (vec)((mask & (vec_mask)yes) | (~mask & (vec_mask)no));
}

/* v < low ? low : v, and v > high ? high : v: NaN stays NaN, and -0 is not below 0. */
INLINE vec vec_least(vec v, vec low)
{
#if VEC == 16
	return (vec)_mm512_max_ps((__m512)low, (__m512)v);
#elif VEC == 8
	return (vec)_mm256_max_ps((__m256)low, (__m256)v);
#else
	return pick((vec_mask)(v < low), low, v);
#endif
}

INLINE vec vec_most(vec v, vec high)
{
#if VEC == 16
	return (vec)_mm512_min_ps((__m512)high, (__m512)v);
#elif VEC == 8
	return (vec)_mm256_min_ps((__m256)high, (__m256)v);
#else
	return pick((vec_mask)(v > high), high, v);
#endif
}

/* As clip() of activate.c. */
INLINE vec vec_clip(vec v, float low, float high)
{
	return vec_most(vec_least(v, (vec){ 0 } + low), (vec){ 0 } + high);
}

/* Is this activation a matter of a few instructions, so that kernels do it before they store? The
 * others follow over whole rows, by activate(). */
INLINE int quick(const struct epilogue *e)
{
	return e->act <= ACT_HARDSWISH;
}

/* v[i] = act(v[i]) for count vectors that are in registers. */
INLINE void activate_quick(const struct epilogue *e, vec *v, const int count)
{
	const vec zero = { 0 };

	switch (e->act) {
	case ACT_RELU:
#pragma GCC unroll 16
		for (int i = 0; i < count; i++)
			v[i] = vec_least(v[i], zero);
		break;
	case ACT_CLIP:
#pragma GCC unroll 16
		for (int i = 0; i < count; i++)
			v[i] = vec_clip(v[i], e->a, e->b);
		break;
	case ACT_LEAKY:
#pragma GCC unroll 16
		for (int i = 0; i < count; i++)
			v[i] = pick((vec_mask)(v[i] < zero), v[i] * e->a, v[i]);
		break;
	case ACT_HARDSIGMOID:
#pragma GCC unroll 16
		for (int i = 0; i < count; i++)
			v[i] = vec_clip(v[i] * e->a + e->b, 0, 1);
		break;
	case ACT_HARDSWISH:
#pragma GCC unroll 16
		for (int i = 0; i < count; i++)
			v[i] *= vec_clip(v[i] * (1.0f / 6) + 0.5f, 0, 1);
		break;
	default:
		break;
	}
}

#endif
