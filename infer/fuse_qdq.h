/* What the passes over quantised graphs share (fuse_qdq.c, fuse_quantity.c, fuse_qnodes.c,
 * fuse_lookup.c). Exporters write
 * QuantizeLinear and DequantizeLinear around operators on floats; what is meant is the operator on bytes. */
#ifndef INFER_FUSE_QDQ_H
#define INFER_FUSE_QDQ_H

#include "infer/fuse.h"

/* A tensor of real numbers that is a tensor of bytes, a scale and a zero point (NULL: 0). */
struct quantity {
	struct tensor *bytes, *scale, *zero;
};

/* Is n QuantizeLinear, or DequantizeLinear, of u8 or i8 with one known scale for all? */
bool is_quantize(const struct node *n);
bool is_dequantize(const struct node *n);

/* t comes of such a DequantizeLinear of bytes that are computed. */
bool quantity_of(const struct tensor *t, struct quantity *q);

/* What such a QuantizeLinear makes. */
struct quantity quantity_made(const struct node *n);

bool is_byte(enum dtype t);
int64_t quantity_zero(const struct quantity *q);

/* The same scale, zero point and type? */
bool quantity_same(const struct quantity *a, const struct quantity *b);

/* A tensor of this type and shape, made by n: NULL with *e. */
struct tensor *quantity_tensor(struct graph *g, struct node *n, enum dtype type,
			       const struct tensor *like, struct err *e);

/* A node of an operator of ours, before `before`, with in[count]; its output is y, or new if y is NULL.
 * NULL with *e. */
struct node *quantity_node(struct graph *g, struct node *before, const char *domain,
			   const char *type, int count, struct tensor *const *in, struct tensor *y,
			   struct err *e);

/* What QuantizeLinear n makes becomes a table of other bytes: 1 done, 0 it is no function of one byte, -1
 * with *e. */
int fuse_lookup(struct graph *g, struct node *n, struct err *e);

/* The bytes of q in the quantity `as`: themselves, or looked up before `before`. NULL with *e. */
struct tensor *quantity_as(struct graph *g, struct node *before, const struct quantity *q,
			   const struct quantity *as, struct err *e);

/* Node n on dequantised inputs becomes one on bytes: 1 done, 0 it does not, -1 with *e. */
int fuse_qproduct(struct graph *g, struct node *n, struct err *e); /* Conv, Gemm, MatMul */
int fuse_qelement(struct graph *g, struct node *n, struct err *e); /* Add, Mul, pools, … */

/* Sums and lookups of what a product alone has made go into it: 1, 0, -1 with *e. */
int fuse_qepilogue(struct graph *g, struct node *n, struct err *e);

/* The QuantizeLinear that alone reads n's result, or alone the activation that alone reads it (then *act).
 * NULL: none. */
struct node *quantized_by(const struct node *n, struct node **act);

#endif
