/* Pad: constant, edge, reflect, wrap; negative pads cut. */
#include "infer/ops/ops.h"

#include <string.h>

#include "infer/ops/walk.h"

enum mode { CONSTANT, REFLECT, EDGE, WRAP };

struct pad {
	enum mode mode;
	int64_t before[TENSOR_RANK_MAX], after[TENSOR_RANK_MAX];
};

static int mode_of(const struct node *n, struct err *e)
{
	static const char *const names[] = { "constant", "reflect", "edge", "wrap" };
	const char *mode = node_text(n, "mode", "constant");

	for (int i = 0; i < (n->op->since >= 19 ? 4 : 3); i++)
		if (strcmp(mode, names[i]) == 0)
			return i;
	return node_invalid(n, e, "mode '%s'", mode);
}

/* Pads per axis: all axes, or those that input 3 names (opset 18). */
static int read_pads(struct node *n, struct pad *p, struct err *e)
{
	const struct tensor *x = n->in[0];
	int64_t pads[2 * TENSOR_RANK_MAX], axis[TENSOR_RANK_MAX];
	int count =
	    node_list(n, 1, n->op->since < 2 ? "paddings" : "pads", pads, 2 * TENSOR_RANK_MAX, e);
	int axes = count < 0 ? -1 : node_list(n, 3, NULL, axis, TENSOR_RANK_MAX, e), seen = 0;

	if (axes < 0)
		return -1;
	for (int i = 0; !node_in(n, 3) && i < x->rank; i++)
		axis[axes++] = i;
	if (count != 2 * axes)
		return node_invalid(n, e, "%d pads for %d axes", count, axes);
	for (int i = 0; i < axes; i++) {
		if (node_axis(n, &axis[i], x->rank, e) < 0)
			return -1;
		if (seen >> axis[i] & 1)
			return node_invalid(n, e, "axis %lld comes twice", (long long)axis[i]);
		seen |= 1 << axis[i];
		p->before[axis[i]] = pads[i];
		p->after[axis[i]] = pads[axes + i];
	}
	return 0;
}

static int shape(struct node *n, struct err *e)
{
	const struct tensor *x = n->in[0], *value = node_in(n, 2);
	struct pad *p = node_note(n, sizeof *p, e);
	int64_t dim[TENSOR_RANK_MAX];
	int mode = mode_of(n, e);

	if (!p || mode < 0)
		return -1;
	*p = (struct pad){ .mode = (enum mode)mode };
	if (read_pads(n, p, e) < 0)
		return -1;
	if (value && (value->dtype != x->dtype || tensor_count(value) != 1))
		return node_invalid(n, e, "the value is not one number of the input's type");
	for (int i = 0; i < x->rank; i++) {
		int64_t most = p->before[i] > p->after[i] ? p->before[i] : p->after[i];
		if (p->before[i] < -x->dim[i] || p->after[i] < -x->dim[i] || most > INT32_MAX)
			return node_invalid(n, e, "pads %lld and %lld of dimension %lld",
					    (long long)p->before[i], (long long)p->after[i],
					    (long long)x->dim[i]);
		if (mode == REFLECT && most >= x->dim[i] && most > 0)
			return node_invalid(n, e, "reflection by %lld of dimension %lld",
					    (long long)most, (long long)x->dim[i]);
		if (mode != CONSTANT && x->dim[i] == 0 && most > 0)
			return node_invalid(n, e, "dimension %d is empty", i);
		dim[i] = x->dim[i] + p->before[i] + p->after[i];
	}
	if (node_output(n, 0, x->dtype, x->rank, dim, e) < 0)
		return -1;
	if (n->out[0])
		n->out[0]->half = x->half;
	return 0;
}

/* Fill, then copy what lies inside. */
static void run_constant(const struct node *n, const struct pad *p)
{
	static const double zero;
	const struct tensor *x = n->in[0], *y = n->out[0], *value = node_in(n, 2);
	float attribute = node_float(n, "value", 0);
	const void *fill = value                   ? value->data
			   : x->dtype == DTYPE_F32 ? (const void *)&attribute
						   : &zero;
	int64_t none[TENSOR_RANK_MAX] = { 0 }, to = 0, from = 0;
	struct tensor part = *y;
	struct walk w;

	walk_init(&w, y);
	walk_add_strides(&w, none);
	walk_copy(&w, y->data, fill, dtype_size(y->dtype));
	for (int i = 0; i < x->rank; i++) {
		int64_t start = p->before[i] < 0 ? -p->before[i] : 0;
		int64_t end = x->dim[i] + (p->after[i] < 0 ? p->after[i] : 0);
		if (end <= start)
			return;
		part.dim[i] = end - start;
		from += start * x->stride[i];
		to += (start + p->before[i]) * y->stride[i];
	}
	walk_init(&w, &part);
	walk_add_strides(&w, x->stride);
	walk_copy(&w, (char *)y->data + to * (int64_t)dtype_size(y->dtype),
		  (const char *)x->data + from * (int64_t)dtype_size(x->dtype),
		  dtype_size(x->dtype));
}

/* Where output position i comes from. */
static int64_t source(int64_t i, int64_t size, enum mode mode)
{
	if (mode == EDGE)
		return i < 0 ? 0 : i >= size ? size - 1 : i;
	if (mode == WRAP)
		return (i % size + size) % size;
	i = i < 0 ? -i : i;
	return i >= size ? 2 * (size - 1) - i : i;
}

static void fill_axis(const struct node *n, int axis, char *to, const char *from)
{
	const struct tensor *x = n->in[0], *y = n->out[0];
	const struct pad *p = n->state;
	int64_t each = (int64_t)dtype_size(x->dtype);

	if (axis == x->rank) {
		memcpy(to, from, (size_t)each);
		return;
	}
	for (int64_t i = 0; i < y->dim[axis]; i++)
		fill_axis(n, axis + 1, to + i * y->stride[axis] * each,
			  from + source(i - p->before[axis], x->dim[axis], p->mode) *
				     x->stride[axis] * each);
}

static void run(const struct node *n)
{
	const struct pad *p = n->state;

	if (p->mode == CONSTANT)
		run_constant(n, p);
	else if (tensor_count(n->out[0]))
		fill_axis(n, 0, n->out[0]->data, n->in[0]->data);
}

#define ROW(from, most, attributes)                                                              \
	&(const struct op)                                                                       \
	{                                                                                        \
		.name = "Pad", .since = from, .layout = OP_FOLLOW, .in_least = most > 1 ? 2 : 1, \
		.in_most = most, .attrs = attributes, .shape = shape, .run = run                 \
	}

const struct op *const ops_pad[] = {
	ROW(1, 1, "!paddings:I mode:s value:f"),
	ROW(2, 1, "!pads:I mode:s value:f"),
	ROW(11, 3, "mode:s"),
	ROW(18, 4, "mode:s"),
	ROW(19, 4, "mode:s"),
	NULL,
};
