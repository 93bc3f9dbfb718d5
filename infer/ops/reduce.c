/* Reductions over axes (ReduceSum, ReduceMean, ReduceMax …), ArgMax and ArgMin.
 *
 * Real numbers are summed in double, in the memory order of the reduced axes; integers in 64 bits. */
#include "infer/ops/ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "infer/ops/walk.h"

enum kind { SUM, MEAN, MAX, MIN, PROD, L1, L2, SQUARES, LOG_SUM, LOG_SUM_EXP };

struct reduce {
	struct op op;
	enum kind kind;
};

struct state {
	unsigned mask; /* axes that are reduced */
	bool nothing;  /* noop_with_empty_axes */
};

static int read_axes(struct node *n, struct state *s, struct err *e)
{
	const struct tensor *x = n->in[0];
	int64_t axis[TENSOR_RANK_MAX];
	int count = node_list(n, 1, "axes", axis, TENSOR_RANK_MAX, e);

	if (count < 0)
		return -1;
	*s = (struct state){ .mask = 0 };
	for (int i = 0; i < count; i++) {
		if (node_axis(n, &axis[i], x->rank, e) < 0)
			return -1;
		if (s->mask >> axis[i] & 1)
			return node_invalid(n, e, "axis %lld comes twice", (long long)axis[i]);
		s->mask |= 1u << axis[i];
	}
	if (count == 0 && node_int(n, "noop_with_empty_axes", 0))
		s->nothing = true;
	else if (count == 0)
		s->mask = (1u << x->rank) - 1;
	return 0;
}

static int output(struct node *n, int i, enum dtype type, unsigned mask, bool keep, struct err *e)
{
	const struct tensor *x = n->in[0];
	int64_t dim[TENSOR_RANK_MAX];
	int rank = 0;

	for (int k = 0; k < x->rank; k++)
		if (!(mask >> k & 1))
			dim[rank++] = x->dim[k];
		else if (keep)
			dim[rank++] = 1;
	if (node_output(n, i, type, rank, dim, e) < 0)
		return -1;
	if (node_out(n, i) && type == DTYPE_F32)
		n->out[i]->half = x->half;
	return 0;
}

/* Has the reduction of no element a value? Of real numbers the largest is -infinity then. */
static bool gives_of_nothing(enum kind kind, enum dtype type)
{
	bool real = type == DTYPE_F32 || type == DTYPE_F64;

	return kind != MEAN &&
	       (real || kind == SUM || kind == PROD || kind == L1 || kind == L2 || kind == SQUARES);
}

static int shape(struct node *n, struct err *e)
{
	struct state *s = node_note(n, sizeof *s, e);
	const struct tensor *x = n->in[0];
	enum kind kind = ((const struct reduce *)n->op)->kind;
	unsigned types = TYPES_FLOAT | TYPE(I32) | TYPE(I64);

	if (kind == MAX || kind == MIN)
		types |= TYPE(U8) | TYPE(I8) | TYPE(BOOL);
	if (!s || node_types(n, 0, types, e) < 0 || read_axes(n, s, e) < 0)
		return -1;
	for (int i = 0; i < x->rank; i++)
		if (s->mask >> i & 1 && x->dim[i] == 0 && !gives_of_nothing(kind, x->dtype))
			return node_unsupported(n, e, "reduction of nothing");
	return output(n, 0, x->dtype, s->mask, node_int(n, "keepdims", 1) != 0, e);
}

static double reduce_real(const struct tensor *over, int64_t base, enum kind kind)
{
	double acc = kind == MAX   ? -(double)INFINITY
		     : kind == MIN ? (double)INFINITY
				   : kind == PROD;
	double max = 0;
	struct walk w;

	if (kind == LOG_SUM_EXP)
		max = reduce_real(over, base, MAX);
	max = isfinite(max) ? max : 0;
	walk_init(&w, over);
	for (walk_begin(&w); !w.done; walk_next(&w)) {
		for (int64_t i = 0; i < w.count; i++) {
			double v = tensor_real(over, (size_t)(base + w.offset[0] + i * w.step[0]));
			if (kind == MAX)
				acc = v > acc || v != v ? v : acc;
			else if (kind == MIN)
				acc = v < acc || v != v ? v : acc;
			else if (kind == PROD)
				acc *= v;
			else if (kind == L1)
				acc += fabs(v);
			else if (kind == L2 || kind == SQUARES)
				acc += v * v;
			else if (kind == LOG_SUM_EXP)
				acc += exp(v - max);
			else
				acc += v;
		}
	}
	if (kind == MEAN)
		acc /= (double)tensor_count(over);
	if (kind == L2)
		acc = sqrt(acc);
	return kind == LOG_SUM || kind == LOG_SUM_EXP ? log(acc) + max : acc;
}

