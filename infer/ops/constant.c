/* Tensors out of nothing, or of shapes and numbers: Constant, ConstantOfShape, Range, EyeLike. */
#include "infer/ops/ops.h"

#include <math.h>
#include <string.h>

#include "infer/ops/walk.h"

static int constant_shape(struct node *n, struct err *e)
{
	const struct attr *a = n->attr;
	int64_t count;

	if (n->attr_count != 1)
		return node_invalid(n, e, "%d values instead of one", n->attr_count);
	count = a->count;
	switch (a->type) {
	case 't':
		return node_output_like(n, 0, a->t, e);
	case 'i':
		return node_output(n, 0, DTYPE_I64, 0, NULL, e);
	case 'f':
		return node_output(n, 0, DTYPE_F32, 0, NULL, e);
	case 'I':
		return node_output(n, 0, DTYPE_I64, 1, &count, e);
	default:
		return node_output(n, 0, DTYPE_F32, 1, &count, e);
	}
}

static void constant_run(const struct node *n)
{
	const struct attr *a = n->attr;
	const void *from = a->type == 't'   ? a->t->data
			   : a->type == 'i' ? (const void *)&a->i
			   : a->type == 'f' ? (const void *)&a->f
			   : a->type == 'I' ? (const void *)a->ints
					    : (const void *)a->floats;
	size_t bytes = tensor_bytes(n->out[0]);

	if (bytes)
		memcpy(n->out[0]->data, from, bytes);
}

static int fill_shape(struct node *n, struct err *e)
{
	const struct attr *value = node_attr(n, "value");
	int64_t dim[TENSOR_RANK_MAX];
	int rank = node_list(n, 0, NULL, dim, TENSOR_RANK_MAX, e);

	if (rank < 0)
		return -1;
	if (n->in[0]->rank != 1)
		return node_invalid(n, e, "the shape is of rank %d, not 1", n->in[0]->rank);
	if (value && tensor_count(value->t) != 1)
		return node_invalid(n, e, "the value is not one number");
	if (node_output(n, 0, value ? value->t->dtype : DTYPE_F32, rank, dim, e) < 0)
		return -1;
	if (value && n->out[0])
		n->out[0]->half = value->t->half;
	return 0;
}

static void fill_run(const struct node *n)
{
	const struct attr *value = node_attr(n, "value");
	struct tensor *y = n->out[0];
	const int64_t still[TENSOR_RANK_MAX] = { 0 };
	struct walk w;

	walk_init(&w, y);
	walk_add_strides(&w, still);
	if (value)
		walk_copy(&w, y->data, value->t->data, dtype_size(y->dtype));
	else
		memset(y->data, 0, tensor_bytes(y));
}

/* Numbers from start to below limit by delta; all three known at load. */
static int range_shape(struct node *n, struct err *e)
{
	double start, limit, delta, count;
	int64_t dim;

	for (int i = 0; i < 3; i++) {
		if (!node_known(n, i))
			return node_unsupported(n, e, "input %d must be known at load", i);
		if (tensor_count(n->in[i]) != 1 || n->in[i]->dtype != n->in[0]->dtype)
			return node_invalid(n, e, "input %d is not one number of input 0's type",
					    i);
		if (node_types(n, i, TYPES_FLOAT | TYPE(I16) | TYPE(I32) | TYPE(I64), e) < 0)
			return -1;
	}
	start = tensor_real(n->in[0], 0);
	limit = tensor_real(n->in[1], 0);
	delta = tensor_real(n->in[2], 0);
	count = delta != 0 ? ceil((limit - start) / delta) : NAN;
	if (!(count < 1e9))
		return node_invalid(n, e, "from %g to %g by %g", start, limit, delta);
	dim = count > 0 ? (int64_t)count : 0;
	return node_output(n, 0, n->in[0]->dtype, 1, &dim, e);
}

static void range_run(const struct node *n)
{
	struct tensor *y = n->out[0];
	double start = tensor_real(n->in[0], 0), delta = tensor_real(n->in[2], 0);
	uint64_t first = (uint64_t)tensor_int(n->in[0], 0), by = (uint64_t)tensor_int(n->in[2], 0);

	for (int64_t i = 0; i < y->dim[0]; i++) {
		uint64_t whole = first + (uint64_t)i * by;
		if (y->dtype == DTYPE_F32)
			((float *)y->data)[i] = (float)start + (float)i * (float)delta;
		else if (y->dtype == DTYPE_F64)
			((double *)y->data)[i] = start + (double)i * delta;
		else if (y->dtype == DTYPE_I16)
			((int16_t *)y->data)[i] = (int16_t)whole;
		else if (y->dtype == DTYPE_I32)
			((int32_t *)y->data)[i] = (int32_t)whole;
		else
			((int64_t *)y->data)[i] = (int64_t)whole;
	}
}

static int eye_shape(struct node *n, struct err *e)
{
	enum dtype type = (enum dtype)node_int(n, "dtype", n->in[0]->dtype);

	if (n->in[0]->rank != 2)
		return node_invalid(n, e, "rank %d, not 2", n->in[0]->rank);
	if (!dtype_size(type))
		return node_unsupported(n, e, "element type %d", (int)type);
	return node_output(n, 0, type, 2, n->in[0]->dim, e);
}

static void eye_run(const struct node *n)
{
	struct tensor *y = n->out[0];
	int64_t k = node_int(n, "k", 0), rows = y->dim[0], columns = y->dim[1];

	memset(y->data, 0, tensor_bytes(y));
	for (int64_t r = 0; r < rows; r++) {
		int64_t c;
		if (__builtin_add_overflow(r, k, &c) || c < 0 || c >= columns)
			continue;
		if (y->dtype == DTYPE_F32)
			((float *)y->data)[r * columns + c] = 1;
		else if (y->dtype == DTYPE_F64)
			((double *)y->data)[r * columns + c] = 1;
		else if (dtype_size(y->dtype) == 8)
			((int64_t *)y->data)[r * columns + c] = 1;
		else if (dtype_size(y->dtype) == 4)
			((int32_t *)y->data)[r * columns + c] = 1;
		else if (dtype_size(y->dtype) == 2)
			((int16_t *)y->data)[r * columns + c] = 1;
		else
			((uint8_t *)y->data)[r * columns + c] = 1;
	}
}

const struct op *const ops_constant[] = {
	&(const struct op){ .name = "Constant",
			    .since = 1,
			    .attrs =
				"value:t value_int:i value_ints:I value_float:f value_floats:F",
			    .shape = constant_shape,
			    .run = constant_run },
	&(const struct op){ .name = "ConstantOfShape",
			    .since = 9,
			    .in_least = 1,
			    .in_most = 1,
			    .attrs = "value:t",
			    .flags = OP_FILL,
			    .shape = fill_shape,
			    .run = fill_run },
	&(const struct op){ .name = "Range",
			    .since = 11,
			    .in_least = 3,
			    .in_most = 3,
			    .shape = range_shape,
			    .run = range_run },
	&(const struct op){ .name = "EyeLike",
			    .since = 9,
			    .in_least = 1,
			    .in_most = 1,
			    .attrs = "dtype:i k:i",
			    .flags = OP_DIMS_ONLY,
			    .shape = eye_shape,
			    .run = eye_run },
	NULL,
};
