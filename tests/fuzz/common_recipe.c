/* Any text as a recipe: what is accepted has a canonical text that reads back as itself. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/recipe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[RECIPE_TEXT_MAX], again[RECIPE_TEXT_MAX], *input = malloc(size + 1);
	struct recipe r;
	struct err e;
	int64_t shape[4];

	if (!input)
		return 0;
	memcpy(input, data, size);
	input[size] = '\0';
	if (recipe_parse(&r, input, &e) == 0) {
		recipe_format(&r, text);
		recipe_shape(&r, shape);
		if (strlen(text) >= RECIPE_TEXT_MAX - 1 || recipe_parse(&r, text, &e) < 0)
			abort();
		recipe_format(&r, again);
		if (strcmp(text, again) != 0)
			abort();
	}
	free(input);
	return 0;
}
