/* What a frame must be for a model of one input, and how its values get there. */
#ifndef INFER_INPUT_H
#define INFER_INPUT_H

#include "common/recipe.h"
#include "common/stage.h"
#include "infer/model.h"

/* The shape to plan for: as declared, open sides from text ("1x3x224x224" or NULL) or the recipe
 * (or NULL), an open first one is the batch. */
int input_shape(const struct model *m, const char *text, const struct recipe *r, int64_t batch,
		struct tensor *t, struct err *e);

/* Tell upstream what x wants, and how (a recipe or NULL). */
void input_want(struct stage *s, const struct tensor *x, const struct recipe *r);

/* One picture's values at its place among those of a batch, in x's type, x being the input planned
 * for the whole batch. *in is where the model will read: a picture alone that needs no conversion
 * stays where it is. */
int input_accept(const struct tensor *x, int64_t batch, const struct frame *f, unsigned char *input,
		 int place, const void **in, struct err *e);

#endif
