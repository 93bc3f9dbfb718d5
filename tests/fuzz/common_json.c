/* Any bytes as a configuration beside a model: a recipe, labels, or a refusal. */
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/labels.h"
#include "common/recipe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[64], text[RECIPE_TEXT_MAX];
	struct labels labels;
	struct recipe recipe;
	struct err e;
	int fd = memfd_create("config", MFD_CLOEXEC);

	if (fd < 0)
		return 0;
	if (write(fd, data, size) == (ssize_t)size) {
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		if (recipe_from_config(&recipe, path, &e) == 1)
			recipe_format(&recipe, text);
		if (labels_load(&labels, path, &e) == 1)
			labels_free(&labels);
	}
	close(fd);
	return 0;
}