static int64_t reduce_int(const struct tensor *over, int64_t base, enum kind kind)
{
	int64_t best = kind == MAX ? INT64_MIN : INT64_MAX;
	uint64_t acc = kind == PROD;
	struct walk w;

	walk_init(&w, over);
	for (walk_begin(&w); !w.done; walk_next(&w)) {
		for (int64_t i = 0; i < w.count; i++) {
			int64_t v = tensor_int(over, (size_t)(base + w.offset[0] + i * w.step[0]));
			if (kind == MAX)
				best = v > best ? v : best;
			else if (kind == MIN)
				best = v < best ? v : best;
			else if (kind == PROD)
				acc *= (uint64_t)v;
			else if (kind == L1)
				acc += v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
			else if (kind == SQUARES)
				acc += (uint64_t)v * (uint64_t)v;
			else
				acc += (uint64_t)v;
		}
	}
	if (kind == MEAN)
		return (int64_t)acc / (int64_t)tensor_count(over);
	return kind == MAX || kind == MIN ? best : (int64_t)acc;
}

static void store(const struct tensor *y, int64_t at, double real, int64_t whole)
{
	switch (y->dtype) {
	case DTYPE_F32:
		((float *)y->data)[at] = (float)real;
		break;
	case DTYPE_F64:
		((double *)y->data)[at] = real;
		break;
	case DTYPE_I32:
		((int32_t *)y->data)[at] = (int32_t)whole;
		break;
	case DTYPE_I64:
		((int64_t *)y->data)[at] = whole;
		break;
	default:
		((uint8_t *)y->data)[at] = (uint8_t)whole;
	}
}

/* Strides of y for each axis of x: 0 where it is reduced. */
static void strides_of(const struct tensor *x, const struct tensor *y, unsigned mask,
		       int64_t *stride)
{
	bool keep = y->rank == x->rank;
	int at = 0;

	for (int i = 0; i < x->rank; i++) {
		bool gone = mask >> i & 1;
		stride[i] = gone ? 0 : y->stride[keep ? i : at];
		at += !gone;
	}
}

static void run(const struct node *n)
{
	const struct state *s = n->state;
	const struct tensor *x = n->in[0], *y = n->out[0];
	enum kind kind = ((const struct reduce *)n->op)->kind;
	bool real = x->dtype == DTYPE_F32 || x->dtype == DTYPE_F64;
	bool through = kind == L2 || kind == LOG_SUM || kind == LOG_SUM_EXP;
	int64_t stride[TENSOR_RANK_MAX];
	struct tensor over, others;
	struct walk w;

	if (s->nothing) {
		memcpy(y->data, x->data, tensor_bytes(y));
		return;
	}
	walk_part(x, s->mask, &over);
	walk_part(x, ~s->mask, &others);
	strides_of(x, y, s->mask, stride);
	walk_init(&w, &others);
	walk_add_strides(&w, stride);
	for (walk_begin(&w); !w.done; walk_next(&w)) {
		for (int64_t i = 0; i < w.count; i++) {
			int64_t from = w.offset[0] + i * w.step[0],
				to = w.offset[1] + i * w.step[1];
			if (real || through) {
				double v = reduce_real(&over, from, kind);
				store(y, to, v, tensor_whole(v, -0x1p63, 0x1p63));
			} else {
				store(y, to, 0, reduce_int(&over, from, kind));
			}
		}
	}
}

/* Means over pictures (what exporters write for global pooling), f32, without the walk's cost per
 * element: rank 4, axes 2 and 3, channels last. */
static bool over_pixels(const struct node *n)
{
	const struct state *s = n->state;
	const struct tensor *x = n->in[0];

	return x->dtype == DTYPE_F32 && x->rank == 4 && s->mask == 12 && !s->nothing &&
	       x->stride[1] == 1 && x->dim[2] * x->dim[3] > 0;
}

static void mean_pixels(const struct node *n)
{
	const struct tensor *x = n->in[0];
	const float *from = x->data;
	float *to = n->out[0]->data;
	int64_t channels = x->dim[1], pixels = x->dim[2] * x->dim[3];

	for (int64_t b = 0; b < x->dim[0]; b++, from += pixels * channels, to += channels)
		for (int64_t c0 = 0; c0 < channels; c0 += 64) {
			int64_t many = channels - c0 < 64 ? channels - c0 : 64;
			double sum[64] = { 0 };
			for (int64_t p = 0; p < pixels; p++)
				for (int64_t c = 0; c < many; c++)
					sum[c] += (double)from[p * channels + c0 + c];
			for (int64_t c = 0; c < many; c++)
				to[c0 + c] = (float)(sum[c] / (double)pixels);
		}
}

static void mean_run(const struct node *n)
{
	if (over_pixels(n))
		mean_pixels(n);
	else
		run(n);
}

/* --- ArgMax, ArgMin --------------------------------------------------------------------------------- */

