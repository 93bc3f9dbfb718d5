/* Element by element over bytes: the widest that the processor has. See qelement.h. */
#include "infer/kernels/qelement.h"

#include "infer/kernels/isa.h"

static const struct qelement_isa *best(void)
{
#ifdef __x86_64__
	if (isa_best() == ISA_AVX512)
		return &qelement__avx512;
	if (isa_best() == ISA_AVX2)
		return &qelement__avx2;
#endif
	return &qelement__base;
}

void qelement_add(const struct requant *r, struct qoperand a, const uint8_t *x, const uint8_t *b,
		  uint8_t *y, size_t n)
{
	best()->add(r, a, x, b, y, n);
}

void qelement_mul(const struct requant *r, float factor, struct qoperand a, const uint8_t *x,
		  struct qoperand b, const uint8_t *other, size_t b_step, uint8_t *y, size_t n)
{
	best()->mul(r, factor, a, x, b, other, b_step, y, n);
}

void qelement_mul_row(const struct requant *r, float factor, struct qoperand a, const uint8_t *x,
		      const float *b, uint8_t *y, size_t n)
{
	best()->mul_row(r, factor, a, x, b, y, n);
}

void qelement_scale(const struct requant *r, struct qoperand a, const uint8_t *x,
		    const float *scale, const float *shift, uint8_t *y, size_t n)
{
	best()->scale(r, a, x, scale, shift, y, n);
}

void qelement_quantise(const float *x, float scale, int32_t zero, int32_t low, int32_t high,
		       uint8_t *y, size_t n)
{
	best()->quantise(x, scale, zero, low, high, y, n);
}

void qelement_max(const struct qelement_box *box, uint8_t *y)
{
	best()->max(box, y);
}

void qelement_interleave(const uint8_t *x, uint8_t *y, size_t n)
{
	best()->interleave(x, y, n);
}

void qelement_lookup(const uint8_t *table, const uint8_t *x, uint8_t *y, size_t n)
{
#ifdef __x86_64__
	if (isa_vbmi()) {
		qelement_lookup__vbmi(table, x, y, n);
		return;
	}
#endif
	for (size_t i = 0; i < n; i++)
		y[i] = table[x[i]];
}
