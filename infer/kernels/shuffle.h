/* Channel shuffle within every pixel, channels last: y[c · groups + g] = x[g · channels / groups + c]. */
#ifndef INFER_KERNELS_SHUFFLE_H
#define INFER_KERNELS_SHUFFLE_H

#include <stddef.h>

#include "infer/kernels/kernels.h"

struct shuffle {
	size_t pixels, channels, groups, x_pitch, y_pitch;
};

/* Of floats, and of bytes. */
void shuffle_floats(const struct shuffle *s, const void *x, void *y, struct crew *crew);
void shuffle_bytes(const struct shuffle *s, const void *x, void *y, struct crew *crew);

/* Two groups, one pixel: y[2 i] = a[i], y[2 i + 1] = b[i] for i < n. */
void shuffle_two__base(const float *a, const float *b, float *y, size_t n);
void shuffle_two__avx2(const float *a, const float *b, float *y, size_t n);
void shuffle_two__avx512(const float *a, const float *b, float *y, size_t n);

#endif
