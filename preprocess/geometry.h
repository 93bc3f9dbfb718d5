/* Where a recipe's pixels come from and where they go, for a picture of a given size. */
#ifndef PREPROCESS_GEOMETRY_H
#define PREPROCESS_GEOMETRY_H

#include "common/err.h"
#include "common/recipe.h"

/* One direction: x or y. The part [from, from + size) of the picture is looked at; of that, the
 * stretch [box0, box1) is resized to `full` pixels; of those, `count` beginning at `first` are kept;
 * they stand at `at` in an output of `side` pixels, and the rest is border. */
struct extent {
	int from, size;
	float box0, box1;
	int full;
	int first, count;
	int at, side;
};

struct geometry {
	struct extent x, y;
};

/* 0, or -1 with *e: the region of interest lies outside, or the result is too large. */
int geometry_of(struct geometry *g, const struct recipe *r, int width, int height, struct err *e);

#endif
