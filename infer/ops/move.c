/* Elements change places and nothing else: Transpose, Concat, Split, Slice, Expand, Tile,
 * DepthToSpace, SpaceToDepth. All are one strided copy per part, whatever the layout. */
#include "infer/ops/ops.h"

#include <string.h>

#include "infer/ops/walk.h"

static size_t each(const struct tensor *t)
{
	return dtype_size(t->dtype);
}

/* Copy dims dim[] from one place to another, both with strides of their own. */
static void copy(int rank, const int64_t *dim, void *to, const int64_t *to_stride, const void *from,
		 const int64_t *from_stride, size_t bytes)
{
	struct walk w = { .tensors = 1, .rank = rank };

	for (int i = 0; i < rank; i++) {
		w.dim[i] = dim[i];
		w.stride[0][i] = to_stride[i];
	}
	walk_add_strides(&w, from_stride);
	walk_copy(&w, to, from, bytes);
}

static int output(struct node *n, int i, int rank, const int64_t *dim, struct err *e)
{
	if (node_output(n, i, n->in[0]->dtype, rank, dim, e) < 0)
		return -1;
	if (node_out(n, i))
		n->out[i]->half = n->in[0]->half;
	return 0;
}

static int transpose_shape(struct node *n, struct err *e)
{
	const struct tensor *x = n->in[0];
	int64_t *perm = node_note(n, sizeof *perm * TENSOR_RANK_MAX, e), dim[TENSOR_RANK_MAX];
	const int64_t *given;
	int count = node_ints(n, "perm", &given), seen = 0;

	if (!perm)
		return -1;
	if (node_attr(n, "perm") && count != x->rank)
		return node_invalid(n, e, "perm has %d values for rank %d", count, x->rank);
	for (int i = 0; i < x->rank; i++) {
		perm[i] = count ? given[i] : x->rank - 1 - i;
		if (perm[i] < 0 || perm[i] >= x->rank || seen >> perm[i] & 1)
			return node_invalid(n, e, "perm is not a permutation: %lld at %d",
					    (long long)perm[i], i);
		seen |= 1 << perm[i];
		dim[i] = x->dim[perm[i]];
	}
	return output(n, 0, x->rank, dim, e);
}

static void transpose_run(const struct node *n)
{
	const struct tensor *x = n->in[0], *y = n->out[0];
	const int64_t *perm = n->state;
	int64_t stride[TENSOR_RANK_MAX] = { 0 };

	for (int i = 0; i < x->rank; i++)
		stride[i] = x->stride[perm[i]];
	copy(y->rank, y->dim, y->data, y->stride, x->data, stride, each(y));
}

static int concat_shape(struct node *n, struct err *e)
{
	const struct tensor *x = n->in[0];
	int64_t *axis = node_note(n, sizeof *axis, e), dim[TENSOR_RANK_MAX];

	if (!axis)
		return -1;
	*axis = node_int(n, "axis", 1);
	if (node_axis(n, axis, x->rank, e) < 0)
		return -1;
	memcpy(dim, x->dim, sizeof dim);
	for (int i = 1; i < n->in_count; i++) {
		const struct tensor *t = n->in[i];
		if (!t || t->dtype != x->dtype || t->rank != x->rank)
			return node_invalid(n, e, "input %d differs in type or rank", i);
		for (int k = 0; k < x->rank; k++)
			if (k != *axis && t->dim[k] != x->dim[k])
				return node_invalid(n, e,
						    "input %d: dimension %d is %lld, not %lld", i,
						    k, (long long)t->dim[k], (long long)x->dim[k]);
		if (__builtin_add_overflow(dim[*axis], t->dim[*axis], &dim[*axis]))
			return node_invalid(n, e, "too large");
	}
	return output(n, 0, x->rank, dim, e);
}

static void concat_run(const struct node *n)
{
	const struct tensor *y = n->out[0];
	int64_t axis = *(int64_t *)n->state, at = 0;

	for (int i = 0; i < n->in_count; i++) {
		const struct tensor *x = n->in[i];
		char *to = (char *)y->data + at * y->stride[axis] * (int64_t)each(y);
		if (to != x->data) /* else it was computed in its place */
			copy(x->rank, x->dim, to, y->stride, x->data, x->stride, each(y));
		at += x->dim[axis];
	}
}

/* Sizes: an attribute, from opset 13 on an input, or in equal parts (from 18 on the last may be
 * smaller). How many; -1 with *e. */
