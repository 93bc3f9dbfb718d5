/* Convolution of a row-major picture with few channels, as the first layer gets it, one output row at a
 * time: neighbouring pixels of a plane lie side by side, so one pointer serves all pixels of a tile. */
#ifndef INFER_KERNELS_PLANAR_H
#define INFER_KERNELS_PLANAR_H

#include "infer/kernels/igemm.h"

#define PLANAR_LINES 64
#define PLANAR_WIDE 16 /* kernel width */

struct planar {
	/* What of it is not read: taps, depth, rows, offset. Panels as there, by channel, kernel row
	 * and column; count is the width of the row. */
	struct igemm out;
	size_t lines;             /* channels x kernel rows, at most PLANAR_LINES */
	const float *const *line; /* in_width floats of a plane, or zeros */
	size_t in_width;
	ptrdiff_t pad;
	size_t kernel_width, stride;
};

/* One instruction set's version; stride is 1, 2 or 4. */
extern void (*const planar__base)(const struct planar *);
extern void (*const planar__avx2)(const struct planar *);
extern void (*const planar__avx512)(const struct planar *);

#endif
