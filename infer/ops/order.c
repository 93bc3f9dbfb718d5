/* Along one axis: CumSum, TopK. */
#include "infer/ops/ops.h"

#include <string.h>

#include "infer/ops/walk.h"

struct state {
	unsigned mask; /* the axis */
};

static void store(const struct tensor *y, int64_t at, double real, int64_t whole)
{
	if (y->dtype == DTYPE_F32)
		((float *)y->data)[at] = (float)real;
	else if (y->dtype == DTYPE_F64)
		((double *)y->data)[at] = real;
	else if (y->dtype == DTYPE_I32)
		((int32_t *)y->data)[at] = (int32_t)whole;
	else
		((int64_t *)y->data)[at] = whole;
}

/* --- CumSum ------------------------------------------------------------------------------------------- */

static int cumsum_shape(struct node *n, struct err *e)
{
	struct state *s = node_note(n, sizeof *s, e);
	int64_t axis;

	if (!s || node_types(n, 0, TYPES_FLOAT | TYPE(I32) | TYPE(I64), e) < 0)
		return -1;
	if (node_list(n, 1, NULL, &axis, 1, e) != 1)
		return node_unsupported(n, e, "the axis must be one number known at load");
	if (node_axis(n, &axis, n->in[0]->rank, e) < 0)
		return -1;
	s->mask = 1u << axis;
	return node_output_like(n, 0, n->in[0], e);
}

static void cumsum_one(const struct node *n, int64_t base, int64_t step, int64_t count)
{
	const struct tensor *x = n->in[0], *y = n->out[0];
	bool exclusive = node_int(n, "exclusive", 0) != 0,
	     real = x->dtype == DTYPE_F32 || x->dtype == DTYPE_F64;
	bool reverse = node_int(n, "reverse", 0) != 0;
	double sum = 0;
	uint64_t whole = 0;

	for (int64_t k = 0; k < count; k++) {
		int64_t at = base + (reverse ? count - 1 - k : k) * step;
		if (exclusive)
			store(y, at, sum, (int64_t)whole);
		if (real)
			sum += tensor_real(x, (size_t)at);
		else
			whole += (uint64_t)tensor_int(x, (size_t)at);
		if (!exclusive)
			store(y, at, sum, (int64_t)whole);
	}
}

static void cumsum_run(const struct node *n)
{
	const struct state *s = n->state;
	const struct tensor *x = n->in[0];
	int axis = __builtin_ctz(s->mask);
	struct tensor others;
	struct walk w;

	walk_part(x, ~s->mask, &others);
	walk_init(&w, &others);
	for (walk_begin(&w); !w.done; walk_next(&w))
		for (int64_t i = 0; i < w.count; i++)
			cumsum_one(n, w.offset[0] + i * w.step[0], x->stride[axis], x->dim[axis]);
}

/* --- TopK: a heap of nothing more than indices, equal values in their order ------------------------ */

static int topk_shape(struct node *n, struct err *e)
{
	struct state *s = node_note(n, sizeof *s, e);
	const struct tensor *x = n->in[0];
	int64_t axis = node_int(n, "axis", -1), k, dim[TENSOR_RANK_MAX];

	if (!s || node_types(n, 0, TYPES_FLOAT | TYPES_INT, e) < 0 ||
	    node_axis(n, &axis, x->rank, e) < 0)
		return -1;
	k = node_int(n, "k", -1);
	if (n->op->since >= 10 && node_list(n, 1, NULL, &k, 1, e) != 1)
		return node_unsupported(n, e, "k must be one number known at load");
	if (k < 0 || k > x->dim[axis])
		return node_invalid(n, e, "k is %lld of %lld", (long long)k,
				    (long long)x->dim[axis]);
	s->mask = 1u << axis;
	n->flops = (double)tensor_count(x) * 32; /* comparisons, of a heap sort */
	memcpy(dim, x->dim, sizeof dim);
	dim[axis] = k;
	if (node_output(n, 0, x->dtype, x->rank, dim, e) < 0 ||
	    node_output(n, 1, DTYPE_I64, x->rank, dim, e) < 0)
		return -1;
	if (n->out[0])
		n->out[0]->half = x->half;
	return 0;
}

