/* Functions of one byte become tables of 256: whatever stands between a DequantizeLinear and a
 * QuantizeLinear, as long as all of it comes of the same bytes and of single numbers (HardSwish, Silu in
 * all its spellings, a change of scale). The operators themselves compute the table, so that it says to
 * the bit what they would. */
#include <string.h>

#include "infer/fuse_qdq.h"

#define NODES_MOST 48 /* of one function; those that meet again count again */
#define LOOKS 4000    /* that a node of 256 values is worth, in time and memory */

struct function {
	struct graph *g;
	struct tensor *bytes; /* of which all is a function: NULL until one is met */
	struct tensor *result;
	bool deep; /* bytes that are looked up are not those, but what they come of */
	int nodes;
};

static bool is_lookup(const struct node *n)
{
	return n && strcmp(n->domain, OP_OURS) == 0 && strcmp(n->type, "Lookup") == 0;
}

bool fuse_by_element(const struct node *n)
{
	static const char *const types[] = {
		"Relu",        "LeakyRelu",
		"Clip",        "Sigmoid",
		"HardSigmoid", "HardSwish",
		"Elu",         "Selu",
		"Celu",        "Tanh",
		"Softplus",    "Softsign",
		"Gelu",        "Mish",
		"Erf",         "Exp",
		"Log",         "Sqrt",
		"Abs",         "Neg",
		"Reciprocal",  "Floor",
		"Ceil",        "Round",
		"Add",         "Sub",
		"Mul",         "Div",
		"Pow",         "Min",
		"Max",         "PRelu",
		"Identity",    "ThresholdedRelu",
	};

	if (n->out_count < 1 || !n->out[0])
		return false;
	if (is_quantize(n) || is_dequantize(n) || is_lookup(n))
		return true;
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (node_is(n, types[i]))
			return n->op->run || (n->op->flags & OP_VIEW);
	return false;
}

/* A constant of 256 values; NULL with *e. */
static struct tensor *values(struct graph *g, enum dtype type, struct err *e)
{
	static const int64_t dim[] = { 256 };
	struct tensor *t = graph_tensor(g, "", e);

	if (!t || tensor_shape(t, type, 1, dim, e) < 0 || graph_fill(g, t, e) < 0)
		return NULL;
	t->constant = true;
	return t;
}

static struct tensor *all_bytes(struct graph *g, enum dtype type, struct err *e)
{
	struct tensor *t = values(g, type, e);

	for (int i = 0; t && i < 256; i++)
		((uint8_t *)t->data)[i] = (uint8_t)i;
	return t;
}

static int values_of(struct function *f, struct tensor *t, struct tensor **out, struct err *e);

/* What n makes of inputs that are values: 1 and *out, 0 if it will not, -1 with *e. */
static int compute(struct function *f, const struct node *n, struct tensor **in,
		   struct tensor **out, struct err *e)
{
	struct node m = *n;
	struct tensor *y = graph_tensor(f->g, "", e);
	struct err ignored;

	if (!y)
		return -1;
	m.in = in;
	m.out = &y;
	m.out_count = 1;
	m.state = NULL;
	m.note_bytes = m.work_bytes = 0;
	m.work = NULL;
	m.unread = 0;
	if (m.op->flags & OP_VIEW) {
		*out = in[0];
		return 1;
	}
	if (m.op->shape(&m, &ignored) < 0 || tensor_count(y) != 256 || graph_fill(f->g, y, e) < 0 ||
	    (m.op->plan && m.op->plan(&m, &ignored) < 0) || m.work_bytes)
		return 0;
	m.op->run(&m);
	y->constant = true;
	*out = y;
	return 1;
}

