/* Quantised graphs: QuantizeLinear and DequantizeLinear are moved, merged and swallowed until operators
 * work on bytes. In order:
 *
 *   equal QuantizeLinears of one tensor become one;
 *   i8 between the two becomes u8, which the kernels take as it is;
 *   what only moves or picks values (MaxPool, Reshape, …) does so with the bytes: DequantizeLinear goes
 *   behind it, QuantizeLinear before it;
 *   Conv, Gemm and MatMul between the two take bytes (fuse_qnodes.c);
 *   whatever is a function of one byte becomes a table (fuse_lookup.c);
 *   Add, Mul, Concat, means between the two take bytes (fuse_qnodes.c);
 *   sums and tables go into the product that made their bytes.
 *
 * What is left stays as it is, in real numbers. */
#include "infer/fuse_qdq.h"

#include <string.h>

struct node *quantized_by(const struct node *n, struct node **act)
{
	struct node *next = n->out[0] ? graph_reader(n->out[0]) : NULL;
	const struct epilogue *p;

	*act = NULL;
	if (next && (next->op->flags & OP_ACTIVATION) && next->in[0] == n->out[0]) {
		p = next->state;
		if (p->act != ACT_RELU && p->act != ACT_CLIP)
			return NULL;
		*act = next;
		next = graph_reader(next->out[0]);
	}
	return next && is_quantize(next) ? next : NULL;
}

/* --- equal ones become one -------------------------------------------------------------------------------- */

/* What n reads of tensors that are another now. */
static void read_same(struct node *n)
{
	for (int i = 0; i < n->in_count; i++)
		while (n->in[i] && n->in[i]->same)
			n->in[i] = n->in[i]->same;
}

/* The first QuantizeLinear of a tensor is kept in its reader field; what reads a later, equal one reads
 * that. */
static void merge(struct graph *g)
{
	for (struct tensor *t = g->tensors; t; t = t->next)
		t->reader = NULL;
	for (struct node *n = g->first, *next; n; n = next) {
		next = n->next;
		read_same(n);
		if (!is_quantize(n))
			continue;
		struct node *first = n->in[0]->reader;
		struct quantity mine = quantity_made(n), other;
		if (!first) {
			n->in[0]->reader = n;
			continue;
		}
		other = quantity_made(first);
		if (n->out[0]->output || !quantity_same(&mine, &other))
			continue;
		n->out[0]->same = first->out[0];
		graph_remove(g, n);
	}
	graph_uses(g);
}

/* --- i8 to u8 ---------------------------------------------------------------------------------------------- */

static struct tensor *zero_as(struct graph *g, const struct quantity *q, enum dtype type, int64_t v,
			      struct err *e)
{
	struct tensor *t = graph_tensor(g, "", e);

	if (!t || tensor_shape(t, type, q->scale->rank, q->scale->dim, e) < 0 ||
	    graph_fill(g, t, e) < 0)
		return NULL;
	t->constant = true;
	t->name = q->zero ? q->zero->name : "";
	*(uint8_t *)t->data = (uint8_t)v;
	return t;
}

static int with_zero(struct graph *g, struct node *n, struct tensor *zero, struct err *e)
{
	struct tensor **in = arena_array(g->arena, 3, sizeof(struct tensor *), e);

	if (!in)
		return -1;
	in[0] = n->in[0];
	in[1] = n->in[1];
	in[2] = zero;
	n->in = in;
	n->in_count = 3;
	return 0;
}

/* i8 that only an attribute asks for (output_dtype, since opset 21) has a zero point that says so, as all
 * that is made of a QuantizeLinear takes its type from there. */
static int tell_signed(struct graph *g, struct err *e)
{
	for (struct node *n = g->first; n; n = n->next) {
		struct tensor *zero;
		struct quantity q;

		if (!is_quantize(n) || n->out[0]->dtype != DTYPE_I8 || node_in(n, 2))
			continue;
		q = quantity_made(n);
		zero = zero_as(g, &q, DTYPE_I8, 0, e);
		if (!zero || with_zero(g, n, zero, e) < 0)
			return -1;
	}
	return 0;
}