static int arg_shape(struct node *n, struct err *e)
{
	struct state *s = node_note(n, sizeof *s, e);
	int64_t axis = node_int(n, "axis", 0);

	if (!s || node_types(n, 0, TYPES_FLOAT | TYPES_INT, e) < 0 ||
	    node_axis(n, &axis, n->in[0]->rank, e) < 0)
		return -1;
	if (n->in[0]->dim[axis] == 0)
		return node_invalid(n, e, "axis %lld is empty", (long long)axis);
	s->mask = 1u << axis;
	return output(n, 0, DTYPE_I64, s->mask, node_int(n, "keepdims", 1) != 0, e);
}

static int64_t arg_of(const struct tensor *over, int64_t base, bool max, bool last)
{
	int64_t best = 0, step = 0, count = 1;

	for (int i = 0; i < over->rank; i++)
		if (over->dim[i] != 1) {
			step = over->stride[i];
			count = over->dim[i];
		}
	for (int64_t i = 1; i < count; i++) {
		bool better, equal;
		if (over->dtype == DTYPE_F32 || over->dtype == DTYPE_F64) {
			double v = tensor_real(over, (size_t)(base + i * step));
			double b = tensor_real(over, (size_t)(base + best * step));
			better = max ? v > b : v < b;
			equal = v == b;
		} else {
			int64_t v = tensor_int(over, (size_t)(base + i * step));
			int64_t b = tensor_int(over, (size_t)(base + best * step));
			better = max ? v > b : v < b;
			equal = v == b;
		}
		if (better || (last && equal))
			best = i;
	}
	return best;
}

static void arg_run(const struct node *n)
{
	const struct state *s = n->state;
	const struct tensor *x = n->in[0], *y = n->out[0];
	bool max = n->type[3] == 'M' && n->type[4] == 'a';
	bool last = node_int(n, "select_last_index", 0) != 0;
	int64_t stride[TENSOR_RANK_MAX];
	struct tensor over, others;
	struct walk w;

	walk_part(x, s->mask, &over);
	walk_part(x, ~s->mask, &others);
	strides_of(x, y, s->mask, stride);
	walk_init(&w, &others);
	walk_add_strides(&w, stride);
	for (walk_begin(&w); !w.done; walk_next(&w))
		for (int64_t i = 0; i < w.count; i++)
			((int64_t *)y->data)[w.offset[1] + i * w.step[1]] =
			    arg_of(&over, w.offset[0] + i * w.step[0], max, last);
}

#define ROW_OF(onnx, from, most, attributes, shapes, runs, what) \
	(const struct op *)&(const struct reduce)                \
	{                                                        \
		.op = { .name = onnx,                            \
			.since = from,                           \
			.layout = OP_FOLLOW,                     \
			.in_least = 1,                           \
			.in_most = most,                         \
			.attrs = attributes,                     \
			.shape = shapes,                         \
			.run = runs },                           \
		.kind = what                                     \
	}
#define OLD(onnx, runs, what) ROW_OF(onnx, 1, 1, "axes:I keepdims:i", shape, runs, what)
#define NEW(onnx, from, runs, what) \
	ROW_OF(onnx, from, 2, "keepdims:i noop_with_empty_axes:i", shape, runs, what)
#define ARG(onnx)                                                       \
	ROW_OF(onnx, 1, 1, "axis:i keepdims:i", arg_shape, arg_run, 0), \
	    ROW_OF(onnx, 12, 1, "axis:i keepdims:i select_last_index:i", arg_shape, arg_run, 0)
const struct op *const ops_reduce[] = {
	OLD("ReduceSum", run, SUM),
	NEW("ReduceSum", 13, run, SUM),
	OLD("ReduceMean", mean_run, MEAN),
	NEW("ReduceMean", 18, mean_run, MEAN),
	OLD("ReduceMax", run, MAX),
	NEW("ReduceMax", 18, run, MAX),
	OLD("ReduceMin", run, MIN),
	NEW("ReduceMin", 18, run, MIN),
	OLD("ReduceProd", run, PROD),
	NEW("ReduceProd", 18, run, PROD),
	OLD("ReduceL1", run, L1),
	NEW("ReduceL1", 18, run, L1),
	OLD("ReduceL2", run, L2),
	NEW("ReduceL2", 18, run, L2),
	OLD("ReduceSumSquare", run, SQUARES),
	NEW("ReduceSumSquare", 18, run, SQUARES),
	OLD("ReduceLogSum", run, LOG_SUM),
	NEW("ReduceLogSum", 18, run, LOG_SUM),
	OLD("ReduceLogSumExp", run, LOG_SUM_EXP),
	NEW("ReduceLogSumExp", 18, run, LOG_SUM_EXP),
	ARG("ArgMax"),
	ARG("ArgMin"),
	NULL,
};
