/* Between real numbers and integers with a scale and a zero point: QuantizeLinear, DequantizeLinear,
 * DynamicQuantizeLinear. One scale for all, one for each index of an axis, or (opset 21) one for each
 * block of an axis at each place of the other axes. */
#include "infer/ops/ops.h"

#include <string.h>

#include "infer/kernels/qelement.h"
#include "infer/kernels/requant.h"
#include "infer/ops/walk.h"

#define SMALL (TYPE(U8) | TYPE(I8) | TYPE(U16) | TYPE(I16))

struct range {
	int32_t low, high;
};

static struct range range_of(enum dtype t)
{
	switch (t) {
	case DTYPE_U8:
		return (struct range){ 0, 255 };
	case DTYPE_I8:
		return (struct range){ -128, 127 };
	case DTYPE_U16:
		return (struct range){ 0, 65535 };
	default:
		return (struct range){ -32768, 32767 };
	}
}

/* Whom a scale is for: the first member is what passes look at. */
struct share {
	int64_t axis; /* -1: one scale for all */
	int64_t
	    block; /* of so many along the axis; 0: for each index of it, whatever the others are */
};

/* The scales stand as the values do, but for the axis. */
static int check_blocks(struct node *n, int64_t axis, int64_t block, struct err *e)
{
	const struct tensor *x = n->in[0], *scale = n->in[1], *zero = node_in(n, 2);

	if (block < 0 || scale->rank != x->rank)
		return node_invalid(n, e, "scales of rank %d for rank %d, block_size %lld",
				    scale->rank, x->rank, (long long)block);
	for (int i = 0; i < x->rank; i++) {
		int64_t wanted =
		    i == axis ? x->dim[i] / block + (x->dim[i] % block != 0) : x->dim[i];
		if (scale->dim[i] != wanted || (zero && zero->dim[i] != wanted))
			return node_invalid(n, e, "%lld scales along axis %d, not %lld",
					    (long long)scale->dim[i], i, (long long)wanted);
	}
	return 0;
}

/* Scale (and zero point, of the same shape): one value, as many as the axis has, or blocks. */
static int check_scale(struct node *n, struct err *e)
{
	const struct tensor *x = n->in[0], *scale = n->in[1], *zero = node_in(n, 2);
	struct share *share = node_note(n, sizeof *share, e);

	if (!share || node_types(n, 1, TYPE(F32), e) < 0)
		return -1;
	*share = (struct share){ node_int(n, "axis", 1), node_int(n, "block_size", 0) };
	if (share->block == 0 && scale->rank > 1)
		return node_unsupported(n, e, "scales of rank %d", scale->rank);
	if (zero && (tensor_count(zero) != tensor_count(scale) ||
		     (share->block != 0 && zero->rank != scale->rank)))
		return node_invalid(n, e, "%zu zero points for %zu scales", tensor_count(zero),
				    tensor_count(scale));
	if (share->block == 0 && tensor_count(scale) == 1) {
		share->axis = -1;
		return 0;
	}
	if (node_axis(n, &share->axis, x->rank, e) < 0)
		return -1;
	if (share->block != 0)
		return check_blocks(n, share->axis, share->block, e);
	if (scale->dim[0] != x->dim[share->axis])
		return node_invalid(n, e, "%lld scales along an axis of %lld",
				    (long long)scale->dim[0], (long long)x->dim[share->axis]);
	return 0;
}

static int quantize_shape(struct node *n, struct err *e)
{
	const struct tensor *zero = node_in(n, 2);
	int64_t type = node_int(n, "output_dtype", 0);

	if (type == 0)
		type = zero ? zero->dtype : DTYPE_U8;
	if (node_types(n, 0, TYPE(F32) | TYPE(I32), e) < 0 || check_scale(n, e) < 0)
		return -1;
	if (type < 0 || type > 15 || !(SMALL >> type & 1))
		return node_unsupported(n, e, "quantisation to element type %lld", (long long)type);
	if (zero && zero->dtype != (enum dtype)type)
		return node_invalid(n, e, "zero point of type %s", dtype_name(zero->dtype));
	return node_output(n, 0, (enum dtype)type, n->in[0]->rank, n->in[0]->dim, e);
}

