/* What infer does with a model beside running in a pipeline: each returns an exit code, and prints
 * its own refusals. */
#ifndef INFER_TOOL_H
#define INFER_TOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "infer/model.h"

struct tool {
	struct model_options model;
	const char *shape; /* "1x3x224x224" for the first input, or NULL */
	const char *input, *output;
	int64_t runs;
	bool json, profile;
};

/* "1x3x224x224" into *t, which is otherwise as declared. -1 with *e (EX_USAGE). */
int tool_shape(const struct model *m, const char *text, struct tensor *t, struct err *e);

int tool_check(const struct tool *t, const char *path);
int tool_explain(const struct tool *t, const char *path);
int tool_run(const struct tool *t, const char *path);
int tool_bench(const struct tool *t, const char *path);

#endif
