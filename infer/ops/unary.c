/* One input, one output of the same shape, element by element: arithmetic, roundings, elementary
 * functions, and the activations that no kernel takes as an epilogue (those are in activation.c). */
#include "infer/ops/ops.h"

#include <math.h>

#include "infer/kernels/math.h"

/* y[i] = f(x[i]), with the node's parameters a and b; y may be x. */
typedef void loop(const void *x, void *y, size_t count, float a, float b);

struct unary {
	struct op op;
	loop *const *loop;  /* by element type */
	enum dtype result;  /* DTYPE_NONE: as the input's */
	const char *name_a; /* attributes that are a and b, or NULL */
	const char *name_b;
	float a, b; /* their defaults */
};

#define LOOP(name, type, result, expression)                                       \
	static void name(const void *vx, void *vy, size_t count, float a, float b) \
	{                                                                          \
		const type *px = vx;                                               \
		result *y = vy;                                                    \
                                                                                   \
		(void)a;                                                           \
		(void)b;                                                           \
		EACH_ITS_OWN                                                       \
		for (size_t i = 0; i < count; i++) {                               \
			type x = px[i];                                            \
			y[i] = (result)(expression);                               \
		}                                                                  \
	}
#define TABLE(name, ...) static loop *const name[DTYPE_F64 + 1] = { __VA_ARGS__ };
/* f32 by an expression, f64 by another. */
#define REAL(name, single, wide)               \
	LOOP(name##_f32, float, float, single) \
	LOOP(name##_f64, double, double, wide) \
	TABLE(name, [DTYPE_F32] = name##_f32, [DTYPE_F64] = name##_f64)
/* Seldom used functions go through the C library's double, whose rounding to float is the same with
 * any good library. */
#define WIDE(name, function) REAL(name, function((double)x), function(x))
#define SINGLE(name, expression)                   \
	LOOP(name##_f32, float, float, expression) \
	TABLE(name, [DTYPE_F32] = name##_f32)
#define NUMBER(name, signed_int, unsigned_int, single, wide)                                  \
	LOOP(name##_u8, uint8_t, uint8_t, unsigned_int)                                       \
	LOOP(name##_u16, uint16_t, uint16_t, unsigned_int)                                    \
	LOOP(name##_i8, int8_t, int8_t, signed_int)                                           \
	LOOP(name##_i16, int16_t, int16_t, signed_int)                                        \
	LOOP(name##_i32, int32_t, int32_t, signed_int)                                        \
	LOOP(name##_i64, int64_t, int64_t, signed_int)                                        \
	LOOP(name##_f32, float, float, single)                                                \
	LOOP(name##_f64, double, double, wide)                                                \
	TABLE(name, [DTYPE_U8] = name##_u8, [DTYPE_U16] = name##_u16, [DTYPE_I8] = name##_i8, \
	      [DTYPE_I16] = name##_i16, [DTYPE_I32] = name##_i32, [DTYPE_I64] = name##_i64,   \
	      [DTYPE_F32] = name##_f32, [DTYPE_F64] = name##_f64)

#define ZERO_MINUS(x) (0 - (uint64_t)(x))

NUMBER(absolute, x < 0 ? ZERO_MINUS(x) : (uint64_t)x, x, math_abs(x), fabs(x))
NUMBER(negative, ZERO_MINUS(x), ZERO_MINUS(x), -x, -x)
NUMBER(sign, (x > 0) - (x < 0), x > 0, x != x ? x : (float)((x > 0) - (x < 0)),
       x != x ? x : (x > 0) - (x < 0))
REAL(ceiling, ceilf(x), ceil(x))
REAL(flooring, floorf(x), floor(x))
REAL(rounding, rintf(x), rint(x)) /* to even: the mode that no one changes */
REAL(root, sqrtf(x), sqrt(x))
REAL(reciprocal, 1 / x, 1 / x)
REAL(exponential, math_exp(x), exp(x))
REAL(logarithm, math_log(x), log(x))
REAL(error, math_erf(x), erf(x))
REAL(softplus, math_softplus(x), log1p(exp(x)))
REAL(softsign, x / (1 + math_abs(x)), x / (1 + fabs(x)))
WIDE(sine, sin)
WIDE(cosine, cos)
WIDE(tangent, tan)
WIDE(arcsine, asin)
WIDE(arccosine, acos)
WIDE(arctangent, atan)
WIDE(sine_h, sinh)
WIDE(cosine_h, cosh)
WIDE(arcsine_h, asinh)
WIDE(arccosine_h, acosh)
WIDE(arctangent_h, atanh)

SINGLE(elu, x < 0 ? a * math_expm1(x) : x)
SINGLE(selu, x > 0 ? b * x : b * (a * math_expm1(x)))
SINGLE(celu, x < 0 ? a * math_expm1(x / a) : x)
SINGLE(thresholded, x > a ? x : x <= a ? 0 : x)
SINGLE(swish, x *math_sigmoid(a *x))
SINGLE(shrink, x<-b ? x + a : x> b ? x - a : x != x ? x : 0)

LOOP(not_bool, uint8_t, uint8_t, !x)
TABLE(not, [DTYPE_BOOL] = not_bool)
LOOP(nan_f32, float, uint8_t, x != x)
LOOP(nan_f64, double, uint8_t, x != x)
TABLE(is_nan, [DTYPE_F32] = nan_f32, [DTYPE_F64] = nan_f64)
LOOP(inf_f32, float, uint8_t, (b != 0 && x == INFINITY) || (a != 0 && x == -INFINITY))
LOOP(inf_f64, double, uint8_t,
     (b != 0 && x == (double)INFINITY) || (a != 0 && x == -(double)INFINITY))
TABLE(is_inf, [DTYPE_F32] = inf_f32, [DTYPE_F64] = inf_f64)
LOOP(bits_8, uint8_t, uint8_t, ~x)
LOOP(bits_16, uint16_t, uint16_t, ~x)
LOOP(bits_32, uint32_t, uint32_t, ~x)
LOOP(bits_64, uint64_t, uint64_t, ~x)
TABLE(bits_not, [DTYPE_U8] = bits_8, [DTYPE_I8] = bits_8, [DTYPE_U16] = bits_16,
      [DTYPE_I16] = bits_16, [DTYPE_I32] = bits_32, [DTYPE_I64] = bits_64)

static const struct unary *of(const struct node *n)
{
	return (const struct unary *)n->op;
}

static int shape(struct node *n, struct err *e)
{
	float *parameter = node_note(n, 2 * sizeof *parameter, e);
	const struct unary *u = of(n);
	unsigned types = 0;

	if (!parameter)
		return -1;
	parameter[0] = u->name_a ? node_float(n, u->name_a, u->a) : u->a;
	parameter[1] = u->name_b ? node_float(n, u->name_b, u->b) : u->b;
	for (int t = 0; t <= DTYPE_F64; t++)
		types |= u->loop[t] ? 1u << t : 0;
	if (node_types(n, 0, types, e) < 0)
		return -1;
	if (u->result)
		return node_output(n, 0, u->result, n->in[0]->rank, n->in[0]->dim, e);
	return node_output_like(n, 0, n->in[0], e);
}

/* IsInf's switches are integers. */
static int inf_shape(struct node *n, struct err *e)
{
	float *parameter;

	if (shape(n, e) < 0)
		return -1;
	parameter = n->state;
	parameter[0] = node_int(n, "detect_negative", 1) != 0;
	parameter[1] = node_int(n, "detect_positive", 1) != 0;
	return 0;
}

static int celu_shape(struct node *n, struct err *e)
{
	if (node_float(n, "alpha", 1) == 0)
		return node_invalid(n, e, "alpha 0");
	return shape(n, e);
}

static void run(const struct node *n)
{
	const float *parameter = n->state;

	of(n)->loop[n->in[0]->dtype](n->in[0]->data, n->out[0]->data, tensor_count(n->out[0]),
				     parameter[0], parameter[1]);
}

#define ROW_OF(onnx, from, table, how, shapes, attributes, ...) \
	(const struct op *)&(const struct unary)                \
	{                                                       \
		.op = { .name = onnx,                           \
			.since = from,                          \
			.layout = OP_FOLLOW,                    \
			.flags = how,                           \
			.in_least = 1,                          \
			.in_most = 1,                           \
			.attrs = attributes,                    \
			.shape = shapes,                        \
			.run = run },                           \
		.loop = table, __VA_ARGS__                      \
	}
#define PLAIN(onnx, from, table) \
	ROW_OF(onnx, from, table, OP_INPLACE, shape, "consumed_inputs:I", .a = 0)
#define TRUTH(onnx, from, table, shapes, attributes) \
	ROW_OF(onnx, from, table, 0, shapes, attributes, .result = DTYPE_BOOL)
#define ACTIVATION(onnx, from, table, attributes, ...) \
	ROW_OF(onnx, from, table, OP_INPLACE, shape, attributes, __VA_ARGS__)

const struct op *const ops_unary[] = {
	PLAIN("Abs", 1, absolute),
	PLAIN("Neg", 1, negative),
	PLAIN("Sign", 9, sign),
	PLAIN("Ceil", 1, ceiling),
	PLAIN("Floor", 1, flooring),
	PLAIN("Round", 11, rounding),
	PLAIN("Sqrt", 1, root),
	PLAIN("Reciprocal", 1, reciprocal),
	PLAIN("Exp", 1, exponential),
	PLAIN("Log", 1, logarithm),
	PLAIN("Erf", 9, error),
	PLAIN("Softplus", 1, softplus),
	PLAIN("Softsign", 1, softsign),
	PLAIN("Sin", 7, sine),
	PLAIN("Cos", 7, cosine),
	PLAIN("Tan", 7, tangent),
	PLAIN("Asin", 7, arcsine),
	PLAIN("Acos", 7, arccosine),
	PLAIN("Atan", 7, arctangent),
	PLAIN("Sinh", 9, sine_h),
	PLAIN("Cosh", 9, cosine_h),
	PLAIN("Asinh", 9, arcsine_h),
	PLAIN("Acosh", 9, arccosine_h),
	PLAIN("Atanh", 9, arctangent_h),
	PLAIN("Not", 1, not ),
	PLAIN("BitwiseNot", 18, bits_not),
	TRUTH("IsNaN", 9, is_nan, shape, NULL),
	TRUTH("IsInf", 10, is_inf, inf_shape, "detect_negative:i detect_positive:i"),
	ACTIVATION("Elu", 1, elu, "alpha:f consumed_inputs:I", .name_a = "alpha", .a = 1),
	ACTIVATION("Selu", 1, selu, "alpha:f gamma:f consumed_inputs:I", .name_a = "alpha",
		   .name_b = "gamma", .a = 1.6732f, .b = 1.0507f),
	ACTIVATION("Selu", 6, selu, "alpha:f gamma:f", .name_a = "alpha", .name_b = "gamma",
		   .a = 1.67326319217681884765625f, .b = 1.05070102214813232421875f),
	ROW_OF("Celu", 12, celu, OP_INPLACE, celu_shape, "alpha:f", .name_a = "alpha", .a = 1),
	ACTIVATION("ThresholdedRelu", 1, thresholded, "alpha:f", .name_a = "alpha", .a = 1),
	ACTIVATION("Swish", 24, swish, "alpha:f", .name_a = "alpha", .a = 1),
	ACTIVATION("Shrink", 9, shrink, "bias:f lambd:f", .name_a = "bias", .name_b = "lambd",
		   .b = 0.5f),
	NULL,
};
