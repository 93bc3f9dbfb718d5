/* Squeeze and excite: a picture is multiplied by one factor per channel, which was computed from it. The
 * convolution that reads the product multiplies its pixels while it fetches them, where it fetches
 * each of them once; else a kernel of its own does. */
#include "infer/fuse.h"

#include "infer/kernels/conv.h"
#include "infer/kernels/gate.h"

static size_t pitch(const struct tensor *t)
{
	return (size_t)t->stride[t->rank - 1];
}

static int shape(struct node *n, struct err *e)
{
	return node_output_like(n, 0, n->in[0], e);
}

static void run(const struct node *n)
{
	const struct tensor *x = n->in[0];
	struct gate g = {
		.x = x->data,
		.gate = n->in[1]->data,
		.y = n->out[0]->data,
		.pixels = (size_t)(x->dim[2] * x->dim[3]),
		.channels = (size_t)x->dim[1],
		.x_pitch = pitch(x),
		.y_pitch = pitch(n->out[0]),
	};

	gate_run(&g, (size_t)x->dim[0], n->crew);
}

static const struct op gate_op = {
	.name = "Gate",
	.layout = OP_LAST,
	.flags = OP_INPLACE,
	.in_least = 2,
	.in_most = 2,
	.shape = shape,
	.run = run,
};

/* Which input of a Mul is one value per channel of the other, a picture; -1 if none is. */
static int gate_of(const struct node *n)
{
	for (int i = 0; i < 2; i++) {
		const struct tensor *s = n->in[i], *x = n->in[1 - i];

		if (x->dtype == DTYPE_F32 && x->rank == 4 && s->rank == 4 && !x->constant &&
		    !s->constant && !x->half && tensor_count(x) > 0 && s->dim[0] == x->dim[0] &&
		    s->dim[1] == x->dim[1] && s->dim[2] == 1 && s->dim[3] == 1 &&
		    x->dim[2] * x->dim[3] > 1)
			return i;
	}
	return -1;
}

static int into_conv(struct graph *g, struct node *mul, int gate, struct node *conv, struct err *e)
{
	struct tensor **in = arena_array(g->arena, 5, sizeof(struct tensor *), e);

	if (!in)
		return -1;
	for (int i = 0; i < conv->in_count && i < 4; i++)
		in[i] = conv->in[i];
	in[0] = mul->in[1 - gate];
	in[4] = mul->in[gate];
	conv->in = in;
	conv->in_count = 5;
	conv->gate = 4;
	graph_remove(g, mul);
	return 0;
}

int fuse_gates(struct graph *g, struct err *e)
{
	for (struct node *n = g->first, *next; n; n = next) {
		struct node *reader;
		int gate;

		next = n->next;
		if (!node_is(n, "Mul") || n->kernels != KERNELS_NATIVE || !n->out[0] ||
		    (gate = gate_of(n)) < 0)
			continue;
		reader = graph_reader(n->out[0]);
		if (node_is(reader, "Conv") && reader->in[0] == n->out[0] &&
		    node_known(reader, 1) && conv_takes_gate(reader->state)) {
			if (into_conv(g, n, gate, reader, e) < 0)
				return -1;
			continue;
		}
		struct tensor *s = n->in[gate];
		n->in[0] = n->in[1 - gate];
		n->in[1] = s;
		n->type = "Gate";
		n->op = &gate_op;
		n->kernel = "gate";
	}
	graph_uses(g);
	return 0;
}
