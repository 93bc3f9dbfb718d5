/* Means over windows of quantised pictures: what fusion makes of DequantizeLinear, AveragePool or
 * GlobalAveragePool and QuantizeLinear. Sums are exact; one multiplication and one rounding follow.
 *
 * x, y: N, C, one to three dimensions; channels last, or (by themselves) row-major. */
#include <string.h>

#include "infer/kernels/requant.h"
#include "infer/ops/ops.h"
#include "infer/ops/qlinear.h"
#include "infer/ops/window.h"

#define BLOCK 64 /* channels at once */

enum { X, X_SCALE, X_ZERO, Y_SCALE, Y_ZERO };

struct qpool {
	struct window w;
	bool count_pads;
};

static int finish_shape(struct node *n, const struct qpool *p, struct err *e)
{
	const struct tensor *x = n->in[X], *zero = node_in(n, Y_ZERO);
	int64_t dim[5] = { x->dim[0], x->dim[1] };

	for (int i = 0; i < 5; i++) {
		unsigned types = i == X_SCALE || i == Y_SCALE ? TYPE(F32) : TYPE(U8) | TYPE(I8);

		if (node_types(n, i, types, e) < 0)
			return -1;
		if (i != X && node_in(n, i) && (!n->in[i]->constant || tensor_count(n->in[i]) != 1))
			return node_unsupported(n, e, "input %d that is not one known number", i);
	}
	if (node_in(n, X_ZERO) && n->in[X_ZERO]->dtype != x->dtype)
		return node_invalid(n, e, "a zero point of another type than its tensor");
	if (node_int(n, "channels_last", 0))
		return node_unsupported(n, e, "channels_last");
	if ((double)p->w.in[0] * (double)p->w.in[1] * (double)p->w.in[2] > QPOOL_TAPS_MOST)
		return node_unsupported(n, e, "channels of more than %d values", QPOOL_TAPS_MOST);
	for (int i = 2; i < x->rank; i++)
		dim[i] = p->w.out[i - x->rank + 3];
	return node_output(n, 0, zero ? zero->dtype : DTYPE_U8, x->rank, dim, e);
}

static int window_shape(struct node *n, struct err *e)
{
	struct qpool *p = node_note(n, sizeof *p, e);

	if (!p || window_read(n, n->in[X], NULL, node_int(n, "ceil_mode", 0) != 0, &p->w, e) < 0)
		return -1;
	p->count_pads = node_int(n, "count_include_pad", 0) != 0;
	if (p->count_pads && node_int(n, "ceil_mode", 0))
		return node_unsupported(n, e, "ceil_mode with count_include_pad");
	return finish_shape(n, p, e);
}

static int global_shape(struct node *n, struct err *e)
{
	struct qpool *p = node_note(n, sizeof *p, e);
	const struct tensor *x = n->in[X];

	if (!p)
		return -1;
	if (x->rank < 3 || x->rank > 5 || tensor_count(x) == 0)
		return node_unsupported(n, e, "input of rank %d, %zu values", x->rank,
					tensor_count(x));
	p->w.dims = x->rank - 2;
	for (int i = 0; i < 3; i++) {
		int k = i - 3 + x->rank;

		p->w.in[i] = p->w.kernel[i] = k < 2 ? 1 : x->dim[k];
		p->w.out[i] = p->w.stride[i] = p->w.dilation[i] = 1;
	}
	return finish_shape(n, p, e);
}

struct job {
	const struct node *n;
	const struct qpool *p;
	struct requant r;
	int64_t pixel, channel, y_pixel, y_channel; /* steps */
	uint8_t flip;
	int32_t zero;
	float factor;
};

/* sum[k] += the channels of one tap. */
static void add_tap(const struct job *j, const uint8_t *x, int many, int32_t *sum)
{
	if (j->channel == 1)
		for (int k = 0; k < many; k++)
			sum[k] += x[k] ^ j->flip;
	else
		for (int k = 0; k < many; k++)
			sum[k] += x[k * j->channel] ^ j->flip;
}

