/* Operators between DequantizeLinear and QuantizeLinear become operators on bytes: see fuse_qdq.h. */
#include <math.h>
#include <string.h>

#include "infer/fuse_qdq.h"
#include "infer/ops/qlinear.h"

static bool is_ours(const struct node *n, const char *type)
{
	return n && strcmp(n->domain, OP_OURS) == 0 && strcmp(n->type, type) == 0;
}

/* The new node m takes the place and the attributes of n, of the activation that follows it (or NULL) and of the
 * QuantizeLinear that ends it (or NULL). */
static int replace(struct graph *g, struct node *n, struct node *act, struct node *quantize,
		   struct node *m, struct err *e)
{
	m->attr = n->attr;
	m->attr_count = n->attr_count;
	if (act)
		m->epilogue = *(const struct epilogue *)act->state;
	graph_remove(g, n);
	if (act)
		graph_remove(g, act);
	if (quantize)
		graph_remove(g, quantize);
	return m->op->shape(m, e) < 0 ? -1 : 1;
}

/* --- Conv, Gemm, MatMul --------------------------------------------------------------------------------- */

/* Bytes that are known, with a scale for all or for each index of this axis. */
static bool weights_of(const struct tensor *t, int64_t axis, struct quantity *q)
{
	const struct node *n = t ? t->maker : NULL;
	const struct tensor *scale;

	if (!node_is(n, "DequantizeLinear") || !n->in[0]->constant || !n->in[1]->constant ||
	    (node_in(n, 2) && !n->in[2]->constant) || !n->state ||
	    (n->in[0]->dtype != DTYPE_U8 && n->in[0]->dtype != DTYPE_I8))
		return false;
	scale = n->in[1];
	if (scale->dtype != DTYPE_F32 || scale->rank > 1 || node_int(n, "block_size", 0) != 0 ||
	    (tensor_count(scale) != 1 && *(const int64_t *)n->state != axis))
		return false;
	*q = (struct quantity){ n->in[0], n->in[1], node_in(n, 2) };
	return true;
}

/* Is the bias stored as sums are, in units of x's scale times the weights'? */
static bool in_units(const struct node *dq, const struct quantity *x, const struct quantity *w)
{
	const struct tensor *scale = dq->in[1], *bias = dq->in[0];
	float unit = *(const float *)x->scale->data;

	if (bias->dtype != DTYPE_I32 || !scale->constant || scale->dtype != DTYPE_F32 ||
	    node_int(dq, "block_size", 0) != 0)
		return false;
	for (size_t k = 0; k < tensor_count(bias); k++) {
		size_t i = tensor_count(scale) == 1 ? 0 : k;
		size_t j = tensor_count(w->scale) == 1 ? 0 : k;
		float s = ((const float *)scale->data)[i];
		float product = unit * ((const float *)w->scale->data)[j];

		if (i >= tensor_count(scale) || j >= tensor_count(w->scale) ||
		    !(fabsf(s - product) <= 1e-5f * product))
			return false;
	}
	return !node_in(dq, 2) ||
	       (dq->in[2]->constant && tensor_int(dq->in[2], 0) == 0); /* always 0 for i32 */
}

/* Is there a sum for each of these real numbers? Not if weights are next to nothing: then the bias is all. */
static bool fits(const struct tensor *bias, const struct quantity *x, const struct quantity *w)
{
	double unit = *(const float *)x->scale->data;

	for (size_t k = 0; k < tensor_count(bias); k++) {
		size_t j = tensor_count(w->scale) == 1 ? 0 : k;
		double v = ((const float *)bias->data)[k];

		if (j >= tensor_count(w->scale) ||
		    !(fabs(v) <= 1e9 * fabs(unit * ((const float *)w->scale->data)[j])))
			return false;
	}
	return true;
}

/* The bias as QConv and QGemm take it: sums, or real numbers. 0: there is one that they do not take; -1
 * with *e. */
