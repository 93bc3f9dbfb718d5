/* A picture as it came, and its rows as the resampling wants them. */
#ifndef PREPROCESS_PICTURE_H
#define PREPROCESS_PICTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/frame.h"
#include "common/recipe.h"

/* Borrowed pixels. channels: 1 grey, 2 grey + alpha, 3 RGB, 4 RGBA; depth: 8 or 16. */
struct picture {
	const uint8_t *data, *end; /* end: where readable memory ends */
	size_t stride;
	int width, height, channels, depth;
};

/* Look at an image frame, whose payload stays its own; -1 if it is not a sound image. */
int picture_of(struct picture *p, const struct frame *f, struct err *e);

/* What the samples of a row become: `channels` is 1 or 3, depth 8 or 16 bits. */
struct samples {
	int channels, depth;
};

/* Grey stays one channel until the tensor is written, whatever the recipe's colour. */
struct samples picture_samples(const struct picture *p, const struct recipe *r);
size_t samples_bytes(const struct samples *s); /* of one pixel */

/* Are the picture's rows such samples already? */
bool picture_is(const struct picture *p, const struct samples *s);

const uint8_t *picture_row(const struct picture *p, int y);

/* Pixels [from, to) of row y as samples, to out. */
void picture_convert(const struct picture *p, const struct samples *s, int y, int from, int to,
		     uint8_t *out);

#endif
