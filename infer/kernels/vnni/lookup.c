/* A table of 256 bytes in four registers: two permutations of 128 bytes, and the eighth bit picks. */
#include "infer/kernels/qelement.h"
#include "infer/kernels/vnni/vnni.h"

__attribute__((target("avx512vbmi"))) void qelement_lookup__vbmi(const uint8_t *table,
								 const uint8_t *x, uint8_t *y,
								 size_t n)
{
	__m512i t0 = _mm512_loadu_si512(table), t1 = _mm512_loadu_si512(table + 64);
	__m512i t2 = _mm512_loadu_si512(table + 128), t3 = _mm512_loadu_si512(table + 192);
	size_t i = 0;

	for (; i + 64 <= n; i += 64) {
		__m512i v = _mm512_loadu_si512(x + i);
		__m512i low = _mm512_permutex2var_epi8(t0, v, t1);
		__m512i high = _mm512_permutex2var_epi8(t2, v, t3);
		__mmask64 upper = _mm512_movepi8_mask(v);
		_mm512_storeu_si512(y + i, _mm512_mask_blend_epi8(upper, low, high));
	}
	for (; i < n; i++)
		y[i] = table[x[i]];
}