static int bias_of(struct graph *g, struct tensor *t, int64_t count, const struct quantity *x,
		   const struct quantity *w, struct tensor **bias, struct err *e)
{
	struct node *n;

	*bias = NULL;
	if (!t)
		return 1;
	n = t->maker;
	if (t->rank != 1 || t->dim[0] != count)
		return 0;
	if (!t->constant) {
		if (!node_is(n, "DequantizeLinear") || !n->in[0]->constant || !n->in[1]->constant ||
		    (node_in(n, 2) && !n->in[2]->constant))
			return 0;
		if (in_units(n, x, w)) {
			*bias = n->in[0];
			return 1;
		}
		if (graph_fold_node(g, n, e) < 0)
			return -1;
	}
	if (!t->constant || !fits(t, x, w))
		return 0;
	*bias = t;
	return 1;
}

/* Columns of the result, and the axis of the weights that they are; 0 if the product has a form that is not
 * taken. */
static int64_t columns_of(const struct node *n, int64_t *axis)
{
	const struct tensor *x = n->in[0], *w = n->in[1];

	*axis = 0;
	if (node_is(n, "Conv"))
		return w->rank >= 3 && w->rank <= 5 ? w->dim[0] : 0;
	if (w->rank != 2 || x->rank < 1)
		return 0;
	*axis = node_int(n, "transB", 0) ? 0 : 1;
	if (node_is(n, "MatMul"))
		return w->dim[1];
	if (!node_is(n, "Gemm") || x->rank != 2 || node_int(n, "transA", 0) ||
	    node_float(n, "alpha", 1) != 1 || node_float(n, "beta", 1) != 1)
		return 0;
	return w->dim[*axis];
}

/* The Add of a row that alone reads MatMul n, and that row: the product's bias in all but name. */
static struct node *added_to(const struct node *n, struct tensor **row)
{
	struct node *next = node_is(n, "MatMul") ? graph_reader(n->out[0]) : NULL;

	if (!node_is(next, "Add") || next->in_count != 2 || next->in[0] == next->in[1] ||
	    !tensor_same_shape(next->out[0], n->out[0]))
		return NULL;
	*row = next->in[next->in[0] == n->out[0]];
	return next;
}

int fuse_qproduct(struct graph *g, struct node *n, struct err *e)
{
	struct quantity x, w;
	struct tensor *in[QLINEAR_INPUTS] = { 0 }, *bias, *row = NULL;
	struct node *act, *quantize, *m, *add;
	int64_t axis, columns;
	int taken;

	if (!(node_is(n, "Conv") || node_is(n, "Gemm") || node_is(n, "MatMul")) ||
	    !quantity_of(n->in[0], &x) || n->epilogue.act != ACT_NONE)
		return 0;
	columns = columns_of(n, &axis);
	if (columns < 1 || tensor_count(n->out[0]) == 0 || !weights_of(n->in[1], axis, &w))
		return 0;
	taken = bias_of(g, node_in(n, 2), columns, &x, &w, &bias, e);
	if (taken <= 0)
		return taken;
	add = bias ? NULL : added_to(n, &row);
	taken = add ? bias_of(g, row, columns, &x, &w, &bias, e) : 1;
	if (taken < 0)
		return -1;
	if (taken == 0)
		add = NULL;
	quantize = quantized_by(add ? add : n, &act);
	in[0] = x.bytes, in[1] = x.scale, in[2] = x.zero;
	in[3] = w.bytes, in[4] = w.scale, in[5] = w.zero;
	in[8] = bias;
	if (quantize) {
		in[6] = quantize->in[1];
		in[7] = node_in(quantize, 2);
	} else {
		act = NULL; /* what follows joins as it would behind floats */
	}
	m = quantity_node(g, n, OP_OURS, node_is(n, "Conv") ? "QConv" : "QGemm", QLINEAR_INPUTS, in,
			  quantize ? quantize->out[0]
			  : add    ? add->out[0]
				   : n->out[0],
			  e);
	if (add)
		graph_remove(g, add);
	return m ? replace(g, n, act, quantize, m, e) : -1;
}

