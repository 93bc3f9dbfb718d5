/* Pools over channels-last pictures: one output pixel, all channels, over a box of taps; or a row. */
#ifndef INFER_KERNELS_POOL_H
#define INFER_KERNELS_POOL_H

#include <stddef.h>

struct pool_pixel {
	const float *x; /* the first tap's channels */
	float *y;
	size_t channels;
	size_t taps[3];    /* how many there are inside the picture: depth, height, width */
	ptrdiff_t step[3]; /* elements from tap to tap */
	float divisor;     /* of the mean */
};

/* The largest value (NaN if one is NaN; -infinity if there is no tap), and the mean: rows are summed from
 * zero, then added up in order. Every instruction set gives the same bytes. */
void pool_max(const struct pool_pixel *p);
void pool_mean(const struct pool_pixel *p);

/* The largest values for a row of output pixels, windows three pixels wide, stride 1 or 2. */
struct pool_row {
	const float *x; /* the first pixel of the first line that lies inside the picture */
	size_t lines;   /* at least one */
	ptrdiff_t line_step;
	size_t width, in_width, stride; /* output and input pixels of the row */
	ptrdiff_t pad;
	size_t x_pitch, y_pitch, channels;
	float *y;
};

void pool_max_row(const struct pool_row *p);

void pool_max__base(const struct pool_pixel *p);
void pool_max__avx2(const struct pool_pixel *p);
void pool_max__avx512(const struct pool_pixel *p);
void pool_mean__base(const struct pool_pixel *p);
void pool_mean__avx2(const struct pool_pixel *p);
void pool_mean__avx512(const struct pool_pixel *p);
void pool_max_row__base(const struct pool_row *p);
void pool_max_row__avx2(const struct pool_row *p);
void pool_max_row__avx512(const struct pool_row *p);

#endif
