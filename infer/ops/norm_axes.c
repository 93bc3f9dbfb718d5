/* Normalisations over axes of one's choice (LpNormalization, MeanVarianceNormalization) and over
 * neighbouring channels (LRN). */
#include "infer/ops/ops.h"

#include <math.h>

#include "infer/ops/walk.h"

static int output(struct node *n, int i, int rank, const int64_t *dim, struct err *e)
{
	if (node_output(n, i, DTYPE_F32, rank, dim, e) < 0)
		return -1;
	if (node_out(n, i))
		n->out[i]->half = n->in[0]->half;
	return 0;
}

static int check_f32(const struct node *n, struct err *e)
{
	for (int i = 0; i < n->in_count; i++)
		if (node_types(n, i, TYPE(F32), e) < 0)
			return -1;
	return 0;
}

struct axes {
	unsigned mask;
	int64_t p;
};

static int mvn_shape(struct node *n, struct err *e)
{
	static const int64_t usual[] = { 0, 2, 3 };
	struct axes *a = node_note(n, sizeof *a, e);
	const int64_t *axes;
	int count = node_ints(n, "axes", &axes);

	if (!a || check_f32(n, e) < 0)
		return -1;
	a->mask = 0;
	if (!node_attr(n, "axes")) {
		axes = usual;
		count = 3;
	}
	for (int i = 0; i < count; i++) {
		int64_t axis = axes[i];
		if (node_axis(n, &axis, n->in[0]->rank, e) < 0)
			return -1;
		a->mask |= 1u << axis;
	}
	return output(n, 0, n->in[0]->rank, n->in[0]->dim, e);
}

static int lp_shape(struct node *n, struct err *e)
{
	struct axes *a = node_note(n, sizeof *a, e);
	int64_t axis = node_int(n, "axis", -1);

	if (!a || check_f32(n, e) < 0 || node_axis(n, &axis, n->in[0]->rank, e) < 0)
		return -1;
	a->mask = 1u << axis;
	a->p = node_int(n, "p", 2);
	if (a->p != 1 && a->p != 2)
		return node_invalid(n, e, "p is %lld", (long long)a->p);
	return output(n, 0, n->in[0]->rank, n->in[0]->dim, e);
}

static void mvn_one(const struct tensor *over, const float *x, float *y)
{
	double sum = 0, squares = 0, count = (double)tensor_count(over), mean, inverse;
	struct walk w;

	for (int pass = 0; pass < 2; pass++) {
		walk_init(&w, over);
		for (walk_begin(&w); !w.done; walk_next(&w))
			for (int64_t i = 0; i < w.count; i++) {
				double v = (double)x[w.offset[0] + i * w.step[0]];
				sum += pass ? 0 : v;
				squares += pass ? (v - sum / count) * (v - sum / count) : 0;
			}
	}
	mean = sum / count;
	inverse = 1 / (sqrt(squares / count) + 1e-9);
	walk_init(&w, over);
	for (walk_begin(&w); !w.done; walk_next(&w))
		for (int64_t i = 0; i < w.count; i++) {
			int64_t at = w.offset[0] + i * w.step[0];
			y[at] = (float)(((double)x[at] - mean) * inverse);
		}
}

static void lp_one(const struct tensor *over, const float *x, float *y, int64_t p)
{
	double sum = 0;
	struct walk w;

	for (int pass = 0; pass < 2; pass++) {
		walk_init(&w, over);
		for (walk_begin(&w); !w.done; walk_next(&w))
			for (int64_t i = 0; i < w.count; i++) {
				int64_t at = w.offset[0] + i * w.step[0];
				double v = (double)x[at];
				if (pass)
					y[at] = sum != 0 ? (float)(v / sum) : 0;
				else
					sum += p == 1 ? fabs(v) : v * v;
			}
		if (!pass && p == 2)
			sum = sqrt(sum);
	}
}

