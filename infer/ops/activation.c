/* The activations that kernels share with convolutions and products as epilogues: n->state is a
 * struct epilogue, which a pass may move into the node before. Element by element, same shape. */
#include "infer/ops/ops.h"

#include <math.h>
#include <string.h>

/* What the row computes as an epilogue. */
static int note(struct node *n, enum activation act, float a, float b, struct err *e)
{
	struct epilogue *p = node_note(n, sizeof *p, e);

	if (!p || node_types(n, 0, TYPE(F32), e) < 0)
		return -1;
	*p = (struct epilogue){ .act = act, .a = a, .b = b };
	return node_output_like(n, 0, n->in[0], e);
}

static void run(const struct node *n)
{
	activate(n->state, n->in[0]->data, n->out[0]->data, tensor_count(n->out[0]));
}

static int relu_shape(struct node *n, struct err *e)
{
	return note(n, ACT_RELU, 0, 0, e);
}

static int leaky_shape(struct node *n, struct err *e)
{
	return note(n, ACT_LEAKY, node_float(n, "alpha", 0.01f), 0, e);
}

static int sigmoid_shape(struct node *n, struct err *e)
{
	return note(n, ACT_SIGMOID, 0, 0, e);
}

static int tanh_shape(struct node *n, struct err *e)
{
	return note(n, ACT_TANH, 0, 0, e);
}

static int hardsigmoid_shape(struct node *n, struct err *e)
{
	return note(n, ACT_HARDSIGMOID, node_float(n, "alpha", 0.2f), node_float(n, "beta", 0.5f),
		    e);
}

static int hardswish_shape(struct node *n, struct err *e)
{
	return note(n, ACT_HARDSWISH, 0, 0, e);
}

static int mish_shape(struct node *n, struct err *e)
{
	return note(n, ACT_MISH, 0, 0, e);
}

static int gelu_shape(struct node *n, struct err *e)
{
	const char *how = node_text(n, "approximate", "none");

	if (strcmp(how, "tanh") == 0)
		return note(n, ACT_GELU_TANH, 0, 0, e);
	if (strcmp(how, "none") != 0)
		return node_invalid(n, e, "approximate '%s'", how);
	return note(n, ACT_GELU, 0, 0, e);
}

/* Opset 1 … 10: bounds are attributes. */
static int clip1_shape(struct node *n, struct err *e)
{
	return note(n, ACT_CLIP, node_float(n, "min", -INFINITY), node_float(n, "max", INFINITY),
		    e);
}

/* From opset 11 on bounds are inputs of one element, integers too from 12 on. Where they are known
 * and real, the state is an epilogue as above; ACT_NONE says that run() must read them. */
static int clip_shape(struct node *n, struct err *e)
{
	const struct tensor *x = n->in[0], *low = node_in(n, 1), *high = node_in(n, 2);
	struct epilogue *p = node_note(n, sizeof *p, e);

	if (!p || node_types(n, 0, TYPES_INT | TYPES_FLOAT, e) < 0)
		return -1;
	for (int i = 1; i < n->in_count; i++) {
		if (n->in[i] && n->in[i]->dtype != x->dtype)
			return node_invalid(n, e, "bound of type %s for %s",
					    dtype_name(n->in[i]->dtype), dtype_name(x->dtype));
		if (n->in[i] && tensor_count(n->in[i]) != 1)
			return node_invalid(n, e, "input %d is not one number", i);
	}
	*p = (struct epilogue){ .act = ACT_NONE, .a = -INFINITY, .b = INFINITY };
	if (x->dtype == DTYPE_F32 && (!low || low->constant) && (!high || high->constant)) {
		p->act = ACT_CLIP;
		p->a = low ? *(const float *)low->data : p->a;
		p->b = high ? *(const float *)high->data : p->b;
	}
	return node_output_like(n, 0, x, e);
}

#define CLIP(name, type)                                                             \
	static void clip_##name(const struct node *n)                                \
	{                                                                            \
		const struct tensor *low = node_in(n, 1), *high = node_in(n, 2);     \
		const type *x = n->in[0]->data, *a = low ? low->data : NULL;         \
		const type *b = high ? high->data : NULL;                            \
		type *y = n->out[0]->data;                                           \
                                                                                     \
		for (size_t i = 0, count = tensor_count(n->in[0]); i < count; i++) { \
			type v = a && x[i] < *a ? *a : x[i];                         \
			y[i] = b && v > *b ? *b : v;                                 \
		}                                                                    \
	}
