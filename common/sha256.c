/* FIPS 180-4, section 6.2, in the SHA extensions of x86: two rounds an instruction, the state held as
 * ABEF and CDGH. */
#include "common/sha256.h"

#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>
#include <string.h>

static const uint32_t k[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
	0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
	0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
	0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
	0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
	0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
	0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
	0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
	0xc67178f2
};

bool sha256_quick(void)
{
	unsigned a, b, c, d;

	if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b >> 29 & 1))
		return false;
	return __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("sse4.1");
}

#define SHA __attribute__((target("sha,ssse3,sse4.1")))

SHA static void blocks(uint32_t state[8], const unsigned char *p, size_t count)
{
	const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
	__m128i a = _mm_loadu_si128((const void *)state), m[4];
	__m128i c = _mm_loadu_si128((const void *)(state + 4));

	for (; count; count--, p += 64) {
		__m128i a0 = a, c0 = c;
#pragma GCC unroll 16
		for (int i = 0; i < 16; i++) {
			__m128i *w = &m[i & 3], before = m[(i + 3) & 3];
			if (i < 4)
				*w = _mm_shuffle_epi8(_mm_loadu_si128((const void *)(p + 16 * i)),
						      swap);
			else
				*w = _mm_sha256msg2_epu32(
				    _mm_add_epi32(_mm_sha256msg1_epu32(*w, m[(i + 1) & 3]),
						  _mm_alignr_epi8(before, m[(i + 2) & 3], 4)),
				    before);
			__m128i x = _mm_add_epi32(*w, _mm_loadu_si128((const void *)(k + 4 * i)));
			c = _mm_sha256rnds2_epu32(c, a, x);
			a = _mm_sha256rnds2_epu32(a, c, _mm_shuffle_epi32(x, 0x0e));
		}
		a = _mm_add_epi32(a, a0);
		c = _mm_add_epi32(c, c0);
	}
	_mm_storeu_si128((void *)state, a);
	_mm_storeu_si128((void *)(state + 4), c);
}

void sha256_init(struct sha256 *s)
{
	/* F E B A, H G D C */
	static const uint32_t start[8] = { 0x9b05688c, 0x510e527f, 0xbb67ae85, 0x6a09e667,
					   0x5be0cd19, 0x1f83d9ab, 0xa54ff53a, 0x3c6ef372 };

	memcpy(s->state, start, sizeof start);
	s->size = 0;
}

void sha256_add(struct sha256 *s, const void *data, size_t size)
{
	const unsigned char *p = data;
	size_t have = s->size % 64, fill = size < 64 - have ? size : 64 - have;

	if (size == 0)
		return;
	s->size += size;
	if (have) {
		memcpy(s->block + have, p, fill);
		if (have + fill < 64)
			return;
		blocks(s->state, s->block, 1);
		p += fill;
		size -= fill;
	}
	blocks(s->state, p, size / 64);
	memcpy(s->block, p + size / 64 * 64, size % 64);
}

void sha256_end(struct sha256 *s, unsigned char out[32])
{
	static const int order[8] = { 3, 2, 7, 6, 1, 0, 5, 4 };
	uint64_t bits = __builtin_bswap64(s->size * 8);
	unsigned char last[128] = { 0 };
	size_t have = s->size % 64, end = have < 56 ? 64 : 128;

	memcpy(last, s->block, have);
	last[have] = 0x80;
	memcpy(last + end - 8, &bits, 8);
	blocks(s->state, last, end / 64);
	for (int i = 0; i < 8; i++) {
		uint32_t big = __builtin_bswap32(s->state[order[i]]);
		memcpy(out + 4 * i, &big, 4);
	}
}

#else

bool sha256_quick(void)
{
	return false;
}

void sha256_init(struct sha256 *s)
{
	(void)s;
}

void sha256_add(struct sha256 *s, const void *data, size_t size)
{
	(void)s, (void)data, (void)size;
}

void sha256_end(struct sha256 *s, unsigned char out[32])
{
	(void)s, (void)out;
}

#endif
