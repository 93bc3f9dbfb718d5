/* Building and changing the graph: tensors by name, nodes in a list. Everything lives in the arena
 * but the values of constants, which are given back as soon as no kernel reads them. */
#include "infer/graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct graph *graph_new(size_t limit, struct err *e)
{
	struct graph *g = calloc(1, sizeof *g);

	if (g)
		g->arena = arena_new(limit);
	if (!g || !g->arena) {
		free(g);
		err_code(e, EX_OSERR, "memory is short");
		return NULL;
	}
	if (getrandom(&g->name_seed, sizeof g->name_seed, GRND_NONBLOCK) < 0)
		g->name_seed = 0;
	return g;
}

void graph_free(struct graph **g)
{
	if (!*g)
		return;
	for (struct tensor *t = (*g)->tensors; t; t = t->next)
		if (t->owned)
			free(t->data);
	crew_free(&(*g)->crew);
	free((*g)->memory);
	free((*g)->names);
	arena_free(&(*g)->arena);
	free(*g);
	*g = NULL;
}

/* FNV-1a from a start that no file knows. */
static size_t hash(const struct graph *g, const char *text)
{
	uint64_t h = 0xcbf29ce484222325u ^ g->name_seed;

	for (; *text; text++)
		h = ((h ^ (unsigned char)*text) * 0x100000001b3u) ^ h >> 47;
	return (size_t)(h ^ h >> 32);
}

/* Where name stands in the table, or the empty place where it would. */
static struct tensor **place(const struct graph *g, const char *name)
{
	size_t i = hash(g, name) & (g->name_room - 1);

	while (g->names[i] && strcmp(g->names[i]->name, name) != 0)
		i = (i + 1) & (g->name_room - 1);
	return &g->names[i];
}

struct tensor *graph_find(const struct graph *g, const char *name)
{
	return g->name_room && *name ? *place(g, name) : NULL;
}

static int grow(struct graph *g, struct err *e)
{
	size_t old = g->name_room;
	struct tensor **names = g->names;

	if (g->name_count * 2 < old)
		return 0;
	g->name_room = old ? old * 2 : 256;
	g->names = calloc(g->name_room, sizeof(struct tensor *));
	if (!g->names) {
		g->names = names;
		g->name_room = old;
		return err_code(e, EX_OSERR, "memory is short");
	}
	for (size_t i = 0; i < old; i++)
		if (names[i])
			*place(g, names[i]->name) = names[i];
	free(names);
	return 0;
}

struct tensor *graph_tensor(struct graph *g, const char *name, struct err *e)
{
	struct tensor *t = graph_find(g, name);

	if (t)
		return t;
	if (*name && g->name_count == GRAPH_NAMES_MAX) {
		err_set(e, "not supported: more than %d names", GRAPH_NAMES_MAX);
		return NULL;
	}
	t = arena_take(g->arena, sizeof *t, e);
	if (!t || grow(g, e) < 0)
		return NULL;
	t->name = *name ? arena_text(g->arena, name, e) : "";
	if (!t->name)
		return NULL;
	t->next = g->tensors;
	g->tensors = t;
	if (*name) {
		*place(g, t->name) = t;
		g->name_count++;
	}
	return t;
}

struct tensor *graph_fresh(struct graph *g, const char *name, const char *more, struct err *e)
{
	size_t room = strlen(name) + strlen(more) + 16;
	char *text = arena_take(g->arena, room, e);

	if (!text)
		return NULL;
	snprintf(text, room, "%s%s", name, more);
	for (unsigned i = 1; graph_find(g, text); i++)
		snprintf(text, room, "%s%s_%u", name, more, i);
	return graph_tensor(g, text, e);
}

struct node *graph_node(struct graph *g, const char *type, int in_count, int out_count,
			struct err *e)
{
	struct node *n = arena_take(g->arena, sizeof *n, e);

	if (!n)
		return NULL;
	n->graph = g;
	n->name = n->domain = "";
	n->type = arena_text(g->arena, type, e);
	n->in = arena_array(g->arena, (size_t)in_count, sizeof *n->in, e);
	n->out = arena_array(g->arena, (size_t)out_count, sizeof *n->out, e);
	n->in_count = in_count;
	n->out_count = out_count;
	n->kernels = g->kernels;
	return n->type && n->in && n->out ? n : NULL;
}

void graph_insert(struct graph *g, struct node *before, struct node *n)
{
	n->next = before;
	n->prev = before ? before->prev : g->last;
	*(n->prev ? &n->prev->next : &g->first) = n;
	*(before ? &before->prev : &g->last) = n;
	g->node_count++;
}

void graph_append(struct graph *g, struct node *n)
{
	graph_insert(g, NULL, n);
}

void graph_remove(struct graph *g, struct node *n)
{
	*(n->prev ? &n->prev->next : &g->first) = n->next;
	*(n->next ? &n->next->prev : &g->last) = n->prev;
	n->dead = true;
	g->node_count--;
}

static size_t room(const struct tensor *t)
{
	return (tensor_bytes(t) + TENSOR_ALIGN) & ~(size_t)(TENSOR_ALIGN - 1);
}

int graph_fill(struct graph *g, struct tensor *t, struct err *e)
{
	size_t own = tensor_bytes(t);
	char *values;

	if (arena_charge(g->arena, room(t), e) < 0)
		return -1;
	values = aligned_alloc(TENSOR_ALIGN, room(t));
	if (!values)
		return err_code(e, EX_OSERR, "memory is short");
	memory_huge(values, room(t));
	memset(values + own, 0, room(t) - own);
	t->data = values;
	t->owned = true;
	return 0;
}

void graph_drop(struct graph *g, struct tensor *t)
{
	if (!t->owned)
		return;
	arena_return(g->arena, room(t));
	free(t->data);
	t->data = NULL;
	t->owned = false;
}

void graph_uses(struct graph *g)
{
	for (struct tensor *t = g->tensors; t; t = t->next) {
		t->uses = t->output ? 1 : 0;
		t->reader = NULL;
	}
	for (struct node *n = g->first; n; n = n->next) {
		for (int i = 0; i < n->in_count; i++) {
			if (!n->in[i])
				continue;
			n->in[i]->uses++;
			n->in[i]->reader = n;
		}
	}
}

struct node *graph_reader(const struct tensor *t)
{
	return t && t->uses == 1 && !t->output ? t->reader : NULL;
}

int graph_at(const struct node *n, struct err *e)
{
	return err_at(e, "node %d (%s%s%s '%.80s', opset %d)", n->index, n->domain,
		      *n->domain ? "." : "", n->type, n->name, n->opset);
}
