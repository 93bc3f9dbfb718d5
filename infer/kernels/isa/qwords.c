/* Products of bytes as words: see qwords.h. Sums are exact, and what follows them is requant.h's plain
 * form: every instruction set gives the same bytes. */
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "infer/kernels/qwords.h"

#include "infer/kernels/isa/isa.h"
#include "infer/kernels/requant.h"

#define COLS (2 * VEC)
#define ROWS 4

typedef int32_t ints __attribute__((vector_size(VEC * 4), aligned(4), may_alias));

/* sum += two words of x times the columns' two words of w. */
INLINE ints add_products(ints sum, int32_t x, const char *w)
{
#if VEC == 16
	return (ints)_mm512_add_epi32(
	    (__m512i)sum, _mm512_madd_epi16(_mm512_set1_epi32(x), _mm512_loadu_si512(w)));
#elif VEC == 8
	return (ints)_mm256_add_epi32(
	    (__m256i)sum,
	    _mm256_madd_epi16(_mm256_set1_epi32(x), _mm256_loadu_si256((const void *)w)));
#elif defined(__SSE2__)
	return (ints)_mm_add_epi32(
	    (__m128i)sum, _mm_madd_epi16(_mm_set1_epi32(x), _mm_loadu_si128((const void *)w)));
#else
	const int16_t *v = (const int16_t *)(const void *)w;
	int16_t pair[2];

	memcpy(pair, &x, sizeof pair);
	for (int j = 0; j < VEC; j++)
		sum[j] += pair[0] * v[2 * j] + pair[1] * v[2 * j + 1];
	return sum;
#endif
}

INLINE void tile(const struct qwords *g, const int rows, const char *panel, size_t i, size_t column,
		 size_t n)
{
	const float *factor = (const float *)(const void *)(panel + COLS * 4);
	const char *w = panel + COLS * 8;
	ints sum[ROWS][2];
	int32_t out[COLS];

	for (int r = 0; r < rows; r++) {
		memcpy(&sum[r][0], panel, sizeof sum[r][0]);
		memcpy(&sum[r][1], panel + VEC * 4, sizeof sum[r][1]);
	}
	for (size_t t = 0; t < g->taps; t++) {
		const char *p[ROWS];
		for (int r = 0; r < rows; r++)
			p[r] = (const char *)g->rows[t * g->count + i + (size_t)r] + g->offset;
		for (size_t d = 0; d < g->depth; d += 2, w += COLS * 4)
#pragma GCC unroll 4
			for (int r = 0; r < rows; r++) {
				int32_t two;
				memcpy(&two, p[r] + 2 * d, sizeof two);
				sum[r][0] = add_products(sum[r][0], two, w);
				sum[r][1] = add_products(sum[r][1], two, w + VEC * 4);
			}
	}
	for (int r = 0; r < rows; r++) {
		size_t row = i + (size_t)r;
		const uint8_t *residual =
		    g->residual ? g->residual + row * g->r_pitch + column : NULL;
		memcpy(out, sum[r], sizeof out);
		for (size_t j = 0; j < n; j++)
			requant_store(g->requant, out[j], factor[j], g->y,
				      row * g->y_pitch + column + j,
				      residual ? residual + j : NULL);
	}
}

static void product(const struct qwords *g)
{
	size_t panel_bytes = COLS * (8 + g->taps * g->depth * 2);

	for (size_t column = 0; column < g->columns; column += COLS) {
		const char *panel = g->panel + column / COLS * panel_bytes;
		size_t n = g->columns - column < COLS ? g->columns - column : COLS, i = 0;

		for (; i + ROWS <= g->count; i += ROWS)
			tile(g, ROWS, panel, i, column, n);
		for (; i < g->count; i++)
			tile(g, 1, panel, i, column, n);
	}
}

#define CHANNELS 32 /* at a time */

#define DEPTHWISE(name, type)                                                            \
	INLINE void name(const struct qwords_depthwise *d, size_t i, size_t c, size_t n, \
			 int32_t *sum)                                                   \
	{                                                                                \
		for (size_t t = 0; t < d->taps; t++) {                                   \
			const type *x = (const type *)d->rows[t * d->width + i] + c;     \
			const int16_t *w = d->weights + t * d->channels + c;             \
			for (size_t j = 0; j < n; j++)                                   \
				sum[j] += (x[j] - d->x_zero) * w[j];                     \
		}                                                                        \
	}
DEPTHWISE(sums_u8, uint8_t)
DEPTHWISE(sums_i8, int8_t)

INLINE void channels(const struct qwords_depthwise *d, size_t i, size_t c, size_t n)
{
	const uint8_t *residual = d->residual ? d->residual + i * d->r_pitch + c : NULL;
	int32_t sum[CHANNELS];

	for (size_t j = 0; j < n; j++)
		sum[j] = d->bias[c + j];
	if (d->x_signed)
		sums_i8(d, i, c, n, sum);
	else
		sums_u8(d, i, c, n, sum);
	for (size_t j = 0; j < n; j++)
		requant_store(d->requant, sum[j], d->factor[c + j], d->y, i * d->y_pitch + c + j,
			      residual ? residual + j : NULL);
}

static void depthwise(const struct qwords_depthwise *d)
{
	for (size_t i = 0; i < d->width; i++) {
		size_t c = 0;
		for (; c + CHANNELS <= d->channels; c += CHANNELS)
			channels(d, i, c, CHANNELS);
		if (c < d->channels)
			channels(d, i, c, d->channels - c);
	}
}

const struct qwords_isa ISA_NAME(qwords) = { COLS, product, depthwise };
