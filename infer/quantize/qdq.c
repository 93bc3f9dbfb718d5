/* Integers and the nodes around them. A value that is quantised goes through QuantizeLinear to u8 and
 * through DequantizeLinear to whoever reads it in integers; weights stand in the file as s8, one
 * scale for each channel of the result, biases as i32 with the product of both scales. Every runtime
 * that knows the pattern computes what lies between in integers; every other one still computes the
 * same in floats. */
#include "infer/quantize/parts.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define BIAS_MOST 1073741824.0 /* half of what i32 holds is left to the sum of products */
#define SCALE_LEAST 1e-30f

static float at_least(float scale, float least)
{
	return scale > least ? scale : least;
}

struct scale scale_of(struct range r)
{
	struct scale s = { 0 };
	float width = r.high - r.low;

	s.scale = width > 0 ? at_least(width / 255, SCALE_LEAST) : 1.0f / 255;
	s.zero = (int)lrintf(-r.low / s.scale);
	s.zero = s.zero > 255 ? 255 : s.zero;
	/* The largest must not lie beyond a Clip's bound, or the Clip would be needed still. */
	while (r.low == 0 && width > 0 && 255 * s.scale > r.high && s.scale > SCALE_LEAST)
		s.scale = nextafterf(s.scale, 0);
	return s;
}

/* --- building blocks ------------------------------------------------------------------------------ */

static struct tensor *constant(struct graph *g, const char *name, const char *more,
			       enum dtype dtype, int rank, const int64_t *dim, struct err *e)
{
	struct tensor *t = graph_fresh(g, name, more, e);

	if (!t || tensor_shape(t, dtype, rank, dim, e) < 0 || graph_fill(g, t, e) < 0)
		return NULL;
	t->constant = true;
	return t;
}

/* A node of three inputs, not yet in the list. axis -1: one scale for all. */
static struct node *linear(struct graph *g, const char *type, struct tensor *x,
			   struct tensor *scale, struct tensor *zero, int axis, struct err *e)
{
	struct node *n = graph_node(g, type, 3, 1, e);
	struct tensor *y = n ? graph_fresh(g, x->name, type[0] == 'Q' ? "_q" : "_dq", e) : NULL;
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
	q = linear(g, "QuantizeLinear", t, s->scale_tensor, s->zero_tensor, -1, e);
	dq = q ? linear(g, "DequantizeLinear", q->out[0], s->scale_tensor, s->zero_tensor, -1, e)
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

/* w: outer, channels, inner. */
struct weights {
	const float *w, *bias; /* bias may be NULL */
	size_t outer, channels, inner;
	float x_scale;
};

static float largest(const struct weights *w, size_t c)
{
	float most = 0;

	for (size_t o = 0; o < w->outer; o++)
		for (size_t i = 0; i < w->inner; i++)
			most = fmaxf(most, fabsf(w->w[(o * w->channels + c) * w->inner + i]));
	return most;
}

/* Large enough for the weights, and for a bias in multiples of it and the input's scale. */
static float weight_scale(const struct weights *w, size_t c)
{
	float scale = at_least(largest(w, c) / 127, SCALE_LEAST);

	if (w->bias)
		scale = at_least(
		    scale, (float)(fabs((double)w->bias[c]) / ((double)w->x_scale * BIAS_MOST)));
	return scale;
}

static void round_channel(const struct weights *w, size_t c, float scale, int8_t *to)
{
	for (size_t o = 0; o < w->outer; o++) {
		for (size_t i = 0; i < w->inner; i++) {
			size_t at = (o * w->channels + c) * w->inner + i;
			float q = rintf(w->w[at] / scale);

			to[at] = (int8_t)(q > 127 ? 127 : q < -127 ? -127 : q);
		}
	}
}

/* Along which axis of the weights the result's channels lie. */
static int channel_axis(const struct node *n)
{
	if (node_is(n, "Conv") || (node_is(n, "Gemm") && node_int(n, "transB", 0)))
		return 0;
	return 1;
}

static int quantize_bias(struct graph *g, struct node *n, const struct weights *w,
			 const struct tensor *scale, struct err *e)
{
	int64_t count = (int64_t)w->channels;
	const char *name = n->in[2]->name;
	struct tensor *b = constant(g, name, "_quantized", DTYPE_I32, 1, &count, e);
	struct tensor *s = constant(g, name, "_scale", DTYPE_F32, 1, &count, e);
	struct tensor *zero = constant(g, name, "_zero_point", DTYPE_I32, 1, &count, e);
	struct node *dq = b && s && zero ? linear(g, "DequantizeLinear", b, s, zero, 0, e) : NULL;

	if (!dq)
		return -1;
	for (size_t c = 0; c < w->channels; c++) {
		float step = w->x_scale * ((const float *)scale->data)[c];

		((float *)s->data)[c] = step;
		((int32_t *)b->data)[c] = (int32_t)llrint((double)w->bias[c] / (double)step);
	}
	n->in[2] = dq->out[0];
	graph_insert(g, n, dq);
	return 0;
}

static void fill_weights(const struct weights *w, struct tensor *q, struct tensor *scale)
{
	for (size_t c = 0; c < w->channels; c++) {
		((float *)scale->data)[c] = weight_scale(w, c);
		round_channel(w, c, ((float *)scale->data)[c], q->data);
	}
}

static int quantize_weights(struct graph *g, struct node *n, float x_scale, struct err *e)
{
	const struct tensor *t = n->in[1], *b = node_in(n, 2);
	int axis = channel_axis(n);
	int64_t count = t->dim[axis];
	struct weights w = { t->data, b ? b->data : NULL, 1, (size_t)count, 1, x_scale };
	struct tensor *q = constant(g, t->name, "_quantized", DTYPE_I8, t->rank, t->dim, e);
	struct tensor *scale = constant(g, t->name, "_scale", DTYPE_F32, 1, &count, e);
	struct tensor *zero = constant(g, t->name, "_zero_point", DTYPE_I8, 1, &count, e);
	struct node *dq =
	    q && scale && zero ? linear(g, "DequantizeLinear", q, scale, zero, axis, e) : NULL;

	if (!dq)
		return -1;
	for (int i = 0; i < t->rank; i++)
		*(i < axis ? &w.outer : &w.inner) *= i == axis ? 1 : (size_t)t->dim[i];
	fill_weights(&w, q, scale);
	n->in[1] = dq->out[0];
	graph_insert(g, n, dq);
	return b ? quantize_bias(g, n, &w, scale, e) : 0;
}

int qdq_insert(struct graph *g, const struct places *places, struct scale *scale, struct err *e)
{
	for (struct node *n = g->first, *next; n; n = next) {
		next = n->next;
		if (places_product(n) &&
		    quantize_weights(g, n, scale[places_root(places, n->in[0]->place)].scale, e) <
			0)
			return graph_at(n, e);
	}
	for (int i = 1; i <= places->count; i++)
		if (places_quantized(places, i) && through_integers(g, places, i, scale, e) < 0)
			return -1;
	return 0;
}
