/* Activations: one input, one output of the same shape, element by element. */
#include "infer/ops/ops.h"

#include <math.h>

static int same_f32(struct node *n, struct err *e)
{
	if (node_types(n, 0, TYPE(F32), e) < 0)
		return -1;
	return node_output_like(n, 0, n->in[0], e);
}

/* What the row computes as an epilogue, which the kernels share with convolutions. */
static int note(struct node *n, enum activation act, float a, float b, struct err *e)
{
	struct epilogue *p = node_note(n, sizeof *p, e);

	if (!p || same_f32(n, e) < 0)
		return -1;
	*p = (struct epilogue){ .act = act, .a = a, .b = b };
	return 0;
}

static void run(const struct node *n)
{
	activate(n->state, n->in[0]->data, n->out[0]->data, tensor_count(n->out[0]));
}

static int relu_shape(struct node *n, struct err *e)
{
	return note(n, ACT_RELU, 0, 0, e);
}

static int leaky_shape(struct node *n, struct err *e)
{
	return note(n, ACT_LEAKY, node_float(n, "alpha", 0.01f), 0, e);
}

/* Opset 6 … 10: bounds are attributes. */
static int clip6_shape(struct node *n, struct err *e)
{
	return note(n, ACT_CLIP, node_float(n, "min", -INFINITY), node_float(n, "max", INFINITY),
		    e);
}

static const struct op relu = {
	.name = "Relu",
	.since = 6,
	.layout = OP_FOLLOW,
	.flags = OP_INPLACE,
	.in_least = 1,
	.in_most = 1,
	.shape = relu_shape,
	.run = run,
};
static const struct op leaky = {
	.name = "LeakyRelu",
	.since = 6,
	.layout = OP_FOLLOW,
	.flags = OP_INPLACE,
	.in_least = 1,
	.in_most = 1,
	.attrs = "alpha:f",
	.shape = leaky_shape,
	.run = run,
};
static const struct op clip6 = {
	.name = "Clip",
	.since = 6,
	.layout = OP_FOLLOW,
	.flags = OP_INPLACE,
	.in_least = 1,
	.in_most = 1,
	.attrs = "min:f max:f",
	.shape = clip6_shape,
	.run = run,
};

const struct op *const ops_activation[] = { &relu, &leaky, &clip6, NULL };