static int to_unsigned(struct graph *g, struct err *e)
{
	/* Bytes that a QuantizeLinear makes and nobody but DequantizeLinears sees are marked. */
	for (struct tensor *t = g->tensors; t; t = t->next)
		t->ready = t->maker && t->dtype == DTYPE_I8 && !t->output && is_quantize(t->maker);
	for (struct node *n = g->first; n; n = n->next)
		for (int i = 0; i < n->in_count; i++)
			if (n->in[i] && n->in[i]->ready && !(i == 0 && is_dequantize(n)))
				n->in[i]->ready = false;
	for (struct node *n = g->first; n; n = n->next) {
		bool made = n->out_count == 1 && n->out[0] && n->out[0]->ready;
		bool read = n->in_count > 0 && n->in[0] && n->in[0]->ready;
		struct quantity q = { NULL, n->in_count > 1 ? n->in[1] : NULL, node_in(n, 2) };
		struct tensor *zero;

		if (!made && !read)
			continue;
		zero = zero_as(g, &q, DTYPE_U8, quantity_zero(&q) + 128, e);
		if (!zero || with_zero(g, n, zero, e) < 0)
			return -1;
		if (made) {
			n->out[0]->dtype = DTYPE_U8;
			n->attr_count = 0; /* output_dtype; no other matters to one scale */
		}
	}
	return 0;
}

/* --- moving values, not numbers ------------------------------------------------------------------------------ */

static bool moves(const struct node *n)
{
	static const char *const types[] = {
		"Reshape", "Flatten", "Squeeze",  "Unsqueeze", "Transpose",    "MaxPool",
		"Slice",   "Split",   "Identity", "Gather",    "DepthToSpace", "SpaceToDepth"
	};

	if (n->out_count > 1 && !node_is(n, "Split") && node_out(n, 1))
		return false;
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (node_is(n, types[i]))
			return n->in[0]->dtype == DTYPE_F32 || is_byte(n->in[0]->dtype);
	return false;
}

/* DequantizeLinear, n becomes n, DequantizeLinear. */
static int sink(struct graph *g, struct node *n, const struct quantity *q, struct err *e)
{
	struct node *before = n->next;

	n->in[0] = q->bytes;
	for (int i = 0; i < n->out_count; i++) {
		struct tensor *in[3] = { NULL, q->scale, q->zero }, *y = n->out[i];
		struct node *dq;

		if (!y)
			continue;
		n->out[i] = in[0] = quantity_tensor(g, n, q->bytes->dtype, y, e);
		if (!in[0])
			return -1;
		dq = quantity_node(g, n, "", "DequantizeLinear", 3, in, y, e);
		if (!dq)
			return -1;
		graph_remove(g, dq);
		dq->dead = false;
		graph_insert(g, before, dq);
		if (dq->op->shape(dq, e) < 0)
			return graph_at(dq, e);
	}
	return n->op->shape(n, e) < 0 ? graph_at(n, e) : 0;
}

static int sink_all(struct graph *g, struct err *e)
{
	for (struct node *n = g->first, *next; n; n = next) {
		struct quantity q;

		next = n->next;
		if (moves(n) && quantity_of(n->in[0], &q) && sink(g, n, &q, e) < 0)
			return -1;
	}
	graph_uses(g);
	return 0;
}

/* n, QuantizeLinear becomes QuantizeLinear, n. */
static int hoist(struct graph *g, struct node *n, struct node *quantize, struct err *e)
{
	struct quantity q = quantity_made(quantize);
	struct tensor *x = n->in[0];

	graph_remove(g, quantize);
	quantize->dead = false;
	graph_insert(g, n, quantize);
	quantize->in[0] = x;
	quantize->out[0] = n->in[0] = quantity_tensor(g, quantize, q.bytes->dtype, x, e);
	if (!n->in[0])
		return -1;
	n->out[0] = q.bytes;
	q.bytes->maker = n;
	if (quantize->op->shape(quantize, e) < 0)
		return graph_at(quantize, e);
	return n->op->shape(n, e) < 0 ? graph_at(n, e) : 0;
}

static int hoist_all(struct graph *g, struct err *e)
{
	for (struct node *n = g->last; n; n = n->prev) {
		struct node *next;

		if (!moves(n) || n->out_count != 1 || n->in[0]->dtype != DTYPE_F32 ||
		    n->in[0]->constant)
			continue;
		next = graph_reader(n->out[0]);
		if (!next || !is_quantize(next) || !graph_may_look(g, g->node_count))
			continue;
		if (hoist(g, n, next, e) < 0)
			return -1;
		graph_uses(g);
	}
	return 0;
}

/* --- com.microsoft's operators ----------------------------------------------------------------------------------- */

