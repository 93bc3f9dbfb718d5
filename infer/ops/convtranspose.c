/* ConvTranspose: every input value times the weights is added into the output, strides apart.
 *
 * x: N, C, D, H, W     weights: C, K / groups, kd, kh, kw     y: N, K, OD, OH, OW, all row-major. Sums of
 * one output run over input channel, then taps. */
#include "infer/ops/ops.h"

#include "infer/ops/window.h"

struct state {
	struct window w;
	int64_t groups, c, k;
};

static int shape(struct node *n, struct err *e)
{
	struct state *s = node_note(n, sizeof *s, e);
	const struct tensor *x = n->in[0], *w = n->in[1], *b = node_in(n, 2);
	int64_t dim[5];

	if (!s)
		return -1;
	for (int i = 0; i < 3; i++)
		if (node_types(n, i, TYPE(F32), e) < 0)
			return -1;
	s->groups = node_int(n, "group", 1);
	if (x->rank < 3 || w->rank != x->rank)
		return node_invalid(n, e, "input of rank %d, weights of rank %d", x->rank, w->rank);
	s->c = x->dim[1];
	if (s->groups < 1 || s->c < 1 || s->c % s->groups != 0 || w->dim[0] != s->c ||
	    w->dim[1] < 1 || w->dim[1] > INT32_MAX || s->groups > INT32_MAX)
		return node_invalid(n, e, "%lld channels in %lld groups, weights for %lld",
				    (long long)s->c, (long long)s->groups, (long long)w->dim[0]);
	s->k = w->dim[1] * s->groups;
	if (b && (b->rank != 1 || b->dim[0] != s->k))
		return node_invalid(n, e, "the bias is not one value per output channel");
	if (window_read_transposed(n, x, w->dim + 2, &s->w, e) < 0)
		return -1;
	dim[0] = x->dim[0];
	dim[1] = s->k;
	for (int i = 2; i < x->rank; i++)
		dim[i] = s->w.out[i - x->rank + 3];
	n->flops = 2.0 * (double)tensor_count(x) * (double)tensor_count(w) / (double)s->c;
	if (node_output(n, 0, DTYPE_F32, x->rank, dim, e) < 0)
		return -1;
	if (n->out[0])
		n->out[0]->half = x->half;
	return 0;
}

struct job {
	const struct node *n;
	const struct state *s;
};

/* y[i stride + at] += x[i] v, for all i that stay inside. */
static void add_row(const struct window *w, const float *x, float *y, int64_t at, float v)
{
	int64_t step = w->stride[2], low = at < 0 ? (-at + step - 1) / step : 0;
	int64_t high = at >= w->out[2] ? 0 : (w->out[2] - at + step - 1) / step;

	high = high > w->in[2] ? w->in[2] : high;
	for (int64_t i = low; i < high; i++)
		y[i * step + at] += x[i] * v;
}

static void add_plane(const struct window *w, const float *x, const float *weights, float *y)
{
	for (int64_t t = 0; t < w->kernel[0] * w->kernel[1] * w->kernel[2]; t++) {
		int64_t k[3] = { t / w->kernel[2] / w->kernel[1], t / w->kernel[2] % w->kernel[1],
				 t % w->kernel[2] };
		int64_t from[3];
		for (int i = 0; i < 3; i++)
			from[i] = k[i] * w->dilation[i] - w->before[i];
		for (int64_t d = 0; d < w->in[0]; d++) {
			int64_t od = d * w->stride[0] + from[0];
			for (int64_t h = 0; h < w->in[1]; h++) {
				int64_t oh = h * w->stride[1] + from[1];
				if (od < 0 || od >= w->out[0] || oh < 0 || oh >= w->out[1])
					continue;
				add_row(w, x + (d * w->in[1] + h) * w->in[2],
					y + (od * w->out[1] + oh) * w->out[2], from[2], weights[t]);
			}
		}
	}
}

/* One output channel of one picture. */
static void task(void *context, size_t i, int lane)
{
	const struct job *j = context;
	const struct state *s = j->s;
	const struct window *w = &s->w;
	int64_t b = (int64_t)i / s->k, k = (int64_t)i % s->k, each = s->k / s->groups;
	int64_t depth = s->c / s->groups, group = k / each;
	int64_t taps = w->kernel[0] * w->kernel[1] * w->kernel[2];
	int64_t in = w->in[0] * w->in[1] * w->in[2], out = w->out[0] * w->out[1] * w->out[2];
	const float *x = (const float *)j->n->in[0]->data + (b * s->c + group * depth) * in;
	const float *weights = j->n->in[1]->data;
	float *y = (float *)j->n->out[0]->data + (int64_t)i * out;
	const struct tensor *bias = node_in(j->n, 2);

	(void)lane;
	for (int64_t p = 0; p < out; p++)
		y[p] = bias ? ((const float *)bias->data)[k] : 0;
	for (int64_t c = 0; c < depth; c++)
		add_plane(w, x + c * in, weights + ((group * depth + c) * each + k % each) * taps,
			  y);
}

static void run(const struct node *n)
{
	const struct state *s = n->state;
	struct job j = { n, s };

	crew_run(n->crew, task, &j, (size_t)(n->in[0]->dim[0] * s->k));
}

const struct op *const ops_convtranspose[] = {
	&(const struct op){ .name = "ConvTranspose",
			    .since = 1,
			    .in_least = 2,
			    .in_most = 3,
			    .attrs =
				"kernel_shape:I strides:I pads:I dilations:I group:i auto_pad:s "
				"output_padding:I output_shape:I",
			    .shape = shape,
			    .run = run },
	NULL,
};
