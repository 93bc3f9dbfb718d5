/* The activations that take an exponential, over rows that a kernel has just stored. As activate.c, but
 * multiplications and additions may be fused, and nothing is done for arguments at which the result
 * is 0 or 1 anyway. */
#ifndef INFER_KERNELS_ISA_SMOOTH_H
#define INFER_KERNELS_ISA_SMOOTH_H

#include "infer/kernels/isa/isa.h"

INLINE vec vec_all(float x)
{
	return (vec){ 0 } + x;
}

/* 2^t for t <= 125, and 0 far below; NaN stays NaN. 2^t = 2^n 2^r with n a multiple of 1/16, the
 * fraction of 2^n looked up, where there are vectors for that, else whole. */
INLINE vec vec_exp2(vec t)
{
#if VEC == 16
	static const float sixteenths[16] = { 1.0f,          1.0442737824f, 1.0905077327f,
					      1.1387886348f, 1.1892071150f, 1.2418578121f,
					      1.2968395547f, 1.3542555469f, 1.4142135624f,
					      1.4768261459f, 1.5422108254f, 1.6104903319f,
					      1.6817928305f, 1.7562521604f, 1.8340080864f,
					      1.9152065614f };
	const float magic = 786432.0f; /* 1.5 2^19: what is added to it is rounded to sixteenths */
	vec m = t + magic, n = m - magic, r = t - n;
	vec p = (r * 0.2402265f + 0.69318783f) * r + 1.0f; /* within 4.2e-7 */
	vec f = (vec)_mm512_permutexvar_ps((__m512i)m, (__m512)load(sixteenths));

	return (vec)_mm512_scalef_ps((__m512)(f * p), (__m512)n); /* 2^floor(n) */
#else
	const float magic = 12582912.0f;
	vec low = vec_least(t, vec_all(-126.0f)), m = low + magic, r = low - (m - magic);
	vec_mask k = (vec_mask)m - (vec_mask)vec_all(magic);
	vec p = r * 1.3264729e-3f + 9.6715135e-3f;

	p = p * r + 5.5507337e-2f;
	p = p * r + 2.4022242e-1f;
	p = p * r + 6.9314698e-1f;
	p = p * r + 1.0f;
	return (vec)((vec_mask)p + (k << 23));
#endif
}

/* 1 + e^-x */
INLINE vec vec_below(vec x)
{
	return vec_exp2(vec_most(x * -1.44269504f, vec_all(125.0f))) + 1.0f;
}

INLINE vec vec_sigmoid(vec x)
{
	return 1.0f / vec_below(x);
}

INLINE vec vec_silu(vec x)
{
	return x / vec_below(x);
}

/* x/2 (1 + erf(x / sqrt 2)), where erf(v) = v p(v^2) / q(v^2) up to 3.9, with an error of 1.5e-8. */
INLINE vec vec_gelu(vec x)
{
	vec v = vec_clip(x * 0.707106781f, -3.9f, 3.9f), z = v * v;
	vec p = z * 2.0503975e-6f + 2.8742939e-4f, q = z * 3.8229355e-5f + 1.1815238e-3f;
	vec half = x * 0.5f;

	p = p * z + 3.8360960e-3f;
	q = q * z + 1.5107690e-2f;
	p = p * z + 5.2964583e-2f;
	q = q * z + 1.1475115e-1f;
	p = p * z + 1.9192424e-1f;
	q = q * z + 5.0342022e-1f;
	p = p * z + 1.1283790e+0f;
	q = q * z + 1.0f;
	return half * (v * p / q) + half;
}

#define SMOOTH(function)                                               \
	for (; i + VEC <= n; i += VEC)                                 \
		store(y + i, function(load(y + i)));                   \
	if (i < n)                                                     \
		store_n(y + i, function(load_n(y + i, n - i)), n - i); \
	break

/* Finish `rows` rows of n values, unless activate_quick has done so already. */
static void activate_rows(const struct epilogue *e, float *y, size_t pitch, size_t rows, size_t n)
{
	if (quick(e))
		return;
	if (pitch == n) {
		n *= rows;
		rows = 1;
	}
	for (; rows; rows--, y += pitch) {
		size_t i = 0;

		switch (e->act) {
		case ACT_SILU:
			SMOOTH(vec_silu);
		case ACT_SIGMOID:
			SMOOTH(vec_sigmoid);
		case ACT_GELU:
			SMOOTH(vec_gelu);
		default:
			activate(e, y, y, n);
		}
	}
}

#endif
