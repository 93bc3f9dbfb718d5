/* A hostile model: read, planned and, if that is cheap, run. Nothing may crash, hang or take more
 * memory than it was allowed. What libFuzzer changes are the parts of a model (mutate_model.h), not
 * only its bytes, or few would still be models. */
#include <stdlib.h>
#include <string.h>

#include "infer/model.h"
#include "tests/fuzz/mutate_model.h"

#define MEMORY_MAX ((size_t)64 << 20)
#define ARENA_BYTES_MAX ((size_t)8 << 20)
#define FLOPS_MAX 1e7
#define INPUTS_MAX 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(struct model *m)
{
	const void *input[INPUTS_MAX];
	int count = model_inputs(m);

	for (int i = 0; i < count; i++) {
		const struct tensor *x = model_input(m, i);
		size_t bytes = tensor_bytes(x);
		unsigned char *to = calloc(bytes + 1, 1);

		for (size_t k = 0; to && k < bytes; k++)
			to[k] = (unsigned char)(x->dtype == DTYPE_BOOL ? k & 1 : k * 37 % 64);
		input[i] = to;
	}
	model_run(m, input);
	for (int i = 0; i < count; i++)
		free((void *)input[i]);
}

/* Integer inputs as values at load, for operators that plan by them: small numbers, most of them valid. */
static bool with_values(const struct model *m, struct tensor *shape, int64_t *values, size_t room)
{
	for (int i = 0; i < model_inputs(m); i++) {
		shape[i] = *model_input(m, i);
		if ((shape[i].dtype != DTYPE_I64 && shape[i].dtype != DTYPE_I32) || i == 0)
			continue;
		for (int k = 0; k < shape[i].rank; k++)
			if (shape[i].dim[k] < 0 || shape[i].dim[k] > (int64_t)room)
				return false;
		if (tensor_count(&shape[i]) > room)
			return false;
		for (size_t k = 0; k < room; k++)
			values[k] = shape[i].dtype == DTYPE_I32 ? INT64_C(0x100000001)
								: (int64_t)(1 + k % 2);
		shape[i].data = values;
		shape[i].constant = true;
	}
	return true;
}

static bool attempt(const uint8_t *data, size_t size, bool values)
{
	const struct model_options o = { .kernels = size & 1 ? KERNELS_REFERENCE : KERNELS_NATIVE,
					 .threads = size % 5 == 0 ? 2 : 1,
					 .memory_max = MEMORY_MAX };
	struct tensor shape[INPUTS_MAX];
	int64_t value[64];
	struct err e = { 0 };
	struct model *m = model_read(data, size, &o, &e);
	bool again = false;

	if (!m)
		return false;
	if (model_inputs(m) > INPUTS_MAX || (values && !with_values(m, shape, value, 64))) {
		model_free(&m);
		return false;
	}
	if (model_plan(m, values ? shape : NULL, &e) < 0)
		again = strstr(e.text, "known at load") != NULL;
	else if (model_arena_bytes(m) < ARENA_BYTES_MAX && model_flops(m) < FLOPS_MAX)
		run(m);
	model_free(&m);
	return again;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (attempt(data, size, false))
		attempt(data, size, true);
	return 0;
}
