/* Concat and Split of channels without moving a byte. Channels last, a part of the channels is the
 * same memory with gaps between the pixels. So the makers of what a Concat joins write straight into
 * its result, and the readers of what a Split parts read straight from its input, where they can
 * (OP_GAPS); for makers that cannot, a copy is put in, which costs what the Concat would have. */
#include <string.h>

#include "infer/fuse.h"

static void nothing_run(const struct node *n)
{
	(void)n;
}

/* Pixels of the same shape, with gaps on either side. */
static void copy_run(const struct node *n)
{
	const struct tensor *x = n->in[0], *y = n->out[0];
	size_t each = dtype_size(x->dtype), row = (size_t)x->dim[1] * each;
	size_t x_step = (size_t)x->stride[x->rank - 1] * each;
	size_t y_step = (size_t)y->stride[y->rank - 1] * each;
	size_t pixels = row ? tensor_count(x) / (size_t)x->dim[1] : 0;

	for (size_t i = 0; i < pixels; i++)
		memcpy((char *)y->data + i * y_step, (const char *)x->data + i * x_step, row);
}

static const struct op nothing = { .name = "Joined", .run = nothing_run };
static const struct op copy = {
	.name = "Copy", .flags = OP_GAPS, .in_least = 1, .in_most = 1, .run = copy_run
};

static void become_slice(struct tensor *t, struct tensor *of, int64_t channel)
{
	t->of = of;
	t->shift = (size_t)channel * dtype_size(of->dtype);
	for (int i = 0; i < t->rank; i++)
		t->stride[i] = of->stride[i];
}

static bool on_channels(const struct node *n, const struct tensor *whole)
{
	int64_t axis = node_int(n, "axis", 1);

	if (axis < 0)
		axis += whole->rank;
	return axis == 1 && whole->layout == LAYOUT_LAST && !whole->of;
}

/* May its maker write it with gaps, and does nobody but the one reader see it? */
static bool can_be_written(const struct tensor *t)
{
	return t->maker && (t->maker->op->flags & OP_GAPS) && !node_is(t->maker, "Concat") &&
	       !node_is(t->maker, "Split") && t->uses == 1 && !t->output && !t->of && !t->input;
}

static int copy_into(struct graph *g, struct node *n, int i, struct err *e)
{
	struct node *c = graph_node(g, "Copy", 1, 1, e);
	struct tensor *t = n->in[i], *to = graph_tensor(g, "", e);

	if (!c || !to || tensor_shape(to, t->dtype, t->rank, t->dim, e) < 0)
		return -1;
	to->name = t->name;
	to->layout = t->layout;
	to->maker = c;
	c->op = &copy;
	c->index = n->index;
	c->kernel = "into its place";
	c->in[0] = t;
	c->out[0] = to;
	n->in[i] = to;
	/* At once, for other readers of the same place may come before n. */
	graph_insert(g, t->maker ? t->maker->next : g->first, c);
	return 0;
}

/* Could all that it joins be written in its place? */
static bool joinable(const struct node *n)
{
	if (!n->out[0] || !on_channels(n, n->out[0]))
		return false;
	for (int i = 0; i < n->in_count; i++)
		if (!n->in[i] || n->in[i]->layout != LAYOUT_LAST)
			return false;
	return true;
}

/* n->place: others are parts of it already (nest), so that it must be. */
static int join(struct graph *g, struct node *n, struct err *e)
{
	struct tensor *whole = n->out[0];
	int64_t channel = 0;
	bool pays = n->place;

	if (!joinable(n))
		return 0;
	for (int i = 0; i < n->in_count; i++)
		pays |= can_be_written(n->in[i]);
	if (!pays)
		return 0;
	for (int i = 0; i < n->in_count; i++) {
		if (!can_be_written(n->in[i]) && copy_into(g, n, i, e) < 0)
			return -1;
		become_slice(n->in[i], whole, channel);
		channel += n->in[i]->dim[1];
	}
	n->op = &nothing;
	n->kernel = "in place";
	return 0;
}

