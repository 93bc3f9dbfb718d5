/* Which values become integers.
 *
 * Convolutions and products with known weights compute in integers. What lies between two of them
 * and has an integer form (sums, factors, pools, gates) takes part if its inputs are integers
 * already; what only moves values passes them on with their scale. What comes behind the last
 * product stays in floats, so that scores keep their precision, and so do Softmax, LayerNormalization and all
 * that is not known here. A clamp (Relu, Clip) right behind a product belongs to it. A function of one value
 * between two products (Gelu in any spelling) is one of its bytes: a table. */
#include "infer/quantize/parts.h"

#include <string.h>

enum kind { PLAIN, PRODUCT, GATHERED, MOVED, CLAMP };

/* How an operator is treated, if its node is as it must be. */
static const struct {
	const char *type;
	enum kind kind;
} kinds[] = {
	{ "Conv", PRODUCT },         { "Gemm", PRODUCT },
	{ "MatMul", PRODUCT },       { "Add", GATHERED },
	{ "Mul", GATHERED },         { "Concat", GATHERED },
	{ "AveragePool", GATHERED }, { "GlobalAveragePool", GATHERED },
	{ "ReduceMean", GATHERED },  { "BatchNormalization", GATHERED },
	{ "Sigmoid", GATHERED },     { "HardSigmoid", GATHERED },
	{ "HardSwish", GATHERED },   { "LeakyRelu", GATHERED },
	{ "PRelu", GATHERED },       { "Tanh", GATHERED },
	{ "MaxPool", MOVED },        { "GlobalMaxPool", MOVED },
	{ "Reshape", MOVED },        { "Flatten", MOVED },
	{ "Transpose", MOVED },      { "Squeeze", MOVED },
	{ "Unsqueeze", MOVED },      { "Slice", MOVED },
	{ "Split", MOVED },          { "Pad", MOVED },
	{ "Resize", MOVED },         { "DepthToSpace", MOVED },
	{ "SpaceToDepth", MOVED },   { "Relu", CLAMP },
	{ "Clip", CLAMP },
};

/* --- small questions ------------------------------------------------------------------------------ */

static bool known_floats(const struct node *n, int i)
{
	return node_known(n, i) && n->in[i]->dtype == DTYPE_F32;
}

bool places_product(const struct node *n)
{
	const struct tensor *w = node_in(n, 1), *b = node_in(n, 2);
	int64_t outs;

	if (!(node_is(n, "Conv") || node_is(n, "Gemm") || node_is(n, "MatMul")) ||
	    !known_floats(n, 1) || (b && !known_floats(n, 2)) || n->in[0]->constant || !n->out[0])
		return false;
	if (node_is(n, "Conv"))
		return w->rank >= 3 && w->rank <= 5;
	if (node_is(n, "MatMul"))
		return w->rank == 2;
	outs = w->dim[node_int(n, "transB", 0) ? 0 : 1];
	return !node_int(n, "transA", 0) && node_float(n, "alpha", 1) == 1 &&
	       (!b || (node_float(n, "beta", 1) == 1 && (int64_t)tensor_count(b) == outs &&
		       b->dim[b->rank - 1] == outs));
}

/* A mean over pictures, channel by channel. */
static bool over_pictures(const struct node *n)
{
	int64_t axis[TENSOR_RANK_MAX];
	struct err ignored;
	int rank = n->in[0]->rank;
	int count = node_list(n, 1, "axes", axis, TENSOR_RANK_MAX, &ignored);

	if (rank != 4 || count != 2)
		return false;
	for (int i = 0; i < 2; i++)
		axis[i] += axis[i] < 0 ? rank : 0;
	return axis[0] + axis[1] == 5 && axis[0] > 1 && axis[1] > 1;
}

/* Values that are all among those of the input, but for 0, which every scale has. */
static bool pads_zeros(const struct node *n)
{
	const struct tensor *value = node_in(n, 2);

	return strcmp(node_text(n, "mode", "constant"), "constant") != 0 ||
	       (value ? value->constant && tensor_real(value, 0) == 0
		      : node_float(n, "value", 0) == 0);
}

static enum kind kind_of(const struct node *n)
{
	const struct tensor *x = node_in(n, 0);
	enum kind kind = PLAIN;

	if (*n->domain || !x || !node_out(n, 0) || n->out[0]->dtype != DTYPE_F32)
		return PLAIN;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds && kind == PLAIN; i++)
		if (strcmp(kinds[i].type, n->type) == 0)
			kind = kinds[i].kind;
	if ((kind == PRODUCT && !places_product(n)) ||
	    (node_is(n, "ReduceMean") && !over_pictures(n)) ||
	    (node_is(n, "Pad") && !pads_zeros(n)) || (node_is(n, "MaxPool") && node_out(n, 1)))
		return PLAIN;
	return kind;
}

