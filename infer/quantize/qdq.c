/* Integers and the nodes around them. A value that is quantised goes through QuantizeLinear to u8 and
 * through DequantizeLinear to whoever reads it in integers; weights stand in the file as s8, one
 * scale for each channel of the result, biases as i32 with the product of both scales. Every runtime
 * that knows the pattern computes what lies between in integers; every other one still computes the
 * same in floats. */
#include "infer/quantize/parts.h"

#include <string.h>

/* --- building blocks ------------------------------------------------------------------------------ */

static struct tensor *constant(struct graph *g, const char *name, const char *more,
			       enum dtype dtype, int rank, const int64_t *dim, struct err *e)
{
	struct tensor *t = graph_fresh(g, name, more, e);

	if (!t || tensor_shape(t, dtype, rank, dim, e) < 0 || graph_fill(g, t, e) < 0)
		return NULL;
	memset(t->data, 0, tensor_bytes(t)); /* what zero points remain */
	t->constant = true;
	return t;
}

/* A node of three inputs, not yet in the list, whose result is called after name. axis -1: one scale
 * for all. */
static struct node *linear(struct graph *g, const char *type, const char *name, struct tensor *x,
			   struct tensor *scale, struct tensor *zero, int axis, struct err *e)
{
	struct node *n = graph_node(g, type, 3, 1, e);
	struct tensor *y = n ? graph_fresh(g, name, type[0] == 'Q' ? "_q" : "_dq", e) : NULL;
	struct attr *a = y ? arena_take(g->arena, sizeof *a, e) : NULL;

	if (!a || tensor_shape(y, type[0] == 'Q' ? zero->dtype : DTYPE_F32, x->rank, x->dim, e) < 0)
		return NULL;
	n->name = y->name;
	n->in[0] = x;
	n->in[1] = scale;
	n->in[2] = zero;
	n->out[0] = y;
	y->maker = n;
	*a = (struct attr){ .name = "axis", .type = 'i', .i = axis };
	n->attr = a;
	n->attr_count = axis >= 0;
	return n;
}

/* --- values --------------------------------------------------------------------------------------- */

static int scale_tensors(struct graph *g, struct scale *s, const char *name, struct err *e)
{
	if (s->scale_tensor)
		return 0;
	s->scale_tensor = constant(g, name, "_scale", DTYPE_F32, 0, NULL, e);
	s->zero_tensor = constant(g, name, "_zero_point", DTYPE_U8, 0, NULL, e);
	if (!s->scale_tensor || !s->zero_tensor)
		return -1;
	*(float *)s->scale_tensor->data = s->scale;
	*(uint8_t *)s->zero_tensor->data = (uint8_t)s->zero;
	return 0;
}

/* Nodes that take part read `to` instead of `from`; all others too if they may only have integers. */
static void redirect(struct graph *g, struct tensor *from, struct tensor *to, bool all)
{
	for (struct node *n = g->first; n; n = n->next)
		for (int i = 0; i < n->in_count && (all || n->place); i++)
			if (n->in[i] == from)
				n->in[i] = to;
}

static int through_integers(struct graph *g, const struct places *p, int i, struct scale *scale,
			    struct err *e)
{
	struct tensor *t = p->value[i].tensor;
	int root = places_root(p, i);
	struct scale *s = &scale[root];
	struct node *q, *dq;

	if (scale_tensors(g, s, p->value[root].tensor->name, e) < 0)
		return -1;
	q = linear(g, "QuantizeLinear", t->name, t, s->scale_tensor, s->zero_tensor, -1, e);
	dq = q ? linear(g, "DequantizeLinear", t->name, q->out[0], s->scale_tensor, s->zero_tensor,
			-1, e)
	       : NULL;
	if (!dq)
		return -1;
	dq->out[0]->place = i;
	redirect(g, t, dq->out[0], p->value[i].whole);
	graph_insert(g, t->maker ? t->maker->next : g->first, dq);
	graph_insert(g, dq, q);
	return 0;
}

/* --- weights -------------------------------------------------------------------------------------- */

/* Along which axis of the weights the result's channels lie. */
static int channel_axis(const struct node *n)
{
	if (node_is(n, "Conv") || (node_is(n, "Gemm") && node_int(n, "transB", 0)))
		return 0;
	return 1;
}

/* Where n's bias stands: its third input, or what is added to a MatMul. NULL: nowhere. */
static struct tensor **bias_of(const struct node *n)
{
	struct node *next = node_is(n, "MatMul") ? graph_reader(n->out[0]) : NULL;
	int64_t count = n->in[1]->dim[n->in[1]->rank - 1];

