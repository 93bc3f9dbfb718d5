/* A convolution with a depthwise one behind it, row by row, so that what lies between them never leaves the
 * cache: the same bytes as one after the other. */
#ifndef INFER_KERNELS_CONV_PAIR_H
#define INFER_KERNELS_CONV_PAIR_H

#include "infer/kernels/conv.h"

struct conv_pair {
	struct conv first, second; /* both chosen and packed */
	size_t work_bytes;
};

/* Can they be computed so, and does it pay? By shape, before they are chosen; first.planar is known. */
bool conv_pair_fits(const struct conv *first, const struct conv *second);

/* Set pitches between them, choose both, and say what memory that takes. */
void conv_pair_choose(struct conv_pair *p, int lanes);
void conv_pair_run(const struct conv_pair *p, const float *x, float *y, void *work,
		   struct crew *crew);

#endif