#define QUANTIZE(type)                                                                      \
	static void quantize_##type(const float *x, int64_t xs, float scale, int32_t zero,  \
				    struct range r, type *y, int64_t ys, int64_t count)     \
	{                                                                                   \
		if (xs == 1 && ys == 1)                                                     \
			for (int64_t i = 0; i < count; i++)                                 \
				y[i] = (type)round_to(x[i] / scale, zero, r.low, r.high);   \
		else                                                                        \
			for (int64_t i = 0; i < count; i++)                                 \
				y[i * ys] =                                                 \
				    (type)round_to(x[i * xs] / scale, zero, r.low, r.high); \
	}
QUANTIZE(uint8_t)
QUANTIZE(int8_t)
QUANTIZE(uint16_t)
QUANTIZE(int16_t)

static void quantize_row(const struct tensor *x, int64_t xi, int64_t xs, float scale, int32_t zero,
			 const struct tensor *y, int64_t yi, int64_t ys, int64_t count)
{
	struct range r = range_of(y->dtype);

	if (x->dtype == DTYPE_I32) {
		for (int64_t i = 0; i < count; i++) {
			float v = (float)((const int32_t *)x->data)[xi + i * xs];
			quantize_row(&(struct tensor){ .dtype = DTYPE_F32, .data = &v }, 0, 1,
				     scale, zero, y, yi + i * ys, 1, 1);
		}
		return;
	}
	const float *from = (const float *)x->data + xi;
	if (dtype_size(y->dtype) == 1 && xs == 1 && ys == 1)
		qelement_quantise(from, scale, zero, r.low, r.high, (uint8_t *)y->data + yi,
				  (size_t)count);
	else if (y->dtype == DTYPE_U8)
		quantize_uint8_t(from, xs, scale, zero, r, (uint8_t *)y->data + yi, ys, count);
	else if (y->dtype == DTYPE_I8)
		quantize_int8_t(from, xs, scale, zero, r, (int8_t *)y->data + yi, ys, count);
	else if (y->dtype == DTYPE_U16)
		quantize_uint16_t(from, xs, scale, zero, r, (uint16_t *)y->data + yi, ys, count);
	else
		quantize_int16_t(from, xs, scale, zero, r, (int16_t *)y->data + yi, ys, count);
}

static int dequantize_shape(struct node *n, struct err *e)
{
	const struct tensor *x = n->in[0], *zero = node_in(n, 2);

	if (node_types(n, 0, SMALL | TYPE(I32), e) < 0 || check_scale(n, e) < 0)
		return -1;
	if (zero && zero->dtype != x->dtype)
		return node_invalid(n, e, "zero point of type %s for %s", dtype_name(zero->dtype),
				    dtype_name(x->dtype));
	if (node_output(n, 0, DTYPE_F32, x->rank, x->dim, e) < 0)
		return -1;
	if (n->out[0])
		n->out[0]->half = n->in[1]->half;
	return 0;
}

#define DEQUANTIZE(type, difference)                                                               \
	static void dequantize_##type(const type *x, int64_t xs, float scale, type zero, float *y, \
				      int64_t ys, int64_t count)                                   \
	{                                                                                          \
		if (xs == 1 && ys == 1)                                                            \
			for (int64_t i = 0; i < count; i++)                                        \
				y[i] = (float)(difference(x[i], zero)) * scale;                    \
		else                                                                               \
			for (int64_t i = 0; i < count; i++)                                        \
				y[i * ys] = (float)(difference(x[i * xs], zero)) * scale;          \
	}
#define MINUS(a, b) ((a) - (b))
#define MINUS_WIDE(a, b) ((int64_t)(a) - (b))
DEQUANTIZE(uint8_t, MINUS)
DEQUANTIZE(int8_t, MINUS)
DEQUANTIZE(uint16_t, MINUS)
DEQUANTIZE(int16_t, MINUS)
DEQUANTIZE(int32_t, MINUS_WIDE)

