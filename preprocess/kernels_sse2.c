/* What every x86-64 runs: 16-bit multiply-adds, eight samples at a time. */
#include "preprocess/kernels.h"

#if defined(__x86_64__)
#include <emmintrin.h>
#include <string.h>

static __m128i load(const void *at)
{
	return _mm_loadu_si128(at);
}

/* Sums of both halves to samples: 32-bit lanes, not yet packed. */
static __m128i finish(__m128i high, __m128i low)
{
	__m128i half = _mm_set1_epi32(1 << (FILTER_BITS - 1));
	__m128i sum = _mm_add_epi32(_mm_slli_epi32(high, 15), _mm_add_epi32(low, half));

	return _mm_srai_epi32(sum, FILTER_BITS);
}

/* One row, one output pixel: R, G, B in the lowest three lanes. */
static __m128i pixel_rgb(const uint8_t *sample, const int16_t *weight, int groups)
{
	const __m128i zero = _mm_setzero_si128();
	__m128i high = zero, low = zero;

	for (int g = 0; g < groups; g++, sample += 12, weight += 32) {
		__m128i four = load(sample); /* R0 G0 B0 R1 G1 B1 … B3 and four bytes more */
		__m128i next = _mm_srli_si128(four, 6);
		__m128i p01 =
		    _mm_unpacklo_epi8(_mm_unpacklo_epi8(four, _mm_srli_si128(four, 3)), zero);
		__m128i p23 =
		    _mm_unpacklo_epi8(_mm_unpacklo_epi8(next, _mm_srli_si128(next, 3)), zero);
		high = _mm_add_epi32(high, _mm_madd_epi16(p01, load(weight)));
		high = _mm_add_epi32(high, _mm_madd_epi16(p23, load(weight + 8)));
		low = _mm_add_epi32(low, _mm_madd_epi16(p01, load(weight + 16)));
		low = _mm_add_epi32(low, _mm_madd_epi16(p23, load(weight + 24)));
	}
	return finish(high, low);
}

static __m128i sum_lanes(__m128i x)
{
	x = _mm_add_epi32(x, _mm_srli_si128(x, 8));
	return _mm_add_epi32(x, _mm_srli_si128(x, 4));
}

static __m128i pixel_gray(const uint8_t *sample, const int16_t *weight, int groups)
{
	const __m128i zero = _mm_setzero_si128();
	__m128i high = zero, low = zero;

	for (int g = 0; g < groups; g++, sample += 16, weight += 32) {
		__m128i all = load(sample);
		__m128i first = _mm_unpacklo_epi8(all, zero), last = _mm_unpackhi_epi8(all, zero);
		high = _mm_add_epi32(high, _mm_madd_epi16(first, load(weight)));
		high = _mm_add_epi32(high, _mm_madd_epi16(last, load(weight + 8)));
		low = _mm_add_epi32(low, _mm_madd_epi16(first, load(weight + 16)));
		low = _mm_add_epi32(low, _mm_madd_epi16(last, load(weight + 24)));
	}
	return finish(sum_lanes(high), sum_lanes(low));
}

static void across(const struct filter *f, int channels, const uint8_t *const row[KERNEL_ROWS],
		   uint8_t *const out[KERNEL_ROWS])
{
	size_t c = (size_t)channels;

	for (int r = 0; r < KERNEL_ROWS; r++)
		for (int i = 0; i < f->of.count; i++) {
			const uint8_t *sample = row[r] + (size_t)f->start[i] * c;
			const int16_t *weight = f->packed + (size_t)i * (size_t)f->groups * 32;
			__m128i sum = channels == 1 ? pixel_gray(sample, weight, f->groups)
						    : pixel_rgb(sample, weight, f->groups);
			sum = _mm_packs_epi32(sum, sum);
			int bytes = _mm_cvtsi128_si32(_mm_packus_epi16(sum, sum));
			memcpy(out[r] + (size_t)i * c, &bytes, 4);
		}
}

/* 16 samples of two rows, weighted and added to the four lanes of sums. */
static void add_pair(__m128i a, __m128i b, __m128i high, __m128i low, __m128i *sum)
{
	const __m128i zero = _mm_setzero_si128();
	__m128i ab = _mm_unpacklo_epi8(a, b), cd = _mm_unpackhi_epi8(a, b);
	__m128i pair[4] = { _mm_unpacklo_epi8(ab, zero), _mm_unpackhi_epi8(ab, zero),
			    _mm_unpacklo_epi8(cd, zero), _mm_unpackhi_epi8(cd, zero) };

	for (int i = 0; i < 4; i++) {
		sum[i] = _mm_add_epi32(sum[i], _mm_madd_epi16(pair[i], high));
		sum[4 + i] = _mm_add_epi32(sum[4 + i], _mm_madd_epi16(pair[i], low));
	}
}

static void down(const int32_t *weight, int taps, const uint8_t *const *row, size_t bytes,
		 uint8_t *out)
{
	const __m128i zero = _mm_setzero_si128();

	for (size_t i = 0; i < bytes; i += 16) {
		__m128i sum[8] = { zero, zero, zero, zero, zero, zero, zero, zero };
		for (int k = 0; k < taps; k += 2) {
			int32_t one = weight[k], two = k + 1 < taps ? weight[k + 1] : 0;
			__m128i a = load(row[k] + i),
				b = k + 1 < taps ? load(row[k + 1] + i) : zero;
			__m128i high = _mm_set1_epi32(
			    (int)((uint32_t)(two >> 15) << 16 | (uint16_t)(one >> 15)));
			__m128i low = _mm_set1_epi32((two & 0x7fff) << 16 | (one & 0x7fff));
			add_pair(a, b, high, low, sum);
		}
		__m128i first = _mm_packs_epi32(finish(sum[0], sum[4]), finish(sum[1], sum[5]));
		__m128i last = _mm_packs_epi32(finish(sum[2], sum[6]), finish(sum[3], sum[7]));
		_mm_storeu_si128((__m128i *)(out + i), _mm_packus_epi16(first, last));
	}
}

const struct kernels kernels_sse2 = { "sse2", across, down };
#endif
