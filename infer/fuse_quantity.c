/* What a quantised tensor is, and nodes that make one: see fuse_qdq.h. */
#include "infer/fuse_qdq.h"

/* Between these, no quotient of two scales, nor of a product of two and a third, is infinite or 0. */
#define SCALE_LEAST 1e-12f
#define SCALE_MOST 1e12f

static bool one_known(const struct tensor *t, enum dtype type)
{
	return t && t->constant && t->dtype == type && tensor_count(t) == 1;
}

bool is_byte(enum dtype t)
{
	return t == DTYPE_U8 || t == DTYPE_I8;
}

static bool scale_known(const struct node *n, enum dtype type)
{
	float scale;

	if (!is_byte(type) || !one_known(n->in[1], DTYPE_F32) ||
	    (node_in(n, 2) && !one_known(n->in[2], type)))
		return false;
	scale = *(const float *)n->in[1]->data;
	return scale > SCALE_LEAST && scale < SCALE_MOST;
}

bool is_quantize(const struct node *n)
{
	return node_is(n, "QuantizeLinear") && n->out[0] && n->in[0]->dtype == DTYPE_F32 &&
	       scale_known(n, n->out[0]->dtype);
}

bool is_dequantize(const struct node *n)
{
	return node_is(n, "DequantizeLinear") && n->out[0] && scale_known(n, n->in[0]->dtype);
}

bool quantity_of(const struct tensor *t, struct quantity *q)
{
	const struct node *n = t ? t->maker : NULL;

	if (!n || !is_dequantize(n) || n->in[0]->constant)
		return false;
	*q = (struct quantity){ n->in[0], n->in[1], node_in(n, 2) };
	return true;
}

struct quantity quantity_made(const struct node *n)
{
	return (struct quantity){ n->out[0], n->in[1], node_in(n, 2) };
}

int64_t quantity_zero(const struct quantity *q)
{
	return q->zero ? tensor_int(q->zero, 0) : 0;
}

bool quantity_same(const struct quantity *a, const struct quantity *b)
{
	return a->bytes->dtype == b->bytes->dtype && quantity_zero(a) == quantity_zero(b) &&
	       *(const float *)a->scale->data == *(const float *)b->scale->data;
}

struct tensor *quantity_tensor(struct graph *g, struct node *n, enum dtype type,
			       const struct tensor *like, struct err *e)
{
	struct tensor *t = graph_tensor(g, "", e);

	if (!t || tensor_shape(t, type, like->rank, like->dim, e) < 0)
		return NULL;
	t->name = like->name;
	t->maker = n;
	return t;
}

struct node *quantity_node(struct graph *g, struct node *before, const char *domain,
			   const char *type, int count, struct tensor *const *in, struct tensor *y,
			   struct err *e)
{
	struct node *n = graph_node(g, type, count, 1, e);
	bool known;

	if (!n)
		return NULL;
	n->domain = domain;
	n->name = before->name;
	n->index = before->index;
	n->opset = before->opset;
	n->op = op_find(domain, type, GRAPH_OPSET_MOST, &known);
	for (int i = 0; i < count; i++)
		n->in[i] = in[i];
	n->out[0] = y ? y : graph_tensor(g, "", e);
	if (!n->op || !n->out[0])
		return NULL;
	n->out[0]->maker = n;
	graph_insert(g, before, n);
	return n;
}
