/* What Conv and the pools have in common: kernel_shape, strides, dilations, pads, auto_pad, and the
 * output's size that follows from them; all checked. */
#ifndef INFER_OPS_WINDOW_H
#define INFER_OPS_WINDOW_H

#include "infer/op.h"

struct window {
	int dims; /* 1 to 3; the leading of the arrays' three are 1 (pads 0) where there are fewer */
	int64_t in[3], out[3], kernel[3], stride[3], dilation[3], before[3], after[3];
};

/* From the attributes of n and the dims of its input x (N, C, then 1 to 3 dimensions). kernel: what
 * the weights say, with which the attribute must agree, or NULL: then it must be given. round_up:
 * ceil_mode. -1 with *e. */
int window_read(const struct node *n, const struct tensor *x, const int64_t *kernel, bool round_up,
		struct window *w, struct err *e);

/* The same for ConvTranspose, with output_padding and output_shape: kernel as above, never NULL. */
int window_read_transposed(const struct node *n, const struct tensor *x, const int64_t *kernel,
			   struct window *w, struct err *e);

/* Taps [low, high) of dimension i of the window at output o lie inside of the input. */
void window_taps(const struct window *w, int i, int64_t o, int64_t *low, int64_t *high);

#endif