static void axes_run(const struct node *n, bool lp)
{
	const struct axes *a = n->state;
	const struct tensor *x = n->in[0];
	struct tensor over, others;
	struct walk w;

	walk_part(x, a->mask, &over);
	walk_part(x, ~a->mask, &others);
	walk_init(&w, &others);
	for (walk_begin(&w); !w.done && tensor_count(x); walk_next(&w))
		for (int64_t i = 0; i < w.count; i++) {
			int64_t at = w.offset[0] + i * w.step[0];
			const float *from = (const float *)x->data + at;
			float *to = (float *)n->out[0]->data + at;
			if (lp)
				lp_one(&over, from, to, a->p);
			else
				mvn_one(&over, from, to);
		}
}

static void mvn_run(const struct node *n)
{
	axes_run(n, false);
}

static void lp_run(const struct node *n)
{
	axes_run(n, true);
}

/* --- LRN: y = x / (bias + alpha / size · Σ x² over neighbouring channels) ^ beta ------------------- */

static int lrn_shape(struct node *n, struct err *e)
{
	int64_t size = node_int(n, "size", 0);

	if (check_f32(n, e) < 0)
		return -1;
	if (n->in[0]->rank < 2)
		return node_invalid(n, e, "input of rank %d", n->in[0]->rank);
	if (size < 1 || size > INT32_MAX)
		return node_invalid(n, e, "size %lld", (long long)size);
	n->flops = 2.0 * (double)tensor_count(n->in[0]) *
		   (double)(size < n->in[0]->dim[1] ? size : n->in[0]->dim[1]);
	return output(n, 0, n->in[0]->rank, n->in[0]->dim, e);
}

static float lrn_at(const float *x, int64_t stride, int64_t c, int64_t channels, int64_t size,
		    const float *abk)
{
	int64_t from = c - (size - 1) / 2, to = c + size / 2;
	float sum = 0, base;

	from = from < 0 ? 0 : from;
	to = to >= channels ? channels - 1 : to;
	for (int64_t k = from; k <= to; k++)
		sum += x[k * stride] * x[k * stride];
	base = abk[2] + abk[0] / (float)size * sum;
	if (abk[1] == 0.75f) { /* what every network uses: two roots instead of a power */
		float root = sqrtf(base);
		return x[c * stride] / (root * sqrtf(root));
	}
	return (float)((double)x[c * stride] / pow((double)base, (double)abk[1]));
}

static void lrn_run(const struct node *n)
{
	const struct tensor *x = n->in[0];
	const float abk[] = { node_float(n, "alpha", 1e-4f), node_float(n, "beta", 0.75f),
			      node_float(n, "bias", 1) };
	int64_t size = node_int(n, "size", 1), channels = x->dim[1], stride = x->stride[1];
	struct tensor pixels;
	struct walk w;

	walk_part(x, ~2u, &pixels);
	walk_init(&w, &pixels);
	for (walk_begin(&w); !w.done; walk_next(&w))
		for (int64_t i = 0; i < w.count; i++) {
			int64_t at = w.offset[0] + i * w.step[0];
			for (int64_t c = 0; c < channels; c++)
				((float *)n->out[0]->data)[at + c * stride] = lrn_at(
				    (const float *)x->data + at, stride, c, channels, size, abk);
		}
}

#define ROW(onnx, from, attributes, shapes, runs)                                              \
	&(const struct op)                                                                     \
	{                                                                                      \
		.name = onnx, .since = from, .layout = OP_FOLLOW, .in_least = 1, .in_most = 1, \
		.attrs = attributes, .shape = shapes, .run = runs                              \
	}

const struct op *const ops_norm_axes[] = {
	ROW("MeanVarianceNormalization", 9, "axes:I", mvn_shape, mvn_run),
	ROW("LpNormalization", 1, "axis:i p:i", lp_shape, lp_run),
	ROW("LRN", 1, "alpha:f beta:f bias:f !size:i", lrn_shape, lrn_run),
	NULL,
};
