/* From one element type to another: Cast, CastLike; and Pow and Where, whose inputs may differ in
 * type. Real numbers become integers towards zero and stop at the ends of the range, NaN becomes 0;
 * integers become narrower by dropping high bits; what is not 0 is true. */
#include "infer/ops/ops.h"

#include <math.h>

#include "infer/kernels/math.h"
#include "infer/ops/walk.h"

/* Round to the nearest number of half precision, ties to even. */
static float round_half(float x)
{
	float a = math_abs(x);
	uint32_t u = math_bits(a);

	if (u > 0x7f800000u)
		return x;
	if (a >= 65520.0f)
		return math_copysign(INFINITY, x);
	if (a < 6.103515625e-5f)
		return math_copysign((a + 0.5f) - 0.5f, x);
	u = (u + 0xfff + (u >> 13 & 1)) & ~0x1fffu;
	return math_copysign(math_float(u), x);
}

#define STORE(type, expression)                                \
	for (int64_t i = 0; i < count; i++)                    \
		((type *)y)[i * to_step] = (type)(expression); \
	break

/* count elements of t from x, a step apart, to y of type `to`. */
static void convert(const struct tensor *t, int64_t x, int64_t step, enum dtype to, bool half,
		    void *y, int64_t to_step, int64_t count)
{
	bool real = t->dtype == DTYPE_F32 || t->dtype == DTYPE_F64;
#define REAL(i) tensor_real(t, (size_t)(x + (i)*step))
#define INT(i) tensor_int(t, (size_t)(x + (i)*step))
	switch (to) {
	case DTYPE_F32:
		if (half) {
			STORE(float, round_half((float)REAL(i)));
		}
		if (!real) {
			STORE(float, INT(i));
		}
		STORE(float, REAL(i));
	case DTYPE_F64:
		STORE(double, REAL(i));
	case DTYPE_BOOL:
		STORE(uint8_t, REAL(i) != 0);
	case DTYPE_U8:
		STORE(uint8_t, real ? tensor_whole(REAL(i), 0, 255) : INT(i));
	case DTYPE_I8:
		STORE(int8_t, real ? tensor_whole(REAL(i), -128, 127) : INT(i));
	case DTYPE_U16:
		STORE(uint16_t, real ? tensor_whole(REAL(i), 0, 65535) : INT(i));
	case DTYPE_I16:
		STORE(int16_t, real ? tensor_whole(REAL(i), -32768, 32767) : INT(i));
	case DTYPE_I32:
		STORE(int32_t, real ? tensor_whole(REAL(i), -0x1p31, 0x1p31 - 1) : INT(i));
	default:
		STORE(int64_t, real ? tensor_whole(REAL(i), -0x1p63, 0x1p63) : INT(i));
	}
}

static int cast_to(struct node *n, int64_t to, bool half, struct err *e)
{
	if (to == DTYPE_NONE || to > DTYPE_F64 || to < 0 || !dtype_size((enum dtype)to))
		return node_unsupported(n, e, "element type %lld", (long long)to);
	if (node_output(n, 0, tensor_held((enum dtype)to), n->in[0]->rank, n->in[0]->dim, e) < 0)
		return -1;
	if (n->out[0])
		n->out[0]->half = half;
	return 0;
}

static int cast_shape(struct node *n, struct err *e)
{
	int64_t to = node_int(n, "to", 0);

	return cast_to(n, to, to == DTYPE_F16, e);
}

static int castlike_shape(struct node *n, struct err *e)
{
	return cast_to(n, n->in[1]->dtype, n->in[1]->half, e);
}

static void cast_run(const struct node *n)
{
	struct tensor *y = n->out[0];

	convert(n->in[0], 0, 1, y->dtype, y->half && !n->in[0]->half, y->data, 1,
		(int64_t)tensor_count(y));
}

/* --- Pow: the result is of the base's type ---------------------------------------------------- */

static int pow_shape(struct node *n, struct err *e)
{
	unsigned types = TYPES_FLOAT | TYPE(I32) | TYPE(I64);
	int64_t dim[TENSOR_RANK_MAX];
	int rank;

	if (node_types(n, 0, types, e) < 0 || node_types(n, 1, types | TYPES_INT, e) < 0 ||
	    node_broadcast(n, n->in[0], n->in[1], &rank, dim, e) < 0 ||
	    node_output(n, 0, n->in[0]->dtype, rank, dim, e) < 0)
		return -1;
	if (n->out[0])
		n->out[0]->half = n->in[0]->half;
	return 0;
}

static int64_t power_int(int64_t base, int64_t exponent)
{
	uint64_t result = 1, square = (uint64_t)base;

	if (exponent < 0)
		return base == 1 ? 1 : base == -1 ? (exponent & 1 ? -1 : 1) : 0;
	for (; exponent; exponent >>= 1, square *= square)
		if (exponent & 1)
			result *= square;
	return (int64_t)result;
}

static void power(const struct tensor *a, int64_t ai, const struct tensor *b, int64_t bi, void *y,
		  int64_t yi)
{
	bool real = b->dtype == DTYPE_F32 || b->dtype == DTYPE_F64;
	double r;

	if (a->dtype == DTYPE_F32 && real) {
		float base = ((const float *)a->data)[ai];
		double exponent = tensor_real(b, (size_t)bi);
		((float *)y)[yi] = exponent == 2     ? base * base
				   : exponent == 0.5 ? sqrtf(base)
						     : (float)pow(base, exponent);
		return;
	}
	r = pow(tensor_real(a, (size_t)ai), tensor_real(b, (size_t)bi));
	if (a->dtype == DTYPE_F32)
		((float *)y)[yi] = (float)r;
	else if (a->dtype == DTYPE_F64)
		((double *)y)[yi] = r;
	else if (a->dtype == DTYPE_I32)
		((int32_t *)y)[yi] = (int32_t)(real ? tensor_whole(r, -0x1p31, 0x1p31 - 1)
						    : power_int(tensor_int(a, (size_t)ai),
								tensor_int(b, (size_t)bi)));
	else
		((int64_t *)y)[yi] =
		    real ? tensor_whole(r, -0x1p63, 0x1p63)
			 : power_int(tensor_int(a, (size_t)ai), tensor_int(b, (size_t)bi));
}

