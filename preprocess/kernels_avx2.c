/* The same with 32 samples at a time. Only these functions are compiled for AVX2; kernels.c asks the
 * CPU before it calls them. */
#include "preprocess/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#define AVX2 __attribute__((target("avx2")))
#define AVX2_INLINE __attribute__((target("avx2"), always_inline)) inline

/* Four lanes of 32 bits, both halves of the register and both halves of the weight added up. */
static AVX2_INLINE __m128i finish(__m256i high, __m256i low)
{
	__m256i sum = _mm256_add_epi32(_mm256_slli_epi32(high, 15), low);
	return _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
}

static AVX2_INLINE __m128i to_bytes(__m128i sum)
{
	sum = _mm_add_epi32(sum, _mm_set1_epi32(1 << (FILTER_BITS - 1)));
	sum = _mm_srai_epi32(sum, FILTER_BITS);
	sum = _mm_packs_epi32(sum, sum);
	return _mm_packus_epi16(sum, sum);
}

AVX2 static void across_rgb(const struct filter *f, const uint8_t *const row[KERNEL_ROWS],
			    uint8_t *const out[KERNEL_ROWS])
{
	/* Lane 0: R0 R1 G0 G1 B0 B1 - -, lane 1: R2 R3 G2 G3 B2 B3 - -, as 16-bit samples. */
	const __m256i spread =
	    _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, 6, -1, 9, -1,
			     7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
	const int16_t *weight = f->packed;

	for (int i = 0; i < f->of.count; i++) {
		size_t at = (size_t)f->start[i] * 3;
		__m256i high[KERNEL_ROWS], low[KERNEL_ROWS];
		for (int r = 0; r < KERNEL_ROWS; r++)
			high[r] = low[r] = _mm256_setzero_si256();
		for (int g = 0; g < f->groups; g++, at += 12, weight += 32) {
			__m256i h = _mm256_loadu_si256((const __m256i *)weight);
			__m256i l = _mm256_loadu_si256((const __m256i *)(weight + 16));
			for (int r = 0; r < KERNEL_ROWS; r++) {
				__m256i four = _mm256_broadcastsi128_si256(
				    _mm_loadu_si128((const __m128i *)(row[r] + at)));
				four = _mm256_shuffle_epi8(four, spread);
				high[r] = _mm256_add_epi32(high[r], _mm256_madd_epi16(four, h));
				low[r] = _mm256_add_epi32(low[r], _mm256_madd_epi16(four, l));
			}
		}
		for (int r = 0; r < KERNEL_ROWS; r++) {
			int bytes = _mm_cvtsi128_si32(to_bytes(finish(high[r], low[r])));
			memcpy(out[r] + (size_t)i * 3, &bytes, 4);
		}
	}
}

AVX2 static void across_gray(const struct filter *f, const uint8_t *const row[KERNEL_ROWS],
			     uint8_t *const out[KERNEL_ROWS])
{
	const int16_t *weight = f->packed;

	for (int i = 0; i < f->of.count; i++) {
		size_t at = (size_t)f->start[i];
		__m256i high[KERNEL_ROWS], low[KERNEL_ROWS];
		for (int r = 0; r < KERNEL_ROWS; r++)
			high[r] = low[r] = _mm256_setzero_si256();
		for (int g = 0; g < f->groups; g++, at += 16, weight += 32) {
			__m256i h = _mm256_loadu_si256((const __m256i *)weight);
			__m256i l = _mm256_loadu_si256((const __m256i *)(weight + 16));
			for (int r = 0; r < KERNEL_ROWS; r++) {
				__m256i all = _mm256_cvtepu8_epi16(
				    _mm_loadu_si128((const __m128i *)(row[r] + at)));
				high[r] = _mm256_add_epi32(high[r], _mm256_madd_epi16(all, h));
				low[r] = _mm256_add_epi32(low[r], _mm256_madd_epi16(all, l));
			}
		}
		for (int r = 0; r < KERNEL_ROWS; r++) {
			__m128i sum = finish(high[r], low[r]);
			sum = _mm_hadd_epi32(sum, sum);
			sum = _mm_hadd_epi32(sum, sum);
			out[r][i] = (uint8_t)_mm_cvtsi128_si32(to_bytes(sum));
		}
	}
}

static void across(const struct filter *f, int channels, const uint8_t *const row[KERNEL_ROWS],
		   uint8_t *const out[KERNEL_ROWS])
{
	if (channels == 1)
		across_gray(f, row, out);
	else
		across_rgb(f, row, out);
}

static AVX2_INLINE __m256i finish_lanes(__m256i high, __m256i low)
{
	__m256i half = _mm256_set1_epi32(1 << (FILTER_BITS - 1));
	__m256i sum = _mm256_add_epi32(_mm256_slli_epi32(high, 15), _mm256_add_epi32(low, half));

	return _mm256_srai_epi32(sum, FILTER_BITS);
}

/* The unpacks work within 128-bit lanes, and so do the packs that undo them. */
AVX2 static void down(const int32_t *weight, int taps, const uint8_t *const *row, size_t bytes,
		      uint8_t *out)
{
	const __m256i zero = _mm256_setzero_si256();

	for (size_t i = 0; i < bytes; i += 32) {
		__m256i high[4] = { zero, zero, zero, zero }, low[4] = { zero, zero, zero, zero };
		for (int k = 0; k < taps; k += 2) {
			int32_t one = weight[k], two = k + 1 < taps ? weight[k + 1] : 0;
			const uint8_t *second = row[k + 1 < taps ? k + 1 : k]; /* weight 0 */
			__m256i a = _mm256_loadu_si256((const __m256i *)(row[k] + i));
			__m256i b = _mm256_loadu_si256((const __m256i *)(second + i));
			__m256i h = _mm256_set1_epi32(
			    (int)((uint32_t)(two >> 15) << 16 | (uint16_t)(one >> 15)));
			__m256i l = _mm256_set1_epi32((two & 0x7fff) << 16 | (one & 0x7fff));
			__m256i ab = _mm256_unpacklo_epi8(a, b), cd = _mm256_unpackhi_epi8(a, b);
			__m256i pair[4] = { _mm256_unpacklo_epi8(ab, zero),
					    _mm256_unpackhi_epi8(ab, zero),
					    _mm256_unpacklo_epi8(cd, zero),
					    _mm256_unpackhi_epi8(cd, zero) };
			for (int n = 0; n < 4; n++) {
				high[n] = _mm256_add_epi32(high[n], _mm256_madd_epi16(pair[n], h));
				low[n] = _mm256_add_epi32(low[n], _mm256_madd_epi16(pair[n], l));
			}
		}
		__m256i first = _mm256_packs_epi32(finish_lanes(high[0], low[0]),
						   finish_lanes(high[1], low[1]));
		__m256i last = _mm256_packs_epi32(finish_lanes(high[2], low[2]),
						  finish_lanes(high[3], low[3]));
		_mm256_storeu_si256((__m256i *)(out + i), _mm256_packus_epi16(first, last));
	}
}

const struct kernels kernels_avx2 = { "avx2", across, down };
#endif
