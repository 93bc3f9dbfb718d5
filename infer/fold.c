/* The first walk over a graph whose input shapes are known: find each operator's row, check what
 * the row says of attributes and inputs, infer shapes, and compute at once what is constant. */
#include "infer/graph.h"

#include <stdlib.h>
#include <string.h>

/* What folding may cost in all, in steps of about a nanosecond: beyond that a node is left to run
 * time. An element costs some of them, whatever is done with it. */
#define FOLD_WORK_MAX(file_bytes) (5e8 + 48.0 * (double)(file_bytes))
#define ELEMENT_WORK 8
#define BYTE_WORK 0.25 /* where they are only written */

static int find_row(struct node *n, struct err *e)
{
	bool known;

	n->op = op_find(n->domain, n->type, n->opset, &known);
	if (strcmp(n->domain, OP_OURS) == 0) /* made by passes, which see to what it takes */
		known = false, n->op = NULL;
	if (n->op)
		return 0;
	if (known)
		return err_set(e, "not supported: the meaning that it has in opset %d", n->opset);
	return err_set(e, "not supported: there is no such operator here");
}

/* Type letter that the row gives this attribute ('\0': it does not know it). */
static char attribute_type(const char *list, const char *name)
{
	size_t length = strlen(name);

	for (const char *p = list; p && *p; p = strchr(p, ' ')) {
		p += strspn(p, " !");
		if (strncmp(p, name, length) == 0 && p[length] == ':')
			return p[length + 1];
	}
	return 0;
}

static int check_required(const struct node *n, struct err *e)
{
	for (const char *p = n->op->attrs; p && (p = strchr(p, '!'));) {
		size_t length = strcspn(++p, ":");
		bool there = false;

		for (int i = 0; i < n->attr_count; i++)
			there |= strlen(n->attr[i].name) == length &&
				 strncmp(n->attr[i].name, p, length) == 0;
		if (!there)
			return err_set(e, "invalid: attribute '%.*s' is missing", (int)length, p);
	}
	return 0;
}

static int check_attributes(const struct node *n, struct err *e)
{
	for (int i = 0; i < n->attr_count; i++) {
		const struct attr *a = &n->attr[i];
		char type = attribute_type(n->op->attrs, a->name);

		if (!type)
			return err_set(e, "not supported: attribute '%.80s'", a->name);
		/* An empty list has no type of its own in old files. */
		if (type != a->type && !(a->type == '?' || (a->count == 0 && type == 'F')))
			return err_set(e, "invalid: attribute '%.80s' has the wrong type", a->name);
	}
	return check_required(n, e);
}

static int check_connections(const struct node *n, struct err *e)
{
	const struct op *op = n->op;
	int out_most = op->out_most ? op->out_most : 1;

	if (n->in_count > (op->in_most ? op->in_most : NODE_IN_MAX) && op->in_most)
		return err_set(e, "invalid: %d inputs, at most %d", n->in_count, op->in_most);
	if (n->in_count > 0 && op->in_least == 0 && op->in_most == 0 && op->out_most == -1)
		return err_set(e, "invalid: inputs, where there are none");
	/* Of as many inputs as one likes (Sum, Concat, Einsum) none can be left out. */
	int needed = op->in_most || n->in_count < op->in_least ? op->in_least : n->in_count;
	for (int i = 0; i < needed; i++)
		if (!node_in(n, i))
			return err_set(e, "invalid: input %d is missing", i);
	for (int i = out_most; i < n->out_count; i++)
		if (n->out[i])
			return err_set(e, "not supported: output %d", i);
	return 0;
}

static bool all_known(const struct node *n)
{
	for (int i = 0; i < n->in_count; i++)
		if (n->in[i] && !n->in[i]->constant)
			return false;
	return true;
}

/* May it be folded, whatever that costs? */
static bool foldable(const struct node *n)
{
	const struct tensor *x = node_in(n, 0);

	if ((n->op->flags & OP_NO_FOLD) || ((n->op->flags & OP_LATE) && !n->graph->late))
		return false;
	if (!(n->op->flags & OP_DIMS_ONLY) && !all_known(n))
		return false;
	return !(n->op->layout == OP_LAST && x && x->rank >= 3 && x->rank <= 5);
}

/* Elements, of an empty tensor those along its other dimensions: loops may go over them. */
static double extent(const struct tensor *t)
{
	double count = 1;

	for (int i = 0; t && i < t->rank; i++)
		count *= t->dim[i] ? (double)t->dim[i] : 1;
	return t ? count : 0;
}

