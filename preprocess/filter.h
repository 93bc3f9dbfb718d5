/* Resampling weights of one direction, exactly as Pillow computes them. */
#ifndef PREPROCESS_FILTER_H
#define PREPROCESS_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/recipe.h"
#include "preprocess/geometry.h"

#define FILTER_BITS 22 /* the fixed point of a weight: 32 - 8 bits of a sample - 2 of head room */

/* Output pixel i (of the kept ones) is the sum of count[i] samples from start[i] on, times
 * weight[i * stride …]. */
struct filter {
	struct extent of; /* what it was made for */
	enum recipe_interp interp;
	bool identity; /* the direction is not resized: nothing below is filled in */
	int *start, *count;
	int stride;      /* weights per output pixel; the unused ones are 0 */
	double *weight;  /* sums to 1 */
	int32_t *fixed;  /* the same × 2^FILTER_BITS */
	int16_t *packed; /* the same for the kernels, see kernels.h; NULL until asked for */
	int groups;      /* groups of packed weights per output pixel */
	int channels;    /* what they were packed for */
	size_t reach;    /* bytes of a picture's row that the kernels read, from its beginning */
};

/* Make *f (zeroed before its first use) the filter of this direction; does nothing if it is that
 * already. */
int filter_plan(struct filter *f, const struct extent *of, enum recipe_interp interp,
		struct err *e);
void filter_free(struct filter *f);

/* Split the weights into halves of 16 bits for pictures of 1 or 3 channels (kernels.h says how). */
int filter_pack(struct filter *f, int channels, struct err *e);

/* Nearest: for each kept pixel the sample it takes, into index[of->count]. */
void filter_nearest(const struct extent *of, int *index);

#endif
