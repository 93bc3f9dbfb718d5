/* Pools, one output pixel at a time: a few vectors of channels stay in registers over all taps. */
#include "infer/kernels/pool.h"

#include "infer/kernels/isa/isa.h"

#define GROUP 4 /* vectors in flight */

/* The larger; NaN wins. */
INLINE vec larger(vec best, vec v)
{
	return pick((vec_mask)(v > best) | (vec_mask)(v != v), v, best);
}

INLINE const float *row_of(const struct pool_pixel *p, size_t d, size_t h)
{
	return p->x + (ptrdiff_t)d * p->step[0] + (ptrdiff_t)h * p->step[1];
}

INLINE void max_group(const struct pool_pixel *p, size_t c, const int count)
{
	vec best[GROUP];

#pragma GCC unroll 4
	for (int g = 0; g < count; g++)
		best[g] = (vec){ 0 } - __builtin_inff();
	for (size_t d = 0; d < p->taps[0]; d++)
		for (size_t h = 0; h < p->taps[1]; h++) {
			const float *x = row_of(p, d, h) + c;
			for (size_t w = 0; w < p->taps[2]; w++, x += p->step[2]) {
#pragma GCC unroll 4
				for (int g = 0; g < count; g++)
					best[g] = larger(best[g], load(x + g * VEC));
			}
		}
#pragma GCC unroll 4
	for (int g = 0; g < count; g++)
		store(p->y + c + g * VEC, best[g]);
}

INLINE void mean_group(const struct pool_pixel *p, size_t c, const int count)
{
	vec sum[GROUP], row[GROUP];

#pragma GCC unroll 4
	for (int g = 0; g < count; g++)
		sum[g] = (vec){ 0 };
	for (size_t d = 0; d < p->taps[0]; d++)
		for (size_t h = 0; h < p->taps[1]; h++) {
			const float *x = row_of(p, d, h) + c;
#pragma GCC unroll 4
			for (int g = 0; g < count; g++)
				row[g] = (vec){ 0 };
			for (size_t w = 0; w < p->taps[2]; w++, x += p->step[2]) {
#pragma GCC unroll 4
				for (int g = 0; g < count; g++)
					row[g] += load(x + g * VEC);
			}
#pragma GCC unroll 4
			for (int g = 0; g < count; g++)
				sum[g] += row[g];
		}
#pragma GCC unroll 4
	for (int g = 0; g < count; g++)
		store(p->y + c + g * VEC, sum[g] / ((vec){ 0 } + p->divisor));
}

static void max_one(const struct pool_pixel *p, size_t c)
{
	float best = -__builtin_inff();

	for (size_t d = 0; d < p->taps[0]; d++)
		for (size_t h = 0; h < p->taps[1]; h++) {
			const float *x = row_of(p, d, h) + c;
			for (size_t w = 0; w < p->taps[2]; w++, x += p->step[2])
				best = *x > best || *x != *x ? *x : best;
		}
	p->y[c] = best;
}

static void mean_one(const struct pool_pixel *p, size_t c)
{
	float sum = 0;

	for (size_t d = 0; d < p->taps[0]; d++)
		for (size_t h = 0; h < p->taps[1]; h++) {
			const float *x = row_of(p, d, h) + c;
			float row = 0;
			for (size_t w = 0; w < p->taps[2]; w++, x += p->step[2])
				row += *x;
			sum += row;
		}
	p->y[c] = sum / p->divisor;
}

#define OVER_CHANNELS(group, one)                                \
	size_t c = 0;                                            \
                                                                 \
	for (; c + GROUP * VEC <= p->channels; c += GROUP * VEC) \
		group(p, c, GROUP);                              \
	for (; c + VEC <= p->channels; c += VEC)                 \
		group(p, c, 1);                                  \
	for (; c < p->channels; c++)                             \
	one(p, c)

void ISA_NAME(pool_max)(const struct pool_pixel *p)
{
	OVER_CHANNELS(max_group, max_one);
}

void ISA_NAME(pool_mean)(const struct pool_pixel *p)
{
	OVER_CHANNELS(mean_group, mean_one);
}
