/* A convolution of single pixels, or the first layer, and the depthwise convolution that alone reads it, when
 * what lies between them is too large for the cache: one node (kernels/conv_pair.h). */
#include "infer/fuse.h"

#include "infer/kernels/conv_pair.h"

enum { X, FIRST_WEIGHTS, FIRST_BIAS, SECOND_WEIGHTS, SECOND_BIAS, INPUTS };

static size_t pitch(const struct tensor *t)
{
	return (size_t)t->stride[t->rank - 1];
}

static int shape(struct node *n, struct err *e)
{
	(void)n, (void)e; /* as it was */
	return 0;
}

static int pack(struct node *n, struct conv *c, int weights, struct err *e)
{
	const struct tensor *bias = node_in(n, weights + 1);
	void *packed = node_keep(n, c->packed_bytes, e);

	if (!packed)
		return -1;
	conv_pack(c, n->in[weights]->data, bias ? bias->data : NULL, packed);
	n->unread |= (bias ? 3u : 1u) << weights;
	return 0;
}

static int plan(struct node *n, struct err *e)
{
	struct conv_pair *p = n->state;

	p->first.x_pitch = pitch(n->in[X]);
	p->second.y_pitch = pitch(n->out[0]);
	p->second.epilogue = n->epilogue;
	conv_pair_choose(p, crew_lanes(n->crew));
	n->kernel = p->first.planar ? "planar, depthwise" : "igemm, depthwise";
	if (pack(n, &p->first, FIRST_WEIGHTS, e) < 0 || pack(n, &p->second, SECOND_WEIGHTS, e) < 0)
		return -1;
	return node_work(n, p->work_bytes, e);
}

static void run(const struct node *n)
{
	conv_pair_run(n->state, n->in[X]->data, n->out[0]->data, n->work, n->crew);
}

static const struct op pair_op = {
	.name = "ConvPair",
	.layout = OP_LAST,
	.flags = OP_GAPS,
	.in_least = INPUTS,
	.in_most = INPUTS,
	.shape = shape,
	.plan = plan,
	.run = run,
};

static bool is_known(const struct node *n)
{
	return node_is(n, "Conv") && n->kernels == KERNELS_NATIVE && !n->residual && !n->gate &&
	       n->out[0] && node_known(n, 1) && (!node_in(n, 2) || node_known(n, 2));
}

static int join(struct graph *g, struct node *first, struct node *n, struct conv_pair *p,
		struct err *e)
{
	struct tensor **in = arena_array(g->arena, INPUTS, sizeof(struct tensor *), e);

	if (!in)
		return -1;
	in[X] = first->in[0];
	in[FIRST_WEIGHTS] = first->in[1];
	in[FIRST_BIAS] = node_in(first, 2);
	in[SECOND_WEIGHTS] = n->in[1];
	in[SECOND_BIAS] = node_in(n, 2);
	n->in = in;
	n->in_count = INPUTS;
	n->state = p;
	n->planes = p->first.planar ? PLANES_MUST : PLANES_NO;
	n->flops += first->flops;
	n->type = "ConvPair";
	n->op = &pair_op;
	graph_remove(g, first);
	return 0;
}

int fuse_pairs(struct graph *g, struct err *e)
{
	for (struct node *n = g->first, *next; n; n = next) {
		struct node *reader = n->out[0] ? graph_reader(n->out[0]) : NULL;
		struct conv_pair *p;

		next = n->next;
		if (!is_known(n) || !is_known(reader) || reader->in[0] != n->out[0])
			continue;
		p = arena_take(g->arena, sizeof *p, e);
		if (!p)
			return -1;
		p->first = *(const struct conv *)n->state;
		p->second = *(const struct conv *)reader->state;
		p->first.epilogue = n->epilogue;
		p->first.planar = n->planes != PLANES_NO && n->in[0]->input;
		if (!conv_pair_fits(&p->first, &p->second))
			continue;
		if (join(g, n, reader, p, e) < 0)
			return -1;
	}
	graph_uses(g);
	return 0;
}
