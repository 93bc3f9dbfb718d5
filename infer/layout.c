/* Who holds pictures channels last. One walk in order: rows that want channels last get them, rows
 * that take either follow their inputs, all others see row-major; where the layouts of maker and
 * reader differ a copy is put between, once per tensor. Where both layouts are the same bytes, and
 * for the Transposes that exporters of channels-last frameworks put around convolutions, the copy
 * is no more than another view. */
#include "infer/graph.h"

static void relayout_run(const struct node *n)
{
	tensor_relayout(n->out[0], n->in[0]);
}

static const struct op relayout = {
	.name = "Relayout", .in_least = 1, .in_most = 1, .run = relayout_run
};
static const struct op view = { .name = "View", .flags = OP_VIEW, .in_least = 1, .in_most = 1 };

static struct tensor *twin(struct graph *g, struct tensor *t, enum layout layout, struct err *e)
{
	struct tensor *to = graph_tensor(g, "", e);

	if (!to || tensor_shape(to, t->dtype, t->rank, t->dim, e) < 0)
		return NULL;
	tensor_layout(to, layout);
	to->name = t->name;
	to->half = t->half;
	t->other = to;
	to->other = t;
	return to;
}

/* t's values in this layout, for a reader before which a copy may be put. */
static struct tensor *held_as(struct graph *g, struct node *before, struct tensor *t,
			      enum layout layout, struct err *e)
{
	struct tensor *to;
	struct node *n;

	if (!t || t->layout == layout || t->rank < 3 || t->rank > 5)
		return t;
	if (t->other)
		return t->other;
	to = twin(g, t, layout, e);
	if (!to)
		return NULL;
	if (t->constant) {
		to->constant = true;
		if (graph_fill(g, to, e) < 0)
			return NULL;
		tensor_relayout(to, t);
		return to;
	}
	n = graph_node(g, tensor_layouts_agree(t) ? "View" : "Relayout", 1, 1, e);
	if (!n)
		return NULL;
	n->op = tensor_layouts_agree(t) ? &view : &relayout;
	n->index = before ? before->index : -1;
	n->kernel = layout == LAYOUT_LAST ? "to channels last" : "to row-major";
	n->in[0] = t;
	n->out[0] = to;
	to->maker = n;
	graph_insert(g, before, n);
	return to;
}

/* Where most of the bytes that it reads lie. */
static enum layout vote(const struct node *n, int rank)
{
	size_t last = 0, plain = 0;

	for (int i = 0; i < n->in_count; i++) {
		const struct tensor *t = n->in[i];

		if (!t || t->constant || t->rank != rank || tensor_layouts_agree(t))
			continue;
		*(t->layout == LAYOUT_LAST ? &last : &plain) += tensor_bytes(t);
	}
	if (last + plain == 0) /* nothing at stake: as the first lies */
		return node_in(n, 0) ? n->in[0]->layout : LAYOUT_PLAIN;
	return last >= plain ? LAYOUT_LAST : LAYOUT_PLAIN;
}

/* A Transpose between the two orders, of a tensor that lies just so that nothing need move. */
static bool free_transpose(struct graph *g, struct node *n)
{
	const int64_t *perm;
	int rank = n->out[0] ? n->out[0]->rank : 0, to_last = 1, to_first = 1;
	struct tensor *x = n->in[0];

	(void)g;
	if (*n->domain || n->type[0] != 'T' || __builtin_strcmp(n->type, "Transpose") != 0 ||
	    node_ints(n, "perm", &perm) != rank || rank < 3 || rank > 5)
		return false;
	to_first &= perm[0] == 0 && perm[1] == rank - 1;
	to_last &= perm[0] == 0 && perm[rank - 1] == 1;
	for (int i = 2; i < rank; i++)
		to_first &= perm[i] == i - 1;
	for (int i = 1; i < rank - 1; i++)
		to_last &= perm[i] == i + 1;
	if (to_first &&
	    (x->layout == LAYOUT_PLAIN || (x->other && x->other->layout == LAYOUT_PLAIN))) {
		n->in[0] = x->layout == LAYOUT_PLAIN ? x : x->other;
		tensor_layout(n->out[0], LAYOUT_LAST);
	} else if (to_last &&
		   (x->layout == LAYOUT_LAST || (x->other && x->other->layout == LAYOUT_LAST))) {
		n->in[0] = x->layout == LAYOUT_LAST ? x : x->other;
		tensor_layout(n->out[0], LAYOUT_PLAIN);
	} else {
		return false;
	}
	n->op = &view;
	return true;
}

/* In which layout n wants in[i], if `layout` is that of its other pictures. */
static enum layout wanted(const struct node *n, int i, int rank, enum layout layout)
{
	const struct tensor *t = n->in[i];
	bool joins = n->op->layout == OP_FOLLOW ? t->rank == rank
						: i == 0 || (n->residual && i == n->residual);

	if (i == 0 && (n->planes == PLANES_MUST ||
		       (n->planes == PLANES_MAY && t->layout == LAYOUT_PLAIN && !t->other)))
		return LAYOUT_PLAIN;
	return joins ? layout : LAYOUT_PLAIN;
}

static int place(struct graph *g, struct node *n, struct err *e)
{
	int rank = node_out(n, 0) ? n->out[0]->rank : 0;
	enum layout layout = LAYOUT_PLAIN;
	int64_t x_rank = node_in(n, 0) ? n->in[0]->rank : 0;

	if (n->op->layout == OP_LAST && x_rank >= 3 && x_rank <= 5)
		layout = LAYOUT_LAST;
	else if (n->op->layout == OP_FOLLOW && rank >= 3 && rank <= 5)
		layout = vote(n, rank);
	for (int i = 0; i < n->in_count; i++) {
		if (!n->in[i])
			continue;
		n->in[i] = held_as(g, n, n->in[i], wanted(n, i, rank, layout), e);
		if (!n->in[i])
			return -1;
	}
	for (int i = 0; i < n->out_count; i++)
		if (n->out[i] && (n->op->layout != OP_FOLLOW || n->out[i]->rank == rank))
			tensor_layout(n->out[i], layout);
	return 0;
}

int graph_layout(struct graph *g, struct err *e)
{
	for (struct node *n = g->first; n; n = n->next)
		if (!free_transpose(g, n) && place(g, n, e) < 0)
			return graph_at(n, e);
	for (int i = 0; i < g->output_count; i++) {
		struct tensor *t = held_as(g, NULL, g->output[i], LAYOUT_PLAIN, e);

		if (!t)
			return -1;
		g->output[i]->output = false;
		t->output = true;
		g->output[i] = t;
	}
	return 0;
}
