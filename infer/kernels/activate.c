/* Activations, as epilogue of a kernel and on their own: the widest that the processor has. All give
 * the same bytes (tests/c/infer_activate.c). */
#include "infer/kernels/activate.h"

#include "infer/kernels/isa.h"
#include "infer/kernels/math.h"

void activate(const struct epilogue *e, const float *x, float *y, size_t count)
{
	switch (isa_best()) {
#ifdef __x86_64__
	case ISA_AVX512:
		activate__avx512(e, x, y, count);
		return;
	case ISA_AVX2:
		activate__avx2(e, x, y, count);
		return;
#endif
	default:
		activate__base(e, x, y, count);
	}
}

float kernel_exp(float x)
{
	return math_exp(x);
}

float kernel_tanh(float x)
{
	return math_tanh(x);
}

float kernel_erf(float x)
{
	return math_erf(x);
}
