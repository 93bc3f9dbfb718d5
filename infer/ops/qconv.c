/* Convolutions of quantised pictures: QLinearConv (stored as bytes), ConvInteger (sums of 32 bits), and
 * what fusion makes of DequantizeLinear, Conv and QuantizeLinear: QLinearConv with an activation, a
 * residual (inputs 9 to 13), or no scale for its result, which are floats then. */
#include "infer/ops/ops.h"
#include "infer/ops/qlinear.h"
#include "infer/ops/window.h"

static void take_window(const struct window *w, struct rows *r)
{
	for (int i = 0; i < 3; i++) {
		r->in[i] = (size_t)w->in[i];
		r->out[i] = (size_t)w->out[i];
		r->kernel[i] = (size_t)w->kernel[i];
		r->stride[i] = (size_t)w->stride[i];
		r->dilation[i] = (size_t)w->dilation[i];
		r->pad[i] = (ptrdiff_t)w->before[i];
	}
}

static int check(struct node *n, struct qlinear *l, enum dtype type, struct err *e)
{
	const struct tensor *x = n->in[0], *w = n->in[l->at.w];
	int64_t dim[5], groups = node_int(n, "group", 1), c, k;
	struct window window;

	if (x->rank < 3 || x->rank > 5 || w->rank != x->rank)
		return node_invalid(n, e, "input of rank %d, weights of rank %d", x->rank, w->rank);
	c = x->dim[1];
	k = w->dim[0];
	if (groups < 1)
		return node_invalid(n, e, "group %lld", (long long)groups);
	if (c < 1 || c % groups != 0 || c / groups != w->dim[1] || k < 1 || k % groups != 0)
		return node_invalid(n, e, "%lld to %lld channels in %lld groups, weights for %lld",
				    (long long)c, (long long)k, (long long)groups,
				    (long long)w->dim[1]);
	if (qlinear_check(n, &l->at, k, e) < 0 ||
	    window_read(n, x, w->dim + 2, false, &window, e) < 0)
		return -1;
	take_window(&window, &l->conv.rows);
	l->conv.n = (size_t)x->dim[0];
	l->conv.c = (size_t)c;
	l->conv.k = (size_t)k;
	l->conv.groups = (size_t)groups;
	l->weights.tap_step = 1;
	l->weights.c_step = (ptrdiff_t)rows_taps(&l->conv.rows);
	l->weights.k_step = l->weights.c_step * (ptrdiff_t)(c / groups);
	dim[0] = x->dim[0];
	dim[1] = k;
	n->flops = 2.0 * (double)x->dim[0] * (double)tensor_count(w);
	for (int i = 2; i < x->rank; i++) {
		dim[i] = window.out[i - x->rank + 3];
		n->flops *= (double)dim[i];
	}
	return node_output(n, 0, type, x->rank, dim, e);
}

static int linear_shape(struct node *n, struct err *e)
{
	struct qlinear *l = node_note(n, sizeof *l, e);

	if (!l)
		return -1;
	*l = (struct qlinear){ .at = QLINEAR_PLACES };
	if (node_types(n, l->at.bias, TYPE(I32), e) < 0)
		return -1;
	return check(n, l, n->in[l->at.y_zero]->dtype, e);
}

static int fused_shape(struct node *n, struct err *e)
{
	struct qlinear *l = node_note(n, sizeof *l, e);

	if (!l)
		return -1;
	*l = (struct qlinear){ .at = QLINEAR_PLACES };
	return check(n, l, qlinear_result(n, &l->at), e);
}

static int integer_shape(struct node *n, struct err *e)
{
	struct qlinear *l = node_note(n, sizeof *l, e);

	if (!l)
		return -1;
	*l = (struct qlinear){ .at = QINTEGER_PLACES };
	return check(n, l, DTYPE_I32, e);
}

static int plan(struct node *n, struct err *e)
{
	return qlinear_plan(n, n->state, e);
}

static void run(const struct node *n)
{
	qlinear_run(n, n->state);
}

#define ROW(of, onnx, from, more, least, most, shapes)                                     \
	&(const struct op)                                                                 \
	{                                                                                  \
		.domain = of, .name = onnx, .since = from, .layout = OP_LAST,              \
		.flags = OP_GAPS | more, .in_least = least, .in_most = most,               \
		.attrs = "kernel_shape:I strides:I pads:I dilations:I group:i auto_pad:s", \
		.shape = shapes, .plan = plan, .run = run                                  \
	}

const struct op *const ops_qconv[] = {
	ROW(NULL, "QLinearConv", 10, 0, 8, 9, linear_shape),
	ROW(NULL, "ConvInteger", 10, 0, 2, 4, integer_shape),
	ROW(OP_OURS, "QConv", 1, OP_EPILOGUE, 6, QLINEAR_INPUTS, fused_shape),
	NULL,
};
