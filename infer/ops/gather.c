/* Elements chosen by indices: Gather, GatherElements, GatherND, ScatterElements, ScatterND, OneHot.
 * Indices that are known at load are checked there; others are brought into range while running,
 * since nothing may fail then. */
#include "infer/ops/ops.h"

#include <math.h>
#include <string.h>

#include "infer/ops/walk.h"

static int64_t index_at(const struct tensor *indices, int64_t i, int64_t size)
{
	int64_t v = indices->dtype == DTYPE_I32 ? ((const int32_t *)indices->data)[i]
						: ((const int64_t *)indices->data)[i];

	v += v < 0 ? size : 0;
	return v < 0 ? 0 : v >= size ? size - 1 : v;
}

static int check_range(struct node *n, const struct tensor *t, size_t i, int64_t size,
		       struct err *e)
{
	int64_t v = tensor_int(t, i);

	if (v < -size || v >= size)
		return node_invalid(n, e, "index %lld of %lld", (long long)v, (long long)size);
	return 0;
}

/* Types of the indices, and their range where all of them count along one axis. */
static int check_indices(struct node *n, int64_t size, struct err *e)
{
	const struct tensor *t = n->in[1];
	size_t count = tensor_count(t);

	if (node_types(n, 1, TYPE(I32) | TYPE(I64), e) < 0)
		return -1;
	if (count && size == 0)
		return node_invalid(n, e, "indices into a dimension of 0");
	for (size_t i = 0; t->constant && i < count; i++)
		if (check_range(n, t, i, size, e) < 0)
			return -1;
	return 0;
}

static int output(struct node *n, int rank, const int64_t *dim, struct err *e)
{
	if (rank > TENSOR_RANK_MAX)
		return node_unsupported(n, e, "rank %d (at most %d)", rank, TENSOR_RANK_MAX);
	if (node_output(n, 0, n->in[0]->dtype, rank, dim, e) < 0)
		return -1;
	if (n->out[0])
		n->out[0]->half = n->in[0]->half;
	return 0;
}

static int gather_shape(struct node *n, struct err *e)
{
	const struct tensor *x = n->in[0], *t = n->in[1];
	int64_t *axis = node_note(n, sizeof *axis, e), dim[3 * TENSOR_RANK_MAX];
	int rank = 0;

	if (!axis)
		return -1;
	*axis = node_int(n, "axis", 0);
	if (node_axis(n, axis, x->rank, e) < 0 || check_indices(n, x->dim[*axis], e) < 0)
		return -1;
	for (int i = 0; i < *axis; i++)
		dim[rank++] = x->dim[i];
	for (int i = 0; i < t->rank; i++)
		dim[rank++] = t->dim[i];
	for (int i = (int)*axis + 1; i < x->rank; i++)
		dim[rank++] = x->dim[i];
	return output(n, rank, dim, e);
}

static void gather_run(const struct node *n)
{
	const struct tensor *x = n->in[0], *t = n->in[1];
	int axis = (int)*(int64_t *)n->state;
	int64_t outer = walk_product(x->dim, 0, axis), size = x->dim[axis];
	size_t block = (size_t)walk_product(x->dim, axis + 1, x->rank) * dtype_size(x->dtype);
	int64_t count = (int64_t)tensor_count(t);
	char *y = n->out[0]->data;

	for (int64_t o = 0; o < outer; o++)
		for (int64_t i = 0; i < count; i++, y += block)
			memcpy(y,
			       (const char *)x->data +
				   (size_t)(o * size + index_at(t, i, size)) * block,
			       block);
}

/* GatherElements and ScatterElements: the indices' shape, dimension by dimension within the data's. */
static int elements_check(struct node *n, struct err *e)
{
	const struct tensor *x = n->in[0], *t = n->in[1];
	int64_t *axis = node_note(n, sizeof *axis, e);

	if (!axis)
		return -1;
	*axis = node_int(n, "axis", 0);
	if (node_axis(n, axis, x->rank, e) < 0 || check_indices(n, x->dim[*axis], e) < 0)
		return -1;
	if (t->rank != x->rank)
		return node_invalid(n, e, "ranks %d and %d", x->rank, t->rank);
	for (int i = 0; i < x->rank; i++)
		if (i != *axis && t->dim[i] > x->dim[i])
			return node_invalid(n, e, "dimension %d of the indices is %lld of %lld", i,
					    (long long)t->dim[i], (long long)x->dim[i]);
	return 0;
}