/* Do all that read t take it with gaps? */
static bool readers_take_gaps(const struct node *split, const struct tensor *t)
{
	int found = t->output ? -1 : 0;

	for (const struct node *n = split->next; n && found >= 0 && found < t->uses; n = n->next) {
		if (!graph_may_look(n->graph, 1 + n->in_count))
			return false;
		for (int i = 0; i < n->in_count; i++) {
			bool concat = node_is(n, "Concat") || n->op == &copy;

			if (n->in[i] != t)
				continue;
			if (!(n->op->flags & OP_GAPS) || !(i == 0 || concat) ||
			    (n->in[0] && n->in[0]->layout != LAYOUT_LAST))
				return false;
			found++;
		}
	}
	return found == t->uses;
}

static void part(struct node *n)
{
	struct tensor *whole = n->in[0];
	int64_t channel = 0;

	if (!on_channels(n, whole) || node_int(n, "axis", 0) == 0 || whole->constant)
		return;
	for (int i = 0; i < n->out_count; i++)
		if (n->out[i] && !readers_take_gaps(n, n->out[i]))
			return;
	for (int i = 0; i < n->out_count; i++) {
		if (!n->out[i])
			return;
		become_slice(n->out[i], whole, channel);
		channel += n->out[i]->dim[1];
	}
	n->op = &nothing;
	n->kernel = "in place";
}

/* A Slice of some channels, one after the other, of whole pictures. */
static void cut(struct node *n)
{
	struct tensor *whole = n->in[0], *t = n->out[0];
	int64_t start, axis = 0, step = 1;
	struct err ignored;

	if (!t || whole->constant || whole->layout != LAYOUT_LAST || whole->of ||
	    node_list(n, 1, "starts", &start, 1, &ignored) != 1 ||
	    node_list(n, 3, "axes", &axis, 1, &ignored) < 0 ||
	    node_list(n, 4, NULL, &step, 1, &ignored) < 0 || step != 1 ||
	    (axis != 1 && axis != 1 - whole->rank) || t->dim[1] < 1 || !readers_take_gaps(n, t))
		return;
	start += start < 0 ? whole->dim[1] : 0;
	if (start < 0 || start + t->dim[1] > whole->dim[1])
		return;
	t->layout = LAYOUT_LAST;
	become_slice(t, whole, start);
	n->op = &nothing;
	n->kernel = "in place";
}

/* Does b join all that a joins, in that order, and then more? */
static bool begins_with(const struct node *b, const struct node *a)
{
	int same = 0;

	if (a->in_count >= b->in_count)
		return false;
	while (same < a->in_count && a->in[same] == b->in[same])
		same++;
	return graph_may_look(a->graph, same) && same == a->in_count;
}

/* DenseNet joins the same beginnings again and again: the shorter result is the longer one's first
 * channels. The longer one's parts are written when they are made, so it is there in time. */
static void nest(struct node *a)
{
	struct node *longest = NULL;

	if (!joinable(a) || !readers_take_gaps(a, a->out[0]))
		return;
	for (struct node *b = a->next; b && graph_may_look(a->graph, 1); b = b->next)
		if (node_is(b, "Concat") && joinable(b) && begins_with(b, a) &&
		    (!longest || b->in_count > longest->in_count))
			longest = b;
	if (!longest)
		return;
	longest->place = 1;
	become_slice(a->out[0], longest->out[0], 0);
	for (int i = 0; i < a->in_count; i++)
		a->in[i]->uses--;
	a->in_count = 0;
	a->op = &nothing;
	a->kernel = "in place";
}

int graph_slice(struct graph *g, struct err *e)
{
	graph_uses(g);
	for (struct node *n = g->first; n; n = n->next)
		n->place = 0;
	for (struct node *n = g->first; n; n = n->next)
		if (node_is(n, "Concat"))
			nest(n);
	graph_uses(g);
	for (struct node *n = g->first; n; n = n->next) {
		if (node_is(n, "Split"))
			part(n);
		else if (node_is(n, "Slice"))
			cut(n);
	}
	for (struct node *n = g->first; n; n = n->next)
		if (node_is(n, "Concat") && join(g, n, e) < 0)
			return graph_at(n, e);
	graph_uses(g);
	return 0;
}
