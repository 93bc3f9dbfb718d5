/* Pools: a few vectors of channels stay in registers over all taps of an output pixel; windows of three
 * pixels, the most common, share the columns that they have in common. */
#include "infer/kernels/pool.h"

#include "infer/kernels/isa/isa.h"

#define GROUP 4 /* vectors in flight */

/* The larger; NaN wins. */
INLINE vec larger(vec best, vec v)
{
#if VEC == 16
	/* max gives its second operand if either is NaN */
	__m512 a = _mm512_max_ps((__m512)v, (__m512)best);
	__mmask16 nan = _mm512_cmp_ps_mask((__m512)v, (__m512)v, _CMP_UNORD_Q);

	return (vec)_mm512_mask_mov_ps(a, nan, (__m512)v);
#else
	return pick((vec_mask)(v > best) | (vec_mask)(v != v), v, best);
#endif
}

/* Vector g of a group whose last one holds n values. */
INLINE vec take(const float *x, const int g, const int count, size_t n)
{
	return g < count - 1 || n == VEC ? load(x + g * VEC) : load_n(x + g * VEC, n);
}

INLINE void put(float *y, vec v, const int g, const int count, size_t n)
{
	if (g < count - 1 || n == VEC)
		store(y + g * VEC, v);
	else
		store_n(y + g * VEC, v, n);
}

INLINE const float *row_of(const struct pool_pixel *p, size_t d, size_t h)
{
	return p->x + (ptrdiff_t)d * p->step[0] + (ptrdiff_t)h * p->step[1];
}

INLINE void max_group(const struct pool_pixel *p, size_t c, const int count, size_t n)
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
					best[g] = larger(best[g], take(x, g, count, n));
			}
		}
#pragma GCC unroll 4
	for (int g = 0; g < count; g++)
		put(p->y + c, best[g], g, count, n);
}

INLINE void mean_group(const struct pool_pixel *p, size_t c, const int count, size_t n)
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
					row[g] += take(x, g, count, n);
			}
#pragma GCC unroll 4
			for (int g = 0; g < count; g++)
				sum[g] += row[g];
		}
#pragma GCC unroll 4
	for (int g = 0; g < count; g++)
		put(p->y + c, sum[g] / ((vec){ 0 } + p->divisor), g, count, n);
}

/* The largest of column i of the picture, over the lines of the window. */
INLINE void column(const struct pool_row *p, ptrdiff_t i, size_t c, const int count, size_t n,
		   vec *best)
{
	const float *x = p->x + i * (ptrdiff_t)p->x_pitch + (ptrdiff_t)c;

#pragma GCC unroll 4
	for (int g = 0; g < count; g++)
		best[g] = (vec){ 0 } - __builtin_inff();
	if ((size_t)i >= p->in_width) /* negative ones wrap */
		return;
	for (size_t l = 0; l < p->lines; l++, x += p->line_step) {
#pragma GCC unroll 4
		for (int g = 0; g < count; g++)
			best[g] = larger(best[g], take(x, g, count, n));
	}
}

INLINE void row_group(const struct pool_row *p, size_t c, const int count, size_t n)
{
	vec first[GROUP], middle[GROUP], last[GROUP];
	ptrdiff_t i = -p->pad;
	float *y = p->y + c;

	column(p, i, c, count, n, first);
	column(p, i + 1, c, count, n, middle);
	for (size_t w = 0; w < p->width; w++, i += (ptrdiff_t)p->stride, y += p->y_pitch) {
		column(p, i + 2, c, count, n, last);
#pragma GCC unroll 4
		for (int g = 0; g < count; g++) {
			put(y, larger(larger(first[g], middle[g]), last[g]), g, count, n);
			first[g] = p->stride == 1 ? middle[g] : last[g];
			middle[g] = last[g];
		}
		if (p->stride == 2)
			column(p, i + 3, c, count, n, middle);
	}
}

/* Groups of vectors, and what is left: up to as many, of which the last holds n values. */
#define OVER_CHANNELS(group)                                     \
	size_t c = 0, left, n;                                   \
                                                                 \
	for (; c + GROUP * VEC <= p->channels; c += GROUP * VEC) \
		group(p, c, GROUP, VEC);                         \
	left = (p->channels - c + VEC - 1) / VEC;                \
	n = left ? p->channels - c - (left - 1) * VEC : 0;       \
	if (left == 4)                                           \
		group(p, c, 4, n);                               \
	else if (left == 3)                                      \
		group(p, c, 3, n);                               \
	else if (left == 2)                                      \
		group(p, c, 2, n);                               \
	else if (left == 1)                                      \
	group(p, c, 1, n)

void ISA_NAME(pool_max)(const struct pool_pixel *p)
{
	OVER_CHANNELS(max_group);
}

void ISA_NAME(pool_mean)(const struct pool_pixel *p)
{
	OVER_CHANNELS(mean_group);
}

void ISA_NAME(pool_max_row)(const struct pool_row *p)
{
	OVER_CHANNELS(row_group);
}
