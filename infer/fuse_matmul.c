/* Add of one value per column behind a product with a known factor becomes the product's bias. */
#include "infer/fuse.h"

static bool is_row(const struct tensor *t, int64_t count)
{
	if (!t->constant || t->dtype != DTYPE_F32 || tensor_count(t) != (size_t)count)
		return false;
	return t->rank >= 1 && t->dim[t->rank - 1] == count;
}

int fuse_bias(struct graph *g, struct node *n, struct node *next, struct err *e)
{
	const struct tensor *y = n->out[0];
	struct tensor *bias, **in;

	if (!node_is(n, "MatMul") || !node_is(next, "Add") || n->in_count != 2 ||
	    n->epilogue.act != ACT_NONE || !node_known(n, 1) || n->in[1]->rank != 2 ||
	    n->in[0]->rank < 2 || next->in[0] == next->in[1] || tensor_count(y) == 0)
		return 0;
	bias = next->in[0] == y ? next->in[1] : next->in[0];
	if (!is_row(bias, y->dim[y->rank - 1]) || !tensor_same_shape(y, next->out[0]) ||
	    n->in[1]->dim[0] == 0)
		return 0;
	in = arena_array(g->arena, 3, sizeof(struct tensor *), e);
	if (!in)
		return -1;
	in[0] = n->in[0];
	in[1] = n->in[1];
	in[2] = bias;
	n->in = in;
	n->in_count = 3;
	fuse_into(g, n, next);
	return 1;
}
