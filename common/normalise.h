/* The last step of a recipe: samples to values. preprocess does it, or infer, whoever has the shorter
 * way to go with the larger numbers; the values are the same bits. */
#ifndef COMMON_NORMALISE_H
#define COMMON_NORMALISE_H

#include <stddef.h>
#include <stdint.h>

#include "common/recipe.h"

struct normaliser {
	enum recipe_layout layout;
	int channels;
	double up, down;
	float mean[3], std[3];
	float table[3][256]; /* of 8-bit samples */
};

void normaliser_init(struct normaliser *n, const struct recipe *r);

/* The value of a sample of any depth. */
float normalise(const struct normaliser *n, int channel, uint32_t sample);

/* A whole tensor of 8-bit samples, in the layout in which the values will stand. */
void normalise_all(const struct normaliser *n, float *out, const uint8_t *in, size_t pixels);

/* Can somebody else do it from 8-bit samples? */
bool normalise_apart(const struct recipe *r);

#endif