/* --- Add, Mul --------------------------------------------------------------------------------------------- */

static bool per_channel(const struct tensor *a, const struct tensor *b)
{
	return a->rank >= 3 && a->rank <= 5 && b->rank == a->rank && a->dim[0] == b->dim[0] &&
	       a->dim[1] == b->dim[1] && tensor_count(b) == (size_t)(b->dim[0] * b->dim[1]);
}

static int fuse_pair(struct graph *g, struct node *n, struct err *e)
{
	struct quantity a, b;
	struct node *act, *quantize = quantized_by(n, &act), *m;
	bool product = node_is(n, "Mul");

	if (!quantize || n->in_count != 2 || !quantity_of(n->in[0], &a) ||
	    !quantity_of(n->in[1], &b) || a.bytes == b.bytes)
		return 0;
	if (product && per_channel(b.bytes, a.bytes) && !tensor_same_shape(a.bytes, b.bytes)) {
		struct quantity c = a;
		a = b;
		b = c;
	}
	if (!tensor_same_shape(a.bytes, b.bytes) && !(product && per_channel(a.bytes, b.bytes)))
		return 0;
	struct tensor *in[] = { a.bytes, a.scale, a.zero,          b.bytes,
				b.scale, b.zero,  quantize->in[1], node_in(quantize, 2) };
	m = quantity_node(g, n, OP_MICROSOFT, product ? "QLinearMul" : "QLinearAdd", 8, in,
			  quantize->out[0], e);
	return m ? replace(g, n, act, quantize, m, e) : -1;
}

/* --- a factor and a summand per channel ----------------------------------------------------------------------- */

static int fuse_scale(struct graph *g, struct node *n, struct err *e)
{
	struct quantity x;
	struct node *act, *quantize = quantized_by(n, &act), *m;
	struct tensor *factor, *summand;

	if (!quantize || !quantity_of(n->in[0], &x) || n->in[0]->rank < 3 || n->in[0]->rank > 5)
		return 0;
	int known = affine_of(g, n, &factor, &summand, e);
	if (known <= 0)
		return known;
	struct tensor *in[] = {
		x.bytes, x.scale, x.zero, factor, summand, quantize->in[1], node_in(quantize, 2)
	};
	m = quantity_node(g, n, OP_OURS, "QScale", 7, in, quantize->out[0], e);
	return m ? replace(g, n, act, quantize, m, e) : -1;
}

/* --- means ---------------------------------------------------------------------------------------------------- */

static int fuse_mean(struct graph *g, struct node *n, struct err *e)
{
	bool global = !node_is(n, "AveragePool");
	struct quantity x;
	struct node *act, *quantize = quantized_by(n, &act), *m;

	if (!quantize || act || !quantity_of(n->in[0], &x) || n->in[0]->rank < 3 ||
	    n->in[0]->rank > 5 || tensor_count(n->in[0]) == 0 ||
	    (node_int(n, "ceil_mode", 0) && node_int(n, "count_include_pad", 0)))
		return 0;
	if (node_is(n, "ReduceMean") &&
	    (!is_picture_mean(n) || n->out[0]->rank != n->in[0]->rank)) /* without keepdims */
		return 0;
	if (tensor_count(n->in[0]) / (size_t)(n->in[0]->dim[0] * n->in[0]->dim[1]) >
	    QPOOL_TAPS_MOST)
		return 0;
	struct tensor *in[] = { x.bytes, x.scale, x.zero, quantize->in[1], node_in(quantize, 2) };
	m = quantity_node(g, n, OP_OURS, global ? "QGlobalAveragePool" : "QAveragePool", 5, in,
			  quantize->out[0], e);
	return m ? replace(g, n, NULL, quantize, m, e) : -1;
}

/* --- Concat ----------------------------------------------------------------------------------------------------- */