	if (!node_is(n, "MatMul"))
		return node_in(n, 2) ? &n->in[2] : NULL;
	for (int i = 0; node_is(next, "Add") && i < 2; i++) {
		const struct tensor *t = next->in[i];

		if (t->constant && t->dtype == DTYPE_F32 && t->rank > 0 &&
		    t->rank <= n->out[0]->rank && tensor_count(t) == (size_t)count &&
		    t->dim[t->rank - 1] == count)
			return &next->in[i];
	}
	return NULL;
}

/* A place for a bias where there is none. */
static struct tensor **make_bias(struct node *n, struct err *e)
{
	return node_reach(n, 2, e) < 0 ? NULL : &n->in[2];
}

/* off: what rounding the weights adds to each channel on average, and the bias takes away again. */
static int quantize_bias(struct graph *g, struct node *n, const struct weights *w,
			 const float *scale, const double *off, struct err *e)
{
	static const char *const more[2][3] = { { "_bias", "_bias_scale", "_bias_zero_point" },
						{ "_quantized", "_scale", "_zero_point" } };
	struct tensor **bias = w->bias ? bias_of(n) : make_bias(n, e);
	int64_t count = (int64_t)w->channels;
	const char *name = w->bias ? (*bias)->name : n->in[1]->name;
	bool own = strcmp(name, n->in[1]->name) != 0; /* it has a name of its own */
	struct tensor *b = bias ? constant(g, name, more[own][0], DTYPE_I32, 1, &count, e) : NULL;
	struct tensor *s = constant(g, name, more[own][1], DTYPE_F32, 1, &count, e);
	struct tensor *zero = constant(g, name, more[own][2], DTYPE_I32, 1, &count, e);
	struct node *dq =
	    b && s && zero ? linear(g, "DequantizeLinear", b->name, b, s, zero, 0, e) : NULL;

	if (!dq)
		return -1;
	for (size_t c = 0; c < w->channels; c++) {
		float step = w->x_scale * scale[c];

		((float *)s->data)[c] = step;
		((int32_t *)b->data)[c] = weights_bias(w, c, step, off[c]);
	}
	*bias = dq->out[0];
	graph_insert(g, n, dq);
	return 0;
}

static struct weights weights_of(const struct node *n, float x_scale, const double *mean)
{
	const struct tensor *t = n->in[1];
	struct tensor **b = bias_of(n);
	bool conv = node_is(n, "Conv");
	int axis = channel_axis(n);
	struct weights w = { .w = t->data,
			     .bias = b ? (*b)->data : NULL,
			     .outer = 1,
			     .channels = (size_t)t->dim[axis],
			     .inner = 1,
			     .groups = conv ? (size_t)node_int(n, "group", 1) : 1,
			     .taps = 1,
			     .x_scale = x_scale,
			     .mean = mean };

	for (int i = 0; i < t->rank; i++)
		*(i < axis ? &w.outer : &w.inner) *= i == axis ? 1 : (size_t)t->dim[i];
	for (int i = 2; i < t->rank; i++)
		w.taps *= (size_t)t->dim[i];
	return w;
}

static int quantize_weights(struct graph *g, struct node *n, float x_scale, const double *mean,
			    struct err *e)
{
	const struct tensor *t = n->in[1];
	int axis = channel_axis(n);
	int64_t count = t->dim[axis];
	struct weights w = weights_of(n, x_scale, mean);
	struct tensor *q = constant(g, t->name, "_quantized", DTYPE_I8, t->rank, t->dim, e);
	struct tensor *scale = constant(g, t->name, "_scale", DTYPE_F32, 1, &count, e);
	struct tensor *zero = constant(g, t->name, "_zero_point", DTYPE_I8, 1, &count, e);
	double *off = arena_array(g->arena, w.channels, sizeof *off, e);
	struct node *dq = q && scale && zero && off
			      ? linear(g, "DequantizeLinear", t->name, q, scale, zero, axis, e)
			      : NULL;

	if (!dq || weights_round(&w, scale->data, q->data, off, e) < 0)
		return -1;
	if ((w.bias || (mean && !node_is(n, "MatMul"))) &&
	    quantize_bias(g, n, &w, scale->data, off, e) < 0)
		return -1;
	n->in[1] = dq->out[0];
	graph_insert(g, n, dq);
	return 0;
}

int qdq_insert(struct graph *g, const struct places *places, struct scale *scale, double **mean,
	       struct err *e)
{
	for (struct node *n = g->first, *next; n; n = next) {
		int i = places_product(n) ? n->in[0]->place : 0;

		next = n->next;
		if (i > 0 &&
		    quantize_weights(g, n, scale[places_root(places, i)].scale, mean[i], e) < 0)
			return graph_at(n, e);
	}
	for (int i = 1; i <= places->count; i++)
		if (places_quantized(places, i) && through_integers(g, places, i, scale, e) < 0)
			return -1;
	return 0;
}
