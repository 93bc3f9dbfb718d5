/* The same bytes under another shape: Reshape, Flatten, Squeeze, Unsqueeze, Identity, Dropout (which
 * does nothing in inference), and what is known of a tensor without reading it: Shape, Size. */
#include "infer/ops/ops.h"

#include <string.h>

#include "infer/ops/walk.h"

static int output_view(struct node *n, int rank, const int64_t *dim, struct err *e)
{
	if (node_output(n, 0, n->in[0]->dtype, rank, dim, e) < 0)
		return -1;
	if (n->out[0])
		n->out[0]->half = n->in[0]->half;
	return 0;
}

/* 0 stands for the input's dimension (unless allowzero), one -1 for what remains. */
static int reshape_shape(struct node *n, struct err *e)
{
	const struct tensor *x = n->in[0];
	bool zero_is_zero = node_int(n, "allowzero", 0) != 0;
	int64_t dim[TENSOR_RANK_MAX], known = 1, all = (int64_t)tensor_count(x);
	int rank = node_list(n, 1, "shape", dim, TENSOR_RANK_MAX, e), open = -1;

	if (rank < 0)
		return -1;
	if (n->in_count < 2 && !node_attr(n, "shape"))
		return node_invalid(n, e, "no shape is given");
	for (int i = 0; i < rank; i++) {
		if (dim[i] == 0 && !zero_is_zero) {
			if (i >= x->rank)
				return node_invalid(n, e, "shape[%d] is 0 for an input of rank %d",
						    i, x->rank);
			dim[i] = x->dim[i];
		}
		if (dim[i] == -1 && open >= 0)
			return node_invalid(n, e, "two -1 in the shape");
		if (dim[i] < -1)
			return node_invalid(n, e, "shape[%d] is %lld", i, (long long)dim[i]);
		if (dim[i] == -1)
			open = i;
		else if (__builtin_mul_overflow(known, dim[i], &known))
			return node_invalid(n, e, "the shape is too large");
	}
	if (open >= 0) {
		if (known == 0 || all % known != 0)
			return node_invalid(n, e, "%lld elements do not divide into %lld",
					    (long long)all, (long long)known);
		dim[open] = all / known;
		known = all;
	}
	if (known != all)
		return node_invalid(n, e, "%lld elements into a shape of %lld", (long long)all,
				    (long long)known);
	return output_view(n, rank, dim, e);
}

static int flatten_shape(struct node *n, struct err *e)
{
	const struct tensor *x = n->in[0];
	int64_t axis = node_int(n, "axis", 1), dim[2];

	if (axis != x->rank && node_axis(n, &axis, x->rank, e) < 0)
		return -1;
	dim[0] = walk_product(x->dim, 0, (int)axis);
	dim[1] = walk_product(x->dim, (int)axis, x->rank);
	return output_view(n, 2, dim, e);
}

/* A mask of axes of [-rank, rank); -1 if one is out of range or comes twice. */
static int axes_mask(struct node *n, int64_t *axis, int count, int rank, struct err *e)
{
	int mask = 0;

	for (int i = 0; i < count; i++) {
		if (node_axis(n, &axis[i], rank, e) < 0)
			return -1;
		if (mask >> axis[i] & 1)
			return node_invalid(n, e, "axis %lld comes twice", (long long)axis[i]);
		mask |= 1 << axis[i];
	}
	return mask;
}

static int squeeze_shape(struct node *n, struct err *e)
{
	const struct tensor *x = n->in[0];
	int64_t axis[TENSOR_RANK_MAX], dim[TENSOR_RANK_MAX];
	int count = node_list(n, 1, "axes", axis, TENSOR_RANK_MAX, e), mask, rank = 0;

	if (count < 0 || (mask = axes_mask(n, axis, count, x->rank, e)) < 0)
		return -1;
	for (int i = 0; i < x->rank; i++) {
		if (count == 0 && x->dim[i] == 1)
			mask |= 1 << i;
		if (mask >> i & 1 && x->dim[i] != 1)
			return node_invalid(n, e, "axis %d is %lld, not 1", i,
					    (long long)x->dim[i]);
		if (!(mask >> i & 1))
			dim[rank++] = x->dim[i];
	}
	return output_view(n, rank, dim, e);
}

static int unsqueeze_shape(struct node *n, struct err *e)
{
	const struct tensor *x = n->in[0];
	int64_t axis[TENSOR_RANK_MAX], dim[TENSOR_RANK_MAX];
	int count = node_list(n, 1, "axes", axis, TENSOR_RANK_MAX, e), mask, from = 0;

	if (count < 0)
		return -1;
	if (x->rank + count > TENSOR_RANK_MAX)
		return node_unsupported(n, e, "rank %d (at most %d)", x->rank + count,
					TENSOR_RANK_MAX);
	if ((mask = axes_mask(n, axis, count, x->rank + count, e)) < 0)
		return -1;
	for (int i = 0; i < x->rank + count; i++)
		dim[i] = mask >> i & 1 ? 1 : x->dim[from++];
	return output_view(n, x->rank + count, dim, e);
}

static int identity_shape(struct node *n, struct err *e)
{
	return node_output_like(n, 0, n->in[0], e);
}