static void dequantize_row(const struct tensor *x, int64_t xi, int64_t xs, float scale,
			   int32_t zero, const struct tensor *y, int64_t yi, int64_t ys,
			   int64_t count)
{
	float *to = (float *)y->data + yi;
	const char *from = (const char *)x->data + xi * (int64_t)dtype_size(x->dtype);

	if (x->dtype == DTYPE_U8)
		dequantize_uint8_t((const uint8_t *)from, xs, scale, (uint8_t)zero, to, ys, count);
	else if (x->dtype == DTYPE_I8)
		dequantize_int8_t((const int8_t *)from, xs, scale, (int8_t)zero, to, ys, count);
	else if (x->dtype == DTYPE_U16)
		dequantize_uint16_t((const uint16_t *)from, xs, scale, (uint16_t)zero, to, ys,
				    count);
	else if (x->dtype == DTYPE_I16)
		dequantize_int16_t((const int16_t *)from, xs, scale, (int16_t)zero, to, ys, count);
	else
		dequantize_int32_t((const int32_t *)from, xs, scale, zero, to, ys, count);
}

typedef void row(const struct tensor *x, int64_t xi, int64_t xs, float scale, int32_t zero,
		 const struct tensor *y, int64_t yi, int64_t ys, int64_t count);

struct job {
	const struct node *n;
	row *f;
	int64_t parts;
};

/* All rows that share a scale: the whole tensor, or a slice of the axis at a time. Channels-last
 * slices are short steps; what matters there are weights, which are done once. */
static void task(void *context, size_t part, int lane)
{
	const struct job *j = context;
	const struct node *n = j->n;
	const struct tensor *scale = n->in[1], *zero = node_in(n, 2), *y = n->out[0];
	int64_t axis = ((const struct share *)n->state)->axis;
	int64_t slices = axis < 0 ? 1 : y->dim[axis];
	struct tensor slice = *y;
	struct walk w;

	(void)lane;
	if (axis >= 0)
		slice.dim[axis] = 1;
	for (int64_t s = 0; s < slices; s++) {
		int64_t xi = axis < 0 ? 0 : s * n->in[0]->stride[axis];
		int64_t yi = axis < 0 ? 0 : s * y->stride[axis];
		walk_init(&w, &slice);
		walk_add_strides(&w, n->in[0]->stride);
		for (walk_begin_part(&w, (int64_t)part, j->parts); !w.done; walk_next(&w))
			j->f(n->in[0], xi + w.offset[1], w.rank || w.count > 1 ? w.step[1] : 1,
			     ((const float *)scale->data)[s],
			     zero ? (int32_t)tensor_int(zero, (size_t)s) : 0, y, yi + w.offset[0],
			     w.step[0], w.count);
	}
}

/* Value by value: neighbours have different scales. Such values are weights, which are done once. */
static void run_blocks(const struct node *n, row *f)
{
	const struct tensor *x = n->in[0], *scale = n->in[1], *zero = node_in(n, 2), *y = n->out[0];
	const struct share *share = n->state;
	const int64_t *zero_stride = zero ? zero->stride : scale->stride;
	int64_t axis = share->axis;
	struct tensor slice = *y;
	struct walk w;

	slice.dim[axis] = 1;
	for (int64_t s = 0; s < y->dim[axis]; s++) {
		walk_init(&w, &slice);
		walk_add_strides(&w, x->stride);
		walk_add_strides(&w, scale->stride);
		walk_add_strides(&w, zero_stride);
		for (walk_begin(&w); !w.done; walk_next(&w))
			for (int64_t i = 0; i < w.count; i++) {
				int64_t block = s / share->block;
				int64_t at =
				    block * scale->stride[axis] + w.offset[2] + i * w.step[2];
				int64_t z = block * zero_stride[axis] + w.offset[3] + i * w.step[3];
				f(x, s * x->stride[axis] + w.offset[1] + i * w.step[1], 1,
				  ((const float *)scale->data)[at],
				  zero ? (int32_t)tensor_int(zero, (size_t)z) : 0, y,
				  s * y->stride[axis] + w.offset[0] + i * w.step[0], 1, 1);
			}
	}
}

