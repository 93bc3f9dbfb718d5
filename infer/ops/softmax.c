/* Softmax, LogSoftmax, Hardmax. Up to opset 12 over all axes from `axis` on as one, from 13 on over
 * that axis alone. */
#include "infer/ops/ops.h"

#include <math.h>

#include "infer/kernels/math.h"

enum kind { SOFT, LOG, HARD };

struct softmax {
	enum kind kind;
	int64_t outer, size, inner; /* inner 1: contiguous */
};

static int shape(struct node *n, enum kind kind, struct err *e)
{
	struct softmax *s = node_note(n, sizeof *s, e);
	const struct tensor *x = n->in[0];
	bool flat = n->op->since < 13;
	int64_t axis = node_int(n, "axis", flat ? 1 : -1);

	if (!s || node_types(n, 0, TYPE(F32), e) < 0)
		return -1;
	if (!(flat && axis == x->rank) && node_axis(n, &axis, x->rank, e) < 0)
		return -1;
	*s = (struct softmax){ kind, 1, 1, 1 };
	for (int i = 0; i < x->rank && tensor_count(x); i++)
		*(i < axis ? &s->outer : flat || i == axis ? &s->size : &s->inner) *= x->dim[i];
	if (!tensor_count(x))
		s->outer = 0;
	return node_output_like(n, 0, x, e);
}

static int soft_shape(struct node *n, struct err *e)
{
	return shape(n, SOFT, e);
}

static int log_shape(struct node *n, struct err *e)
{
	return shape(n, LOG, e);
}

static int hard_shape(struct node *n, struct err *e)
{
	return shape(n, HARD, e);
}

/* size values, step apart. The sum is taken in double, in order. */
static void one(const struct softmax *s, const float *x, float *y)
{
	int64_t step = s->inner, best = 0;
	double sum = 0;
	float max;

	for (int64_t i = 1; i < s->size; i++)
		if (x[i * step] > x[best * step])
			best = i;
	max = x[best * step];
	if (s->kind == HARD) {
		for (int64_t i = 0; i < s->size; i++)
			y[i * step] = i == best;
		return;
	}
	if (s->kind == LOG) {
		for (int64_t i = 0; i < s->size; i++)
			sum += (double)math_exp(x[i * step] - max);
		float down = math_log((float)sum);
		for (int64_t i = 0; i < s->size; i++)
			y[i * step] = (x[i * step] - max) - down;
		return;
	}
	for (int64_t i = 0; i < s->size; i++)
		y[i * step] = math_exp(x[i * step] - max);
	for (int64_t i = 0; i < s->size; i++)
		sum += (double)y[i * step];
	for (int64_t i = 0; i < s->size; i++)
		y[i * step] = (float)((double)y[i * step] / sum);
}

static void run(const struct node *n)
{
	const struct softmax *s = n->state;
	const float *x = n->in[0]->data;
	float *y = n->out[0]->data;

	for (int64_t o = 0; o < s->outer; o++)
		for (int64_t i = 0; i < s->inner; i++)
			one(s, x + o * s->size * s->inner + i, y + o * s->size * s->inner + i);
}

#define ROW(onnx, from, shapes)                                                                \
	&(const struct op)                                                                     \
	{                                                                                      \
		.name = onnx, .since = from, .flags = OP_INPLACE, .in_least = 1, .in_most = 1, \
		.attrs = "axis:i", .shape = shapes, .run = run                                 \
	}

const struct op *const ops_softmax[] = {
	ROW("Softmax", 1, soft_shape),
	ROW("Softmax", 13, soft_shape),
	ROW("LogSoftmax", 1, log_shape),
	ROW("LogSoftmax", 13, log_shape),
	ROW("Hardmax", 1, hard_shape),
	ROW("Hardmax", 13, hard_shape),
	NULL,
};
