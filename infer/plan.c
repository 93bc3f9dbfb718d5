/* From graph to something that runs: kernels are chosen, weights packed, and every value that lives
 * only while running gets a place in one arena, which values share whose lifetimes do not meet. */
#include "infer/graph.h"

#include <limits.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#define TRIM_BYTES ((size_t)1 << 20)

static struct tensor *root(struct tensor *t)
{
	while (t->of)
		t = t->of;
	return t;
}

static size_t shift(const struct tensor *t)
{
	size_t bytes = 0;

	for (; t->of; t = t->of)
		bytes += t->shift;
	return bytes;
}

static void view_of(struct tensor *t, struct tensor *whole)
{
	t->shift = shift(whole);
	t->of = root(whole);
}

static void note_life(struct tensor *t, int first, int last)
{
	t = root(t);
	if (first < t->first)
		t->first = first;
	if (last > t->last)
		t->last = last;
}

/* Views, and from which node to which each value lives. */
static void lifetimes(struct graph *g)
{
	int i = 0;

	for (struct tensor *t = g->tensors; t; t = t->next) {
		t->first = INT_MAX;
		t->last = -1;
	}
	for (int k = 0; k < g->input_count; k++)
		note_life(g->input[k], -1, -1);
	for (struct node *n = g->first; n; n = n->next, i++) {
		if ((n->op->flags & OP_VIEW) &&
		    n->out[0]) /* at once to the root: chains are long */
			view_of(n->out[0], n->in[0]);
		for (int k = 0; k < n->in_count; k++)
			if (n->in[k])
				note_life(n->in[k], INT_MAX, i);
		for (int k = 0; k < n->out_count; k++)
			if (n->out[k])
				note_life(n->out[k], i, i);
	}
	for (int k = 0; k < g->output_count; k++)
		note_life(g->output[k], INT_MAX, INT_MAX);
}

/* Does any other input of n lie in the same memory? */
static bool shared(const struct node *n, int k)
{
	for (int i = 0; i < n->in_count; i++)
		if (i != k && n->in[i] && root(n->in[i]) == root(n->in[k]))
			return true;
	return false;
}

/* Results that may take their input's place. */
static void in_place(struct graph *g)
{
	int i = 0;

	for (struct node *n = g->first; n; n = n->next, i++) {
		int most = n->op->flags & OP_INPLACE_ANY ? n->in_count
			   : n->op->flags & OP_INPLACE   ? 1
							 : 0;

		for (int k = 0; k < most && node_out(n, 0) && !n->out[0]->of; k++) {
			struct tensor *t = n->in[k] ? root(n->in[k]) : NULL;

			if (!t || t->constant || t->last != i || shared(n, k) ||
			    tensor_bytes(n->in[k]) != tensor_bytes(n->out[0]) ||
			    tensor_bytes(t) != tensor_bytes(n->out[0]))
				continue;
			t->last = n->out[0]->last;
			view_of(n->out[0], n->in[k]);
		}
	}
}

static int larger(const void *a, const void *b)
{
	const struct tensor *x = *(struct tensor *const *)a, *y = *(struct tensor *const *)b;
	size_t p = tensor_bytes(x), q = tensor_bytes(y);

	return p != q ? (p < q ? 1 : -1) : (x->first > y->first) - (x->first < y->first);
}

/* A line of slack behind each, for kernels that load whole vectors. */
static size_t room(const struct tensor *t)
{
	return (tensor_bytes(t) + 2 * TENSOR_ALIGN - 1) & ~(size_t)(TENSOR_ALIGN - 1);
}

/* The lowest gap between the values that live at the same time and have a place already: placed[]
 * is in the order of places. *at: where t belongs in it. */
static size_t gap(struct tensor **placed, size_t count, const struct tensor *t, size_t *at)
{
	size_t low = 0, i;

	for (i = 0; i < count; i++) {
		const struct tensor *p = placed[i];

		if (p->first > t->last || t->first > p->last)
			continue;
		if (p->offset >= low + room(t))
			break;
		if (p->offset + room(p) > low)
			low = p->offset + room(p);
	}
	while (i > 0 && placed[i - 1]->offset > low)
		i--;
	while (i < count && placed[i]->offset <= low)
		i++;
	*at = i;
	return low;
}

/* Behind all others, where too many values have to be looked at for a gap. */
static void place(struct graph *g, struct tensor **placed, size_t count, struct tensor *t)
{
	size_t at = count;

	if (graph_may_look(g, (int64_t)count))
		t->offset = gap(placed, count, t, &at);
	else
		t->offset = g->memory_bytes;
	memmove(placed + at + 1, placed + at, (count - at) * sizeof(struct tensor *));
	placed[at] = t;
	if (t->offset + room(t) > g->memory_bytes)
		g->memory_bytes = t->offset + room(t);
}

static int too_much(const struct graph *g, struct err *e)
{
	return err_set(e, "not supported: more than %zu MB for what is computed",
		       g->memory_most >> 20);
}

/* Largest first, each at the lowest place that is free as long as it lives. */
static int assign(struct graph *g, struct err *e)
{
	size_t count = 0, all = 0;
	struct tensor **list, **placed;

	for (struct tensor *t = g->tensors; t; t = t->next)
		all++;
	list = arena_array(g->arena, all, sizeof(struct tensor *), e);
	placed = list ? arena_array(g->arena, all, sizeof(struct tensor *), e) : NULL;
	if (!placed)
		return -1;
	for (struct tensor *t = g->tensors; t; t = t->next)
		if (!t->of && !t->constant && t->first < INT_MAX && (t->maker || t->input))
			list[count++] = t;
	qsort(list, count, sizeof *list, larger);
	g->memory_bytes = 0;
	for (size_t i = 0; i < count; i++) {
		place(g, placed, i, list[i]);
		if (g->memory_bytes > g->memory_most)
			return too_much(g, e);
	}
	g->work_bytes = (g->work_bytes + 2 * TENSOR_ALIGN) & ~(size_t)(TENSOR_ALIGN - 1);
	return g->memory_bytes + g->work_bytes > g->memory_most ? too_much(g, e) : 0;
}

