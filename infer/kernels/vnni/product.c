/* The indirect product of bytes (see qproduct.h): tiles of 8 rows by 2 vectors of columns are summed over
 * all taps and channels in registers and stored once, finished. */
#include "infer/kernels/qproduct.h"
#include "infer/kernels/vnni/vnni.h"

#define ROWS 8

INLINE __mmask32 first_of(size_t n)
{
	return n >= 32 ? 0xffffffffu : (1u << n) - 1;
}

/* The bytes of a residual's row, as u8, widened to 16 bits. */
INLINE __m512i residual_row(const struct qproduct *g, size_t i, size_t column, size_t n)
{
	__m256i b = _mm256_maskz_loadu_epi8(first_of(n), g->residual + i * g->r_pitch + column);

	b = _mm256_xor_si256(b, _mm256_set1_epi8((char)g->requant->other_flip));
	return _mm512_cvtepu8_epi16(b);
}

INLINE void store_bytes(const struct qproduct *g, const int vectors, const __m512i *sum,
			const char *panel, size_t i, size_t column, size_t n)
{
	const struct requant *r = g->requant;
	const float *factor = (const float *)(const void *)panel + vectors * 16;
	uint8_t *y = (uint8_t *)g->y + i * g->y_pitch + column;
	const __m512i zero = _mm512_setzero_si512();
	__m512i res = r->residual ? residual_row(g, i, column, n) : zero;
	__m512 f0 = _mm512_loadu_ps(factor);
	uint8_t whole[64];

	if (vectors == 1) {
		__m512i p = r->residual ? _mm512_cvtepu16_epi32(_mm512_castsi512_si256(res)) : zero;
		p = packed(r, scaled(r, sum[0], f0, p), _mm512_setzero_ps());
		/* four words of each quarter are ours */
		p = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 0, 2, 4, 6), p);
		_mm_mask_storeu_epi8(
		    y, (__mmask16)first_of(n),
		    _mm512_castsi512_si128(_mm512_castsi256_si512(_mm512_cvtepi16_epi8(p))));
		return;
	}
	__m512 f1 = _mm512_loadu_ps(factor + 16);
	__m512i p = packed(r, scaled(r, sum[0], f0, _mm512_unpacklo_epi16(res, zero)),
			   scaled(r, sum[1], f1, _mm512_unpackhi_epi16(res, zero)));
	if (n >= 32) {
		_mm256_storeu_si256((__m256i *)(void *)y, _mm512_cvtepi16_epi8(p));
	} else {
		_mm256_storeu_si256((__m256i *)(void *)whole, _mm512_cvtepi16_epi8(p));
		store_first(y, whole, n);
	}
}

/* Floats and sums, 32 bits each: back into the columns' own order. */
INLINE void store_words(const struct qproduct *g, const int vectors, __m512i *v, size_t i,
			size_t column, size_t n)
{
	int32_t *y = (int32_t *)g->y + i * g->y_pitch + column;
	const __m512i low = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
	const __m512i high = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);

	if (vectors == 1) {
		_mm512_mask_storeu_epi32(y, (__mmask16)first_of(n), v[0]);
		return;
	}
	_mm512_storeu_si512(y, _mm512_permutex2var_epi64(v[0], low, v[1]));
	_mm512_mask_storeu_epi32(y + 16, (__mmask16)first_of(n - 16),
				 _mm512_permutex2var_epi64(v[0], high, v[1]));
}

INLINE void finish(const struct qproduct *g, const int vectors, __m512i *sum, const char *panel,
		   size_t i, size_t column, size_t n)
{
	const int32_t *head = (const int32_t *)(const void *)panel;

	if (g->row_sum)
		for (int v = 0; v < vectors; v++)
			sum[v] = _mm512_add_epi32(
			    sum[v],
			    _mm512_mullo_epi32(_mm512_set1_epi32(g->row_sum[i]),
					       _mm512_loadu_si512(head + (2 * vectors + v) * 16)));
	if (g->requant->out == QOUT_BYTES) {
		store_bytes(g, vectors, sum, panel, i, column, n);
		return;
	}
	if (g->requant->out == QOUT_FLOATS)
		for (int v = 0; v < vectors; v++)
			sum[v] = _mm512_castps_si512(
			    _mm512_mul_ps(_mm512_cvtepi32_ps(sum[v]),
					  _mm512_loadu_ps(head + (vectors + v) * 16)));
	store_words(g, vectors, sum, i, column, n);
}

/* Rows [i, i + rows), `vectors` vectors of columns of one panel. */
INLINE void tile(const struct qproduct *g, const int rows, const int vectors, const char *panel,
		 size_t i, size_t column, size_t n)
{
	const char *w = panel + vectors * 16 * QPANEL_HEAD;
	size_t quads = (g->depth + 3) / 4;
	__m512i sum[ROWS][2];

#pragma GCC unroll 8
	for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
		for (int v = 0; v < vectors; v++)
			sum[r][v] = _mm512_loadu_si512(panel + v * 64);
	for (size_t t = 0; t < g->taps; t++) {
		const char *p[ROWS];
#pragma GCC unroll 8
		for (int r = 0; r < rows; r++)
			p[r] = (const char *)g->rows[t * g->count + i + (size_t)r] + g->offset;
		for (size_t q = 0; q < quads; q++, w += vectors * 64) {
			__m512i w0 = _mm512_loadu_si512(w);
			__m512i w1 = vectors > 1 ? _mm512_loadu_si512(w + 64) : w0;
#pragma GCC unroll 8
			for (int r = 0; r < rows; r++) {
				int32_t four;
				memcpy(&four, p[r] + 4 * q, sizeof four);
				__m512i x = _mm512_set1_epi32(four);
				sum[r][0] = _mm512_dpbusd_epi32(sum[r][0], x, w0);
				if (vectors > 1)
					sum[r][1] = _mm512_dpbusd_epi32(sum[r][1], x, w1);
			}
		}
	}
#pragma GCC unroll 8
	for (int r = 0; r < rows; r++)
		finish(g, vectors, sum[r], panel, i + (size_t)r, column, n);
}

INLINE void tiles(const struct qproduct *g, const int vectors, const char *panel, size_t column,
		  size_t n)
{
	size_t i = 0;

	for (; i + ROWS <= g->count; i += ROWS)
		tile(g, ROWS, vectors, panel, i, column, n);
	if (g->count - i >= 4) {
		tile(g, 4, vectors, panel, i, column, n);
		i += 4;
	}
	if (g->count - i >= 2) {
		tile(g, 2, vectors, panel, i, column, n);
		i += 2;
	}
	if (g->count > i)
		tile(g, 1, vectors, panel, i, column, n);
}

void qproduct__vnni(const struct qproduct *g)
{
	const char *panel = g->panel;

	for (size_t column = 0; column < g->columns; column += QPANEL) {
		size_t n = g->columns - column < QPANEL ? g->columns - column : QPANEL;
		if (n > QPANEL / 2)
			tiles(g, 2, panel, column, n);
		else
			tiles(g, 1, panel, column, n);
		panel += qpanel_bytes(qpanel_columns(n), g->taps, g->depth);
	}
}