static bool affordable(struct graph *g, const struct node *n)
{
	if (n->op->flags & OP_FILL) {
		g->fold_work += n->out[0] ? (double)tensor_bytes(n->out[0]) * BYTE_WORK : 0;
		return g->fold_work < FOLD_WORK_MAX(g->file_bytes);
	}
	g->fold_work += n->flops;
	for (int i = 0; i < n->in_count && !(n->op->flags & OP_DIMS_ONLY); i++)
		g->fold_work += ELEMENT_WORK * extent(n->in[i]);
	for (int i = 0; i < n->out_count; i++)
		g->fold_work += ELEMENT_WORK * extent(n->out[i]);
	return g->fold_work < FOLD_WORK_MAX(g->file_bytes);
}

static int fold_view(struct node *n)
{
	struct tensor *in = n->in[0], *out = n->out[0];

	out->data = in->data;
	out->of = in;
	in->viewed = out->viewed = true;
	out->constant = true;
	return 1;
}

/* Constants that n was the last to read. */
static void give_back(struct graph *g, struct node *n)
{
	for (int i = 0; i < n->in_count; i++) {
		struct tensor *t = n->in[i];

		if (t && --t->uses == 0 && t->constant && !t->viewed && !t->output)
			graph_drop(g, t);
	}
}

/* 1 if the outputs are constants now, 0 if it must run each time, -1 with *e. */
static int fold(struct graph *g, struct node *n, struct err *e)
{
	if (n->op->flags & OP_VIEW)
		return n->out[0] ? fold_view(n) : 1;
	if (n->op->plan && n->op->plan(n, e) < 0)
		return -1;
	n->unread = 0;
	if (!affordable(g, n))
		return 0;
	for (int i = 0; i < n->out_count; i++)
		if (n->out[i] && graph_fill(g, n->out[i], e) < 0)
			return -1;
	n->work = n->work_bytes ? aligned_alloc(TENSOR_ALIGN, (n->work_bytes + TENSOR_ALIGN) /
								  TENSOR_ALIGN * TENSOR_ALIGN)
				: NULL;
	if (n->work_bytes && !n->work)
		return err_code(e, EX_OSERR, "memory is short");
	n->op->run(n);
	free(n->work);
	n->work = NULL;
	for (int i = 0; i < n->out_count; i++)
		if (n->out[i])
			n->out[i]->constant = true;
	give_back(g, n);
	return 1;
}

static int fold_if_known(struct graph *g, struct node *n, struct err *e)
{
	int folded = foldable(n) ? fold(g, n, e) : 0;

	if (folded < 0)
		return -1;
	for (int i = 0; i < n->out_count; i++) {
		if (!n->out[i])
			continue;
		n->out[i]->ready = true;
		if (folded)
			n->out[i]->maker = NULL;
	}
	if (folded)
		graph_remove(g, n);
	return 0;
}

int graph_fold_late(struct graph *g, struct err *e)
{
	g->late = true;
	for (struct node *n = g->first, *next; n; n = next) {
		next = n->next;
		if (fold_if_known(g, n, e) < 0)
			return graph_at(n, e);
	}
	return 0;
}

int graph_fold_node(struct graph *g, struct node *n, struct err *e)
{
	bool late = g->late;
	int result;

	g->late = true;
	result = fold_if_known(g, n, e);
	g->late = late;
	return result < 0 ? graph_at(n, e) : 0;
}

static int visit(struct graph *g, struct node *n, struct err *e)
{
	if (n->op->shape(n, e) < 0)
		return -1;
	for (int i = 0; i < n->out_count; i++)
		if (n->out[i] && n->out[i]->dtype == DTYPE_NONE)
			return err_set(e, "not supported: output %d", i);
	return fold_if_known(g, n, e);
}

static bool inputs_ready(const struct node *n)
{
	for (int i = 0; i < n->in_count; i++)
		if (n->in[i] && !n->in[i]->ready)
			return false;
	return true;
}

static int row_fits(struct node *n, struct err *e)
{
	return find_row(n, e) < 0 || check_attributes(n, e) < 0 || check_connections(n, e) < 0 ? -1
											       : 0;
}

int graph_infer(struct graph *g, FILE *refusals, int *refused, struct err *e)
{
	struct err why;
	int count = 0;

	graph_uses(g);
	for (struct tensor *t = g->tensors; t; t = t->next)
		t->ready = t->constant || t->input;
	for (struct node *n = g->first, *next; n; n = next) {
		int result = row_fits(n, &why);

		next = n->next;
		if (result == 0 && inputs_ready(n))
			result = visit(g, n, &why);
		if (result == 0)
			continue;
		graph_at(n, &why);
		if (count++ == 0 && e)
			*e = why;
		if (!refusals)
			return -1;
		fprintf(refusals, "%s\n", why.text);
	}
	if (refused)
		*refused = count;
	return count ? -1 : 0;
}
