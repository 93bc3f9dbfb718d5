/* Sixteen bits: weights and sums in double, each pass rounded half away from zero and clipped to
 * 0..65535. That is Pillow's arithmetic for its 32-bit mode "I", with the clipping that a 16-bit
 * sample needs after each pass. Rows are native-endian and may be unaligned. */
#include "preprocess/deep.h"

#include <string.h>

static double load(const uint8_t *samples, size_t i)
{
	uint16_t sample;

	memcpy(&sample, samples + i * 2, 2);
	return sample;
}

static void store(uint8_t *out, size_t i, double sum)
{
	uint16_t sample = sum <= 0 ? 0 : sum >= 65535 ? 65535 : (uint16_t)(sum + 0.5);

	memcpy(out + i * 2, &sample, 2);
}

void deep_across(const struct filter *f, int channels, const uint8_t *row, uint8_t *out)
{
	size_t step = (size_t)channels;

	for (int i = 0; i < f->of.count; i++) {
		const double *weight = f->weight + (size_t)i * (size_t)f->stride;
		size_t from = (size_t)f->start[i] * step;
		for (size_t c = 0; c < step; c++) {
			double sum = 0;
			for (int k = 0; k < f->count[i]; k++)
				sum += load(row, from + (size_t)k * step + c) * weight[k];
			store(out, (size_t)i * step + c, sum);
		}
	}
}

void deep_down(const double *weight, int taps, const uint8_t *const *row, size_t samples,
	       uint8_t *out)
{
	for (size_t i = 0; i < samples; i++) {
		double sum = 0;
		for (int k = 0; k < taps; k++)
			sum += load(row[k], i) * weight[k];
		store(out, i, sum);
	}
}