static int split_parts(struct node *n, int64_t size, int64_t *part, struct err *e)
{
	int64_t outs = node_int(n, "num_outputs", n->out_count), each_part;
	int count = node_list(n, 1, "split", part, NODE_IN_MAX, e);

	if (count != 0)
		return count;
	if (outs < 1 || outs > NODE_IN_MAX)
		return node_invalid(n, e, "%lld parts", (long long)outs);
	if (n->op->since < 18 && size % outs != 0)
		return node_invalid(n, e, "%lld does not divide into %lld equal parts",
				    (long long)size, (long long)outs);
	each_part = (size + outs - 1) / outs;
	for (int i = 0; i < outs; i++)
		part[i] = i + 1 < outs ? each_part : size - each_part * (outs - 1);
	return (int)outs;
}

/* The state: the axis, then where each output starts. */
static int split_shape(struct node *n, struct err *e)
{
	const struct tensor *x = n->in[0];
	int64_t *state = node_note(n, sizeof *state * (size_t)(n->out_count + 1), e);
	int64_t part[NODE_IN_MAX], dim[TENSOR_RANK_MAX], sum = 0;
	int count;

	if (!state)
		return -1;
	state[0] = node_int(n, "axis", 0);
	if (node_axis(n, &state[0], x->rank, e) < 0 ||
	    (count = split_parts(n, x->dim[state[0]], part, e)) < 0)
		return -1;
	if (count < n->out_count)
		return node_invalid(n, e, "%d outputs, %d parts", n->out_count, count);
	memcpy(dim, x->dim, sizeof dim);
	for (int i = 0; i < count; i++) {
		if (part[i] < 0 || part[i] > x->dim[state[0]] - sum)
			return node_invalid(n, e, "part %d has size %lld", i, (long long)part[i]);
		dim[state[0]] = part[i];
		if (i < n->out_count) {
			state[i + 1] = sum;
			if (output(n, i, x->rank, dim, e) < 0)
				return -1;
		}
		sum += part[i];
	}
	if (sum != x->dim[state[0]])
		return node_invalid(n, e, "parts sum to %lld of %lld", (long long)sum,
				    (long long)x->dim[state[0]]);
	return 0;
}

static void split_run(const struct node *n)
{
	const struct tensor *x = n->in[0];
	const int64_t *at = n->state;

	for (int i = 0; i < n->out_count; i++) {
		const struct tensor *y = n->out[i];
		if (y)
			copy(y->rank, y->dim, y->data, y->stride,
			     (const char *)x->data +
				 at[i + 1] * x->stride[at[0]] * (int64_t)each(x),
			     x->stride, each(x));
	}
}

struct slice {
	int64_t start[TENSOR_RANK_MAX], step[TENSOR_RANK_MAX];
};

/* Python's rule for one axis: where it starts, and how many. */
static int64_t slice_axis(int64_t size, int64_t *start, int64_t end, int64_t step)
{
	int64_t low = step > 0 ? 0 : -1, high = step > 0 ? size : size - 1;

	*start += *start < 0 ? size : 0;
	end += end < 0 ? size : 0;
	*start = *start < low ? low : *start > high ? high : *start;
	end = end < low ? low : end > high ? high : end;
	if (step > 0)
		return end > *start ? (end - *start - 1) / step + 1 : 0;
	return *start > end ? (*start - end - 1) / -step + 1 : 0;
}

static int slice_shape(struct node *n, struct err *e)
{
	const struct tensor *x = n->in[0];
	struct slice *s = node_note(n, sizeof *s, e);
	int64_t start[TENSOR_RANK_MAX], end[TENSOR_RANK_MAX], axis[TENSOR_RANK_MAX];
	int64_t step[TENSOR_RANK_MAX], dim[TENSOR_RANK_MAX];
	int starts = node_list(n, 1, "starts", start, TENSOR_RANK_MAX, e);
	int ends = starts < 0 ? -1 : node_list(n, 2, "ends", end, TENSOR_RANK_MAX, e);
	int axes = ends < 0 ? -1 : node_list(n, 3, "axes", axis, TENSOR_RANK_MAX, e);
	int steps = axes < 0 ? -1 : node_list(n, 4, NULL, step, TENSOR_RANK_MAX, e), seen = 0;

	if (!s || steps < 0)
		return -1;
	if (starts != ends || (axes && axes != starts) || (steps && steps != starts))
		return node_invalid(n, e, "%d starts, %d ends, %d axes, %d steps", starts, ends,
				    axes, steps);
	for (int i = 0; i < TENSOR_RANK_MAX; i++) {
		dim[i] = i < x->rank ? x->dim[i] : 1;
		s->start[i] = 0;
		s->step[i] = 1;
	}
	for (int i = 0; i < starts; i++) {
		int64_t a = axes ? axis[i] : i, by = steps ? step[i] : 1;
		if (node_axis(n, &a, x->rank, e) < 0)
			return -1;
		if (seen >> a & 1 || by == 0 || by == INT64_MIN)
			return node_invalid(n, e, "step %lld or axis %lld twice", (long long)by,
					    (long long)a);
		seen |= 1 << a;
		s->start[a] = start[i];
		dim[a] = slice_axis(x->dim[a], &s->start[a], end[i], by);
		s->step[a] = dim[a] > 1 ? by : 1; /* so that strides stay within the tensor */
		s->start[a] = dim[a] ? s->start[a] : 0;
	}
	return output(n, 0, x->rank, dim, e);
}