static void pow_walk(const struct node *n, int b_last)
{
	const struct tensor *a = n->in[0], *b = n->in[1], *y = n->out[0];
	struct walk w;

	walk_init(&w, y);
	walk_add(&w, y, a, y->rank - 1);
	walk_add(&w, y, b, b_last);
	for (walk_begin(&w); !w.done; walk_next(&w))
		for (int64_t i = 0; i < w.count; i++)
			power(a, w.offset[1] + i * w.step[1], b, w.offset[2] + i * w.step[2],
			      y->data, w.offset[0] + i * w.step[0]);
}

static void pow_run(const struct node *n)
{
	pow_walk(n, n->out[0]->rank - 1);
}

/* Before opset 7 the exponent's dimensions could stand under those from `axis` on. */
static int pow1_last(const struct node *n)
{
	int64_t axis = node_int(n, "axis", n->in[0]->rank - n->in[1]->rank);

	return (int)axis + n->in[1]->rank - 1;
}

static int pow1_shape(struct node *n, struct err *e)
{
	const struct tensor *a = n->in[0], *b = n->in[1];
	int64_t axis = node_int(n, "axis", a->rank - b->rank);

	if (node_types(n, 0, TYPES_FLOAT, e) < 0 || node_types(n, 1, TYPES_FLOAT, e) < 0)
		return -1;
	if (axis < 0 || axis > TENSOR_RANK_MAX || axis + b->rank > a->rank)
		return node_invalid(n, e, "the exponent does not broadcast to the base");
	for (int i = 0; i < b->rank; i++)
		if (b->dim[i] != 1 && b->dim[i] != a->dim[i + axis])
			return node_invalid(n, e, "the exponent does not broadcast to the base");
	return node_output_like(n, 0, a, e);
}

static void pow1_run(const struct node *n)
{
	pow_walk(n, pow1_last(n));
}

/* --- Where -------------------------------------------------------------------------------------- */

static int where_shape(struct node *n, struct err *e)
{
	struct tensor both = { .rank = 0 };
	int64_t dim[TENSOR_RANK_MAX];
	int rank;

	if (n->in[0]->dtype != DTYPE_BOOL || n->in[1]->dtype != n->in[2]->dtype)
		return node_invalid(n, e, "types %s, %s, %s", dtype_name(n->in[0]->dtype),
				    dtype_name(n->in[1]->dtype), dtype_name(n->in[2]->dtype));
	if (node_broadcast(n, n->in[1], n->in[2], &both.rank, both.dim, e) < 0 ||
	    node_broadcast(n, &both, n->in[0], &rank, dim, e) < 0 ||
	    node_output(n, 0, n->in[1]->dtype, rank, dim, e) < 0)
		return -1;
	if (n->out[0])
		n->out[0]->half = n->in[1]->half && n->in[2]->half;
	return 0;
}

#define WHERE(type)                                                                     \
	static void where_##type(const struct walk *w, const uint8_t *c, const type *a, \
				 const type *b, type *y)                                \
	{                                                                               \
		c += w->offset[1];                                                      \
		a += w->offset[2];                                                      \
		b += w->offset[3];                                                      \
		y += w->offset[0];                                                      \
		for (int64_t i = 0; i < w->count; i++)                                  \
			y[i * w->step[0]] =                                             \
			    c[i * w->step[1]] ? a[i * w->step[2]] : b[i * w->step[3]];  \
	}
WHERE(uint8_t)
WHERE(uint16_t)
WHERE(uint32_t)
WHERE(uint64_t)

static void where_run(const struct node *n)
{
	const struct tensor *y = n->out[0];
	const void *c = n->in[0]->data, *a = n->in[1]->data, *b = n->in[2]->data;
	size_t each = dtype_size(y->dtype);
	struct walk w;

	walk_init(&w, y);
	for (int i = 0; i < 3; i++)
		walk_add(&w, y, n->in[i], y->rank - 1);
	for (walk_begin(&w); !w.done; walk_next(&w)) {
		if (each == 1)
			where_uint8_t(&w, c, a, b, y->data);
		else if (each == 2)
			where_uint16_t(&w, c, a, b, y->data);
		else if (each == 4)
			where_uint32_t(&w, c, a, b, y->data);
		else
			where_uint64_t(&w, c, a, b, y->data);
	}
}

#define ROW(onnx, from, least, attributes, shapes, runs)                             \
	&(const struct op)                                                           \
	{                                                                            \
		.name = onnx, .since = from, .layout = OP_FOLLOW, .in_least = least, \
		.in_most = least, .attrs = attributes, .shape = shapes, .run = runs  \
	}

const struct op *const ops_cast[] = {
	ROW("Cast", 6, 1, "!to:i", cast_shape, cast_run),
	ROW("Cast", 19, 1, "!to:i saturate:i", cast_shape, cast_run),
	ROW("CastLike", 15, 2, NULL, castlike_shape, cast_run),
	ROW("CastLike", 19, 2, "saturate:i", castlike_shape, cast_run),
	ROW("Pow", 1, 2, "broadcast:i axis:i", pow1_shape, pow1_run),
	ROW("Pow", 7, 2, NULL, pow_shape, pow_run),
	ROW("Where", 9, 3, NULL, where_shape, where_run),
	NULL,
};
