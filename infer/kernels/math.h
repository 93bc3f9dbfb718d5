/* exp, log, tanh, sigmoid, erf in float: the same bytes with every libc, compiler and machine,
 * since they are made of +, -, *, / and integer steps alone (built with -ffp-contract=off), and
 * free of branches, so that a loop over them is vectorised. Polynomials are near-minimax fits of
 * this project; tests/c/infer_math.c measures the error of each against double: at most 3 ulp, and
 * says how much. */
#ifndef INFER_KERNELS_MATH_H
#define INFER_KERNELS_MATH_H

#include <stdint.h>
#include <string.h>

static inline uint32_t math_bits(float x)
{
	uint32_t u;
	memcpy(&u, &x, sizeof u);
	return u;
}

static inline float math_float(uint32_t u)
{
	float x;
	memcpy(&x, &u, sizeof x);
	return x;
}

static inline float math_abs(float x)
{
	return math_float(math_bits(x) & 0x7fffffffu);
}

/* The size of a with the sign of s. */
static inline float math_copysign(float a, float s)
{
	return math_float((math_bits(a) & 0x7fffffffu) | (math_bits(s) & 0x80000000u));
}

/* yes where the mask (all bits or none) is set, no elsewhere. */
static inline float math_pick(int cond, float yes, float no)
{
	uint32_t mask = (uint32_t)-cond;

	return math_float((math_bits(yes) & mask) | (math_bits(no) & ~mask));
}

/* exp(x) = 2^n exp(r), |r| <= ln2 / 2; n is found by adding 1.5 * 2^23, whose last place is one. */
static inline float math_exp(float x)
{
	const float magic = 12582912.0f;
	float c = x > 89.0f ? 89.0f : x;
	float t, n, r, p;
	uint32_t k, half;

	c = c < -104.0f ? -104.0f : c;
	t = c * 1.44269504f + magic;
	n = t - magic;
	r = c - n * 0.693359375f;
	r = r + n * 2.12194440e-4f;
	p = 1.3951715e-3f;
	p = p * r + 8.3695987e-3f;
	p = p * r + 4.16661873e-2f;
	p = p * r + 0.1666651289f;
	p = p * r + 0.5000000101f;
	p = p * (r * r) + r + 1.0f;
	/* Two steps, so that the last of them rounds into the denormals or to infinity. */
	k = math_bits(t) - math_bits(magic) + 256;
	half = k >> 1;
	return p * math_float((half - 1) << 23) * math_float((k - half - 1) << 23);
}

static inline float math_log(float x)
{
	int tiny = x < 1.17549435e-38f;
	float y = x * math_pick(tiny, 8388608.0f, 1.0f);
	uint32_t u = math_bits(y) - 0x3f3504f3u; /* sqrt(1/2) becomes the lower end */
	float e = (float)((int32_t)u >> 23) - math_pick(tiny, 23.0f, 0.0f);
	float f = math_float((u & 0x7fffffu) + 0x3f3504f3u) - 1.0f;
	float z = f * f, p, r;

	p = 0.0691529033f;
	p = p * f - 0.1178976839f;
	p = p * f + 0.1187299041f;
	p = p * f - 0.1238435613f;
	p = p * f + 0.1421865714f;
	p = p * f - 0.1666925034f;
	p = p * f + 0.2000222665f;
	p = p * f - 0.2499998661f;
	p = p * f + 0.3333331044f;
	p = p * f * z - e * 2.12194440e-4f;
	r = (p - 0.5f * z) + f + e * 0.693359375f;
	r = math_pick(math_bits(x) >= 0x7f800000u, x, r);                       /* inf, NaN */
	r = math_pick(math_bits(x) > 0x80000000u, math_float(0x7fc00000u), r);  /* below zero */
	return math_pick((math_bits(x) << 1) == 0, math_float(0xff800000u), r); /* zero */
}

static inline float math_sigmoid(float x)
{
	float t = math_exp(-math_abs(x));

	return (x < 0 ? t : 1.0f) / (1.0f + t);
}

static inline float math_tanh(float x)
{
	float a = math_abs(x), z = x * x, p, big;

	p = -5.7170258e-3f;
	p = p * z + 2.06505685e-2f;
	p = p * z - 5.37434917e-2f;
	p = p * z + 0.133314912f;
	p = p * z - 0.3333328392f;
	p = p * z * x + x;
	big = 1.0f - 2.0f / (math_exp(a + a) + 1.0f);
	return math_pick(a < 0.625f, p, math_copysign(big, x));
}

/* In two parts, for loops over each are vectorised where one over both is not: |x| < 0.9, and above. */
static inline float math_erf_small(float x)
{
	float z = x * x, p;

	p = 7.8538531727e-5f;
	p = p * z - 8.0101911494e-4f;
	p = p * z + 5.1883274041e-3f;
	p = p * z - 2.6853811787e-2f;
	p = p * z + 1.1283585145e-1f;
	p = p * z - 3.7612625824e-1f;
	p = p * z + 0.12837916e0f;
	return p * x + x;
}

static inline float math_erf_large(float x)
{
	float a = math_abs(x), q;

	a = a > 4.0f ? 4.0f : a;
	q = -1.9969811614e-5f;
	q = q * a + 4.2160216279e-4f;
	q = q * a - 4.1095650279e-3f;
	q = q * a + 2.4959865982e-2f;
	q = q * a - 1.0803737345e-1f;
	q = q * a - 6.3356349776e-1f;
	q = q * a - 1.1294098678e+0f;
	q = q * a + 1.5329639793e-4f;
	return math_copysign(1.0f - math_exp(q), x);
}

static inline float math_erf(float x)
{
	return math_pick(math_abs(x) < 0.9f, math_erf_small(x), math_erf_large(x));
}

/* log(1 + e^x), without overflow and without losing small x. */
static inline float math_softplus(float x)
{
	float t = math_exp(-math_abs(x));
	/* log1p: for small t the rounding of 1 + t is given back (Kahan). */
	float u = 1.0f + t;
	float l = math_log(u) + (t - (u - 1.0f)) / u;

	return (x > 0 ? x : 0.0f) + l;
}

/* e^x - 1. */
static inline float math_expm1(float x)
{
	float r = x, p, e = math_exp(x) - 1.0f;

	p = 2.7557319e-6f;
	p = p * r + 2.4801587e-5f;
	p = p * r + 1.9841270e-4f;
	p = p * r + 1.3888889e-3f;
	p = p * r + 8.3333333e-3f;
	p = p * r + 4.1666667e-2f;
	p = p * r + 0.16666667f;
	p = p * r + 0.5f;
	p = p * r * r + r;
	return math_pick(math_abs(x) < 0.7f, p, e);
}

#endif