static void point(struct graph *g)
{
	for (struct tensor *t = g->tensors; t; t = t->next)
		if (!t->of && !t->constant && t->first < INT_MAX && (t->maker || t->input))
			t->data = g->memory + t->offset;
	for (struct tensor *t = g->tensors; t; t = t->next)
		if (t->of && root(t)->data) /* else nobody reads it */
			t->data = (char *)root(t)->data + shift(t);
	for (struct node *n = g->first; n; n = n->next)
		n->work = n->work_bytes ? g->memory + g->memory_bytes : NULL;
}

/* Constants that no run() reads go. */
static void drop_unread(struct graph *g)
{
	for (struct tensor *t = g->tensors; t; t = t->next)
		t->ready = false; /* read */
	for (struct node *n = g->first; n; n = n->next) {
		for (int i = 0; i < n->in_count; i++)
			if (n->in[i] && (i >= 32 || !(n->unread >> i & 1)))
				root(n->in[i])->ready = true;
		for (int i = 0; i < n->attr_count; i++)
			if (n->attr[i].t)
				n->attr[i].t->ready = true;
	}
	for (int i = 0; i < g->output_count; i++)
		root(g->output[i])->ready = true;
	for (struct tensor *t = g->tensors; t; t = t->next) {
		if (!t->ready)
			graph_drop(g, t);
		else if (t->owned)
			g->weight_bytes += tensor_bytes(t);
	}
}

/* Constants that n alone reads: it may use them up while it packs them. */
static uint32_t alone(const struct node *n)
{
	uint32_t bits = 0;

	for (int i = 0; i < n->in_count && i < 32; i++) {
		const struct tensor *t = n->in[i];

		if (t && t->constant && t->owned && !t->viewed && t->uses == 1 && !t->output)
			bits |= 1u << i;
	}
	return bits;
}

/* Once it has packed them they go: so that both are not held of all nodes. Small ones leave holes in the heap,
 * whose pages go back to the system now and then. */
static void drop_packed(struct graph *g, struct node *n, size_t *dropped)
{
	for (int i = 0; i < n->in_count && i < 32; i++)
		if (n->unread & n->alone & 1u << i) {
			*dropped += tensor_bytes(n->in[i]);
			graph_drop(g, n->in[i]);
		}
	if (*dropped < TRIM_BYTES)
		return;
	malloc_trim(0);
	*dropped = 0;
}

static size_t constant_bytes(const struct node *n)
{
	size_t bytes = 0;

	for (int i = 0; i < n->in_count; i++)
		if (n->in[i] && n->in[i]->constant)
			bytes += tensor_bytes(n->in[i]);
	return bytes;
}

/* Most weights first, else as they stand. */
static int heavier(const void *a, const void *b)
{
	const struct node *x = *(struct node *const *)a, *y = *(struct node *const *)b;
	size_t p = constant_bytes(x), q = constant_bytes(y);

	return p != q ? (p < q ? 1 : -1) : (x->place > y->place) - (x->place < y->place);
}

/* While a node's weights are packed they are held twice: the heaviest first, before others have grown
 * (Winograd's weights are up to seven times what they were). */
static int choose_kernels(struct graph *g, struct err *e)
{
	int count = 0;
	size_t dropped = 0;

	g->order = arena_array(g->arena, (size_t)g->node_count, sizeof(struct node *), e);
	g->least_ns = arena_array(g->arena, (size_t)g->node_count, sizeof *g->least_ns, e);
	if (!g->order || !g->least_ns)
		return -1;
	graph_uses(g);
	for (struct node *n = g->first; n; n = n->next) {
		n->crew = g->crew;
		n->place = count;
		g->order[count++] = n;
	}
	qsort(g->order, (size_t)count, sizeof(struct node *), heavier);
	for (int i = 0; i < count; i++) {
		struct node *n = g->order[i];

		n->alone = alone(n);
		if (n->op->plan && n->op->plan(n, e) < 0)
			return graph_at(n, e);
		drop_packed(g, n, &dropped);
		if (n->work_bytes > g->work_bytes)
			g->work_bytes = n->work_bytes;
	}
	for (struct node *n = g->first; n; n = n->next) {
		g->flops += n->flops;
		if (!(n->op->flags & OP_VIEW))
			g->order[g->order_count++] = n;
	}
	return 0;
}

int graph_plan(struct graph *g, struct err *e)
{
	g->weight_bytes = 0; /* node_keep adds to it */
	if (choose_kernels(g, e) < 0)
		return -1;
	drop_unread(g);
	lifetimes(g);
	in_place(g);
	if (assign(g, e) < 0)
		return -1;
	/* Fresh pages from the system: what is never touched costs nothing. */
	g->memory = aligned_alloc(TENSOR_ALIGN, g->memory_bytes + g->work_bytes);
	if (!g->memory)
		return err_code(e, EX_OSERR, "memory is short: %zu MB",
				(g->memory_bytes + g->work_bytes) >> 20);
	memory_huge(g->memory, g->memory_bytes + g->work_bytes);
	point(g);
	return 0;
}

void graph_run(struct graph *g)
{
	for (int i = 0; i < g->order_count; i++)
		g->order[i]->op->run(g->order[i]);
}
