/* Nodes of older opsets, written as a newer one has them: what were attributes become inputs, what
 * changed its default says it. What is in neither table must have one meaning in both opsets. */
#include "infer/quantize/parts.h"

#include <string.h>

#define OPSET_LEAST 7 /* before, broadcasting was another */

static void drop_attribute(struct node *n, const char *name)
{
	int kept = 0;

	for (int i = 0; i < n->attr_count; i++)
		if (strcmp(n->attr[i].name, name) != 0)
			n->attr[kept++] = n->attr[i];
	n->attr_count = kept;
}

int node_reach(struct node *n, int i, struct err *e)
{
	struct tensor **in;

	if (i < n->in_count)
		return 0;
	in = arena_array(n->graph->arena, (size_t)i + 1, sizeof(struct tensor *), e);
	if (!in)
		return -1;
	memcpy(in, n->in, (size_t)n->in_count * sizeof(struct tensor *));
	n->in = in;
	n->in_count = i + 1;
	return 0;
}

static int constant_input(struct node *n, int i, enum dtype dtype, int rank, int64_t count,
			  const void *values, struct err *e)
{
	struct tensor *t = graph_fresh(n->graph, n->out[0]->name, "_constant", e);

	if (!t || node_reach(n, i, e) < 0 || tensor_shape(t, dtype, rank, &count, e) < 0 ||
	    graph_fill(n->graph, t, e) < 0)
		return -1;
	memcpy(t->data, values, tensor_bytes(t));
	t->constant = true;
	n->in[i] = t;
	return 0;
}

/* The ints of an attribute, if it is there, become input i. */
static int ints_input(struct node *n, int i, const char *name, struct err *e)
{
	const int64_t *ints;
	int count = node_ints(n, name, &ints);

	if (!node_attr(n, name))
		return 0;
	if (constant_input(n, i, DTYPE_I64, 1, count, ints, e) < 0)
		return -1;
	drop_attribute(n, name);
	return 0;
}

static int float_input(struct node *n, int i, const char *name, struct err *e)
{
	const struct attr *a = node_attr(n, name);

	if (!a)
		return 0;
	if (constant_input(n, i, DTYPE_F32, 0, 1, &a->f, e) < 0)
		return -1;
	drop_attribute(n, name);
	return 0;
}

static int write_clip(struct node *n, struct err *e)
{
	return float_input(n, 1, "min", e) < 0 ? -1 : float_input(n, 2, "max", e);
}

static int write_pad(struct node *n, struct err *e)
{
	return ints_input(n, 1, "pads", e) < 0 ? -1 : float_input(n, 2, "value", e);
}

static int write_slice(struct node *n, struct err *e)
{
	if (ints_input(n, 1, "starts", e) < 0 || ints_input(n, 2, "ends", e) < 0)
		return -1;
	return ints_input(n, 3, "axes", e);
}

static int write_split(struct node *n, struct err *e)
{
	return ints_input(n, 1, "split", e);
}

static int write_axes(struct node *n, struct err *e)
{
	return ints_input(n, 1, "axes", e);
}

/* Before 13 all axes from this one on were taken as one, and 1 was the default. */
static int write_softmax(struct node *n, struct err *e)
{
	const struct tensor *x = n->in[0];
	int64_t axis = node_int(n, "axis", 1), wide = -1;
	struct attr *a = arena_take(n->graph->arena, sizeof *a, e);

	if (!a || node_axis(n, &axis, x->rank, e) < 0)
		return -1;
	for (int i = (int)axis; i < x->rank; i++) {
		if (x->dim[i] == 1)
			continue;
		if (wide >= 0)
			return node_unsupported(n, e, "several axes at once in opset 13");
		wide = i;
	}
	*a = (struct attr){ .name = "axis", .type = 'i', .i = wide < 0 ? axis : wide };
	n->attr = a;
	n->attr_count = 1;
	return 0;
}

static int write_norm(struct node *n, struct err *e)
{
	if (node_int(n, "spatial", 1) != 1)
		return node_unsupported(n, e, "spatial=0 in opset 13");
	drop_attribute(n, "spatial");
	return 0;
}

static struct attr text_attr(const char *name, const char *text)
{
	return (struct attr){ .name = name, .type = 's', .s = text };
}

/* Upsample, and Resize of opset 10: scales are input 2 since 11, and what was the only way of counting
 * places is said. Upsample itself is in no opset since 10. */
static int write_resize(struct node *n, struct err *e)
{
	const struct attr *scales = node_attr(n, "scales");
	struct attr *a = arena_array(n->graph->arena, 3, sizeof *a, e);
	bool known;

	if (!a)
		return -1;
	if (scales && constant_input(n, 1, DTYPE_F32, 1, scales->count, scales->floats, e) < 0)
		return -1;
	if (node_reach(n, 2, e) < 0)
		return -1;
	n->in[2] = n->in[1];
	n->in[1] = NULL;
	a[0] = text_attr("mode", node_text(n, "mode", "nearest"));
	a[1] = text_attr("coordinate_transformation_mode", "asymmetric");
	a[2] = text_attr("nearest_mode", "floor");
	n->attr = a;
	n->attr_count = 3;
	n->type = "Resize";
	n->op = op_find("", n->type, 13, &known);
	return 0;
}

/* Columns: operator, first opset with the other form, how it is written (NULL: as it is). */
static const struct change {
	const char *type;
	int since;
	int (*write)(struct node *n, struct err *e);
} changes[] = {
	{ "Clip", 11, write_clip },
	{ "Pad", 11, write_pad },
	{ "Slice", 10, write_slice },
	{ "Split", 13, write_split },
	{ "Squeeze", 13, write_axes },
	{ "Unsqueeze", 13, write_axes },
	{ "ReduceSum", 13, write_axes },
	{ "Softmax", 13, write_softmax },
	{ "LogSoftmax", 13, write_softmax },
	{ "Hardmax", 13, write_softmax },
	{ "BatchNormalization", 9, write_norm },
	{ "Upsample", 13, write_resize },
	{ "Resize", 11, write_resize },
	{ "MaxPool", 10, NULL },
	{ "AveragePool", 10, NULL },
	{ "ArgMax", 12, NULL },
	{ "ArgMin", 12, NULL },
	{ "DepthToSpace", 11, NULL },
	{ "Gemm", 11, NULL },
};

static int raise_node(struct node *n, int least, struct err *e)
{
	bool known;

	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		const struct change *c = &changes[i];

		if (strcmp(c->type, n->type) != 0)
			continue;
		return c->write && n->opset < c->since ? c->write(n, e) : 0;
	}
	if (op_find("", n->type, n->opset, &known) != op_find("", n->type, least, &known))
		return node_unsupported(n, e, "opset %d has it otherwise", least);
	return 0;
}

int opset_raise(struct graph *g, int least, struct err *e)
{
	for (struct node *n = g->first; n; n = n->next) {
		if (*n->domain || n->opset >= least)
			continue;
		if (n->opset < OPSET_LEAST ? node_unsupported(n, e, "quantising opset %d", n->opset)
					   : raise_node(n, least, e))
			return graph_at(n, e);
		n->opset = least;
	}
	for (struct graph_domain *d = g->domains; d; d = d->next)
		if (!*d->name && d->opset < least)
			d->opset = least;
	return 0;
}
