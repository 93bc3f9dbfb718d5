/* What operators on quantised bytes have in common: where their scales and zero points are, and how they
 * become a kernel's convolution (kernels/qconv.h). */
#ifndef INFER_OPS_QLINEAR_H
#define INFER_OPS_QLINEAR_H

#include "infer/kernels/qconv.h"
#include "infer/op.h"

/* Which input of the node is what; -1: it has none. */
struct qplaces {
	int x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias;
	int other, other_scale, other_zero; /* a residual, */
	int sum_scale, sum_zero;            /* and what its sum with the product is stored as */
	int table;                          /* 256 bytes: what becomes of each byte at last */
};

/* Those of QLinearConv and QLinearMatMul, and what fusion adds to them. */
#define QLINEAR_PLACES                                                                \
	{                                                                             \
		.x = 0, .x_scale = 1, .x_zero = 2, .w = 3, .w_scale = 4, .w_zero = 5, \
		.y_scale = 6, .y_zero = 7, .bias = 8, .other = 9, .other_scale = 10,  \
		.other_zero = 11, .sum_scale = 12, .sum_zero = 13, .table = 14        \
	}
#define QLINEAR_INPUTS 15

/* Those of ConvInteger and MatMulInteger, which know no scale. */
#define QINTEGER_PLACES                                                                  \
	{                                                                                \
		.x = 0, .w = 1, .x_zero = 2, .w_zero = 3, .x_scale = -1, .w_scale = -1,  \
		.y_scale = -1, .y_zero = -1, .bias = -1, .other = -1, .other_scale = -1, \
		.other_zero = -1, .sum_scale = -1, .sum_zero = -1, .table = -1           \
	}

#define QPOOL_TAPS_MOST (1 << 22) /* bytes of which there are means: sums of 32 bits */

/* In n->state, as one of a plan's own: places, rows, n, c, k, groups and the weights' steps are set by the
 * operator, the rest by qlinear_plan. */
struct qlinear {
	struct qplaces at;
	struct qconv conv;
	struct qweights weights;
	bool ready;   /* packed at load, */
	void *packed; /* to here */
	bool rezero;  /* but for x's zero point, which is computed */
};

/* Types and counts of scales and zero points: -1 with *e. channels: of the result. */
int qlinear_check(const struct node *n, const struct qplaces *at, int64_t channels, struct err *e);

/* The type of a fused node's result: that of the last zero point; floats, if there is no scale. */
enum dtype qlinear_result(const struct node *n, const struct qplaces *at);

/* The least and the largest value of a byte of this type. */
void qlinear_range(enum dtype t, int32_t *low, int32_t *high);

/* The number that input i holds, once known: scales of one value, zero points. */
float qlinear_scale(const struct node *n, int i);
int32_t qlinear_zero(const struct node *n, int i);

/* Zero point and stops of n's result of bytes: an activation before it is stored is a matter of where
 * they are. */
void qlinear_stops(const struct node *n, struct requant *r, float scale, int32_t zero);

/* Choose the kernel; pack the weights, if all that it takes is known. */
int qlinear_plan(struct node *n, struct qlinear *l, struct err *e);
void qlinear_run(const struct node *n, const struct qlinear *l);

#endif
