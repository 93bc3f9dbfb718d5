/* What model.c, explain.c and quantize/ share. */
#ifndef INFER_MODEL_PARTS_H
#define INFER_MODEL_PARTS_H

#include "common/hash.h"
#include "infer/graph.h"

struct model {
	struct graph *graph;
	bool planned, profile, probabilities;
	bool limited; /* the caller said how much memory it may take */
	char sha256[HASH_HEX], kernels[32];
};

/* model_plan in two: rows, shapes and constants for these input shapes; then all that follows. */
int model_infer(struct model *m, const struct tensor *shape, struct err *e);
int model_finish(struct model *m, struct err *e);

/* Does the node that makes the first output say that it gives probabilities? */
bool ends_in_probabilities(const struct graph *g);

/* graph_run; least_ns keeps the least time of each node. */
void graph_run_timed(struct graph *g);

#endif
