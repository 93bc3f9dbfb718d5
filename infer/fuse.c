/* What can be computed together. Nodes are visited in order; a convolution swallows, as long as
 * its result has one reader alone: a factor and a summand per channel (BatchNormalization, Mul, Add
 * with constants: into weights and bias), the sum with a tensor of its own shape (a residual), an
 * activation. Where ONNX spells an activation out in several nodes they are made one first. */
#include "infer/fuse.h"

#include <string.h>

bool node_is(const struct node *n, const char *type)
{
	return n && !*n->domain && strcmp(n->type, type) == 0;
}

/* Nodes whose outputs nobody reads, from the end. */
void graph_sweep(struct graph *g)
{
	graph_uses(g);
	for (struct node *n = g->last, *prev; n; n = prev) {
		bool wanted = false;

		prev = n->prev;
		for (int i = 0; i < n->out_count; i++)
			wanted |= n->out[i] && n->out[i]->uses > 0;
		if (wanted)
			continue;
		for (int i = 0; i < n->in_count; i++)
			if (n->in[i])
				n->in[i]->uses--;
		graph_remove(g, n);
	}
	graph_uses(g);
}

/* A Dropout that is there still is one for inference. */
static bool does_nothing(const struct node *n)
{
	return (n->op->flags & OP_VIEW) || (node_is(n, "Dropout") && !node_out(n, 1));
}

/* Views that change nothing (Identity, Dropout, Reshape to the same shape) would part makers from
 * readers: readers get the original. */
void fuse_bypass(struct graph *g)
{
	for (struct node *n = g->first, *next; n; n = next) {
		next = n->next;
		for (int i = 0; i < n->in_count; i++)
			if (n->in[i] && n->in[i]->same)
				n->in[i] = n->in[i]->same;
		if (!does_nothing(n) || !n->out[0] || n->out[0]->output ||
		    !tensor_same_shape(n->in[0], n->out[0]) || n->in[0]->dtype != n->out[0]->dtype)
			continue;
		n->out[0]->same = n->in[0];
		graph_remove(g, n);
	}
	graph_uses(g);
}

/* n's result is now what its reader's was; the reader goes, and n moves to where it stood. */
void fuse_into(struct graph *g, struct node *n, struct node *reader)
{
	n->out[0] = reader->out[0];
	n->out[0]->maker = n;
	graph_remove(g, n);
	n->dead = false;
	graph_insert(g, reader, n);
	graph_remove(g, reader);
	/* Counting all readers anew each time would be quadratic. What n did not take over of the
	 * reader's inputs counts one too many until the next graph_uses, which is on the safe side. */
	for (int i = 0; i < reader->in_count; i++)
		if (reader->in[i] && reader->in[i]->reader == reader)
			reader->in[i]->reader = n;
}

static bool fuse_activation(struct graph *g, struct node *n, struct node *next)
{
	const struct epilogue *act = next->state;

	if (!(next->op->flags & OP_ACTIVATION) || n->epilogue.act != ACT_NONE ||
	    next->in[0] != n->out[0] || act->act == ACT_NONE)
		return false;
	n->epilogue = *act;
	fuse_into(g, n, next);
	return true;
}

static int fuse_residual(struct graph *g, struct node *n, struct node *next, struct err *e)
{
	struct tensor *other, **in;

	if (!node_is(next, "Add") || n->epilogue.act != ACT_NONE || n->residual ||
	    next->in_count != 2 || next->in[0] == next->in[1])
		return 0;
	other = next->in[0] == n->out[0] ? next->in[1] : next->in[0];
	if (other->constant || !tensor_same_shape(other, n->out[0]) || other->dtype != DTYPE_F32)
		return 0;
	in = arena_array(g->arena, 4, sizeof(struct tensor *), e);
	if (!in)
		return -1;
	for (int i = 0; i < n->in_count && i < 3; i++)
		in[i] = n->in[i];
	in[3] = other;
	n->in = in;
	n->in_count = 4;
	n->residual = 3;
	fuse_into(g, n, next);
	return 1;
}

/* 1 if something was swallowed, 0 if not, -1 with *e. */
static int swallow(struct graph *g, struct node *n, struct err *e)
{
	struct node *next = n->out[0] ? graph_reader(n->out[0]) : NULL;
	int result;

	if (!next)
		return 0;
	result = node_is(n, "Conv") ? fuse_affine(g, n, next, e) : 0;
	if (result == 0)
		result = fuse_bias(g, n, next, e);
	if (result == 0)
		result = fuse_activation(g, n, next);
	if (result == 0 && node_is(n, "Conv"))
		result = fuse_residual(g, n, next, e);
	return result;
}

static int swallow_all(struct graph *g, struct err *e)
{
	for (struct node *n = g->first, *next; n; n = next) {
		int result = 0;

		next = n->next;
		if (!(n->op->flags & OP_EPILOGUE))
			continue;
		do {
			result = swallow(g, n, e);
			if (result > 0 && next && next->dead) /* n stands there now */
				next = n->next;
		} while (result > 0);
		if (result < 0)
			return graph_at(n, e);
	}
	return 0;
}

int graph_fuse(struct graph *g, struct err *e)
{
	fuse_bypass(g);
	graph_sweep(g);
	if (fuse_qdq(g, e) < 0 || graph_fold_late(g, e) < 0)
		return -1;
	graph_sweep(g);
	if (fuse_moves(g, e) < 0)
		return -1;
	fuse_bypass(g);
	if (fuse_patterns(g, e) < 0 || fuse_pads(g, e) < 0)
		return -1;
	graph_sweep(g);
	if (swallow_all(g, e) < 0)
		return -1;
	for (struct node *n = g->first; n; n = n->next)
		if (node_is(n, "BatchNormalization") && fuse_lonely(g, n, e) < 0)
			return graph_at(n, e);
	graph_sweep(g);
	if (swallow_all(g, e) < 0)
		return -1;
	graph_sweep(g);
	fuse_scales(g);
	return fuse_gates(g, e) < 0 ? -1 : fuse_pairs(g, e);
}
