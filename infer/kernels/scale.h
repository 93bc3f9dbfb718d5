/* y[pixel][c] = act(x[pixel][c] · scale[c] + shift[c]), channels last, gaps between pixels allowed. */
#ifndef INFER_KERNELS_SCALE_H
#define INFER_KERNELS_SCALE_H

#include "infer/kernels/kernels.h"

struct scale {
	size_t pixels, channels, x_pitch, y_pitch;
	const float *scale, *shift;
	struct epilogue epilogue;
};

void scale_run(const struct scale *s, const float *x, float *y, struct crew *crew);

#endif
