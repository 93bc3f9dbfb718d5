/* A picture, resized and cropped, row by row into a tensor. */
#ifndef PREPROCESS_RESAMPLE_H
#define PREPROCESS_RESAMPLE_H

#include "common/err.h"
#include "preprocess/kernels.h"
#include "preprocess/picture.h"
#include "preprocess/tensor.h"

struct resampler;

/* kernels: NULL for the fastest. NULL when memory is short. */
struct resampler *resampler_new(const struct kernels *kernels);
void resampler_free(struct resampler **r);

/* Resize `in` as g says and write the kept part to t. Filters and row buffers are kept for the next
 * picture of the same size. 0, or -1 with *e. */
int resampler_run(struct resampler *r, const struct picture *in, const struct geometry *g,
		  enum recipe_interp interp, const struct tensor *t, struct err *e);

#endif