/* A DequantizeLinear of three inputs of n from i on, before n. NULL with *e. */
static struct tensor *dequantized(struct graph *g, struct node *n, int i, struct err *e)
{
	struct tensor *in[] = { n->in[i], n->in[i + 1], node_in(n, i + 2) };
	struct node *dq = quantity_node(g, n, "", "DequantizeLinear", 3, in, NULL, e);

	return dq && dq->op->shape(dq, e) == 0 ? dq->out[0] : NULL;
}

/* n as ONNX's operator of `type` between the two. */
static int write_out(struct graph *g, struct node *n, const char *type, int count,
		     struct tensor *const *in, struct tensor *scale, struct tensor *zero,
		     struct err *e)
{
	struct node *m = quantity_node(g, n, "", type, count, in, NULL, e), *q;

	if (!m)
		return -1;
	m->attr = n->attr;
	m->attr_count = n->attr_count;
	if (m->op->shape(m, e) < 0)
		return -1;
	q = quantity_node(g, n, "", "QuantizeLinear", 3,
			  (struct tensor *[]){ m->out[0], scale, zero }, n->out[0], e);
	graph_remove(g, n);
	return !q || q->op->shape(q, e) < 0 ? -1 : 0;
}

static int expand(struct graph *g, struct node *n, struct err *e)
{
	struct tensor **in;
	int parts = (n->in_count - 2) / 3;

	if (strcmp(n->domain, OP_MICROSOFT) != 0 || n->op->run)
		return 0;
	in = arena_array(g->arena, (size_t)parts + 1, sizeof(struct tensor *), e);
	if (!in)
		return -1;
	if (strcmp(n->type, "QLinearConcat") != 0) {
		in[0] = dequantized(g, n, 0, e);
		return in[0] ? write_out(g, n,
					 strcmp(n->type, "QLinearSigmoid") == 0 ? "Sigmoid"
										: "LeakyRelu",
					 1, in, n->in[3], node_in(n, 4), e)
			     : -1;
	}
	for (int i = 0; i < parts; i++) {
		in[i] = dequantized(g, n, 2 + 3 * i, e);
		if (!in[i])
			return -1;
	}
	return write_out(g, n, "Concat", parts, in, n->in[0], n->in[1], e);
}

/* --- the pass -------------------------------------------------------------------------------------------------- */

static bool any(const struct graph *g)
{
	for (const struct node *n = g->first; n; n = n->next)
		if (is_quantize(n) || node_is(n, "DequantizeLinear") || *n->domain)
			return true;
	return false;
}

/* f for every node; nodes that it puts in stand before the node it was called for. */
static int each(struct graph *g, int (*f)(struct graph *g, struct node *n, struct err *e),
		struct err *e)
{
	for (struct node *n = g->first, *next; n; n = next) {
		next = n->next;
		read_same(n);
		if (f(g, n, e) < 0)
			return graph_at(n, e);
		while (next && next->dead)
			next = next->next;
	}
	graph_sweep(g);
	return 0;
}

static int lookups(struct graph *g, struct node *n, struct err *e)
{
	return is_quantize(n) ? fuse_lookup(g, n, e) : 0;
}

/* Known numbers that are stored as bytes, though they are no weights, are numbers. */
static int fold_numbers(struct graph *g, struct err *e)
{
	for (struct node *n = g->first, *next; n; n = next) {
		const struct node *reader = n->out[0] ? n->out[0]->reader : NULL;

		next = n->next;
		if (node_is(n, "DequantizeLinear") && n->in[0]->constant && reader &&
		    !node_is(reader, "Conv") && !node_is(reader, "Gemm") &&
		    !node_is(reader, "MatMul") && graph_fold_node(g, n, e) < 0)
			return -1;
	}
	return 0;
}

int fuse_qdq(struct graph *g, struct err *e)
{
	if (!any(g))
		return 0;
	if (each(g, expand, e) < 0)
		return -1;
	merge(g);
	if (fold_numbers(g, e) < 0 || tell_signed(g, e) < 0 || to_unsigned(g, e) < 0 ||
	    sink_all(g, e) < 0 || hoist_all(g, e) < 0)
		return -1;
	merge(g);
	if (each(g, fuse_qproduct, e) < 0 || each(g, lookups, e) < 0 ||
	    each(g, fuse_qelement, e) < 0)
		return -1;
	return each(g, fuse_qepilogue, e);
}
