/* What one core can do at most: multiply-adds of floats, and of bytes where the processor has VNNI, in
 * registers alone. Prints "f32 GFLOP/s i8 GOP/s" (0: no such instruction); the best of many bursts. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef __x86_64__
#include <immintrin.h>
#endif

#define CHAINS 12 /* independent sums: latency is hidden, and all stay in registers */
#define STEPS 200000

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Multiply-adds of `width` floats: the operations of one burst. */
#define FLOATS(name, width, how)                                                           \
	how static double name(float x)                                                    \
	{                                                                                  \
		typedef float vec __attribute__((vector_size((width) * sizeof(float))));   \
		vec sum[CHAINS], a = { 0 }, b = { 0 };                                     \
		float total = 0;                                                           \
                                                                                           \
		a += x;                                                                    \
		b += 1 - x;                                                                \
		for (int k = 0; k < CHAINS; k++)                                           \
			sum[k] = a + (float)k;                                             \
		for (int i = 0; i < STEPS; i++)                                            \
			_Pragma("GCC unroll 12") for (int k = 0; k < CHAINS; k++) sum[k] = \
			    sum[k] * b + a;                                                \
		for (int k = 0; k < CHAINS; k++)                                           \
			total += sum[k][0];                                                \
		return total == 12345 ? 0 : 2.0 * (width)*CHAINS * STEPS;                  \
	}

FLOATS(floats_4, 4, )
#ifdef __x86_64__
FLOATS(floats_8, 8, __attribute__((target("avx2,fma"))))
FLOATS(floats_16, 16, __attribute__((target("avx512f"))))

__attribute__((target("avx512f,avx512vnni"))) static double bytes_64(float x)
{
	__m512i sum[CHAINS], a = _mm512_set1_epi8((char)(x * 9)), b = _mm512_set1_epi8(3);
	int32_t out[16], total = 0;

	for (int k = 0; k < CHAINS; k++)
		sum[k] = _mm512_set1_epi32(k);
	for (int i = 0; i < STEPS; i++) {
#pragma GCC unroll 12
		for (int k = 0; k < CHAINS; k++)
			sum[k] = _mm512_dpbusd_epi32(sum[k], a, b);
	}
	for (int k = 0; k < CHAINS; k++) {
		memcpy(out, &sum[k], sizeof out);
		total += out[0];
	}
	return total == 12345 ? 0 : 2.0 * 64 * CHAINS * STEPS;
}
#endif

static double best(double (*burst)(float))
{
	double most = 0;

	for (int i = 0; burst && i < 60; i++) {
		double start = seconds(), work = burst(0.001f * (float)(i + 1));
		double rate = work / (seconds() - start) * 1e-9;

		most = rate > most ? rate : most;
	}
	return most;
}

int main(void)
{
	const char *isa = getenv("ANDON_ISA");
	double f32 = best(floats_4), i8 = 0;

#ifdef __x86_64__
	double more;
	int level = isa && strcmp(isa, "base") == 0 ? 0 : isa && strcmp(isa, "avx2") == 0 ? 1 : 2;

	__builtin_cpu_init();
	more = level > 0 && __builtin_cpu_supports("fma") ? best(floats_8) : 0;
	f32 = more > f32 ? more : f32;
	more = level > 1 && __builtin_cpu_supports("avx512f") ? best(floats_16) : 0;
	f32 = more > f32 ? more : f32;
	i8 = level > 1 && __builtin_cpu_supports("avx512vnni") ? best(bytes_64) : 0;
#endif
	(void)isa;
	printf("%.1f %.1f\n", f32, i8);
	return 0;
}
