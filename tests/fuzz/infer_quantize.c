/* A hostile model: simplified, raised to opset 13, given integers and written. What was written can be
 * read again. */
#include <stdlib.h>

#include "infer/onnx/onnx.h"
#include "infer/quantize/parts.h"

#define MEMORY_MAX ((size_t)64 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Scales that no picture was needed for. */
static int insert(struct graph *g, struct places *p, struct err *e)
{
	size_t count = (size_t)p->count + 1;
	struct scale *scale = calloc(count, sizeof *scale);
	double **mean = calloc(count, sizeof *mean);
	int result;

	for (size_t i = 0; i < count; i++)
		scale[i] = (struct scale){ .scale = 0.0078125f * (float)(1 + i % 5), .zero = 99 };
	result = qdq_insert(g, p, scale, mean, e);
	free(scale);
	free(mean);
	return result;
}

static int rewrite(struct model *m, uint8_t **bytes, size_t *size, struct err *e)
{
	struct tensor shape = *model_input(m, 0);
	struct places p = { 0 };

	for (int i = 0; i < shape.rank; i++)
		shape.dim[i] = shape.dim[i] < 0 ? 1 + 7 * (i > 1) : shape.dim[i];
	return simplify(m, &shape, e) < 0 || opset_raise(m->graph, 13, e) < 0 ||
		       places_find(&p, m->graph, e) < 0 || insert(m->graph, &p, e) < 0
		   ? -1
		   : onnx_write(m->graph, bytes, size, e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct model_options o = { .kernels = KERNELS_REFERENCE, .memory_max = MEMORY_MAX };
	const struct model_options more = { .kernels = KERNELS_REFERENCE,
					    .memory_max = 16 * MEMORY_MAX };
	struct err e;
	struct model *m = model_read(data, size, &o, &e), *again;
	uint8_t *bytes = NULL;
	size_t written;

	if (m && model_inputs(m) == 1 && rewrite(m, &bytes, &written, &e) == 0) {
		again = model_read(bytes, written, &more, &e);
		if (!again)
			abort();
		model_free(&again);
	}
	free(bytes);
	model_free(&m);
	return 0;
}
