/* Activations over rows. Plain loops over math.h, which the compiler vectorises; unlike its
 * neighbours here this file is compiled without fused multiplication and addition (see the
 * Makefile), so that every instruction set gives the same bytes. x may be y. */
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

#define EACH(expression)                     \
	for (size_t i = 0; i < count; i++) { \
		float v = x[i];              \
		y[i] = (expression);         \
	}                                    \
	break

void ISA_NAME(activate)(const struct epilogue *e, const float *x, float *y, size_t count)
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
		EACH(math_sigmoid(v));
	case ACT_SILU:
		EACH(v * math_sigmoid(v));
	case ACT_TANH:
		EACH(math_tanh(v));
	case ACT_GELU:
		EACH(0.5f * v * (1.0f + math_erf(v * 0.707106781f)));
	case ACT_GELU_TANH:
		EACH(gelu_tanh(v));
	case ACT_MISH:
		EACH(mish(v));
	}
}
