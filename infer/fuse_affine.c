/* y[c] = x[c] · scale[c] + shift[c] behind a convolution goes into its weights and bias, computed in
 * double and rounded once; elsewhere it is a node of its own, or part of the convolution behind it. */
#include "infer/fuse.h"

#include <math.h>

#include "infer/kernels/conv.h"
#include "infer/kernels/scale.h"

struct affine {
	double *scale, *shift;
	size_t channels;
};

static bool known_floats(const struct tensor *t, size_t count)
{
	return t && t->constant && t->dtype == DTYPE_F32 && tensor_count(t) == count;
}

static bool from_batchnorm(const struct node *n, struct affine *a)
{
	double epsilon = (double)node_float(n, "epsilon", 1e-5f);

	for (int i = 1; i < 5; i++)
		if (!known_floats(node_in(n, i), a->channels))
			return false;
	for (int i = 1; i < n->out_count; i++)
		if (n->out[i])
			return false;
	for (size_t c = 0; c < a->channels; c++) {
		double s = tensor_real(n->in[1], c) / sqrt(tensor_real(n->in[4], c) + epsilon);

		a->scale[c] = s;
		a->shift[c] = tensor_real(n->in[2], c) - tensor_real(n->in[3], c) * s;
	}
	return true;
}

/* One value, or one per channel and nothing else (dims 1 but at dim 1 of the picture)? */
static bool per_channel(const struct tensor *t, int rank, size_t channels)
{
	if (!t->constant || t->dtype != DTYPE_F32 || t->rank > rank)
		return false;
	for (int i = 1; i <= t->rank; i++) {
		int64_t d = t->dim[t->rank - i];

		if (d != 1 && !(rank - i == 1 && (size_t)d == channels))
			return false;
	}
	return true;
}

static bool from_arithmetic(const struct node *n, const struct tensor *x, struct affine *a)
{
	bool first = n->in_count == 2 && n->in[0] == x;
	const struct tensor *t = n->in_count == 2 ? n->in[first] : NULL;

	if (!t || t == x || !per_channel(t, x->rank, a->channels))
		return false;
	for (size_t c = 0; c < a->channels; c++) {
		double v = tensor_real(t, tensor_count(t) == 1 ? 0 : c);

		a->scale[c] = 1;
		a->shift[c] = 0;
		if (node_is(n, "Mul"))
			a->scale[c] = v;
		else if (node_is(n, "Add"))
			a->shift[c] = v;
		else if (node_is(n, "Sub") && first)
			a->shift[c] = -v;
		else if (node_is(n, "Div") && first)
			a->scale[c] = 1 / v;
		else
			return false;
	}
	return true;
}

static int apply(struct graph *g, struct node *n, const struct affine *a, struct err *e)
{
	const struct tensor *w = n->in[1], *b = node_in(n, 2);
	struct tensor *w2 = graph_tensor(g, "", e), *b2 = graph_tensor(g, "", e);
	size_t each = tensor_count(w) / a->channels;
	struct tensor **in = arena_array(g->arena, 3, sizeof(struct tensor *), e);

	if (!w2 || !b2 || !in || tensor_shape(w2, DTYPE_F32, w->rank, w->dim, e) < 0 ||
	    tensor_shape(b2, DTYPE_F32, 1, w->dim, e) < 0 || graph_fill(g, w2, e) < 0 ||
	    graph_fill(g, b2, e) < 0)
		return -1;
	for (size_t c = 0; c < a->channels; c++) {
		const float *from = (const float *)w->data + c * each;
		float *to = (float *)w2->data + c * each;

		for (size_t i = 0; i < each; i++)
			to[i] = (float)((double)from[i] * a->scale[c]);
		((float *)b2->data)[c] =
		    (float)((b ? tensor_real(b, c) : 0) * a->scale[c] + a->shift[c]);
	}
	w2->name = w->name;
	b2->name = b ? b->name : w->name;
	w2->constant = b2->constant = true;
	if (w->uses == 1 && !w->output && !w->viewed)
		graph_drop(g, n->in[1]);
	in[0] = n->in[0];
	in[1] = w2;
	in[2] = b2;
	n->in = in;
	n->in_count = 3;
	return 0;
}

int fuse_affine(struct graph *g, struct node *n, struct node *next, struct err *e)
{
	struct tensor *x = n->out[0];
	struct affine a;
	bool fits;

	if (n->epilogue.act != ACT_NONE || n->residual || !node_known(n, 1) ||
	    (node_in(n, 2) && !node_known(n, 2)) || !next->out[0] ||
	    !tensor_same_shape(x, next->out[0]) || x->rank < 3 || n->in[1]->dim[0] != x->dim[1])
		return 0;
	fits = node_is(next, "BatchNormalization") || node_is(next, "Mul") ||
	       node_is(next, "Add") || node_is(next, "Sub") || node_is(next, "Div");
	if (!fits)
		return 0;
	a.channels = (size_t)x->dim[1];
	a.scale = arena_array(g->arena, a.channels, sizeof(double), e);
	a.shift = a.scale ? arena_array(g->arena, a.channels, sizeof(double), e) : NULL;
	if (!a.shift)
		return -1;
	if (!(node_is(next, "BatchNormalization") ? from_batchnorm(next, &a)
						  : from_arithmetic(next, x, &a)))
		return 0;
	if (apply(g, n, &a, e) < 0)
		return -1;
	fuse_into(g, n, next);
	return 1;
}

