/* Loops over bytes that the compiler makes vectors of: see qelement.h. */
#include "infer/kernels/qelement.h"

#include "infer/kernels/isa/isa.h"
#include "infer/kernels/requant.h"

/* Input and output may be one, but no iteration touches another's elements. */
#ifdef __clang__
#define EACH_ITS_OWN
#else
#define EACH_ITS_OWN _Pragma("GCC ivdep")
#endif

static void add(const struct requant *of, struct qoperand a, const uint8_t *x, const uint8_t *b,
		uint8_t *y, size_t n)
{
	const struct requant r = *of;

	EACH_ITS_OWN
	for (size_t i = 0; i < n; i++) {
		float own = (float)((x[i] ^ a.flip) - a.zero) * r.mine;
		float other = (float)((b[i] ^ r.other_flip) - r.other_zero) * r.other;
		y[i] = (uint8_t)round_to(own + other, r.zero, r.low, r.high);
	}
}

static void mul(const struct requant *of, float factor, struct qoperand a, const uint8_t *x,
		struct qoperand b, const uint8_t *other, size_t b_step, uint8_t *y, size_t n)
{
	const struct requant r = *of;

	if (b_step == 0) {
		int32_t one = (other[0] ^ b.flip) - b.zero;
		EACH_ITS_OWN
		for (size_t i = 0; i < n; i++)
			y[i] = (uint8_t)round_to((float)(((x[i] ^ a.flip) - a.zero) * one) * factor,
						 r.zero, r.low, r.high);
		return;
	}
	EACH_ITS_OWN
	for (size_t i = 0; i < n; i++) {
		int32_t v = ((x[i] ^ a.flip) - a.zero) * ((other[i] ^ b.flip) - b.zero);
		y[i] = (uint8_t)round_to((float)v * factor, r.zero, r.low, r.high);
	}
}

/* Rows of channels are short, and seldom whole blocks of what the compiler would make of the loops. */
#if VEC == 16
INLINE __m512 sixteen(const uint8_t *x, struct qoperand a, __mmask16 of)
{
	__m128i b = _mm_maskz_loadu_epi8(of, x);
	__m512i v = _mm512_cvtepu8_epi32(_mm_xor_si128(b, _mm_set1_epi8((char)a.flip)));

	return _mm512_cvtepi32_ps(_mm512_sub_epi32(v, _mm512_set1_epi32(a.zero)));
}

/* As round_to; the first n of them. */
INLINE void store_sixteen(const struct requant *r, __m512 v, uint8_t *y, size_t n)
{
	__m512i q;
	uint8_t all[16];

	v = _mm512_max_ps(v, _mm512_set1_ps(-200000.0f));
	v = _mm512_min_ps(v, _mm512_set1_ps(200000.0f));
	q = _mm512_add_epi32(_mm512_cvtps_epi32(v), _mm512_set1_epi32(r->zero));
	q = _mm512_max_epi32(q, _mm512_set1_epi32(r->low));
	q = _mm512_min_epi32(q, _mm512_set1_epi32(r->high));
	if (n == 16) {
		_mm_storeu_si128((__m128i *)(void *)y, _mm512_cvtepi32_epi8(q));
	} else {
		_mm_storeu_si128((__m128i *)(void *)all, _mm512_cvtepi32_epi8(q));
		memcpy(y, all, n);
	}
}

#define FOR_SIXTEENS(n) for (size_t i = 0, many; many = (n)-i < 16 ? (n)-i : 16, i < (n); i += 16)
#define OF(many) ((__mmask16)(0xffffu >> (16 - (many))))

static void mul_row(const struct requant *r, float factor, struct qoperand a, const uint8_t *x,
		    const float *b, uint8_t *y, size_t n)
{
	FOR_SIXTEENS(n)
	{
		__m512 v = _mm512_mul_ps(sixteen(x + i, a, OF(many)),
					 _mm512_maskz_loadu_ps(OF(many), b + i));
		store_sixteen(r, _mm512_mul_ps(v, _mm512_set1_ps(factor)), y + i, many);
	}
}

static void scale(const struct requant *r, struct qoperand a, const uint8_t *x, const float *factor,
		  const float *shift, uint8_t *y, size_t n)
{
	FOR_SIXTEENS(n)
	{
		__m512 v = _mm512_mul_ps(sixteen(x + i, a, OF(many)),
					 _mm512_maskz_loadu_ps(OF(many), factor + i));
		store_sixteen(r, _mm512_add_ps(v, _mm512_maskz_loadu_ps(OF(many), shift + i)),
			      y + i, many);
	}
}
#else
static void mul_row(const struct requant *of, float factor, struct qoperand a, const uint8_t *x,
		    const float *b, uint8_t *y, size_t n)
{
	const struct requant r = *of;

	EACH_ITS_OWN
	for (size_t i = 0; i < n; i++) {
		float v = (float)((x[i] ^ a.flip) - a.zero) * b[i];
		y[i] = (uint8_t)round_to(v * factor, r.zero, r.low, r.high);
	}
}

static void scale(const struct requant *of, struct qoperand a, const uint8_t *x,
		  const float *factor, const float *shift, uint8_t *y, size_t n)
{
	const struct requant r = *of;

	EACH_ITS_OWN
	for (size_t i = 0; i < n; i++) {
		float v = (float)((x[i] ^ a.flip) - a.zero) * factor[i];
		y[i] = (uint8_t)round_to(v + shift[i], r.zero, r.low, r.high);
	}
}
#endif

static void quantise(const float *x, float by, int32_t zero, int32_t low, int32_t high, uint8_t *y,
		     size_t n)
{
	EACH_ITS_OWN
	for (size_t i = 0; i < n; i++)
		y[i] = (uint8_t)round_to(x[i] / by, zero, low, high);
}

/* n channels, known to the compiler. */
INLINE void max_of(const struct qelement_box *b, size_t c, const size_t n, uint8_t *y)
{
	uint8_t most[64];

	memset(most, 0, n);
	for (size_t i = 0; i < b->taps[0]; i++)
		for (size_t j = 0; j < b->taps[1]; j++) {
			const uint8_t *x =
			    b->x + (ptrdiff_t)i * b->step[0] + (ptrdiff_t)j * b->step[1] + c;
			for (size_t k = 0; k < b->taps[2]; k++, x += b->step[2])
				for (size_t m = 0; m < n; m++) {
					uint8_t v = x[m] ^ b->flip;
					most[m] = v > most[m] ? v : most[m];
				}
		}
	for (size_t m = 0; m < n; m++)
		y[c + m] = most[m] ^ b->flip;
}

static void max(const struct qelement_box *box, uint8_t *y)
{
	const struct qelement_box b = *box;
	size_t c = 0;

	for (; c + 64 <= b.channels; c += 64)
		max_of(&b, c, 64, y);
	for (; c + 16 <= b.channels; c += 16)
		max_of(&b, c, 16, y);
	if (c < b.channels && b.channels >= 16) { /* some of them twice */
		max_of(&b, b.channels - 16, 16, y);
		return;
	}
	for (; c < b.channels; c++)
		max_of(&b, c, 1, y);
}

static void interleave(const uint8_t *restrict x, uint8_t *restrict y, size_t n)
{
	const uint8_t *b = x + n, *c = b + n;

	for (size_t i = 0; i < n; i++) {
		y[3 * i] = x[i];
		y[3 * i + 1] = b[i];
		y[3 * i + 2] = c[i];
	}
}

const struct qelement_isa ISA_NAME(qelement) = {
	add, mul, mul_row, scale, quantise, max, interleave
};
