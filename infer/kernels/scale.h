/* y[pixel][c] = act(x[pixel][c] · scale[c] + shift[c]), channels last, gaps between pixels allowed: what is
 * left of a BatchNormalization that no convolution before it could take in. */
#ifndef INFER_KERNELS_SCALE_H
#define INFER_KERNELS_SCALE_H

#include "infer/kernels/kernels.h"

struct scale {
	size_t pixels, channels, x_pitch, y_pitch;
	const float *scale, *shift;
	struct epilogue epilogue;
};

void scale_run(const struct scale *s, const float *x, float *y, struct crew *crew);

void scale_pixels(const struct scale *s, const float *x, float *y);

void scale_pixels__base(const struct scale *s, const float *x, float *y);
void scale_pixels__avx2(const struct scale *s, const float *x, float *y);
void scale_pixels__avx512(const struct scale *s, const float *x, float *y);

#endif
