/* Rows of samples into the network's input: scale, mean and std (common/normalise.h), layout, element
 * type, border. */
#ifndef PREPROCESS_TENSOR_H
#define PREPROCESS_TENSOR_H

#include <stdint.h>

#include "common/normalise.h"
#include "common/recipe.h"
#include "preprocess/geometry.h"
#include "preprocess/picture.h"

/* How a recipe's values come about; made once. */
struct tensor_values {
	enum recipe_layout layout;
	enum dtype dtype;
	int channels;
	int order[3]; /* sample of the picture that channel i of the tensor shows */
	struct normaliser normaliser;
	int pad;
};

/* dtype: the recipe's, or DTYPE_U8 for the bare samples. */
void tensor_values_init(struct tensor_values *v, const struct recipe *r, enum dtype dtype);

/* The tensor being written: side[0] rows of side[1] pixels. */
struct tensor {
	const struct tensor_values *values;
	struct samples samples;
	int width, height;
	uint8_t *data;
};

/* `count` pixels to row y from column x on. */
void tensor_row(const struct tensor *t, int x, int y, const uint8_t *samples, int count);

/* Fill everything outside of the kept part with the border's value. */
void tensor_border(const struct tensor *t, const struct geometry *g);

#endif