static bool one_pixel(const struct tensor *t)
{
	for (int i = 2; i < t->rank; i++)
		if (t->dim[i] != 1)
			return false;
	return true;
}

static struct value *value_of(const struct places *p, const struct tensor *t)
{
	return t && !t->constant ? &p->value[t->place] : NULL;
}

/* --- who takes part ------------------------------------------------------------------------------- */

static int list_values(struct places *p, struct graph *g, struct err *e)
{
	int most = 1;

	for (struct tensor *t = g->tensors; t; t = t->next, most++)
		t->place = 0;
	p->value = arena_array(g->arena, (size_t)most, sizeof *p->value, e);
	if (!p->value)
		return -1;
	for (int i = 0; i < g->input_count; i++) {
		p->value[++p->count].tensor = g->input[i];
		g->input[i]->place = p->count;
	}
	for (struct node *n = g->first; n; n = n->next) {
		n->place = 0;
		for (int i = 0; i < n->out_count; i++) {
			if (!n->out[i])
				continue;
			p->value[++p->count].tensor = n->out[i];
			n->out[i]->place = p->count;
		}
	}
	for (int i = 1; i <= p->count; i++)
		p->value[i].group = i;
	return 0;
}

/* From the end: is there a product behind this value? */
static void find_leading(const struct places *p, struct graph *g)
{
	for (struct node *n = g->last; n; n = n->prev) {
		bool leads = kind_of(n) == PRODUCT;

		for (int i = 0; i < n->out_count; i++)
			leads |= n->out[i] && value_of(p, n->out[i])->leads;
		for (int i = 0; i < n->in_count && leads; i++)
			if (value_of(p, n->in[i]))
				value_of(p, n->in[i])->leads = true;
	}
}

/* The largest inputs are integers already (smaller ones may become some). */
static bool inputs_whole(const struct places *p, const struct node *n)
{
	size_t most = 0;
	bool whole = false;

	for (int i = 0; i < n->in_count; i++) {
		const struct value *v = value_of(p, n->in[i]);
		size_t count = v ? tensor_count(n->in[i]) : 0;

		if (!v || count < most)
			continue;
		whole = (count > most || whole) && v->whole;
		most = count;
	}
	return whole;
}

static bool behind_product(const struct node *n)
{
	const struct node *maker = n->in[0]->maker;

	return maker && maker->place && kind_of(maker) != MOVED && graph_reader(n->in[0]);
}

/* --- functions of one value ----------------------------------------------------------------------- */

#define MEMBERS_MOST 12 /* values on the way */
#define AHEAD_MOST 32   /* nodes that are looked at */

struct function {
	struct tensor *member[MEMBERS_MOST];
	int left[MEMBERS_MOST]; /* readers that have not been met */
	int count;
	bool more; /* than clamps */
	struct tensor *end;
};

static int member_of(const struct function *f, const struct tensor *t)
{
	for (int i = 0; i < f->count; i++)
		if (f->member[i] == t)
			return i;
	return -1;
}

/* Has n only members and single numbers for inputs? */
static bool of_members(const struct function *f, const struct node *n)
{
	for (int i = 0; i < n->in_count; i++)
		if (n->in[i] && member_of(f, n->in[i]) < 0 &&
		    !(n->in[i]->constant && tensor_count(n->in[i]) == 1))
			return false;
	return fuse_by_element(n) && n->out_count == 1 && !n->out[0]->output &&
	       n->out[0]->dtype == DTYPE_F32 && tensor_same_shape(n->out[0], f->member[0]);
}

/* n reads members: is it part of the function, or the product behind its end? */
static bool meet(struct function *f, const struct node *n)
{
	bool part = of_members(f, n) && f->count < MEMBERS_MOST;

	if (!part && (kind_of(n) != PRODUCT || (f->end && f->end != n->in[0])))
		return false;
	for (int i = 0; i < n->in_count; i++)
		if (n->in[i] && member_of(f, n->in[i]) >= 0)
			f->left[member_of(f, n->in[i])]--;
	if (part) {
		f->member[f->count] = n->out[0];
		f->left[f->count++] = n->out[0]->uses;
		f->more |= kind_of(n) != CLAMP;
	} else {
		f->end = n->in[0];
	}
	return true;
}

static bool complete(const struct function *f)
{
	for (int i = 0; i < f->count; i++)
		if (f->left[i] > 0)
			return false;
	return f->end && f->more && f->end == f->member[f->count - 1];
}

