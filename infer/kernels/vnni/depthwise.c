/* Depthwise convolution of bytes, one row: see qdepthwise.h. */
#include "infer/kernels/qdepthwise.h"
#include "infer/kernels/vnni/vnni.h"

#define WIDE 64
#define VI __m512i
#define VF __m512
#define MM(x) _mm512_##x
#define MI(x) _mm512_##x##_si512
#define NAME(x) x##_64
#define LOAD(p) _mm512_loadu_si512(p)
#define STORE(p, v) _mm512_storeu_si512(p, v)
#include "infer/kernels/vnni/depthwise_block.h"

#define WIDE 32
#define VI __m256i
#define VF __m256
#define MM(x) _mm256_##x
#define MI(x) _mm256_##x##_si256
#define NAME(x) x##_32
#define LOAD(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define STORE(p, v) _mm256_storeu_si256((__m256i *)(void *)(p), v)
#include "infer/kernels/vnni/depthwise_block.h"

#define WIDE 16
#define VI __m128i
#define VF __m128
#define MM(x) _mm_##x
#define MI(x) _mm_##x##_si128
#define NAME(x) x##_16
#define LOAD(p) _mm_loadu_si128((const __m128i *)(const void *)(p))
#define STORE(p, v) _mm_storeu_si128((__m128i *)(void *)(p), v)
#include "infer/kernels/vnni/depthwise_block.h"

void qdepthwise__vnni(const struct qdepthwise *d)
{
	const char *packed = d->packed;

	for (size_t c = 0; c < d->channels;) {
		size_t left = d->channels - c, wide = qdepthwise_wide(left);
		size_t n = left < wide ? left : wide;
		if (wide == 64)
			block_64(d, packed, c, n);
		else if (wide == 32)
			block_32(d, packed, c, n);
		else
			block_16(d, packed, c, n);
		packed += qdepthwise_block_bytes(wide, d->lines, d->flight, d->groups);
		c += n;
	}
}
