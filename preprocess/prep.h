/* A recipe at work: picture frames in, tensor frames out. */
#ifndef PREPROCESS_PREP_H
#define PREPROCESS_PREP_H

#include "common/err.h"
#include "common/frame.h"
#include "common/recipe.h"
#include "preprocess/kernels.h"

struct prep;

/* For a checked recipe; kernels: NULL for the fastest. NULL when memory is short. */
struct prep *prep_new(const struct recipe *r, const struct kernels *kernels);
void prep_free(struct prep **p); /* leaves NULL; takes NULL inside */

/* The tensors must have this shape (batch aside; -1: any): what becomes another is refused. */
void prep_expect(struct prep *p, const int64_t shape[4]);

/* Leave the last step, scale, mean and std, to the one who gets the tensors: they are u8, and the
 * hash in meta is still that of the whole recipe. For recipes that normalise_apart. */
void prep_samples(struct prep *p);

/* Turn the picture in f into the network's input, in place; meta gets the recipe's hash. A tensor that
 * this recipe has made stays as it is. -1 with *e
 * if this picture cannot be; then f may have lost its payload. */
int prep_apply(struct prep *p, struct frame *f, struct err *e);

#endif
