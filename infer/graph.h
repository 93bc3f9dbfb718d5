/* The graph of a model: nodes in an order in which they can be computed, tensors, names. The reader
 * (onnx/) builds it, passes change it, the plan runs it. */
#ifndef INFER_GRAPH_H
#define INFER_GRAPH_H

#include <stdio.h>

#include "infer/arena.h"
#include "infer/op.h"

#define GRAPH_NODES_MAX 20000
#define GRAPH_NAMES_MAX 100000 /* of initialisers, inputs, values */
#define GRAPH_LOOKS_MAX 50000000
#define GRAPH_OPSET_LEAST 1 /* rows say from which opset on they serve */
#define GRAPH_OPSET_MOST 21

struct graph_domain {
	const char *name;
	int opset;
	struct graph_domain *next;
};

struct graph_property {
	const char *key, *value;
	struct graph_property *next;
};

struct graph {
	struct arena *arena;
	enum kernel_set kernels;
	struct crew *crew; /* NULL: one lane */

	struct tensor *tensors; /* all */
	struct tensor **names;  /* open addressing, by name */
	size_t name_room, name_count;
	uint64_t name_seed; /* of their hash, so that no file can make them all collide */

	struct node *first, *last;
	int node_count;
	struct tensor **input, **output;
	int input_count, output_count;
	struct graph_domain *domains;
	struct graph_property *properties;
	const uint8_t *file; /* onnx/, while it reads */
	size_t file_size;
	uintptr_t read_low, read_high; /* of its pages, between which some may be held */
	size_t read_bytes;             /* read since they were released */
	bool mapped;                   /* it is a file's pages, which can be read again */
	double fold_work;              /* spent on folding so far */
	size_t file_bytes;             /* of what it was read from, 0: unknown */
	int64_t looks;                 /* what passes have looked at that may be quadratic */
	bool late;                     /* rows of OP_LATE are folded too */

	/* plan.c */
	struct node **order;
	int64_t *least_ns; /* per node of order, if profiled */
	int order_count, runs;
	unsigned char *memory;
	size_t memory_bytes, work_bytes, weight_bytes;
	size_t memory_most; /* of the first two together */
	double flops;
};

/* NULL with *e. limit: bytes that may be taken before the first run. */
struct graph *graph_new(size_t limit, struct err *e);
void graph_free(struct graph **g);

/* The tensor of this name, made if there is none; NULL with *e. "" gives a new nameless one. */
struct tensor *graph_tensor(struct graph *g, const char *name, struct err *e);
struct tensor *graph_find(const struct graph *g, const char *name); /* NULL: none */

/* The same, but always a new one: of this name and what follows it, or with a number behind both if
 * that is taken. */
struct tensor *graph_fresh(struct graph *g, const char *name, const char *more, struct err *e);

/* A node with room for in and out, not yet in the list; NULL with *e. */
struct node *graph_node(struct graph *g, const char *type, int in_count, int out_count,
			struct err *e);
void graph_append(struct graph *g, struct node *n);
void graph_insert(struct graph *g, struct node *before, struct node *n);
void graph_remove(struct graph *g, struct node *n);

/* Memory for a constant's values, to be written; 0 or -1 with *e. graph_drop gives it back. */
int graph_fill(struct graph *g, struct tensor *t, struct err *e);
void graph_drop(struct graph *g, struct tensor *t);

/* Count readers: t->uses (a graph output counts as one), t->reader (the last of them). */
void graph_uses(struct graph *g);

/* The node that alone reads t, which is no output of the graph; NULL otherwise. Needs graph_uses. */
struct node *graph_reader(const struct tensor *t);

/* Passes that look at pairs count what they look at: false once that takes too long, and they leave
 * the rest as it is. */
static inline bool graph_may_look(struct graph *g, int64_t at)
{
	g->looks += at;
	return g->looks < GRAPH_LOOKS_MAX;
}

/* Put "node 12 (Conv 'stem', opset 11)" before what *e says; returns -1. */
int graph_at(const struct node *n, struct err *e);

/* Sort nodes so that each stands behind those that make its inputs: -1 with *e for a cycle. */
int graph_sort(struct graph *g, struct err *e);

/* --- in this order -------------------------------------------------------------------------------- */

/* fold.c: find the rows, check attributes, infer shapes, compute what is constant. With refusals
 * not NULL, goes on after a refusal and writes each as a line; returns -1 if there was any. */
int graph_infer(struct graph *g, FILE *refusals, int *refused, struct err *e);
/* The same for nodes of OP_LATE, and what then is constant. */
int graph_fold_late(struct graph *g, struct err *e);
/* Compute this node at once, if all that it reads is known. */
int graph_fold_node(struct graph *g, struct node *n, struct err *e);
/* fuse.c: what can be computed together; dead nodes go. */
int graph_fuse(struct graph *g, struct err *e);
void graph_sweep(struct graph *g); /* dead nodes alone */
/* layout.c: who holds pictures channels last; copies where the layouts meet. */
int graph_layout(struct graph *g, struct err *e);
/* slice.c: channels that are put together, or parted, in place. */
int graph_slice(struct graph *g, struct err *e);
/* plan.c: kernels, workspace, the arena. */
int graph_plan(struct graph *g, struct err *e);
void graph_run(struct graph *g);

#endif
