/* What exporters spell out in several nodes becomes one: gated activations (x·Sigmoid(x),
 * x·HardSigmoid(x), x·Tanh(Softplus(x))), Gelu through Erf, LayerNormalization. Each looks from the
 * last node of its pattern back to the first; what nobody else reads is swept away afterwards. */
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

/* --- small questions ------------------------------------------------------------------------------ */

static bool is_number(const struct tensor *t, double value)
{
	return t && t->constant && t->dtype == DTYPE_F32 && tensor_count(t) == 1 &&
	       fabs(tensor_real(t, 0) - value) <= 1e-5 * fabs(value);
}

static const struct node *made_by(const struct tensor *t, const char *type)
{
	return t && node_is(t->maker, type) ? t->maker : NULL;
}

/* The tensor of which n is `factor` times, NULL if it is not. */
static struct tensor *scaled_by(const struct node *n, double factor)
{
	if (node_is(n, "Div") && is_number(n->in[1], 1 / factor))
		return n->in[0];
	for (int i = 0; i < 2; i++)
		if (node_is(n, "Mul") && n->in_count == 2 && is_number(n->in[i], factor))
			return n->in[1 - i];
	return NULL;
}

/* The tensor to which t adds the constant, NULL if it does not. */
static struct tensor *added_to(const struct tensor *t, double value)
{
	const struct node *n = made_by(t, "Add");

	for (int i = 0; n && i < 2; i++)
		if (is_number(n->in[i], value))
			return n->in[1 - i];
	return NULL;
}

/* --- activations ---------------------------------------------------------------------------------- */

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
	if (p->act == ACT_TANH && made_by(n->in[0], "Softplus") && n->in[0]->maker->in[0] == x)
		return ACT_MISH;
	return ACT_NONE;
}

/* x, where t is 1 + Erf(x / √2). */
static struct tensor *erf_of(const struct tensor *t)
{
	const struct tensor *sum = added_to(t, 1);
	const struct node *erf = made_by(sum, "Erf");

	return erf && erf->in[0]->maker ? scaled_by(erf->in[0]->maker, sqrt(0.5)) : NULL;
}

/* x · (1 + Erf(x / √2)) / 2, wherever the half stands. n is the last Mul or Div. */
static struct tensor *gelu_of(const struct node *n)
{
	const struct tensor *whole = scaled_by(n, 0.5);

	if (whole && made_by(whole, "Mul")) {
		const struct node *m = whole->maker;

		for (int i = 0; i < 2; i++)
			if (erf_of(m->in[i]) && erf_of(m->in[i]) == m->in[1 - i])
				return m->in[1 - i];
	}
	for (int i = 0; node_is(n, "Mul") && i < 2; i++) {
		const struct tensor *a = n->in[i], *b = n->in[1 - i];
		struct tensor *x = erf_of(a);

		if (x && b->maker && scaled_by(b->maker, 0.5) == x)
			return x;
		x = a->maker && scaled_by(a->maker, 0.5) ? erf_of(scaled_by(a->maker, 0.5)) : NULL;
		if (x && x == b)
			return x;
	}
	return NULL;
}

static int become(struct graph *g, struct node *n, struct tensor *x, enum activation act,
		  struct err *e)
{
	struct epilogue *p = arena_take(g->arena, sizeof *p, e);

	if (!p)
		return -1;
	p->act = act;
	n->op = &activation;
	n->type = act == ACT_SILU        ? "Silu"
		  : act == ACT_MISH      ? "Mish"
		  : act == ACT_HARDSWISH ? "HardSwish"
					 : "Gelu";
	n->state = p;
	n->in[0] = x;
	n->in_count = 1;
	return 0;
}

static int spot_activation(struct graph *g, struct node *n, struct err *e)
{
	struct tensor *x;

	if (!(node_is(n, "Mul") || node_is(n, "Div")) || n->in_count != 2 ||
	    n->out[0]->dtype != DTYPE_F32)
		return 0;
	for (int i = 0; node_is(n, "Mul") && i < 2; i++) {
		enum activation act = gated(n->in[i], n->in[1 - i]);

		if (act != ACT_NONE)
			return become(g, n, n->in[i], act, e);
	}
	x = gelu_of(n);
	return x && tensor_same_shape(x, n->out[0]) ? become(g, n, x, ACT_GELU, e) : 0;
}

