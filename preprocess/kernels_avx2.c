/* The same with 32 samples at a time. Only these functions are compiled for AVX2; kernels.c asks the
 * CPU before it calls them. Four sums in flight are written out, not looped over: gcc keeps an array
 * of them in memory at -O2, and that costs half of the speed. */
#include "preprocess/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#define AVX2 __attribute__((target("avx2")))
#define AVX2_INLINE __attribute__((target("avx2"), always_inline)) inline

/* Running sums of samples × high halves and samples × low halves. */
struct sum {
	__m256i high, low;
};

/* A group of packed weights, or the weights of a pair of rows. */
struct weights {
	__m256i high, low;
};

static AVX2_INLINE struct sum nothing(void)
{
	return (struct sum){ _mm256_setzero_si256(), _mm256_setzero_si256() };
}

static AVX2_INLINE struct weights load_weights(const int16_t *group)
{
	return (struct weights){ _mm256_loadu_si256((const __m256i *)group),
				 _mm256_loadu_si256((const __m256i *)(group + 16)) };
}

static AVX2_INLINE void add(struct sum *s, __m256i samples, struct weights w)
{
	s->high = _mm256_add_epi32(s->high, _mm256_madd_epi16(samples, w.high));
	s->low = _mm256_add_epi32(s->low, _mm256_madd_epi16(samples, w.low));
}

/* Both halves of the weight added up, and rounded: eight lanes. */
static AVX2_INLINE __m256i value(struct sum s)
{
	const __m256i half = _mm256_set1_epi32(1 << (FILTER_BITS - 1));

	s.low = _mm256_add_epi32(s.low, half);
	return _mm256_srai_epi32(_mm256_add_epi32(_mm256_slli_epi32(s.high, 15), s.low),
				 FILTER_BITS);
}

/* As value, but the two halves of the register are parts of the same four sums. */
static AVX2_INLINE __m128i fold(struct sum s)
{
	__m256i both = _mm256_add_epi32(_mm256_slli_epi32(s.high, 15), s.low);

	return _mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
}

static AVX2_INLINE int to_bytes(__m128i sum)
{
	sum = _mm_add_epi32(sum, _mm_set1_epi32(1 << (FILTER_BITS - 1)));
	sum = _mm_srai_epi32(sum, FILTER_BITS);
	sum = _mm_packs_epi32(sum, sum);
	return _mm_cvtsi128_si32(_mm_packus_epi16(sum, sum));
}

/* Lane 0: R0 R1 G0 G1 B0 B1 - -, lane 1: R2 R3 G2 G3 B2 B3 - -, as 16-bit samples. */
static AVX2_INLINE __m256i load_rgb(const uint8_t *sample)
{
	const __m256i spread =
	    _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, 6, -1, 9, -1,
			     7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
	__m128i four = _mm_loadu_si128((const __m128i *)sample);

	return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(four), spread);
}

static AVX2_INLINE __m256i load_gray(const uint8_t *sample)
{
	return _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)sample));
}

static AVX2_INLINE void store_rgb(uint8_t *out, struct sum s)
{
	int bytes = to_bytes(fold(s));

	memcpy(out, &bytes, 4);
}

static AVX2_INLINE void store_gray(uint8_t *out, struct sum s)
{
	__m128i sum = fold(s);

	sum = _mm_hadd_epi32(sum, sum);
	*out = (uint8_t)to_bytes(_mm_hadd_epi32(sum, sum));
}

AVX2 static void across_rgb(const struct filter *f, const uint8_t *const row[KERNEL_ROWS],
			    uint8_t *const out[KERNEL_ROWS])
{
	const int16_t *group = f->packed;

	for (int i = 0; i < f->of.count; i++) {
		size_t at = (size_t)f->start[i] * 3, to = (size_t)i * 3;
		struct sum a = nothing(), b = nothing(), c = nothing(), d = nothing();
		for (int g = 0; g < f->groups; g++, at += 12, group += 32) {
			struct weights w = load_weights(group);
			add(&a, load_rgb(row[0] + at), w);
			add(&b, load_rgb(row[1] + at), w);
			add(&c, load_rgb(row[2] + at), w);
			add(&d, load_rgb(row[3] + at), w);
		}
		store_rgb(out[0] + to, a);
		store_rgb(out[1] + to, b);
		store_rgb(out[2] + to, c);
		store_rgb(out[3] + to, d);
	}
}

AVX2 static void across_gray(const struct filter *f, const uint8_t *const row[KERNEL_ROWS],
			     uint8_t *const out[KERNEL_ROWS])
{
	const int16_t *group = f->packed;

	for (int i = 0; i < f->of.count; i++) {
		size_t at = (size_t)f->start[i];
		struct sum a = nothing(), b = nothing(), c = nothing(), d = nothing();
		for (int g = 0; g < f->groups; g++, at += 16, group += 32) {
			struct weights w = load_weights(group);
			add(&a, load_gray(row[0] + at), w);
			add(&b, load_gray(row[1] + at), w);
			add(&c, load_gray(row[2] + at), w);
			add(&d, load_gray(row[3] + at), w);
		}
		store_gray(out[0] + i, a);
		store_gray(out[1] + i, b);
		store_gray(out[2] + i, c);
		store_gray(out[3] + i, d);
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

/* The weights of two rows, in every lane, one above the other. */
static AVX2_INLINE struct weights pair_of(int32_t one, int32_t two)
{
	uint32_t high = (uint32_t)(two >> 15) << 16 | (uint16_t)(one >> 15);
	int32_t low = (two & 0x7fff) << 16 | (one & 0x7fff);

	return (struct weights){ _mm256_set1_epi32((int32_t)high), _mm256_set1_epi32(low) };
}

/* The unpacks work within 128-bit lanes, and so do the packs that undo them. A last row without a
 * partner is its own partner, with weight 0. */
AVX2 static void down(const int32_t *weight, int taps, const uint8_t *const *row, size_t bytes,
		      uint8_t *out)
{
	const __m256i zero = _mm256_setzero_si256();

	for (size_t i = 0; i < bytes; i += 32) {
		struct sum a = nothing(), b = nothing(), c = nothing(), d = nothing();
		for (int k = 0; k < taps; k += 2) {
			bool alone = k + 1 == taps;
			const uint8_t *second = row[alone ? k : k + 1];
			struct weights w = pair_of(weight[k], alone ? 0 : weight[k + 1]);
			__m256i x = _mm256_loadu_si256((const __m256i *)(row[k] + i));
			__m256i y = _mm256_loadu_si256((const __m256i *)(second + i));
			__m256i lower = _mm256_unpacklo_epi8(x, y),
				upper = _mm256_unpackhi_epi8(x, y);
			add(&a, _mm256_unpacklo_epi8(lower, zero), w);
			add(&b, _mm256_unpackhi_epi8(lower, zero), w);
			add(&c, _mm256_unpacklo_epi8(upper, zero), w);
			add(&d, _mm256_unpackhi_epi8(upper, zero), w);
		}
		__m256i first = _mm256_packs_epi32(value(a), value(b));
		__m256i last = _mm256_packs_epi32(value(c), value(d));
		_mm256_storeu_si256((__m256i *)(out + i), _mm256_packus_epi16(first, last));
	}
}

const struct kernels kernels_avx2 = { "avx2", across, down };
#endif