/* All that it joins is brought to the scale of its result. */
static int fuse_concat(struct graph *g, struct node *n, struct err *e)
{
	struct node *act, *quantize = quantized_by(n, &act);
	struct quantity q, as;

	if (!quantize || act)
		return 0;
	as = quantity_made(quantize);
	for (int i = 0; i < n->in_count; i++)
		if (!quantity_of(n->in[i], &q) || q.bytes->dtype != as.bytes->dtype)
			return 0;
	for (int i = 0; i < n->in_count; i++) {
		quantity_of(n->in[i], &q);
		n->in[i] = quantity_as(g, n, &q, &as, e);
		if (!n->in[i])
			return -1;
	}
	n->out[0] = as.bytes;
	as.bytes->maker = n;
	graph_remove(g, quantize);
	return n->op->shape(n, e) < 0 ? -1 : 1;
}

int fuse_qelement(struct graph *g, struct node *n, struct err *e)
{
	int result = 0;

	if (n->out_count < 1 || !n->out[0] || !node_in(n, 0))
		return 0;
	if (node_is(n, "Add") || node_is(n, "Mul"))
		result = fuse_pair(g, n, e);
	if (result == 0 && (node_is(n, "BatchNormalization") || node_is(n, "Add") ||
			    node_is(n, "Mul") || node_is(n, "Sub") || node_is(n, "Div")))
		result = fuse_scale(g, n, e);
	if (node_is(n, "GlobalAveragePool") || node_is(n, "AveragePool") ||
	    node_is(n, "ReduceMean"))
		result = fuse_mean(g, n, e);
	if (node_is(n, "Concat"))
		result = fuse_concat(g, n, e);
	return result;
}

/* --- into the product ------------------------------------------------------------------------------------------- */

/* Is it a product that may still take a residual, and whose bytes one node alone reads? */
static bool may_join(const struct tensor *t)
{
	const struct node *n = t->maker;

	return n && (is_ours(n, "QConv")) && node_in(n, 6) && !n->residual && !node_in(n, 14) &&
	       n->epilogue.act == ACT_NONE && t->uses == 1 && !t->output;
}

static int join_sum(struct graph *g, struct node *n, struct err *e)
{
	/* Of two products the later one, so that nothing is kept waiting. */
	int own = may_join(n->in[0]) ? 0 : 3, other;

	if (may_join(n->in[0]) && may_join(n->in[3]) &&
	    n->in[3]->maker->index > n->in[0]->maker->index)
		own = 3;
	if (!may_join(n->in[own]) || n->in[0] == n->in[3])
		return 0;
	other = 3 - own;
	struct node *m = n->in[own]->maker;
	const struct tensor *zero = node_in(m, 7);
	if (zero && zero->dtype != m->out[0]->dtype)
		return 0;
	m->in[9] = n->in[other];
	m->in[10] = n->in[other + 1];
	m->in[11] = node_in(n, other + 2);
	m->in[12] = n->in[6];
	m->in[13] = node_in(n, 7);
	m->residual = 9;
	m->epilogue = n->epilogue;
	fuse_into(g, m, n);
	return m->op->shape(m, e) < 0 ? -1 : 1;
}

static int join_lookup(struct graph *g, struct node *n, struct err *e)
{
	struct node *m = n->in[0]->maker;

	if (!m || !(is_ours(m, "QConv") || is_ours(m, "QGemm")) || !node_in(m, 6) ||
	    node_in(m, 14) || n->in[0]->uses != 1 || n->in[0]->output ||
	    n->in[1]->dtype != n->in[0]->dtype)
		return 0;
	m->in[14] = n->in[1];
	fuse_into(g, m, n);
	return m->op->shape(m, e) < 0 ? -1 : 1;
}

int fuse_qepilogue(struct graph *g, struct node *n, struct err *e)
{
	if (strcmp(n->domain, OP_MICROSOFT) == 0 && strcmp(n->type, "QLinearAdd") == 0)
		return join_sum(g, n, e);
	return is_ours(n, "Lookup") ? join_lookup(g, n, e) : 0;
}