static void slice_run(const struct node *n)
{
	const struct tensor *x = n->in[0], *y = n->out[0];
	const struct slice *s = n->state;
	int64_t stride[TENSOR_RANK_MAX] = { 0 }, offset = 0;

	for (int i = 0; i < x->rank; i++) {
		stride[i] = x->stride[i] * s->step[i];
		offset += x->stride[i] * s->start[i];
	}
	copy(y->rank, y->dim, y->data, y->stride, (const char *)x->data + offset * (int64_t)each(x),
	     stride, each(x));
}

static int expand_shape(struct node *n, struct err *e)
{
	struct tensor want = { .rank = 0 };
	int64_t dim[TENSOR_RANK_MAX];
	int rank = node_list(n, 1, NULL, want.dim, TENSOR_RANK_MAX, e);

	if (rank < 0)
		return -1;
	for (int i = 0; i < rank; i++)
		if (want.dim[i] < 0)
			return node_invalid(n, e, "shape[%d] is %lld", i, (long long)want.dim[i]);
	want.rank = rank;
	if (node_broadcast(n, n->in[0], &want, &rank, dim, e) < 0)
		return -1;
	return output(n, 0, rank, dim, e);
}

static void expand_run(const struct node *n)
{
	struct walk w;

	walk_init(&w, n->out[0]);
	walk_add(&w, n->out[0], n->in[0], n->out[0]->rank - 1);
	walk_copy(&w, n->out[0]->data, n->in[0]->data, each(n->in[0]));
}

static int tile_shape(struct node *n, struct err *e)
{
	const struct tensor *x = n->in[0];
	int64_t times[TENSOR_RANK_MAX], dim[TENSOR_RANK_MAX];
	int count = node_list(n, 1, NULL, times, TENSOR_RANK_MAX, e);

	if (count < 0)
		return -1;
	if (count != x->rank)
		return node_invalid(n, e, "%d repeats for rank %d", count, x->rank);
	for (int i = 0; i < count; i++)
		if (times[i] < 0 || __builtin_mul_overflow(x->dim[i], times[i], &dim[i]))
			return node_invalid(n, e, "repeats[%d] is %lld", i, (long long)times[i]);
	return output(n, 0, x->rank, dim, e);
}

/* Each dimension is two in the walk: which repeat, and where in it. One axis at a time, the last
 * first, so that the walk's rank is enough: what is done is copied on within the output. */
static void tile_run(const struct node *n)
{
	const struct tensor *x = n->in[0], *y = n->out[0];
	int64_t dim[TENSOR_RANK_MAX];

	if (tensor_count(y) == 0)
		return;
	memcpy(dim, x->dim, sizeof dim);
	copy(x->rank, dim, y->data, y->stride, x->data, x->stride, each(y));
	for (int i = x->rank - 1; i >= 0; i--) {
		for (int64_t at = x->dim[i]; at < y->dim[i]; at += x->dim[i])
			copy(x->rank, dim, (char *)y->data + at * y->stride[i] * (int64_t)each(y),
			     y->stride, y->data, y->stride, each(y));
		dim[i] = y->dim[i];
	}
}

/* Both directions: the fine picture's rows are (h, i), its columns (w, j), its channels c; the deep
 * one's channels hold i, j and c in the order of the mode. */