static void run(const struct node *n, row *f)
{
	struct job j = { n, f, walk_parts(tensor_count(n->out[0])) };

	if (((const struct share *)n->state)->block)
		run_blocks(n, f);
	else
		crew_run(n->crew, task, &j, (size_t)j.parts);
}

static void quantize_run(const struct node *n)
{
	run(n, quantize_row);
}

static void dequantize_run(const struct node *n)
{
	run(n, dequantize_row);
}

/* --- DynamicQuantizeLinear: the scale spans the values that are there, and 0 ----------------------- */

static int dynamic_shape(struct node *n, struct err *e)
{
	if (node_types(n, 0, TYPE(F32), e) < 0 ||
	    node_output(n, 0, DTYPE_U8, n->in[0]->rank, n->in[0]->dim, e) < 0 ||
	    node_output(n, 1, DTYPE_F32, 0, NULL, e) < 0)
		return -1;
	return node_output(n, 2, DTYPE_U8, 0, NULL, e);
}

static void dynamic_run(const struct node *n)
{
	const float *x = n->in[0]->data;
	size_t count = tensor_count(n->in[0]);
	float low = 0, high = 0, scale;
	int32_t zero;

	for (size_t i = 0; i < count; i++) {
		low = x[i] < low ? x[i] : low;
		high = x[i] > high ? x[i] : high;
	}
	scale = (high - low) / 255;
	zero = scale > 0 ? round_to(-low / scale, 0, 0, 255) : 0;
	if (node_out(n, 1))
		*(float *)n->out[1]->data = scale;
	if (node_out(n, 2))
		*(uint8_t *)n->out[2]->data = (uint8_t)zero;
	for (size_t i = 0; n->out[0] && i < count; i++)
		((uint8_t *)n->out[0]->data)[i] =
		    (uint8_t)(scale > 0 ? round_to(x[i] / scale, zero, 0, 255) : 0);
}

#define QUANT(onnx, from, more, least, most, outs, attributes, shapes, runs)               \
	&(const struct op)                                                                 \
	{                                                                                  \
		.name = onnx, .since = from, .layout = OP_FOLLOW, .flags = more,           \
		.in_least = least, .in_most = most, .out_most = outs, .attrs = attributes, \
		.shape = shapes, .run = runs                                               \
	}
#define ROW(onnx, from, least, most, outs, attributes, shapes, runs) \
	QUANT(onnx, from, 0, least, most, outs, attributes, shapes, runs)
/* Weights are to be seen as they are stored by the pass that computes in whole numbers. */
#define LATE(onnx, from, attributes, shapes, runs) \
	QUANT(onnx, from, OP_LATE, 2, 3, 1, attributes, shapes, runs)

const struct op *const ops_quant[] = {
	ROW("QuantizeLinear", 10, 2, 3, 1, NULL, quantize_shape, quantize_run),
	ROW("QuantizeLinear", 13, 2, 3, 1, "axis:i", quantize_shape, quantize_run),
	ROW("QuantizeLinear", 19, 2, 3, 1, "axis:i saturate:i", quantize_shape, quantize_run),
	ROW("QuantizeLinear", 21, 2, 3, 1, "axis:i saturate:i block_size:i output_dtype:i",
	    quantize_shape, quantize_run),
	LATE("DequantizeLinear", 10, NULL, dequantize_shape, dequantize_run),
	LATE("DequantizeLinear", 13, "axis:i", dequantize_shape, dequantize_run),
	LATE("DequantizeLinear", 21, "axis:i block_size:i", dequantize_shape, dequantize_run),
	ROW("DynamicQuantizeLinear", 11, 1, 1, 3, NULL, dynamic_shape, dynamic_run),
	NULL,
};
