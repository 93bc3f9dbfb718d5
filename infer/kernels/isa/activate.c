/* Activations over rows. Plain loops over math.h, which the compiler vectorises; unlike its
 * neighbours here this file is compiled without fused multiplication and addition (see the
 * Makefile), so that every instruction set gives the same bytes. x may be y: all work on y
 * alone, for a loop over two pointers that may be one is not vectorised. */
#include "infer/kernels/activate.h"
#include "infer/kernels/isa/isa.h"
#include "infer/kernels/math.h"

INLINE float clip(float x, float low, float high)
{
	x = x < low ? low : x;
	return x > high ? high : x;
}

INLINE float gelu_tanh(float x)
{
	return 0.5f * x * (1.0f + math_tanh(0.797884561f * (x + 0.044715f * x * x * x)));
}

/* x tanh(ln(1 + e^x)), with w = e^x: x (w² + 2 w) / (w² + 2 w + 2). */
INLINE float mish(float x)
{
	float w = math_exp(x > 20.0f ? 20.0f : x), q = w * w + 2.0f * w;

	return x * (q / (q + 2.0f));
}

static void gelu(float *y, size_t count)
{
	float large[64];

	for (size_t from = 0; from < count; from += 64, y += 64) {
		size_t many = count - from < 64 ? count - from : 64;

		for (size_t i = 0; i < many; i++)
			large[i] = math_erf_large(y[i] * 0.707106781f);
		for (size_t i = 0; i < many; i++) {
			float v = y[i] * 0.707106781f, small = math_erf_small(v);

			y[i] =
			    0.5f * y[i] * (1.0f + math_pick(math_abs(v) < 0.9f, small, large[i]));
		}
	}
}

#define EACH(expression)                     \
	for (size_t i = 0; i < count; i++) { \
		float v = y[i];              \
		y[i] = (expression);         \
	}                                    \
	break

void ISA_NAME(activate)(const struct epilogue *e, const float *x, float *y, size_t count)
{
	float a = e->a, b = e->b;

	if (y != x)
		memmove(y, x, count * sizeof *x);
	switch (e->act) {
	case ACT_NONE:
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
		EACH(math_sigmoid(v));
	case ACT_SILU:
		EACH(v * math_sigmoid(v));
	case ACT_TANH:
		EACH(math_tanh(v));
	case ACT_GELU:
		gelu(y, count);
		break;
	case ACT_GELU_TANH:
		EACH(gelu_tanh(v));
	case ACT_MISH:
		EACH(mish(v));
	}
}
