/* Activations that exporters spell out: x·Sigmoid(x), x·HardSigmoid(x), x·Tanh(Softplus(x)). */
#include "infer/fuse.h"

#include <math.h>

static void activation_run(const struct node *n)
{
	activate(n->state, n->in[0]->data, n->out[0]->data, tensor_count(n->out[0]));
}

static int activation_shape(struct node *n, struct err *e)
{
	return node_output_like(n, 0, n->in[0], e);
}

static const struct op activation = {
	.name = "Activation",
	.layout = OP_FOLLOW,
	.flags = OP_INPLACE | OP_ACTIVATION,
	.in_least = 1,
	.in_most = 1,
	.shape = activation_shape,
	.run = activation_run,
};

/* What Mul(x, gate(x)) amounts to; ACT_NONE if nothing. */
static enum activation gated(const struct tensor *x, const struct tensor *gate)
{
	const struct node *n = gate->maker;
	const struct epilogue *p;

	if (!n || !(n->op->flags & OP_ACTIVATION) || !n->in[0])
		return ACT_NONE;
	p = n->state;
	if (n->in[0] == x && p->act == ACT_SIGMOID)
		return ACT_SILU;
	if (n->in[0] == x && p->act == ACT_HARDSIGMOID && fabsf(p->a - 1.0f / 6) < 1e-6f &&
	    p->b == 0.5f)
		return ACT_HARDSWISH;
	if (p->act == ACT_TANH && node_is(n->in[0]->maker, "Softplus") &&
	    n->in[0]->maker->in[0] == x)
		return ACT_MISH;
	return ACT_NONE;
}

/* The Mul becomes the activation of x; the gate dies if nobody else reads it. */
static int become(struct graph *g, struct node *n, struct tensor *x, enum activation act,
		  struct err *e)
{
	struct epilogue *p = arena_take(g->arena, sizeof *p, e);

	if (!p)
		return -1;
	p->act = act;
	n->op = &activation;
	n->type = act == ACT_SILU ? "Silu" : act == ACT_MISH ? "Mish" : "HardSwish";
	n->state = p;
	n->in[0] = x;
	n->in_count = 1;
	return 0;
}

int fuse_patterns(struct graph *g, struct err *e)
{
	for (struct node *n = g->first; n; n = n->next) {
		if (!node_is(n, "Mul") || n->in_count != 2 || n->in[0]->dtype != DTYPE_F32)
			continue;
		for (int i = 0; i < 2; i++) {
			enum activation act = gated(n->in[i], n->in[1 - i]);

			if (act == ACT_NONE)
				continue;
			if (become(g, n, n->in[i], act, e) < 0)
				return -1;
			break;
		}
	}
	graph_sweep(g);
	return 0;
}