static void pixel(const struct job *j, const uint8_t *x, uint8_t *y, const int64_t *o)
{
	const struct window *w = &j->p->w;
	int64_t low[3], high[3], inside = 1, all = 1, channels = j->n->in[X]->dim[1];

	for (int i = 0; i < 3; i++) {
		window_taps(w, i, o[i], &low[i], &high[i]);
		inside *= high[i] - low[i];
		all *= w->kernel[i];
	}
	int64_t count = j->p->count_pads ? all : inside;
	float factor = count > 0 ? j->factor / (float)count : 0;

	for (int64_t c = 0; c < channels; c += BLOCK) {
		int many = (int)(channels - c < BLOCK ? channels - c : BLOCK);
		int32_t sum[BLOCK] = { 0 };

		for (int64_t i0 = low[0]; i0 < high[0]; i0++)
			for (int64_t i1 = low[1]; i1 < high[1]; i1++)
				for (int64_t i2 = low[2]; i2 < high[2]; i2++) {
					int64_t at[3] = { i0, i1, i2 }, line = 0;
					for (int i = 0; i < 3; i++)
						line = line * w->in[i] + o[i] * w->stride[i] -
						       w->before[i] + at[i] * w->dilation[i];
					add_tap(j, x + line * j->pixel + c * j->channel, many, sum);
				}
		for (int k = 0; k < many; k++) {
			float v = (float)(sum[k] - (int32_t)inside * j->zero) * factor;
			y[(c + k) * j->y_channel] =
			    (uint8_t)round_to(v, j->r.zero, j->r.low, j->r.high);
		}
	}
}

/* One row of outputs. */
static void task(void *context, size_t i, int lane)
{
	const struct job *j = context;
	const struct window *w = &j->p->w;
	const struct tensor *x = j->n->in[X], *y = j->n->out[0];
	int64_t rows = w->out[0] * w->out[1], b = (int64_t)i / rows, row = (int64_t)i % rows;
	int64_t o[3] = { row / w->out[1], row % w->out[1], 0 };

	(void)lane;
	for (o[2] = 0; o[2] < w->out[2]; o[2]++)
		pixel(j, (const uint8_t *)x->data + b * x->stride[0],
		      (uint8_t *)y->data + b * y->stride[0] + (row * w->out[2] + o[2]) * j->y_pixel,
		      o);
}

static void run(const struct node *n)
{
	const struct tensor *x = n->in[X], *y = n->out[0];
	struct job j = { .n = n, .p = n->state, .flip = x->dtype == DTYPE_I8 ? 0x80 : 0 };
	const struct window *w = &j.p->w;

	j.pixel = x->stride[x->rank - 1];
	j.channel = x->stride[1];
	j.y_pixel = y->stride[y->rank - 1];
	j.y_channel = y->stride[1];
	j.zero = qlinear_zero(n, X_ZERO) + j.flip;
	j.factor = qlinear_scale(n, X_SCALE) / qlinear_scale(n, Y_SCALE);
	qlinear_stops(n, &j.r, qlinear_scale(n, Y_SCALE), qlinear_zero(n, Y_ZERO));
	crew_run(n->crew, task, &j, (size_t)(x->dim[0] * w->out[0] * w->out[1]));
}

#define ROW(of, onnx, attributes, shapes)                                                     \
	&(const struct op)                                                                    \
	{                                                                                     \
		.domain = of, .name = onnx, .since = 1, .layout = OP_LAST, .flags = OP_GAPS,  \
		.in_least = 4, .in_most = 5, .attrs = attributes, .shape = shapes, .run = run \
	}

#define WINDOW "!kernel_shape:I strides:I pads:I auto_pad:s count_include_pad:i ceil_mode:i "

const struct op *const ops_qpool[] = {
	ROW(OP_OURS, "QAveragePool", WINDOW "dilations:I", window_shape),
	ROW(OP_OURS, "QGlobalAveragePool", NULL, global_shape),
	ROW(OP_MICROSOFT, "QLinearAveragePool", WINDOW "channels_last:i", window_shape),
	ROW(OP_MICROSOFT, "QLinearGlobalAveragePool", "channels_last:i", global_shape),
	NULL,
};