/* Do all readers of t make up a function of it alone, of which products alone read the result? */
static bool function_of(struct tensor *t, struct function *f)
{
	const struct node *n = t->maker->next;

	*f = (struct function){ .member = { t }, .left = { t->uses }, .count = 1 };
	for (int k = 0; n && k < AHEAD_MOST && !complete(f); k++, n = n->next) {
		bool reads = false;

		for (int i = 0; i < n->in_count; i++)
			reads |= n->in[i] && member_of(f, n->in[i]) >= 0;
		if (reads && !meet(f, n))
			return false;
	}
	return complete(f);
}

static bool makes_table(const struct places *p, const struct node *n)
{
	struct function f;

	if (!function_of(n->out[0], &f))
		return false;
	for (int i = 1; i < f.count; i++)
		value_of(p, f.member[i])->inside = true;
	return true;
}

/* Do the results of n, which takes part, become integers? */
static bool gives_whole(const struct places *p, const struct node *n)
{
	const struct tensor *y = n->out[0];
	const struct value *x = value_of(p, n->in[0]);

	if (kind_of(n) == CLAMP)
		return x->whole;
	if (kind_of(n) == PRODUCT && !y->output && makes_table(p, n))
		return true;
	if (!node_is(n, "Conv"))
		return kind_of(n) != PRODUCT;
	return !(y->output && y->uses == 1) && (value_of(p, y)->leads || !one_pixel(y));
}

static bool takes_part(const struct places *p, const struct node *n)
{
	if (node_out(n, 0) && value_of(p, n->out[0]) && value_of(p, n->out[0])->inside)
		return false;
	switch (kind_of(n)) {
	case PRODUCT:
		return true;
	case GATHERED:
		return value_of(p, n->out[0])->leads && inputs_whole(p, n);
	case MOVED:
		return value_of(p, n->out[0])->leads && value_of(p, n->in[0]) &&
		       value_of(p, n->in[0])->whole;
	case CLAMP:
		return value_of(p, n->in[0]) && value_of(p, n->in[0])->whole &&
		       (behind_product(n) || value_of(p, n->out[0])->leads);
	default:
		return false;
	}
}

static void note_results(struct places *p, struct node *n)
{
	bool whole = gives_whole(p, n), moved = kind_of(n) == MOVED;

	for (int i = 0; i < n->out_count; i++) {
		struct value *y = value_of(p, n->out[i]);

		if (!y)
			continue;
		y->whole = whole;
		y->moved = moved;
		if (moved)
			places_join(p, n->in[0]->place, n->out[i]->place);
	}
}

static void note_channels(struct value *x, int axis)
{
	x->axis = !x->read || x->axis == axis ? axis : 0;
	x->read = true;
}

static void note_inputs(struct places *p, struct node *n)
{
	int reads = kind_of(n) == PRODUCT || kind_of(n) == MOVED ? 1 : n->in_count;

	if (kind_of(n) == CLAMP && behind_product(n)) {
		value_of(p, n->in[0])->through = true;
		return;
	}
	for (int i = 0; i < reads; i++) {
		struct value *x = value_of(p, n->in[i]);

		if (x && n->in[i]->dtype == DTYPE_F32)
			x->wanted = true;
	}
	if (kind_of(n) == PRODUCT)
		note_channels(value_of(p, n->in[0]), node_is(n, "MatMul") ? n->in[0]->rank - 1 : 1);
}

/* A row of constants that is added to a MatMul. */
static bool is_biased(const struct node *n)
{
	for (int i = 0; node_is(n, "Add") && i < 2; i++) {
		const struct tensor *x = n->in[i], *b = n->in[1 - i];

		if (b->constant && b->rank == 1 && x->maker && node_is(x->maker, "MatMul") &&
		    places_product(x->maker) && graph_reader(x) && b->dim[0] == x->dim[x->rank - 1])
			return true;
	}
	return false;
}

int places_find(struct places *p, struct graph *g, struct err *e)
{
	p->count = 0;
	if (list_values(p, g, e) < 0)
		return -1;
	graph_uses(g);
	find_leading(p, g);
	for (struct node *n = g->first; n; n = n->next) {
		if (is_biased(n) && makes_table(p, n))
			value_of(p, n->out[0])->whole = true;
		else if (takes_part(p, n))
			n->place = 1;
		if (!n->place)
			continue;
		note_results(p, n);
		note_inputs(p, n);
	}
	return 0;
}

/* --- what others ask ------------------------------------------------------------------------------ */

bool places_quantized(const struct places *p, int i)
{
	const struct value *v = &p->value[i];

	return (v->whole && !v->through) || v->wanted;
}

bool places_observed(const struct places *p, int i)
{
	return places_quantized(p, i) && !p->value[i].moved;
}

int places_root(const struct places *p, int i)
{
	while (p->value[i].group != i)
		i = p->value[i].group;
	return i;
}

void places_join(struct places *p, int i, int k)
{
	i = places_root(p, i);
	k = places_root(p, k);
	p->value[i < k ? k : i].group = i < k ? i : k;
}