/* --- LayerNormalization --------------------------------------------------------------------------- */

/* Is t the mean of x over its last axis, which is kept? */
static bool is_mean(const struct tensor *t, const struct tensor *x)
{
	const struct node *n = made_by(t, "ReduceMean");
	struct err ignored;
	int64_t axis;

	return n && n->in[0] == x && node_int(n, "keepdims", 1) == 1 &&
	       node_list(n, 1, "axes", &axis, 1, &ignored) == 1 &&
	       (axis == -1 || axis == x->rank - 1);
}

/* x, where t is x less its mean. */
static struct tensor *centred(const struct tensor *t)
{
	const struct node *n = made_by(t, "Sub");

	return n && is_mean(n->in[1], n->in[0]) ? n->in[0] : NULL;
}

/* The tensor whose square t is. */
static const struct tensor *square_of(const struct tensor *t)
{
	const struct node *n = t->maker;

	if (node_is(n, "Pow") && is_number(n->in[1], 2))
		return n->in[0];
	return node_is(n, "Mul") && n->in[0] == n->in[1] ? n->in[0] : NULL;
}

/* x, where n is Div(x − mean, Sqrt(mean of the squares + epsilon)). */
static struct tensor *normalised(const struct node *n, float *epsilon)
{
	struct tensor *x = n ? centred(n->in[0]) : NULL;
	const struct node *root = n ? made_by(n->in[1], "Sqrt") : NULL;
	const struct node *sum = root ? made_by(root->in[0], "Add") : NULL;

	for (int i = 0; x && sum && i < 2; i++) {
		const struct tensor *small = sum->in[i], *mean = sum->in[1 - i];
		const struct tensor *square;

		if (!small->constant || small->dtype != DTYPE_F32 || tensor_count(small) != 1 ||
		    !made_by(mean, "ReduceMean"))
			continue;
		square = mean->maker->in[0];
		if (!is_mean(mean, square) || !square_of(square) || centred(square_of(square)) != x)
			continue;
		*epsilon = (float)tensor_real(small, 0);
		return x;
	}
	return NULL;
}

static bool is_row(const struct tensor *t, int64_t count)
{
	return t->constant && t->dtype == DTYPE_F32 && t->rank == 1 && t->dim[0] == count;
}

/* n: Add(Mul(normalised x, scale), shift). */
static int spot_layernorm(struct graph *g, struct node *n, struct err *e)
{
	bool known;
	const struct op *op = op_find("", "LayerNormalization", 17, &known);

	if (!op || !node_is(n, "Add") || n->out[0]->dtype != DTYPE_F32)
		return 0;
	for (int k = 0; k < 4; k++) {
		struct tensor *shift = n->in[k & 1];
		const struct node *mul = made_by(n->in[1 - (k & 1)], "Mul");
		struct tensor *scale = mul ? mul->in[k >> 1] : NULL, *x;
		struct tensor **in;
		float epsilon;

		x = mul ? normalised(made_by(mul->in[1 - (k >> 1)], "Div"), &epsilon) : NULL;
		if (!x || !is_row(scale, x->dim[x->rank - 1]) ||
		    !is_row(shift, x->dim[x->rank - 1]))
			continue;
		in = arena_array(g->arena, 3, sizeof(struct tensor *), e);
		n->attr = arena_array(g->arena, 1, sizeof *n->attr, e);
		if (!in || !n->attr)
			return -1;
		n->attr[0] = (struct attr){ .name = "epsilon", .type = 'f', .f = epsilon };
		n->attr_count = 1;
		in[0] = x, in[1] = scale, in[2] = shift;
		n->in = in;
		n->in_count = 3;
		n->type = "LayerNormalization";
		n->op = op;
		return op->shape(n, e) < 0 ? graph_at(n, e) : 0;
	}
	return 0;
}

int fuse_patterns(struct graph *g, struct err *e)
{
	for (struct node *n = g->first; n; n = n->next)
		if (n->out_count && n->out[0] &&
		    (spot_activation(g, n, e) < 0 || spot_layernorm(g, n, e) < 0))
			return -1;
	graph_sweep(g);
	return 0;
}
