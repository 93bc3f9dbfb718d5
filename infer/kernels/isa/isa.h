/* For the files of this folder, which are compiled once per instruction set (see the Makefile):
 * ISA is base, avx2 or avx512. They are written in GCC's vector extensions, and the compiler may
 * fuse multiplication and addition; every name that they export carries the set's name. */
#ifndef INFER_KERNELS_ISA_ISA_H
#define INFER_KERNELS_ISA_ISA_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

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

/* yes where mask is all ones, no where it is zero. */
INLINE vec pick(vec_mask mask, vec yes, vec no)
{
	return (vec)((mask & (vec_mask)yes) | (~mask & (vec_mask)no));
}

/* As clip() of activate.c: NaN stays NaN. */
INLINE vec vec_clip(vec v, float low, float high)
{
	vec l = (vec){ 0 } + low, h = (vec){ 0 } + high;

	v = pick((vec_mask)(v < l), l, v);
	return pick((vec_mask)(v > h), h, v);
}

#endif