static int topk_plan(struct node *n, struct err *e)
{
	const struct state *s = n->state;

	return node_work(n, sizeof(int64_t) * (size_t)n->in[0]->dim[__builtin_ctz(s->mask)], e);
}

/* Does element a come before b? */
static bool before(const struct tensor *x, int64_t base, int64_t step, int64_t a, int64_t b,
		   bool largest)
{
	size_t ia = (size_t)(base + a * step), ib = (size_t)(base + b * step);

	if (x->dtype == DTYPE_F32 || x->dtype == DTYPE_F64) {
		double va = tensor_real(x, ia), vb = tensor_real(x, ib);
		if (va != vb && va == va && vb == vb)
			return largest ? va > vb : va < vb;
		if ((va != va) != (vb != vb)) /* NaN counts as the largest */
			return (va != va) == largest;
	} else if (tensor_int(x, ia) != tensor_int(x, ib)) {
		return (tensor_int(x, ia) > tensor_int(x, ib)) == largest;
	}
	return a < b;
}

/* Heap sort, in n->work: qsort has no context, and may allocate. */
static void sift(const struct tensor *x, int64_t base, int64_t step, bool largest, int64_t *heap,
		 int64_t at, int64_t count)
{
	for (;;) {
		int64_t child = 2 * at + 1, keep = heap[at];
		if (child >= count)
			return;
		if (child + 1 < count &&
		    before(x, base, step, heap[child], heap[child + 1], largest))
			child++;
		if (!before(x, base, step, heap[at], heap[child], largest))
			return;
		heap[at] = heap[child];
		heap[child] = keep;
		at = child;
	}
}

static void topk_one(const struct node *n, int64_t base, int64_t to)
{
	const struct state *s = n->state;
	const struct tensor *x = n->in[0], *y = n->out[0] ? n->out[0] : n->out[1];
	int axis = __builtin_ctz(s->mask);
	int64_t size = x->dim[axis], step = x->stride[axis], *heap = n->work;
	bool largest = node_int(n, "largest", 1) != 0;
	size_t each = dtype_size(x->dtype);

	for (int64_t i = 0; i < size; i++)
		heap[i] = i;
	for (int64_t i = size / 2 - 1; i >= 0; i--)
		sift(x, base, step, largest, heap, i, size);
	for (int64_t end = size - 1; end > 0; end--) {
		int64_t keep = heap[0];
		heap[0] = heap[end];
		heap[end] = keep;
		sift(x, base, step, largest, heap, 0, end);
	}
	for (int64_t i = 0; i < y->dim[axis]; i++, to += y->stride[axis]) {
		if (n->out[0])
			memcpy((char *)n->out[0]->data + (size_t)to * each,
			       (const char *)x->data + (size_t)(base + heap[i] * step) * each,
			       each);
		if (node_out(n, 1))
			((int64_t *)n->out[1]->data)[to] = heap[i];
	}
}

static void topk_run(const struct node *n)
{
	const struct state *s = n->state;
	const struct tensor *x = n->in[0], *y = n->out[0] ? n->out[0] : n->out[1];
	struct tensor others;
	struct walk w;

	walk_part(x, ~s->mask, &others);
	walk_init(&w, &others);
	walk_add_strides(&w, y->stride);
	for (walk_begin(&w); !w.done; walk_next(&w))
		for (int64_t i = 0; i < w.count; i++)
			topk_one(n, w.offset[0] + i * w.step[0], w.offset[1] + i * w.step[1]);
}

#define TOPK(from, ins, attributes)                                                      \
	&(const struct op)                                                               \
	{                                                                                \
		.name = "TopK", .since = from, .layout = OP_FOLLOW, .in_least = ins,     \
		.in_most = ins, .out_most = 2, .attrs = attributes, .shape = topk_shape, \
		.plan = topk_plan, .run = topk_run                                       \
	}

const struct op *const ops_order[] = {
	&(const struct op){ .name = "CumSum",
			    .since = 11,
			    .layout = OP_FOLLOW,
			    .in_least = 2,
			    .in_most = 2,
			    .attrs = "exclusive:i reverse:i",
			    .shape = cumsum_shape,
			    .run = cumsum_run },
	TOPK(1, 1, "axis:i !k:i"),
	TOPK(10, 2, "axis:i"),
	TOPK(11, 2, "axis:i largest:i sorted:i"),
	NULL,
};