/* Dropout is nothing in inference; its mask, where somebody wants it, is all true (and of the data's
 * type in opsets below 10). */
static int dropout_shape(struct node *n, struct err *e)
{
	enum dtype mask = n->op->since < 10 ? n->in[0]->dtype : DTYPE_BOOL;

	if (node_types(n, 0, TYPES_FLOAT, e) < 0)
		return -1;
	if (node_in(n, 2)) {
		if (!node_known(n, 2) || n->in[2]->dtype != DTYPE_BOOL)
			return node_unsupported(n, e, "training_mode must be known at load");
		if (tensor_count(n->in[2]) == 1 && *(uint8_t *)n->in[2]->data)
			return node_unsupported(n, e, "training_mode");
	}
	if (n->op->since < 7 && !node_int(n, "is_test", 0))
		return node_unsupported(n, e, "training (is_test is 0)");
	if (node_output(n, 1, mask, n->in[0]->rank, n->in[0]->dim, e) < 0)
		return -1;
	return node_output_like(n, 0, n->in[0], e);
}

static void dropout_run(const struct node *n)
{
	struct tensor *y = n->out[0], *mask = node_out(n, 1);

	if (y && y->data != n->in[0]->data)
		memmove(y->data, n->in[0]->data, tensor_bytes(y));
	for (size_t i = 0; mask && i < tensor_count(mask); i++) {
		if (mask->dtype == DTYPE_F32)
			((float *)mask->data)[i] = 1;
		else if (mask->dtype == DTYPE_F64)
			((double *)mask->data)[i] = 1;
		else
			((uint8_t *)mask->data)[i] = 1;
	}
}

/* Shape's slice [start, end) of dimensions, clamped (opset 15). */
static void shape_range(const struct node *n, int64_t *start, int64_t *end)
{
	int64_t rank = n->in[0]->rank;

	*start = node_int(n, "start", 0);
	*end = node_int(n, "end", rank);
	*start += *start < 0 ? rank : 0;
	*end += *end < 0 ? rank : 0;
	*start = *start < 0 ? 0 : *start > rank ? rank : *start;
	*end = *end < *start ? *start : *end > rank ? rank : *end;
}

static int shape_shape(struct node *n, struct err *e)
{
	int64_t start, end, count;

	shape_range(n, &start, &end);
	count = end - start;
	return node_output(n, 0, DTYPE_I64, 1, &count, e);
}

static void shape_run(const struct node *n)
{
	int64_t start, end;

	shape_range(n, &start, &end);
	for (int64_t i = start; i < end; i++)
		((int64_t *)n->out[0]->data)[i - start] = n->in[0]->dim[i];
}

static int size_shape(struct node *n, struct err *e)
{
	return node_output(n, 0, DTYPE_I64, 0, NULL, e);
}

static void size_run(const struct node *n)
{
	*(int64_t *)n->out[0]->data = (int64_t)tensor_count(n->in[0]);
}

#define VIEW(onnx, from, most, attributes, shapes)                                             \
	&(const struct op)                                                                     \
	{                                                                                      \
		.name = onnx, .since = from, .flags = OP_VIEW, .in_least = 1, .in_most = most, \
		.attrs = attributes, .shape = shapes                                           \
	}
#define DROPOUT(from, most, attributes)                                                     \
	&(const struct op)                                                                  \
	{                                                                                   \
		.name = "Dropout", .since = from, .layout = OP_FOLLOW, .flags = OP_INPLACE, \
		.in_least = 1, .in_most = most, .out_most = 2, .attrs = attributes,         \
		.shape = dropout_shape, .run = dropout_run                                  \
	}
#define DIMS(onnx, from, attributes, shapes, runs)                                             \
	&(const struct op)                                                                     \
	{                                                                                      \
		.name = onnx, .since = from, .layout = OP_FOLLOW, .flags = OP_DIMS_ONLY,       \
		.in_least = 1, .in_most = 1, .attrs = attributes, .shape = shapes, .run = runs \
	}

const struct op *const ops_view[] = {
	VIEW("Reshape", 1, 1, "!shape:I consumed_inputs:I", reshape_shape),
	VIEW("Reshape", 5, 2, NULL, reshape_shape),
	VIEW("Reshape", 14, 2, "allowzero:i", reshape_shape),
	VIEW("Flatten", 1, 1, "axis:i", flatten_shape),
	VIEW("Squeeze", 1, 1, "axes:I", squeeze_shape),
	VIEW("Squeeze", 13, 2, NULL, squeeze_shape),
	VIEW("Unsqueeze", 1, 1, "!axes:I", unsqueeze_shape),
	VIEW("Unsqueeze", 13, 2, NULL, unsqueeze_shape),
	VIEW("Identity", 1, 1, NULL, identity_shape),
	DROPOUT(1, 1, "is_test:i ratio:f consumed_inputs:I"),
	DROPOUT(7, 1, "ratio:f"),
	DROPOUT(10, 1, "ratio:f"),
	DROPOUT(12, 3, "seed:i"),
	DIMS("Shape", 1, NULL, shape_shape, shape_run),
	DIMS("Shape", 15, "start:i end:i", shape_shape, shape_run),
	DIMS("Size", 1, NULL, size_shape, size_run),
	NULL,
};