static void blocks_copy(const struct tensor *deep, const struct tensor *fine, bool crd,
			bool to_fine)
{
	int64_t c = fine->dim[1], b = fine->dim[2] / (deep->dim[2] ? deep->dim[2] : 1),
		s = deep->stride[1];
	const int64_t dim[] = { deep->dim[0], c, deep->dim[2], b, deep->dim[3], b };
	const int64_t f[] = { fine->stride[0], fine->stride[1],     fine->stride[2] * b,
			      fine->stride[2], fine->stride[3] * b, fine->stride[3] };
	const int64_t d[] = { deep->stride[0],         crd ? s * b * b : s, deep->stride[2],
			      crd ? s * b : s * b * c, deep->stride[3],     crd ? s : s * c };

	if (to_fine)
		copy(6, dim, fine->data, f, deep->data, d, each(fine));
	else
		copy(6, dim, deep->data, d, fine->data, f, each(fine));
}

static int blocks_shape(struct node *n, bool to_fine, struct err *e)
{
	const struct tensor *x = n->in[0];
	int64_t b = node_int(n, "blocksize", 0), dim[4];
	const char *mode = node_text(n, "mode", "DCR");

	if (x->rank != 4)
		return node_invalid(n, e, "rank %d, not 4", x->rank);
	if (b < 1 || b > 32768)
		return node_invalid(n, e, "blocksize %lld", (long long)b);
	if (strcmp(mode, "DCR") != 0 && strcmp(mode, "CRD") != 0)
		return node_invalid(n, e, "mode '%s'", mode);
	if (to_fine ? x->dim[1] % (b * b) != 0 : x->dim[2] % b != 0 || x->dim[3] % b != 0)
		return node_invalid(n, e, "the input does not divide by blocksize %lld",
				    (long long)b);
	memcpy(dim, x->dim, sizeof dim);
	dim[1] = to_fine ? dim[1] / (b * b) : dim[1] * b * b;
	dim[2] = to_fine ? dim[2] * b : dim[2] / b;
	dim[3] = to_fine ? dim[3] * b : dim[3] / b;
	return output(n, 0, 4, dim, e);
}

static int fine_shape(struct node *n, struct err *e)
{
	return blocks_shape(n, true, e);
}

static int deep_shape(struct node *n, struct err *e)
{
	return blocks_shape(n, false, e);
}

static void fine_run(const struct node *n)
{
	if (tensor_count(n->in[0]))
		blocks_copy(n->in[0], n->out[0], node_text(n, "mode", "DCR")[0] == 'C', true);
}

static void deep_run(const struct node *n)
{
	if (tensor_count(n->in[0]))
		blocks_copy(n->out[0], n->in[0], false, false);
}

#define ROW(onnx, from, least, most, outs, how, attributes, shapes, runs)                          \
	&(const struct op)                                                                         \
	{                                                                                          \
		.name = onnx, .since = from, .layout = OP_FOLLOW, .flags = how, .in_least = least, \
		.in_most = most, .out_most = outs, .attrs = attributes, .shape = shapes,           \
		.run = runs                                                                        \
	}

const struct op *const ops_move[] = {
	ROW("Transpose", 1, 1, 1, 1, 0, "perm:I", transpose_shape, transpose_run),
	ROW("Concat", 1, 1, 0, 1, OP_GAPS, "axis:i", concat_shape, concat_run),
	ROW("Concat", 4, 1, 0, 1, OP_GAPS, "!axis:i", concat_shape, concat_run),
	ROW("Split", 2, 1, 1, NODE_IN_MAX, OP_GAPS, "axis:i split:I", split_shape, split_run),
	ROW("Split", 13, 1, 2, NODE_IN_MAX, OP_GAPS, "axis:i", split_shape, split_run),
	ROW("Split", 18, 1, 2, NODE_IN_MAX, OP_GAPS, "axis:i num_outputs:i", split_shape,
	    split_run),
	ROW("Slice", 1, 1, 1, 1, 0, "!starts:I !ends:I axes:I", slice_shape, slice_run),
	ROW("Slice", 10, 3, 5, 1, 0, NULL, slice_shape, slice_run),
	ROW("Expand", 8, 2, 2, 1, 0, NULL, expand_shape, expand_run),
	ROW("Tile", 6, 2, 2, 1, 0, NULL, tile_shape, tile_run),
	ROW("DepthToSpace", 1, 1, 1, 1, 0, "!blocksize:i", fine_shape, fine_run),
	ROW("DepthToSpace", 11, 1, 1, 1, 0, "!blocksize:i mode:s", fine_shape, fine_run),
	ROW("SpaceToDepth", 1, 1, 1, 1, 0, "!blocksize:i", deep_shape, deep_run),
	NULL,
};
