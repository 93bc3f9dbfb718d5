/* A hostile model: read, planned and, if that is cheap, run. Nothing may crash, hang or take more
 * memory than it was allowed. */
#include <stdlib.h>

#include "infer/model.h"

#define MEMORY_MAX ((size_t)64 << 20)
#define ARENA_BYTES_MAX ((size_t)32 << 20)
#define FLOPS_MAX 1e8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(struct model *m)
{
	const void *input[16];
	int count = model_inputs(m);

	for (int i = 0; i < count; i++)
		input[i] = calloc(tensor_count(model_input(m, i)) + 1,
				  dtype_size(model_input(m, i)->dtype));
	model_run(m, input);
	for (int i = 0; i < count; i++)
		free((void *)input[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct model_options o = { .kernels = size & 1 ? KERNELS_REFERENCE : KERNELS_NATIVE,
					 .memory_max = MEMORY_MAX };
	struct err e;
	struct model *m = model_read(data, size, &o, &e);

	if (!m)
		return 0;
	if (model_inputs(m) <= 16 && model_plan(m, NULL, &e) == 0 &&
	    model_arena_bytes(m) < ARENA_BYTES_MAX && model_flops(m) < FLOPS_MAX)
		run(m);
	model_free(&m);
	return 0;
}