static int function_of(struct function *f, const struct node *n, struct tensor **out, struct err *e)
{
	struct tensor *in[4] = { 0 };
	int found = 0, result;

	if (n->in_count > 4 || f->nodes++ >= NODES_MOST || !graph_may_look(f->g, LOOKS))
		return 0;
	for (int i = 0; i < n->in_count; i++) {
		if (!n->in[i])
			continue;
		if (n->in[i]->constant && (tensor_count(n->in[i]) == 1 || is_lookup(n))) {
			in[i] = n->in[i];
			continue;
		}
		result = values_of(f, n->in[i], &in[i], e);
		if (result <= 0)
			return result;
		found++;
	}
	result = found ? compute(f, n, in, out, e) : 0;
	for (int i = 0; i < n->in_count; i++)
		if (in[i] && in[i] != n->in[i] && in[i] != *out)
			graph_drop(f->g, in[i]);
	return result;
}

/* t as values, one for each byte: 1 and *out, 0 it is no such function, -1 with *e. The bytes that are met
 * first are those of which all must be a function; others may be looked up from them. */
static int values_of(struct function *f, struct tensor *t, struct tensor **out, struct err *e)
{
	bool made = t->maker && t->maker->out[0] == t && fuse_by_element(t->maker);

	if (!t->constant && (t->dtype == DTYPE_U8 || t->dtype == DTYPE_I8) && t != f->result &&
	    (f->bytes ? f->bytes == t : !(f->deep && is_lookup(t->maker)))) {
		f->bytes = t;
		*out = all_bytes(f->g, t->dtype, e);
		return *out ? 1 : -1;
	}
	return made ? function_of(f, t->maker, out, e) : 0;
}

static bool is_identity(const struct tensor *table, const struct tensor *bytes)
{
	for (int i = 0; i < 256; i++)
		if (((const uint8_t *)table->data)[i] != i)
			return false;
	return table->dtype == bytes->dtype;
}

int fuse_lookup(struct graph *g, struct node *n, struct err *e)
{
	struct tensor *table = NULL, *y = n->out[0];
	struct function f = { .g = g, .result = y };
	struct node *lookup;
	int result = values_of(&f, y, &table, e);

	if (result == 0) {
		f = (struct function){ .g = g, .result = y, .deep = true };
		result = values_of(&f, y, &table, e);
	}
	if (result < 0 || result == 0 || !f.bytes || !tensor_same_shape(f.bytes, y))
		return result < 0 ? -1 : 0;
	if (is_identity(table, f.bytes) && !y->output) {
		y->same = f.bytes;
		graph_remove(g, n);
		return 1;
	}
	lookup =
	    quantity_node(g, n, OP_OURS, "Lookup", 2, (struct tensor *[]){ f.bytes, table }, y, e);
	if (!lookup)
		return -1;
	graph_remove(g, n);
	return lookup->op->shape(lookup, e) < 0 ? -1 : 1;
}

struct tensor *quantity_as(struct graph *g, struct node *before, const struct quantity *q,
			   const struct quantity *as, struct err *e)
{
	struct tensor *in[3] = { NULL, q->scale, q->zero }, *real = NULL, *table = NULL;
	struct function f = { .g = g };
	struct node dq = { .graph = g, .in = in, .in_count = 3, .kernels = g->kernels }, back = dq;
	struct node *lookup;
	bool known;

	if (quantity_same(q, as))
		return q->bytes;
	dq.name = back.name = dq.domain = back.domain = "";
	dq.type = "DequantizeLinear";
	back.type = "QuantizeLinear";
	dq.op = op_find("", dq.type, 13, &known);
	back.op = op_find("", back.type, 13, &known);
	in[0] = all_bytes(g, q->bytes->dtype, e);
	if (!in[0] || compute(&f, &dq, in, &real, e) <= 0)
		return NULL;
	struct tensor *other[3] = { real, as->scale, as->zero };
	if (compute(&f, &back, other, &table, e) <= 0)
		return NULL;
	lookup = quantity_node(g, before, OP_OURS, "Lookup", 2,
			       (struct tensor *[]){ q->bytes, table }, NULL, e);
	if (!lookup || lookup->op->shape(lookup, e) < 0)
		return NULL;
	return lookup->out[0];
}
