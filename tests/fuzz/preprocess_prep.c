/* A recipe, a picture's shape and its pixels, all from the fuzzer: the tensor is whole and every set
 * of kernels makes the same one. The first line is the recipe; then four bytes of shape; then pixels
 * (repeated as far as the shape asks for more). */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "preprocess/prep.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct frame *make(const uint8_t *shape, const uint8_t *pixels, size_t size)
{
	const int64_t sides[3] = { 1 + shape[0], 1 + shape[1], 1 + shape[2] % 4 };
	struct frame *f = frame_new();
	struct err e;

	if (f &&
	    frame_shape(f, FRAME_IMAGE, shape[3] % 2 ? DTYPE_U16 : DTYPE_U8, 3, sides, &e) == 0)
		for (size_t i = 0; i < f->payload->size; i++)
			f->payload->data[i] = size ? pixels[i % size] : 0;
	return f;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[RECIPE_TEXT_MAX];
	const uint8_t *line = memchr(data, '\n', size);
	struct frame *first = NULL;
	struct recipe recipe;
	struct err e;

	if (!line || (size_t)(line - data) >= sizeof text || size - (size_t)(line - data) < 5)
		return 0;
	memcpy(text, data, (size_t)(line - data));
	text[line - data] = '\0';
	if (recipe_parse(&recipe, text, &e) < 0)
		return 0;
	/* What is only large teaches nothing. */
	if (recipe.width > 512 || recipe.height > 512 || recipe.crop_width > 512 ||
	    recipe.crop_height > 512)
		return 0;
	for (size_t i = 0; kernels_get(i); i++) {
		struct prep *prep = prep_new(&recipe, kernels_get(i));
		struct frame *f = make(line + 1, line + 5, size - (size_t)(line + 5 - data));
		if (prep && f && prep_apply(prep, f, &e) == 0) {
			if (first &&
			    (first->payload->size != f->payload->size ||
			     memcmp(first->payload->data, f->payload->data, f->payload->size) != 0))
				abort();
			if (!first) {
				first = f;
				f = NULL;
			}
		}
		frame_free(&f);
		prep_free(&prep);
	}
	frame_free(&first);
	return 0;
}
