/* Two runs of channels interleaved, a vector of each at a time. */
#include "infer/kernels/shuffle.h"

#include "infer/kernels/isa/isa.h"

/* Lanes i, i + 1, … of a and of b in turn. */
#define PAIR(i) (i), VEC + (i)
#define PAIRS2(i) PAIR(i), PAIR((i) + 1)
#define PAIRS4(i) PAIRS2(i), PAIRS2((i) + 2)
#define PAIRS8(i) PAIRS4(i), PAIRS4((i) + 4)
#if VEC == 16
#define PAIRS(i) PAIRS8(i)
#elif VEC == 8
#define PAIRS(i) PAIRS4(i)
#else
#define PAIRS(i) PAIRS2(i)
#endif

void ISA_NAME(shuffle_two)(const float *a, const float *b, float *y, size_t n)
{
	size_t i = 0;

	for (; i + VEC <= n; i += VEC) {
		vec p = load(a + i), q = load(b + i);

		store(y + 2 * i, __builtin_shufflevector(p, q, PAIRS(0)));
		store(y + 2 * i + VEC, __builtin_shufflevector(p, q, PAIRS(VEC / 2)));
	}
	for (; i < n; i++) {
		y[2 * i] = a[i];
		y[2 * i + 1] = b[i];
	}
}