CLIP(f32, float)
CLIP(f64, double)
CLIP(u8, uint8_t)
CLIP(i8, int8_t)
CLIP(u16, uint16_t)
CLIP(i16, int16_t)
CLIP(i32, int32_t)
CLIP(i64, int64_t)

static void clip_run(const struct node *n)
{
	static void (*const by_type[])(const struct node *n) = {
		[DTYPE_F32] = clip_f32, [DTYPE_F64] = clip_f64, [DTYPE_U8] = clip_u8,
		[DTYPE_I8] = clip_i8,   [DTYPE_U16] = clip_u16, [DTYPE_I16] = clip_i16,
		[DTYPE_I32] = clip_i32, [DTYPE_I64] = clip_i64,
	};
	const struct epilogue *p = n->state;

	if (p->act == ACT_CLIP)
		run(n);
	else
		by_type[n->in[0]->dtype](n);
}

#define RELU(name, type)                                              \
	static void relu_##name(const type *x, type *y, size_t count) \
	{                                                             \
		for (size_t i = 0; i < count; i++)                    \
			y[i] = x[i] > 0 ? x[i] : 0;                   \
	}
RELU(i8, int8_t)
RELU(i16, int16_t)
RELU(i32, int32_t)
RELU(i64, int64_t)

/* From opset 14 on whole numbers too; ACT_NONE says that they are. */
static int relu14_shape(struct node *n, struct err *e)
{
	struct epilogue *p;

	if (n->in[0]->dtype == DTYPE_F32)
		return relu_shape(n, e);
	p = node_note(n, sizeof *p, e);
	if (!p || node_types(n, 0, TYPE(I8) | TYPE(I16) | TYPE(I32) | TYPE(I64), e) < 0)
		return -1;
	*p = (struct epilogue){ .act = ACT_NONE };
	return node_output_like(n, 0, n->in[0], e);
}

static void relu14_run(const struct node *n)
{
	const struct epilogue *p = n->state;
	size_t count = tensor_count(n->out[0]);

	if (p->act == ACT_RELU)
		run(n);
	else if (n->in[0]->dtype == DTYPE_I8)
		relu_i8(n->in[0]->data, n->out[0]->data, count);
	else if (n->in[0]->dtype == DTYPE_I16)
		relu_i16(n->in[0]->data, n->out[0]->data, count);
	else if (n->in[0]->dtype == DTYPE_I32)
		relu_i32(n->in[0]->data, n->out[0]->data, count);
	else
		relu_i64(n->in[0]->data, n->out[0]->data, count);
}

#define ROW_OF(onnx, from, most, how, attributes, shapes, runs)                                   \
	&(const struct op)                                                                        \
	{                                                                                         \
		.name = onnx, .since = from, .layout = OP_FOLLOW, .flags = OP_INPLACE | (how),    \
		.in_least = 1, .in_most = most, .attrs = attributes, .shape = shapes, .run = runs \
	}
#define ROW(onnx, from, attributes, shapes) \
	ROW_OF(onnx, from, 1, OP_ACTIVATION, attributes, shapes, run)

const struct op *const ops_activation[] = {
	ROW("Relu", 1, "consumed_inputs:I", relu_shape),
	ROW_OF("Relu", 14, 1, OP_ACTIVATION, NULL, relu14_shape, relu14_run),
	ROW("LeakyRelu", 1, "alpha:f consumed_inputs:I", leaky_shape),
	ROW("Sigmoid", 1, "consumed_inputs:I", sigmoid_shape),
	ROW("Tanh", 1, "consumed_inputs:I", tanh_shape),
	ROW("HardSigmoid", 1, "alpha:f beta:f consumed_inputs:I", hardsigmoid_shape),
	ROW("HardSwish", 14, NULL, hardswish_shape),
	ROW("Mish", 18, NULL, mish_shape),
	ROW("Gelu", 20, "approximate:s", gelu_shape),
	ROW("Clip", 1, "min:f max:f consumed_inputs:I", clip1_shape),
	ROW_OF("Clip", 11, 3, OP_ACTIVATION, NULL, clip_shape, clip_run),
	NULL,
};
