/* The plain loops, and the choice among the sets. */
#include "preprocess/kernels.h"

#include <stdbool.h>

static uint8_t clip(int32_t sum)
{
	int32_t value = sum >> FILTER_BITS;

	return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static void across(const struct filter *f, int channels, const uint8_t *const row[KERNEL_ROWS],
		   uint8_t *const out[KERNEL_ROWS])
{
	for (int r = 0; r < KERNEL_ROWS; r++)
		for (int i = 0; i < f->of.count; i++)
			for (int c = 0; c < channels; c++) {
				const int32_t *weight = f->fixed + (size_t)i * (size_t)f->stride;
				const uint8_t *sample =
				    row[r] + (size_t)f->start[i] * (size_t)channels + c;
				int32_t sum = 1 << (FILTER_BITS - 1);
				for (int k = 0; k < f->count[i]; k++, sample += channels)
					sum += *sample * weight[k];
				out[r][(size_t)i * (size_t)channels + (size_t)c] = clip(sum);
			}
}

static void down(const int32_t *weight, int taps, const uint8_t *const *row, size_t bytes,
		 uint8_t *out)
{
	for (size_t i = 0; i < bytes; i++) {
		int32_t sum = 1 << (FILTER_BITS - 1);
		for (int k = 0; k < taps; k++)
			sum += row[k][i] * weight[k];
		out[i] = clip(sum);
	}
}

const struct kernels kernels_plain = { "plain", across, down };

static bool runs(const struct kernels *k)
{
#if defined(__x86_64__)
	return k != &kernels_avx2 || __builtin_cpu_supports("avx2");
#else
	return k == &kernels_plain;
#endif
}

const struct kernels *kernels_get(size_t i)
{
	static const struct kernels *const sets[] = {
		&kernels_plain,
#if defined(__x86_64__)
		&kernels_sse2,
		&kernels_avx2,
#endif
	};

	return i < sizeof sets / sizeof *sets && runs(sets[i]) ? sets[i] : NULL;
}

const struct kernels *kernels_best(void)
{
	const struct kernels *best = &kernels_plain;

	for (size_t i = 0; kernels_get(i); i++)
		best = kernels_get(i);
	return best;
}
