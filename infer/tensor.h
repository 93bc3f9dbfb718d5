/* A tensor: element type, dimensions in ONNX's logical order, and where its elements lie.
 *
 * dim[] is always what ONNX means (N,C,H,W for pictures); stride[] says where that lies in memory.
 * Inside the graph pictures are held channels last (LAYOUT_LAST: dimension 1 is innermost, for
 * rank 3 to 5), all else row-major (LAYOUT_PLAIN). f16 never occurs inside: what a model declares
 * as f16 is held as f32 (see tensor_held). */
#ifndef INFER_TENSOR_H
#define INFER_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/frame.h" /* enum dtype */

#define TENSOR_RANK_MAX 8
#define TENSOR_BYTES_MAX ((size_t)1 << 31) /* of one tensor */
#define TENSOR_ALIGN 64

enum layout {
	LAYOUT_PLAIN, /* row-major in logical order */
	LAYOUT_LAST,  /* channels last: N,H,W,C in memory for logical N,C,H,W */
};

struct tensor {
	const char *name;
	enum dtype dtype;
	int rank; /* 0: a scalar, one element */
	int64_t dim[TENSOR_RANK_MAX];
	int64_t stride[TENSOR_RANK_MAX]; /* in elements; set by tensor_layout */
	enum layout layout;
	void *data;        /* constants: from load on; others: only while running */
	bool constant;     /* the value is known at load: data may be read by shape() and plan() */
	bool half;         /* the model calls it f16 (matters only at the edges of the graph) */
	const char **open; /* inputs: the model's names for dims that it leaves open, or NULL */

	/* what follows belongs to graph.c and plan.c */
	bool owned;            /* data is this tensor's own malloc */
	bool input, output;    /* of the graph */
	bool viewed;           /* a constant whose bytes another constant shares */
	bool ready;            /* scratch of passes */
	int place;             /* the same */
	struct tensor *same;   /* read that one instead (a bypassed Identity) */
	struct tensor *of;     /* a view: these are the bytes of that tensor */
	size_t shift;          /* bytes behind its start, if it is a slice */
	struct tensor *other;  /* the same values in the other layout, once made */
	struct node *maker;    /* who computes it; NULL for constants and inputs */
	struct node *reader;   /* the last that reads it */
	int uses, first, last; /* readers; lifetime in plan order */
	size_t offset;         /* into the arena */
	struct tensor *next;
};

/* The element type in which values declared as t are held: f16 as f32, all else as it is. */
enum dtype tensor_held(enum dtype t);

/* Elements (1 for a scalar) and bytes; dims have been checked by tensor_shape. */
size_t tensor_count(const struct tensor *t);
size_t tensor_bytes(const struct tensor *t);

/* Set dtype, rank, dims and plain strides. -1 with *e if a dimension is negative, the rank above
 * TENSOR_RANK_MAX, or the whole above TENSOR_BYTES_MAX. */
int tensor_shape(struct tensor *t, enum dtype dtype, int rank, const int64_t *dim, struct err *e);

/* Set layout and strides for it; LAYOUT_LAST on a rank outside 3…5 becomes LAYOUT_PLAIN. */
void tensor_layout(struct tensor *t, enum layout layout);

/* Copy values from one layout to the other: same dims and dtype, both without gaps. */
void tensor_relayout(struct tensor *to, const struct tensor *from);

/* Are the bytes of both layouts the same (one channel, or one pixel)? */
bool tensor_layouts_agree(const struct tensor *t);

bool tensor_same_shape(const struct tensor *a, const struct tensor *b);

/* "1x3x224x224", "scalar": for words and --explain; returns out. */
char *tensor_text(const struct tensor *t, char *out, size_t size);

/* Element i (in memory order) of a tensor with known data, as a number; 0 for types that are none.
 */
int64_t tensor_int(const struct tensor *t, size_t i);
double tensor_real(const struct tensor *t, size_t i);

/* v towards zero, at most to the ends of [low, high]; NaN is 0. (In C that is undefined, and processors
 * differ.) */
int64_t tensor_whole(double v, double low, double high);

#endif
