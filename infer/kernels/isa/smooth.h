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

/* See math_exp; x is held within what needs neither denormals nor infinity. */
INLINE vec vec_exp(vec x)
{
	const float magic = 12582912.0f;
	vec c = vec_clip(x, -87.0f, 88.0f), t = c * 1.44269504f + magic, n = t - magic;
	vec r = c - n * 0.693359375f + n * 2.12194440e-4f, p = vec_all(1.3951715e-3f);
	vec_mask k = (vec_mask)t - (vec_mask)vec_all(magic);

	p = p * r + 8.3695987e-3f;
	p = p * r + 4.16661873e-2f;
	p = p * r + 0.1666651289f;
	p = p * r + 0.5000000101f;
	p = p * (r * r) + (r + 1.0f);
	return (vec)((vec_mask)p + (k << 23));
}

INLINE vec vec_silu(vec x)
{
	return x / (vec_exp(-x) + 1.0f);
}

INLINE vec vec_sigmoid(vec x)
{
	return 1.0f / (vec_exp(-x) + 1.0f);
}

/* See math_erf_small and math_erf_large. */
INLINE vec vec_gelu(vec x)
{
	const vec_mask sign = (vec_mask){ 0 } + INT32_MIN;
	vec v = x * 0.707106781f, z = v * v, p = vec_all(7.8538531727e-5f);
	vec a = (vec)((vec_mask)v & ~sign), q = vec_all(-1.9969811614e-5f), large;
	vec_mask low = (vec_mask)(a < 0.9f);

	a = pick((vec_mask)(a > 4.0f), vec_all(4.0f), a);
	p = p * z - 8.0101911494e-4f;
	p = p * z + 5.1883274041e-3f;
	p = p * z - 2.6853811787e-2f;
	p = p * z + 1.1283585145e-1f;
	p = p * z - 3.7612625824e-1f;
	p = p * z + 0.12837916e0f;
	q = q * a + 4.2160216279e-4f;
	q = q * a - 4.1095650279e-3f;
	q = q * a + 2.4959865982e-2f;
	q = q * a - 1.0803737345e-1f;
	q = q * a - 6.3356349776e-1f;
	q = q * a - 1.1294098678e+0f;
	q = q * a + 1.5329639793e-4f;
	large = 1.0f - vec_exp(q);
	large = (vec)(((vec_mask)large & ~sign) | ((vec_mask)v & sign));
	return x * 0.5f * (1.0f + pick(low, p * v + v, large));
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
