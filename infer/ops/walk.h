/* Walking several tensors of one (broadcast) shape together, whatever their layouts: dimensions are
 * put in the memory order of the first, merged where all tensors allow it, and the innermost is left
 * to the caller's loop. Lives on the stack, takes no memory. */
#ifndef INFER_OPS_WALK_H
#define INFER_OPS_WALK_H

#include "infer/tensor.h"

#define WALK_MAX 4 /* tensors in one walk */

struct walk {
	int tensors, rank;
	int64_t dim[TENSOR_RANK_MAX];
	int64_t stride[WALK_MAX][TENSOR_RANK_MAX]; /* in elements */
	/* the state: position in the outer dimensions, offset of each tensor */
	int64_t at[TENSOR_RANK_MAX];
	int64_t offset[WALK_MAX];
	int64_t count;          /* of the inner loop */
	int64_t step[WALK_MAX]; /* of the inner loop */
	int64_t left;           /* inner loops, with the present one */
	bool done;
};

/* Over the shape of to, which is tensor 0. */
void walk_init(struct walk *w, const struct tensor *to);

/* Add a tensor that broadcasts to it: its last dimension stands under dimension `last` of to (to->rank
 * - 1 for ONNX's rule from opset 7 on). */
void walk_add(struct walk *w, const struct tensor *to, const struct tensor *t, int last);

/* Add a tensor by strides of its own, one per dimension of to. */
void walk_add_strides(struct walk *w, const int64_t *stride);

/* Sort, merge, and stand at the first inner loop; then w->offset, w->step and w->count are good as
 * long as !w->done; walk_next goes on to the next. */
void walk_begin(struct walk *w);
void walk_next(struct walk *w);

/* As walk_begin, but for part i of so many, about equal ones, that lanes may walk each on their own. For a
 * tensor of this many elements it pays to make walk_parts of them. */
void walk_begin_part(struct walk *w, int64_t i, int64_t parts);
int64_t walk_parts(size_t elements);

/* Copy tensor 1 into tensor 0, elements of `each` bytes (1, 2, 4 or 8). */
void walk_copy(struct walk *w, void *to, const void *from, size_t each);

/* t with all dimensions but those in the mask made 1: to walk over some axes of a tensor in its own
 * memory, and over the others apart from them. */
void walk_part(const struct tensor *t, unsigned mask, struct tensor *some);

/* dim[from] … dim[to - 1] multiplied; wraps around where a tensor is empty. */
int64_t walk_product(const int64_t *dim, int from, int to);

/* Of the matrices that t's last two dimensions make: which one serves matrix i of a result whose leading
 * dims are dim[0 … rank). */
int64_t walk_matrix(const struct tensor *t, const int64_t *dim, int rank, int64_t i);

#endif
