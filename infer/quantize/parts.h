/* What the files of this folder share. */
#ifndef INFER_QUANTIZE_PARTS_H
#define INFER_QUANTIZE_PARTS_H

#include <limits.h>
#include <sys/types.h>

#include "common/stage.h"
#include "infer/fuse.h"
#include "infer/model.h"
#include "infer/model_parts.h"

/* --- pictures.c: what the model is run on ----------------------------------------------------------- */

struct picture {
	uint64_t rank; /* the least are kept */
	uint64_t seq;
	struct buffer *values; /* of the model's input */
	char source[FRAME_SOURCE_MAX];
};

struct pictures {
	struct picture *picture; /* in the order of source and seq, once collected */
	size_t count, most;
	uint64_t seen, failed;
};

/* Take tensors for input x from the stage until the stream ends, and keep at most p->most of them:
 * always the same ones of the same stream, spread over all of it, in whatever order they come. Parts
 * that failed on the way are counted. 0, or -1 with *e (none at all, or asked to stop). */
int pictures_collect(struct pictures *p, struct stage *s, const struct tensor *x, struct err *e);
void pictures_free(struct pictures *p);

/* --- children.c: capture and preprocess ------------------------------------------------------------- */

struct children {
	pid_t pid[2];
};

/* Start `capture WHAT… | preprocess`, the programs beside this one; preprocess's output becomes our
 * standard input, where the stage looks for addresses. 0, or -1 with *e. */
int children_start(struct children *c, const char **what, size_t count, struct err *e);

/* Wait until both have ended; in a hurry, see to it that they do. 0, or -1 with *e: the exit code of
 * the first that failed, and no text if it has said why itself. */
int children_end(struct children *c, bool hurry, struct err *e);

/* --- simplify.c, opset.c: the graph in its plainest form -------------------------------------------- */

/* Constants computed, factors per channel in the weights, what does nothing gone; all operators
 * still ONNX's. Refuses what is quantised already. shape: of the input. */
int simplify(struct model *m, const struct tensor *shape, struct err *e);

/* Write all nodes as opset `least` has them if the model's opset is lower. -1 with *e where that
 * cannot be. Afterwards the graph can be written, not run. */
int opset_raise(struct graph *g, int least, struct err *e);

/* Room for input i of a node; those between are left out. */
int node_reach(struct node *n, int i, struct err *e);

/* --- places.c: which values become integers --------------------------------------------------------- */

struct value {
	struct tensor *tensor;
	bool whole;   /* its maker computes in integers: whoever reads it, reads them */
	bool through; /* whole, but what follows at once clamps it: nothing is put between */
	bool wanted;  /* somebody who computes in integers reads it */
	bool moved;   /* its maker only moves or picks values */
	bool inside;  /* of a function of one whole value, which will be a table */
	bool leads;   /* scratch: on the way to a product */
	bool read;    /* by a product */
	int axis;     /* of its channels, for the products that read it; 0: none, or several */
	int group;    /* the first of those that have one scale; itself if it is that */
};

struct places {
	struct value *value; /* tensor->place is the index of a tensor's, 0 for none */
	int count;           /* the first is number 1 */
};

/* Look at all nodes; node->place is then 1 for those that take part. 0, or -1 with *e. */
int places_find(struct places *p, struct graph *g, struct err *e);

/* Does value i get a QuantizeLinear? And is its range of its own? */
bool places_quantized(const struct places *p, int i);
bool places_observed(const struct places *p, int i);

/* Number of the value from which i has its scale. */
int places_root(const struct places *p, int i);
void places_join(struct places *p, int i, int k);

/* Is it the product of in[0] and known weights in[1], and a known sum in[2] if any? */
bool places_product(const struct node *n);

/* --- histogram.c: how the values of a tensor are spread ---------------------------------------------- */

#define HISTOGRAM_HALF 4096

/* Bins are 2^exponent wide, the least power of two with which all values fit: so the counts do not
 * depend on the order in which values came. */
struct histogram {
	uint64_t count[2 * HISTOGRAM_HALF]; /* of what is not 0 */
	uint64_t zeros;
	int exponent;
	bool any; /* exponent says something */
	float least, most;
};

/* -1: a value is not finite. */
int histogram_add(struct histogram *h, const float *x, size_t count);
void histogram_join(struct histogram *h, const struct histogram *other);

struct range {
	float low, high; /* low <= 0 <= high */
};

/* What to represent of h. */
struct range histogram_range(const struct histogram *h);

/* --- distinct.c: the values of the network's input ----------------------------------------------------- */

#define SCALE_LEAST 1e-30f

struct scale {
	float scale;
	int zero;
	struct tensor *scale_tensor, *zero_tensor; /* once somebody reads them */
};

#define DISTINCT_MOST 1024

struct distinct {
	float value[DISTINCT_MOST]; /* rising */
	uint64_t count[DISTINCT_MOST];
	int used;
	bool over; /* there are more */
};

void distinct_add(struct distinct *d, const float *x, size_t count);

/* What represents them best; false if there are too many. */
bool distinct_scale(const struct distinct *d, struct scale *s);

/* --- observe.c --------------------------------------------------------------------------------------- */

struct observed {
	struct histogram **of; /* by number of the value, NULL where nobody looks */
	double **mean;         /* the same: of each channel of a product's input */
	struct distinct *input;
	double *scores; /* the first output for each picture */
	size_t classes;
};

/* Run the model in the file on the pictures, and look at the values that places name. */
int observe(struct observed *o, const struct model_options *options, const char *path,
	    const struct tensor *shape, const struct places *places,
	    const struct pictures *pictures, struct err *e);
void observed_free(struct observed *o, const struct places *places);

/* --- scales.c ------------------------------------------------------------------------------------------ */

/* One for each root of places, where those of Concats that are about as wide are joined. */
int scales_choose(struct scale *scale, struct places *places, const struct observed *o,
		  const struct graph *g, struct err *e);

/* --- weights.c: numbers --------------------------------------------------------------------------- */

struct weights {
	const float *w;    /* outer, channels, inner */
	const float *bias; /* NULL: none */
	size_t outer, channels, inner;
	size_t groups, taps;
	float x_scale;
	const double *mean; /* of each channel of the input; NULL: not known */
};

/* Fill one scale for each channel, and the rounded weights (as w lies). off receives by how much
 * that moves the mean of each channel of the result. -1 with *e if they are not finite. */
int weights_round(const struct weights *w, float *scale, int8_t *rounded, double *off,
		  struct err *e);

/* The bias of channel c in steps, less what is off. */
int32_t weights_bias(const struct weights *w, size_t c, float step, double off);

/* --- qdq.c: nodes and integers into the graph --------------------------------------------------------- */

/* scale: by number of the value, those of roots are read; mean: as in observed. */
int qdq_insert(struct graph *g, const struct places *places, struct scale *scale, double **mean,
	       struct err *e);

/* --- output.c: the new file ---------------------------------------------------------------------------- */

struct output {
	const char *name;
	char path[PATH_MAX]; /* where it can be read until then */
	int fd;              /* -1: not open */
	bool named;          /* path is a name that must go */
};

int output_open(struct output *o, const char *name, struct err *e);
int output_write(struct output *o, const uint8_t *bytes, size_t size, struct err *e);

/* Give it its name, in place of what may be there. */
int output_finish(struct output *o, struct err *e);
void output_close(struct output *o);

#endif
