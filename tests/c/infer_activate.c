/* Activations: each instruction set that this processor has gives the same bytes as the plain one,
 * and that agrees with the formula in double. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "infer/kernels/activate.h"
#include "infer/kernels/isa.h"

#define COUNT 4099

static double formula(const struct epilogue *e, double x)
{
	double a = (double)e->a, b = (double)e->b, s = 1 / (1 + exp(-x));

	switch (e->act) {
	case ACT_RELU:
		return x < 0 ? 0 : x;
	case ACT_CLIP:
		return fmin(fmax(x, a), b);
	case ACT_LEAKY:
		return x < 0 ? a * x : x;
	case ACT_HARDSIGMOID:
		return fmin(fmax(a * x + b, 0), 1);
	case ACT_HARDSWISH:
		return x * fmin(fmax(x / 6 + 0.5, 0), 1);
	case ACT_SIGMOID:
		return s;
	case ACT_SILU:
		return x * s;
	case ACT_TANH:
		return tanh(x);
	case ACT_GELU:
		return 0.5 * x * erfc(-x / sqrt(2));
	case ACT_GELU_TANH:
		return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
	case ACT_MISH:
		return x * tanh(log1p(exp(x)));
	default:
		return x;
	}
}

static int check(enum activation act)
{
	const struct epilogue e = { .act = act, .a = 0.2f, .b = 0.75f };
	static float x[COUNT], base[COUNT], other[COUNT];
	double worst = 0;
	int failed = 0;

	for (int i = 0; i < COUNT; i++)
		x[i] = (float)(i - COUNT / 2) / (COUNT / 24.0f);
	activate__base(&e, x, base, COUNT);
	for (int i = 0; i < COUNT; i++) {
		double wanted = formula(&e, (double)x[i]), off = fabs((double)base[i] - wanted);

		off /= 1e-3 + fabs(wanted);
		worst = off > worst ? off : worst;
	}
	failed |= worst > 1e-4;
#ifdef __x86_64__
	if (isa_best() >= ISA_AVX2) {
		activate__avx2(&e, x, other, COUNT);
		failed |= memcmp(base, other, sizeof base) != 0;
	}
	if (isa_best() >= ISA_AVX512) {
		activate__avx512(&e, x, other, COUNT);
		failed |= memcmp(base, other, sizeof base) != 0;
	}
#endif
	memcpy(other, x, sizeof other);
	activate(&e, other, other, COUNT);
	failed |= memcmp(base, other, sizeof base) != 0;
	printf("activation %d: worst error %.2e, %s\n", (int)act, worst, failed ? "FAILED" : "ok");
	return failed;
}

int main(void)
{
	int failed = 0;

	for (int act = ACT_NONE; act <= ACT_MISH; act++)
		failed |= check((enum activation)act);
	return failed;
}
