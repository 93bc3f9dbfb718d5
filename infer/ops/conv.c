/* Conv: what its attributes mean; the kernels compute (kernels/conv.h). Weights that are known at load
 * are packed then, others each time. */
#include "infer/ops/ops.h"

#include <string.h>

#include "infer/kernels/conv.h"
#include "infer/ops/window.h"

static int check_weights(const struct node *n, int64_t group, struct err *e)
{
	const struct tensor *x = n->in[0], *w = n->in[1], *b = node_in(n, 2);

	if (x->rank < 3)
		return node_invalid(n, e, "input of rank %d", x->rank);
	if (w->rank != x->rank)
		return node_invalid(n, e, "weights of rank %d for an input of rank %d", w->rank,
				    x->rank);
	if (group < 1)
		return node_invalid(n, e, "group %lld", (long long)group);
	if (x->dim[1] < 1 || x->dim[1] % group != 0 || x->dim[1] / group != w->dim[1])
		return node_invalid(n, e, "%lld channels in %lld groups, the weights have %lld",
				    (long long)x->dim[1], (long long)group, (long long)w->dim[1]);
	if (w->dim[0] < 1 || w->dim[0] % group != 0)
		return node_invalid(n, e, "%lld outputs in %lld groups", (long long)w->dim[0],
				    (long long)group);
	if (b && (b->rank != 1 || b->dim[0] != w->dim[0]))
		return node_invalid(n, e, "the bias is not one value per output channel");
	return 0;
}

static void describe(struct conv *c, const struct node *n, const struct window *w, int64_t group)
{
	*c = (struct conv){
		.n = (size_t)n->in[0]->dim[0],
		.c = (size_t)n->in[0]->dim[1],
		.k = (size_t)n->in[1]->dim[0],
		.groups = (size_t)group,
	};
	for (int i = 0; i < 3; i++) {
		c->in[i] = (size_t)w->in[i];
		c->out[i] = (size_t)w->out[i];
		c->kernel[i] = (size_t)w->kernel[i];
		c->stride[i] = (size_t)w->stride[i];
		c->dilation[i] = (size_t)w->dilation[i];
		c->pad[i] = (ptrdiff_t)w->before[i];
	}
}

static int shape(struct node *n, struct err *e)
{
	struct conv *c = node_note(n, sizeof *c, e);
	const struct tensor *x = n->in[0];
	int64_t group = node_int(n, "group", 1), dim[5];
	struct window w;

	if (!c)
		return -1;
	for (int i = 0; i < 3; i++)
		if (node_types(n, i, TYPE(F32), e) < 0)
			return -1;
	if (check_weights(n, group, e) < 0 ||
	    window_read(n, x, n->in[1]->dim + 2, false, &w, e) < 0)
		return -1;
	describe(c, n, &w, group);
	n->planes = n->kernels == KERNELS_NATIVE && conv_takes_planes(c) ? PLANES_MAY : PLANES_NO;
	dim[0] = x->dim[0];
	dim[1] = n->in[1]->dim[0];
	n->flops = 2.0 * (double)x->dim[0] * (double)tensor_count(n->in[1]);
	for (int i = 2; i < x->rank; i++) {
		dim[i] = w.out[i - x->rank + 3];
		n->flops *= (double)dim[i];
	}
	if (node_output(n, 0, DTYPE_F32, x->rank, dim, e) < 0)
		return -1;
	if (n->out[0])
		n->out[0]->half = x->half;
	return 0;
}

static size_t pitch(const struct tensor *t)
{
	return (size_t)t->stride[t->rank - 1];
}

static size_t aligned(size_t bytes)
{
	return (bytes + TENSOR_ALIGN - 1) / TENSOR_ALIGN * TENSOR_ALIGN;
}

static bool weights_known(const struct node *n)
{
	return node_known(n, 1) && (!node_in(n, 2) || node_known(n, 2));
}

static int plan(struct node *n, struct err *e)
{
	struct conv *c = n->state;
	const struct tensor *b = node_in(n, 2);
	void *packed;

	c->epilogue = n->epilogue;
	c->residual = n->residual != 0;
	c->bias = b != NULL;
	c->planar = n->planes != PLANES_NO && n->in[0]->layout == LAYOUT_PLAIN;
	c->gated = n->gate != 0;
	c->x_pitch = pitch(n->in[0]);
	c->y_pitch = pitch(n->out[0]);
	c->r_pitch = n->residual ? pitch(n->in[n->residual]) : 0;
	c->use_up = n->alone & 2;
	conv_choose(c, n->kernels, crew_lanes(n->crew));
	n->kernel = c->before ? "scale, igemm" : conv_kernel_name(c);
	if (!weights_known(n))
		return node_work(n, aligned(c->packed_bytes) + c->work_bytes, e);
	packed = node_keep(n, c->packed_bytes, e);
	if (!packed)
		return -1;
	conv_pack(c, n->in[1]->data, b ? b->data : NULL, packed);
	n->unread |= b ? 6 : 2;
	return node_work(n, c->work_bytes, e);
}

static void run(const struct node *n)
{
	struct conv c = *(const struct conv *)n->state;
	const void *residual = n->residual ? n->in[n->residual]->data : NULL;
	char *work = n->work;

	c.gate = n->gate ? n->in[n->gate]->data : NULL;
	if (!c.packed) {
		conv_pack(&c, n->in[1]->data, node_in(n, 2) ? n->in[2]->data : NULL, work);
		work += aligned(c.packed_bytes);
	}
	conv_run(&c, n->in[0]->data, residual, n->out[0]->data, work, n->crew);
}

const struct op *const ops_conv[] = {
	&(const struct op){ .name = "Conv",
			    .since = 1,
			    .layout = OP_LAST,
			    .flags = OP_EPILOGUE | OP_GAPS,
			    .in_least = 2,
			    .in_most = 3,
			    .attrs =
				"kernel_shape:I strides:I pads:I dilations:I group:i auto_pad:s",
			    .shape = shape,
			    .plan = plan,
			    .run = run },
	NULL,
};
