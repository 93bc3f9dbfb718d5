/* Nodes in an order in which they can be computed (Kahn's algorithm). ONNX demands that files have
 * it already; some tools do not care, and a cycle must not hang us. */
#include "infer/graph.h"

struct edge {
	struct node *reader;
	struct edge *next;
};

/* Do all nodes stand behind those that make their inputs? */
static bool in_order(struct graph *g)
{
	for (struct tensor *t = g->tensors; t; t = t->next)
		t->ready = !t->maker;
	for (struct node *n = g->first; n; n = n->next) {
		for (int i = 0; i < n->in_count; i++)
			if (n->in[i] && !n->in[i]->ready)
				return false;
		for (int i = 0; i < n->out_count; i++)
			if (n->out[i])
				n->out[i]->ready = true;
	}
	return true;
}

/* Per node (by place): who waits for it, and for how many inputs it waits. */
static int count_edges(struct graph *g, struct edge **readers, int *waits, struct err *e)
{
	for (struct node *n = g->first; n; n = n->next) {
		for (int i = 0; i < n->in_count; i++) {
			struct node *maker = n->in[i] ? n->in[i]->maker : NULL;
			struct edge *edge;

			if (!maker)
				continue;
			edge = arena_take(g->arena, sizeof *edge, e);
			if (!edge)
				return -1;
			*edge = (struct edge){ n, readers[maker->place] };
			readers[maker->place] = edge;
			waits[n->place]++;
		}
	}
	return 0;
}

static int name_cycle(struct graph *g, const int *waits, struct err *e)
{
	for (struct node *n = g->first; n; n = n->next) {
		if (waits[n->place] == 0)
			continue;
		err_set(e, "invalid: it waits for its own output (a cycle)");
		return graph_at(n, e);
	}
	return -1;
}

int graph_sort(struct graph *g, struct err *e)
{
	size_t count = (size_t)g->node_count;
	struct node **queue;
	struct edge **readers;
	int *waits, head = 0, tail = 0, place = 0;

	if (in_order(g))
		return 0;
	queue = arena_array(g->arena, count, sizeof *queue, e);
	readers = queue ? arena_array(g->arena, count, sizeof *readers, e) : NULL;
	waits = readers ? arena_array(g->arena, count, sizeof *waits, e) : NULL;
	if (!waits)
		return -1;
	for (struct node *n = g->first; n; n = n->next)
		n->place = place++;
	if (count_edges(g, readers, waits, e) < 0)
		return -1;
	for (struct node *n = g->first; n; n = n->next)
		if (waits[n->place] == 0)
			queue[tail++] = n;
	while (head < tail)
		for (struct edge *x = readers[queue[head++]->place]; x; x = x->next)
			if (--waits[x->reader->place] == 0)
				queue[tail++] = x->reader;
	if (tail < g->node_count)
		return name_cycle(g, waits, e);
	g->first = g->last = NULL;
	g->node_count = 0;
	for (int i = 0; i < tail; i++)
		graph_append(g, queue[i]);
	return 0;
}
