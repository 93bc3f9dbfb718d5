/* What a frame must be for a model of one input, and how its values get there. */
#ifndef INFER_INPUT_H
#define INFER_INPUT_H

#include "common/normalise.h"
#include "common/recipe.h"
#include "common/stage.h"
#include "infer/model.h"

/* The shape to plan for: as declared, open sides from text ("1x3x224x224" or NULL) or the recipe
 * (or NULL), an open first one is the batch. */
int input_shape(const struct model *m, const char *text, const struct recipe *r, int64_t batch,
		struct tensor *t, struct err *e);

/* The input planned for a whole batch, and how pictures get there. */
struct input {
	const struct tensor *x;
	int64_t batch;
	bool normalises; /* from u8 samples of the recipe of this hash */
	char recipe[HASH_HEX];
	struct normaliser normaliser;
};

/* r: the recipe or NULL. */
void input_init(struct input *in, const struct tensor *x, int64_t batch, const struct recipe *r);

/* Tell upstream what is wanted, and how (a recipe or NULL). samples: where it can be, scale, mean and
 * std are done here: a quarter of the bytes has to travel. */
void input_want(struct stage *s, const struct tensor *x, const struct recipe *r, bool samples);

/* One picture's values at its place among those of a batch, in x's type. *from is where the model
 * will read: a picture alone that needs no conversion stays where it is. */
int input_accept(const struct input *in, const struct frame *f, unsigned char *values, int place,
		 const void **from, struct err *e);

#endif
