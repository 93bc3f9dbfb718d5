/* What the fusion passes share (fuse*.c). */
#ifndef INFER_FUSE_H
#define INFER_FUSE_H

#include "infer/graph.h"

/* Is it this operator of ONNX's own domain? NULL is none. */
bool node_is(const struct node *n, const char *type);

/* n takes over its reader's output and place; the reader goes. */
void fuse_into(struct graph *g, struct node *n, struct node *reader);

/* Views that change nothing go; their readers get the original. Counts readers. */
void fuse_bypass(struct graph *g);

/* fuse_affine.c: next scales and shifts the channels of convolution n by constants: 1 done, 0 it does
 * not, -1 with *e. */
int fuse_affine(struct graph *g, struct node *n, struct node *next, struct err *e);

/* What n does to its first input, channel by channel: factors and summands, known, one of each per channel.
 * 1, 0 it is something else, -1 with *e. */
int affine_of(struct graph *g, const struct node *n, struct tensor **factor,
	      struct tensor **summand, struct err *e);

/* A BatchNormalization with known parameters that stands alone becomes a factor and a summand. */
int fuse_lonely(struct graph *g, struct node *n, struct err *e);

/* Such a node and its activation go into the convolution that reads it. Last, with the ones below. */
void fuse_scales(struct graph *g);

/* fuse_matmul.c: next adds a row to product n: 1 done, 0 it does not, -1 with *e. */
int fuse_bias(struct graph *g, struct node *n, struct node *next, struct err *e);

/* fuse_patterns.c: activations that are spelt out become one node. */
int fuse_patterns(struct graph *g, struct err *e);

/* fuse_moves.c: channel shuffles and means over whole pictures. */
int fuse_moves(struct graph *g, struct err *e);

/* Is n a ReduceMean over exactly all but the first two axes? */
bool is_picture_mean(const struct node *n);

/* fuse_qdq.c: operators between DequantizeLinear and QuantizeLinear work on bytes. */
int fuse_qdq(struct graph *g, struct err *e);

/* fuse_lookup.c: is it computed value by value, so that it may become part of a table? */
bool fuse_by_element(const struct node *n);

/* fuse_pads.c: zeros that a Pad puts around a convolution's input. */
int fuse_pads(struct graph *g, struct err *e);

/* Last, for no other pass knows their nodes. fuse_gates.c: pictures times one factor per channel;
 * fuse_pairs.c: convolutions and depthwise ones behind them. */
int fuse_gates(struct graph *g, struct err *e);
int fuse_pairs(struct graph *g, struct err *e);

#endif