/* --- a BatchNormalization that stands alone -------------------------------------------------------- */

static int scale_shape(struct node *n, struct err *e)
{
	return node_output_like(n, 0, n->in[0], e);
}

static int scale_plan(struct node *n, struct err *e)
{
	struct scale *s = n->state;
	const struct tensor *x = n->in[0], *y = n->out[0];

	(void)e;
	s->channels = (size_t)x->dim[1];
	s->pixels = tensor_count(x) / s->channels;
	s->x_pitch = (size_t)x->stride[x->rank - 1];
	s->y_pitch = (size_t)y->stride[y->rank - 1];
	s->epilogue = n->epilogue;
	n->kernel = "scale";
	return 0;
}

static void scale_node_run(const struct node *n)
{
	scale_run(n->state, n->in[0]->data, n->out[0]->data, n->crew);
}

static const struct op scale_op = {
	.name = "Scale",
	.layout = OP_LAST,
	.flags = OP_EPILOGUE | OP_GAPS,
	.in_least = 1,
	.in_most = 1,
	.shape = scale_shape,
	.plan = scale_plan,
	.run = scale_node_run,
};

int fuse_lonely(struct graph *g, struct node *n, struct err *e)
{
	struct tensor *x = n->in[0];
	struct affine a = { .channels = x->rank > 1 ? (size_t)x->dim[1] : 0 };
	struct scale *s;
	float *scale, *shift;

	if (x->rank < 3 || x->rank > 5 || x->dtype != DTYPE_F32 || tensor_count(x) == 0)
		return 0;
	a.scale = arena_array(g->arena, 2 * a.channels, sizeof(double), e);
	scale = a.scale ? arena_array(g->arena, 2 * a.channels, sizeof(float), e) : NULL;
	s = scale ? arena_take(g->arena, sizeof *s, e) : NULL;
	if (!s)
		return -1;
	a.shift = a.scale + a.channels;
	shift = scale + a.channels;
	if (!from_batchnorm(n, &a))
		return 0;
	for (size_t c = 0; c < a.channels; c++) {
		scale[c] = (float)a.scale[c];
		shift[c] = (float)a.shift[c];
	}
	s->scale = scale;
	s->shift = shift;
	n->type = "Scale";
	n->op = &scale_op;
	n->state = s;
	n->in_count = 1;
	n->attr_count = 0;
	return 0;
}

/* What is left of them, with its activation, goes into the convolution that alone reads it, where that
 * fetches each pixel once. */
void fuse_scales(struct graph *g)
{
	for (struct node *n = g->first, *next; n; n = next) {
		struct node *reader = n->op == &scale_op ? graph_reader(n->out[0]) : NULL;
		struct conv *c;

		next = n->next;
		if (!node_is(reader, "Conv") || reader->kernels != KERNELS_NATIVE ||
		    reader->in[0] != n->out[0] || !node_known(reader, 1) ||
		    !conv_takes_gate(reader->state))
			continue;
		c = reader->state;
		c->before = n->state;
		((struct scale *)n->state)->epilogue = n->epilogue;
		reader->in[0] = n->in[0];
		graph_remove(g, n);
	}
	graph_uses(g);
}

int affine_of(struct graph *g, const struct node *n, struct tensor **factor,
	      struct tensor **summand, struct err *e)
{
	const struct tensor *x = n->in[0];
	struct affine a = { .channels = x->rank > 1 ? (size_t)x->dim[1] : 0 };

	a.scale = arena_array(g->arena, 2 * a.channels, sizeof(double), e);
	if (!a.scale)
		return -1;
	a.shift = a.scale + a.channels;
	if (x->dtype != DTYPE_F32 || !tensor_same_shape(x, n->out[0]) ||
	    !(node_is(n, "BatchNormalization") ? from_batchnorm(n, &a) : from_arithmetic(n, x, &a)))
		return 0;
	*factor = graph_tensor(g, "", e);
	*summand = *factor ? graph_tensor(g, "", e) : NULL;
	if (!*summand || tensor_shape(*factor, DTYPE_F32, 1, x->dim + 1, e) < 0 ||
	    tensor_shape(*summand, DTYPE_F32, 1, x->dim + 1, e) < 0 ||
	    graph_fill(g, *factor, e) < 0 || graph_fill(g, *summand, e) < 0)
		return -1;
	for (size_t c = 0; c < a.channels; c++) {
		((float *)(*factor)->data)[c] = (float)a.scale[c];
		((float *)(*summand)->data)[c] = (float)a.shift[c];
	}
	(*factor)->constant = (*summand)->constant = true;
	return 1;
}
