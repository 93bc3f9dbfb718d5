/* Activations, as epilogue of a kernel and on their own. Transcendental functions are our own, so
 * that the bytes do not depend on the C library. */
#include "infer/kernels/kernels.h"

#include <math.h>
#include <string.h>

/* 2^n for n in [-126, 127]. */
static inline float power_of_two(int n)
{
	uint32_t bits = (uint32_t)(n + 127) << 23;
	float f;

	memcpy(&f, &bits, sizeof f);
	return f;
}

/* exp(x) = 2^n exp(r), r = x - n ln 2 in two parts, |r| <= ln 2 / 2; Taylor's polynomial of degree
 * 7 leaves 1e-9 there. Branch-free but for the clamp, so that compilers can vectorise it. */
float kernel_exp(float x)
{
	float t = x < -104.0f ? -104.0f : x > 89.0f ? 89.0f : x;
	float n = (float)(int)(t * 1.44269504f + (t < 0 ? -0.5f : 0.5f));
	float r = (t - n * 0.693145752f) - n * 1.42860677e-6f;
	float p = 1.0f / 5040;
	int whole = (int)n, half = whole / 2;

	p = p * r + 1.0f / 720;
	p = p * r + 1.0f / 120;
	p = p * r + 1.0f / 24;
	p = p * r + 1.0f / 6;
	p = p * r + 0.5f;
	p = p * r + 1.0f;
	p = p * r + 1.0f;
	p = p * power_of_two(half) * power_of_two(whole - half);
	return x != x ? x : p;
}

float kernel_tanh(float x)
{
	float a = fabsf(x), y;

	if (a < 0.55f) {
		float s = x * x;

		/* Taylor to x^13: below 1e-7 of x here. */
		y = 21844.0f / 6081075;
		y = y * s - 1382.0f / 155925;
		y = y * s + 62.0f / 2835;
		y = y * s - 17.0f / 315;
		y = y * s + 2.0f / 15;
		y = y * s - 1.0f / 3;
		return x + x * s * y;
	}
	y = 1 - 2 / (kernel_exp(2 * a) + 1);
	return x < 0 ? -y : y;
}

/* Series below 2.5 (in double, where it loses nothing), complementary continued fraction above. */
float kernel_erf(float x)
{
	double a = fabs((double)x), s = a * a, y;

	if (!(a < 4.0)) /* NaN too */
		return x != x ? x : x < 0 ? -1.0f : 1.0f;
	/* erf(a) = 2/sqrt(pi) exp(-a²) Σ 2^n a^(2n+1) / (2n+1)!!; all terms positive. */
	double term = a, sum = a;
	for (int n = 1; n < 100 && term > sum * 1e-10; n++) {
		term *= 2 * s / (2 * n + 1);
		sum += term;
	}
	double half = -s / 16, p = 1;
	for (int n = 20; n > 0; n--)
		p = 1 + p * half / n;
	p *= p, p *= p, p *= p, p *= p;
	y = 1.1283791670955126 * p * sum;
	return (float)(x < 0 ? -y : y);
}

static inline float sigmoid(float x)
{
	float p = kernel_exp(x < 0 ? x : -x);

	return x < 0 ? p / (1 + p) : 1 / (1 + p);
}

static inline float clip(float x, float low, float high)
{
	x = x < low ? low : x;
	return x > high ? high : x;
}

static inline float gelu_tanh(float x)
{
	return 0.5f * x * (1 + kernel_tanh(0.797884561f * (x + 0.044715f * x * x * x)));
}

/* x tanh(ln(1 + e^x)), with w = e^x: x (w² + 2 w) / (w² + 2 w + 2). */
static inline float mish(float x)
{
	float w = kernel_exp(x > 20 ? 20 : x), q = w * w + 2 * w;

	return x * (q / (q + 2));
}

#define EACH(expression)                     \
	for (size_t i = 0; i < count; i++) { \
		float v = x[i];              \
		y[i] = (expression);         \
	}                                    \
	break

void activate(const struct epilogue *e, const float *x, float *y, size_t count)
{
	float a = e->a, b = e->b;

	switch (e->act) {
	case ACT_NONE:
		if (y != x)
			memmove(y, x, count * sizeof *x);
		break;
	case ACT_RELU:
		EACH(v < 0 ? 0 : v);
	case ACT_CLIP:
		EACH(clip(v, a, b));
	case ACT_LEAKY:
		EACH(v < 0 ? a * v : v);
	case ACT_HARDSIGMOID:
		EACH(clip(a * v + b, 0, 1));
	case ACT_HARDSWISH:
		EACH(v * clip(v * (1.0f / 6) + 0.5f, 0, 1));
	case ACT_SIGMOID:
		EACH(sigmoid(v));
	case ACT_SILU:
		EACH(v * sigmoid(v));
	case ACT_TANH:
		EACH(kernel_tanh(v));
	case ACT_GELU:
		EACH(0.5f * v * (1 + kernel_erf(v * 0.707106781f)));
	case ACT_GELU_TANH:
		EACH(gelu_tanh(v));
	case ACT_MISH:
		EACH(mish(v));
	}
}