static int gather_elements_shape(struct node *n, struct err *e)
{
	if (elements_check(n, e) < 0)
		return -1;
	return output(n, n->in[1]->rank, n->in[1]->dim, e);
}

/* Offset in x of the element that index i (row-major) of t means. */
static int64_t element_offset(const struct tensor *x, const struct tensor *t, int64_t i, int axis)
{
	int64_t offset = 0, rest = i;

	for (int k = t->rank - 1; k >= 0; k--) {
		int64_t at = rest % t->dim[k];
		rest /= t->dim[k];
		offset += (k == axis ? index_at(t, i, x->dim[k]) : at) * x->stride[k];
	}
	return offset;
}

static void gather_elements_run(const struct node *n)
{
	const struct tensor *x = n->in[0], *t = n->in[1];
	int axis = (int)*(int64_t *)n->state;
	size_t each = dtype_size(x->dtype), count = tensor_count(t);

	for (size_t i = 0; i < count; i++)
		memcpy((char *)n->out[0]->data + i * each,
		       (const char *)x->data +
			   (size_t)element_offset(x, t, (int64_t)i, axis) * each,
		       each);
}

enum reduction { REPLACE, ADD, MUL, MAX, MIN };

static int reduction_of(struct node *n, struct err *e)
{
	static const char *const names[] = { "none", "add", "mul", "max", "min" };
	const char *name = node_text(n, "reduction", "none");

	for (int i = 0; i < 5; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return node_invalid(n, e, "reduction '%s'", name);
}

/* One rounding either way: sums and products of two floats are exact, or as good, in double. */
static double combine_real(double y, double x, enum reduction how)
{
	return how == ADD ? y + x : how == MUL ? y * x : how == MAX ? fmax(y, x) : fmin(y, x);
}

static int64_t combine_int(int64_t y, int64_t x, enum reduction how)
{
	if (how == ADD)
		return (int64_t)((uint64_t)y + (uint64_t)x);
	if (how == MUL)
		return (int64_t)((uint64_t)y * (uint64_t)x);
	return (how == MAX) == (x > y) ? x : y;
}

/* Little-endian or not, the lowest bytes of v. */
static void store_int(void *to, size_t each, int64_t v)
{
	if (each == 1)
		*(uint8_t *)to = (uint8_t)v;
	else if (each == 2)
		*(uint16_t *)to = (uint16_t)v;
	else if (each == 4)
		*(uint32_t *)to = (uint32_t)v;
	else
		*(int64_t *)to = v;
}

static void combine(const struct tensor *y, int64_t at, const struct tensor *x, int64_t from,
		    size_t count, enum reduction how)
{
	size_t each = dtype_size(y->dtype);

	if (how == REPLACE) {
		memcpy((char *)y->data + (size_t)at * each,
		       (const char *)x->data + (size_t)from * each, count * each);
		return;
	}
	for (size_t i = (size_t)at, k = (size_t)from; i < (size_t)at + count; i++, k++) {
		if (y->dtype == DTYPE_F32)
			((float *)y->data)[i] =
			    (float)combine_real(tensor_real(y, i), tensor_real(x, k), how);
		else if (y->dtype == DTYPE_F64)
			((double *)y->data)[i] =
			    combine_real(tensor_real(y, i), tensor_real(x, k), how);
		else
			store_int((char *)y->data + i * each, each,
				  combine_int(tensor_int(y, i), tensor_int(x, k), how));
	}
}

static int scatter_types(struct node *n, enum reduction how, struct err *e)
{
	if (n->in[2]->dtype != n->in[0]->dtype)
		return node_invalid(n, e, "updates of type %s", dtype_name(n->in[2]->dtype));
	return how == REPLACE ? 0 : node_types(n, 0, TYPES_FLOAT | TYPES_INT, e);
}

static int scatter_elements_shape(struct node *n, struct err *e)
{
	int how = reduction_of(n, e);

	if (how < 0 || elements_check(n, e) < 0 || scatter_types(n, (enum reduction)how, e) < 0)
		return -1;
	if (!tensor_same_shape(n->in[1], n->in[2]))
		return node_invalid(n, e, "updates and indices differ in shape");
	return node_output_like(n, 0, n->in[0], e);
}

static enum reduction how_of(const struct node *n)
{
	const char *name = node_text(n, "reduction", "none");

	return name[0] == 'a'   ? ADD
	       : name[0] == 'n' ? REPLACE
	       : name[1] == 'u' ? MUL
	       : name[1] == 'a' ? MAX
				: MIN;
}

static void scatter_elements_run(const struct node *n)
{
	const struct tensor *y = n->out[0], *t = n->in[1];
	size_t count = tensor_count(t);
	enum reduction how = how_of(n);
	int axis = (int)*(int64_t *)n->state;

	memcpy(y->data, n->in[0]->data, tensor_bytes(y));
	for (size_t i = 0; i < count; i++)
		combine(y, element_offset(y, t, (int64_t)i, axis), n->in[2], (int64_t)i, 1, how);
}

/* GatherND and ScatterND: the last dimension of the indices holds coordinates of blocks. */
static int nd_check(struct node *n, int batch, struct err *e)
{
	const struct tensor *x = n->in[0], *t = n->in[1];
	int64_t depth = t->rank ? t->dim[t->rank - 1] : 0;
	size_t count = tensor_count(t);

	if (node_types(n, 1, TYPE(I64) | TYPE(I32), e) < 0)
		return -1;
	if (t->rank < 1 || batch < 0 || batch >= t->rank || batch > x->rank || depth < 1 ||
	    depth > x->rank - batch)
		return node_invalid(n, e, "indices of depth %lld, batch_dims %d, for rank %d",
				    (long long)depth, batch, x->rank);
	for (int i = 0; i < batch; i++)
		if (x->dim[i] != t->dim[i])
			return node_invalid(n, e, "batch dimension %d: %lld and %lld", i,
					    (long long)x->dim[i], (long long)t->dim[i]);
	for (int64_t i = 0; i < depth; i++)
		if (x->dim[batch + i] == 0)
			return node_invalid(n, e, "indices into a dimension of 0");
	for (size_t i = 0; t->constant && i < count; i++)
		if (check_range(n, t, i, x->dim[batch + (int)(i % (size_t)depth)], e) < 0)
			return -1;
	return 0;
}

static int gather_nd_shape(struct node *n, struct err *e)
{
	const struct tensor *x = n->in[0], *t = n->in[1];
	int64_t batch = node_int(n, "batch_dims", 0), dim[2 * TENSOR_RANK_MAX];
	int rank = 0;

	if (nd_check(n, batch < 0 || batch > TENSOR_RANK_MAX ? -1 : (int)batch, e) < 0)
		return -1;
	for (int i = 0; i < t->rank - 1; i++)
		dim[rank++] = t->dim[i];
	for (int i = (int)(batch + t->dim[t->rank - 1]); i < x->rank; i++)
		dim[rank++] = x->dim[i];
	return output(n, rank, dim, e);
}

/* Offset of the block that the k-th row of the indices means. */
static int64_t nd_offset(const struct tensor *x, const struct tensor *t, int64_t k, int batch)
{
	int64_t depth = t->dim[t->rank - 1], offset = 0;
	int64_t per_batch = walk_product(t->dim, batch, t->rank - 1),
		rest = k / (per_batch ? per_batch : 1);

	for (int i = batch - 1; i >= 0; i--) {
		offset += rest % x->dim[i] * x->stride[i];
		rest /= x->dim[i];
	}
	for (int64_t i = 0; i < depth; i++)
		offset += index_at(t, k * depth + i, x->dim[batch + i]) * x->stride[batch + i];
	return offset;
}

static void gather_nd_run(const struct node *n)
{
	const struct tensor *x = n->in[0], *t = n->in[1];
	int batch = (int)node_int(n, "batch_dims", 0);
	size_t each = dtype_size(x->dtype);
	size_t block =
	    (size_t)walk_product(x->dim, batch + (int)t->dim[t->rank - 1], x->rank) * each;
	int64_t rows = walk_product(t->dim, 0, t->rank - 1);

	for (int64_t k = 0; k < rows; k++)
		memcpy((char *)n->out[0]->data + (size_t)k * block,
		       (const char *)x->data + (size_t)nd_offset(x, t, k, batch) * each, block);
}

static int scatter_nd_shape(struct node *n, struct err *e)
{
	const struct tensor *x = n->in[0], *t = n->in[1], *u = n->in[2];
	int how = reduction_of(n, e), rank = 0;
	bool same;

	if (how < 0 || nd_check(n, 0, e) < 0 || scatter_types(n, (enum reduction)how, e) < 0)
		return -1;
	same = u->rank == t->rank - 1 + x->rank - (int)t->dim[t->rank - 1];
	for (int i = 0; same && i < t->rank - 1; i++)
		same = u->dim[rank++] == t->dim[i];
	for (int i = (int)t->dim[t->rank - 1]; same && i < x->rank; i++)
		same = u->dim[rank++] == x->dim[i];
	if (!same)
		return node_invalid(n, e,
				    "updates do not have the shape that indices and data ask for");
	return node_output_like(n, 0, x, e);
}

static void scatter_nd_run(const struct node *n)
{
	const struct tensor *y = n->out[0], *t = n->in[1];
	int64_t block = walk_product(y->dim, (int)t->dim[t->rank - 1], y->rank);
	int64_t rows = walk_product(t->dim, 0, t->rank - 1);
	enum reduction how = how_of(n);

	memcpy(y->data, n->in[0]->data, tensor_bytes(y));
	for (int64_t k = 0; k < rows; k++)
		combine(y, nd_offset(y, t, k, 0), n->in[2], k * block, (size_t)block, how);
}

static int onehot_shape(struct node *n, struct err *e)
{
	const struct tensor *t = n->in[0];
	int64_t *axis = node_note(n, sizeof *axis, e), dim[TENSOR_RANK_MAX + 1], depth;

	if (!axis)
		return -1;
	if (!node_known(n, 1) || tensor_count(n->in[1]) != 1)
		return node_unsupported(n, e, "depth must be one number known at load");
	if (node_types(n, 0, TYPES_INT | TYPES_FLOAT, e) < 0)
		return -1;
	if (n->in[2]->rank != 1 || n->in[2]->dim[0] != 2)
		return node_invalid(n, e, "values are not two");
	if (t->rank >= TENSOR_RANK_MAX)
		return node_unsupported(n, e, "rank %d", t->rank + 1);
	*axis = node_int(n, "axis", -1);
	if (node_axis(n, axis, t->rank + 1, e) < 0)
		return -1;
	depth = tensor_whole(tensor_real(n->in[1], 0), -1, 0x1p62);
	if (depth < 1)
		return node_invalid(n, e, "depth %lld", (long long)depth);
	for (int i = 0; i < t->rank + 1; i++)
		dim[i] = i < *axis ? t->dim[i] : i == *axis ? depth : t->dim[i - 1];
	return node_output(n, 0, n->in[2]->dtype, t->rank + 1, dim, e);
}

static void onehot_run(const struct node *n)
{
	const struct tensor *t = n->in[0], *y = n->out[0];
	int axis = (int)*(int64_t *)n->state;
	int64_t depth = y->dim[axis], inner = walk_product(y->dim, axis + 1, y->rank);
	size_t each = dtype_size(y->dtype), count = tensor_count(y);
	const char *values = n->in[2]->data;

	for (size_t i = 0; i < count; i++)
		memcpy((char *)y->data + i * each, values, each);
	for (size_t i = 0; i < tensor_count(t); i++) {
		double v = tensor_real(t, i);
		int64_t outer = (int64_t)i / inner, rest = (int64_t)i % inner;
		v += v < 0 ? (double)depth : 0;
		if (v >= 0 && v < (double)depth)
			memcpy((char *)y->data +
				   (size_t)((outer * depth + (int64_t)v) * inner + rest) * each,
			       values + each, each);
	}
}

#define ROW(onnx, from, least, attributes, shapes, runs)                          \
	&(const struct op)                                                        \
	{                                                                         \
		.name = onnx, .since = from, .in_least = least, .in_most = least, \
		.attrs = attributes, .shape = shapes, .run = runs                 \
	}

const struct op *const ops_gather[] = {
	ROW("Gather", 1, 2, "axis:i", gather_shape, gather_run),
	ROW("GatherElements", 11, 2, "axis:i", gather_elements_shape, gather_elements_run),
	ROW("GatherND", 11, 2, NULL, gather_nd_shape, gather_nd_run),
	ROW("GatherND", 12, 2, "batch_dims:i", gather_nd_shape, gather_nd_run),
	ROW("Scatter", 9, 3, "axis:i", scatter_elements_shape, scatter_elements_run),
	ROW("ScatterElements", 11, 3, "axis:i", scatter_elements_shape, scatter_elements_run),
	ROW("ScatterElements", 16, 3, "axis:i reduction:s", scatter_elements_shape,
	    scatter_elements_run),
	ROW("ScatterND", 11, 3, NULL, scatter_nd_shape, scatter_nd_run),
	ROW("ScatterND", 16, 3, "reduction:s", scatter_nd_shape, scatter_nd_run),
	ROW("OneHot", 9, 3, "axis:i", onehot_shape, onehot_run),
	NULL,
};
