/* Moves that exporters spell out and that pictures held channels last make cheap: ShuffleNet's
 * channel shuffle (Reshape, Transpose, Reshape), and means over whole pictures, which are global
 * pools. */
#include "infer/fuse.h"

#include <string.h>

#include "infer/kernels/shuffle.h"

/* --- channel shuffle: y[c / g][g] = x[g][c / g] within every pixel --------------------------------- */

static int shuffle_shape(struct node *n, struct err *e)
{
	return node_output_like(n, 0, n->in[0], e);
}

static int shuffle_plan(struct node *n, struct err *e)
{
	const struct tensor *x = n->in[0], *y = n->out[0];
	struct shuffle *s = n->state;

	(void)e;
	s->channels = (size_t)x->dim[1];
	s->pixels = tensor_count(x) / s->channels;
	s->x_pitch = (size_t)x->stride[x->rank - 1];
	s->y_pitch = (size_t)y->stride[y->rank - 1];
	n->kernel = "shuffle";
	return 0;
}

static void shuffle_node_run(const struct node *n)
{
	(n->in[0]->dtype == DTYPE_F32 ? shuffle_floats : shuffle_bytes)(n->state, n->in[0]->data,
									n->out[0]->data, n->crew);
}

static const struct op shuffle = {
	.name = "ChannelShuffle",
	.layout = OP_LAST,
	.flags = OP_GAPS,
	.in_least = 1,
	.in_most = 1,
	.shape = shuffle_shape,
	.plan = shuffle_plan,
	.run = shuffle_node_run,
};

/* Is n the last Reshape of a shuffle? Then x and how many groups. */
static struct tensor *shuffled(const struct node *n, size_t *groups)
{
	static const int64_t wanted[] = { 0, 2, 1, 3, 4 };
	const struct node *turn = node_is(n, "Reshape") ? n->in[0]->maker : NULL, *first;
	const struct tensor *y = n->out[0], *apart;
	const int64_t *perm;
	struct tensor *x;

	if (!node_is(turn, "Transpose") || node_ints(turn, "perm", &perm) != 5 ||
	    memcmp(perm, wanted, sizeof wanted) != 0)
		return NULL;
	apart = turn->in[0];
	first = apart->maker;
	if (!node_is(first, "Reshape"))
		return NULL;
	x = first->in[0];
	if (x->rank != 4 || y->rank != 4 || !tensor_same_shape(x, y) ||
	    (x->dtype != DTYPE_F32 && dtype_size(x->dtype) != 1) || apart->dim[0] != x->dim[0] ||
	    apart->dim[1] * apart->dim[2] != x->dim[1] || apart->dim[3] != x->dim[2] ||
	    apart->dim[4] != x->dim[3] || tensor_count(x) == 0)
		return NULL;
	*groups = (size_t)apart->dim[1];
	return x;
}

static int spot_shuffle(struct graph *g, struct node *n, struct err *e)
{
	size_t groups;
	struct tensor *x = shuffled(n, &groups);
	struct shuffle *s;

	if (!x)
		return 0;
	s = arena_take(g->arena, sizeof *s, e);
	if (!s)
		return -1;
	s->groups = groups;
	n->type = "ChannelShuffle";
	n->op = &shuffle;
	n->state = s;
	n->in[0] = x;
	n->in_count = 1;
	n->attr_count = 0;
	return 0;
}

/* --- mean over the picture -------------------------------------------------------------------------- */

static const struct op view = { .name = "View", .flags = OP_VIEW, .in_least = 1, .in_most = 1 };

/* Are the axes exactly all but the first two? */
static bool over_picture(const struct node *n)
{
	const struct tensor *x = n->in[0];
	int64_t axes[TENSOR_RANK_MAX];
	struct err ignored;
	unsigned seen = 0;
	int count = node_list(n, 1, "axes", axes, TENSOR_RANK_MAX, &ignored);

	if (x->rank < 3 || x->rank > 5 || count != x->rank - 2 || x->dtype != DTYPE_F32)
		return false;
	for (int i = 0; i < count; i++)
		seen |= 1u << (axes[i] < 0 ? axes[i] + x->rank : axes[i]);
	return seen == ((1u << x->rank) - 1) - 3;
}

bool is_picture_mean(const struct node *n)
{
	return node_is(n, "ReduceMean") && over_picture(n);
}

static int spot_mean(struct graph *g, struct node *n, struct err *e)
{
	bool known;
	const struct op *op = op_find("", "GlobalAveragePool", 1, &known);
	struct node *pool;
	struct tensor *t;

	if (!node_is(n, "ReduceMean") || !op || !over_picture(n))
		return 0;
	pool = graph_node(g, "GlobalAveragePool", 1, 1, e);
	t = pool ? graph_tensor(g, "", e) : NULL;
	if (!t)
		return -1;
	pool->name = n->name;
	pool->index = n->index;
	pool->opset = n->opset;
	pool->op = op;
	pool->in[0] = n->in[0];
	pool->out[0] = t;
	t->maker = pool;
	if (op->shape(pool, e) < 0)
		return graph_at(n, e);
	graph_insert(g, n, pool);
	n->type = "View";
	n->op = &view;
	n->in[0] = t;
	n->in_count = 1;
	n->attr_count = 0;
	return 0;
}

int fuse_moves(struct graph *g, struct err *e)
{
	for (struct node *n = g->first; n; n = n->next)
		if (n->out_count && n->out[0] &&
		    (spot_shuffle(g, n, e) < 0 || spot_mean(g, n, e) < 0))
			return -1;
	graph_sweep(g);
	return 0;
}
