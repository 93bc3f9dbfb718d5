/* Two inputs that broadcast against each other, element by element: arithmetic, comparison, logic,
 * bits; and the operators that fold any number of inputs by them (Max, Min, Sum, Mean). */
#include "infer/ops/ops.h"

#include <math.h>
#include <string.h>

#include "infer/ops/walk.h"

/* y[i] = f(a[i as], b[i bs]); y is contiguous and may be a or b. */
typedef void loop(const void *a, int64_t as, const void *b, int64_t bs, void *y, int64_t n);

struct binary {
	struct op op;
	loop *const *loop; /* by element type of the inputs, DTYPE_F64 + 1 of them */
};

#define LOOP(name, type, result, expression)                                               \
	static void name(const void *va, int64_t as, const void *vb, int64_t bs, void *vy, \
			 int64_t n)                                                        \
	{                                                                                  \
		const type *pa = va, *pb = vb;                                             \
		result *y = vy;                                                            \
                                                                                           \
		if (as == 1 && bs == 1) {                                                  \
			EACH_ITS_OWN                                                       \
			for (int64_t i = 0; i < n; i++) {                                  \
				type a = pa[i], b = pb[i];                                 \
				y[i] = (result)(expression);                               \
			}                                                                  \
		} else if (as == 1 && bs == 0) {                                           \
			type b = *pb;                                                      \
			EACH_ITS_OWN                                                       \
			for (int64_t i = 0; i < n; i++) {                                  \
				type a = pa[i];                                            \
				y[i] = (result)(expression);                               \
			}                                                                  \
		} else {                                                                   \
			EACH_ITS_OWN                                                       \
			for (int64_t i = 0; i < n; i++) {                                  \
				type a = pa[i * as], b = pb[i * bs];                       \
				y[i] = (result)(expression);                               \
			}                                                                  \
		}                                                                          \
	}

/* Integers wrap around as two's complement does: computed in 64 unsigned bits. */
#define LOOPS_INT(name, expression)                      \
	LOOP(name##_u8, uint8_t, uint8_t, expression)    \
	LOOP(name##_i8, int8_t, int8_t, expression)      \
	LOOP(name##_u16, uint16_t, uint16_t, expression) \
	LOOP(name##_i16, int16_t, int16_t, expression)   \
	LOOP(name##_i32, int32_t, int32_t, expression)   \
	LOOP(name##_i64, int64_t, int64_t, expression)
#define LOOPS_FLOAT(name, expression)              \
	LOOP(name##_f32, float, float, expression) \
	LOOP(name##_f64, double, double, expression)
#define LOOPS_COMPARE(name, expression)                 \
	LOOP(name##_u8, uint8_t, uint8_t, expression)   \
	LOOP(name##_i8, int8_t, uint8_t, expression)    \
	LOOP(name##_u16, uint16_t, uint8_t, expression) \
	LOOP(name##_i16, int16_t, uint8_t, expression)  \
	LOOP(name##_i32, int32_t, uint8_t, expression)  \
	LOOP(name##_i64, int64_t, uint8_t, expression)  \
	LOOP(name##_f32, float, uint8_t, expression)    \
	LOOP(name##_f64, double, uint8_t, expression)

#define BY_INT(name)                                                              \
	[DTYPE_U8] = name##_u8, [DTYPE_I8] = name##_i8, [DTYPE_U16] = name##_u16, \
	[DTYPE_I16] = name##_i16, [DTYPE_I32] = name##_i32, [DTYPE_I64] = name##_i64
#define BY_FLOAT(name) [DTYPE_F32] = name##_f32, [DTYPE_F64] = name##_f64

#define W(x) ((uint64_t)(x))

static int64_t divide(int64_t a, int64_t b)
{
	if (b == 0)
		return 0; /* ONNX leaves it undefined; it must not trap */
	return b == -1 ? (int64_t)(0 - W(a)) : a / b;
}

/* The sign of the divisor (Python's), or of the dividend (C's fmod). */
static int64_t modulo(int64_t a, int64_t b)
{
	int64_t r = b == 0 || b == -1 ? 0 : a % b;

	return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

static int64_t remainder_c(int64_t a, int64_t b)
{
	return b == 0 || b == -1 ? 0 : a % b;
}

static double modulo_real(double a, double b)
{
	double r = fmod(a, b);

	return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

LOOPS_INT(add, W(a) + W(b))
LOOPS_FLOAT(add, a + b)
LOOPS_INT(sub, W(a) - W(b))
LOOPS_FLOAT(sub, a - b)
LOOPS_INT(mul, W(a) * W(b))
LOOPS_FLOAT(mul, a *b)
LOOPS_INT(div, divide(a, b))
LOOPS_FLOAT(div, a / b)
LOOPS_INT(max, a > b ? a : b)
LOOPS_FLOAT(max, a > b || a != a ? a : b)
LOOPS_INT(min, a < b ? a : b)
LOOPS_FLOAT(min, a < b || a != a ? a : b)
LOOPS_INT(mod, modulo(a, b))
LOOPS_FLOAT(mod, modulo_real(a, b))
LOOPS_INT(fmod, remainder_c(a, b))
LOOPS_FLOAT(fmod, fmod(a, b))
LOOPS_INT(bit_and, W(a) & W(b))
LOOPS_INT(bit_or, W(a) | W(b))
LOOPS_INT(bit_xor, W(a) ^ W(b))
LOOPS_INT(shift_left, (W(b) > 63 ? 0 : W(a) << (W(b) & 63)))
LOOPS_INT(shift_right, (W(b) > 63 ? 0 : W(a) >> (W(b) & 63)))
LOOPS_COMPARE(equal, a == b)
LOOPS_COMPARE(less, a < b)
LOOPS_COMPARE(less_equal, a <= b)
LOOPS_COMPARE(greater, a > b)
LOOPS_COMPARE(greater_equal, a >= b)
LOOP(both, uint8_t, uint8_t, a &&b)
LOOP(either, uint8_t, uint8_t, a || b)
LOOP(one, uint8_t, uint8_t, !a != !b)
LOOPS_FLOAT(prelu, a < 0 ? a * b : a)
LOOP(prelu_i32, int32_t, int32_t, W(a) * (a < 0 ? W(b) : 1))
LOOP(prelu_i64, int64_t, int64_t, W(a) * (a < 0 ? W(b) : 1))

static const struct binary *of(const struct node *n)
{
	return (const struct binary *)n->op;
}

static int check_types(struct node *n, struct err *e)
{
	unsigned types = 0;

	for (int t = 0; t <= DTYPE_F64; t++)
		types |= of(n)->loop[t] ? 1u << t : 0;
	for (int i = 0; i < n->in_count; i++) {
		if (!n->in[i])
			return node_invalid(n, e, "input %d is left out", i);
		if (node_types(n, i, types, e) < 0)
			return -1;
		if (n->in[i]->dtype != n->in[0]->dtype)
			return node_invalid(n, e, "inputs of type %s and %s",
					    dtype_name(n->in[0]->dtype),
					    dtype_name(n->in[i]->dtype));
	}
	return 0;
}

static int output(struct node *n, bool truth, int rank, const int64_t *dim, struct err *e)
{
	if (node_output(n, 0, truth ? DTYPE_BOOL : n->in[0]->dtype, rank, dim, e) < 0)
		return -1;
	if (n->out[0] && !truth)
		n->out[0]->half = n->in[0]->half;
	return 0;
}

static int shape_any(struct node *n, bool truth, struct err *e)
{
	struct tensor all = *n->in[0];
	int rank = all.rank;
	int64_t dim[TENSOR_RANK_MAX];

	for (int i = 0; i < rank; i++)
		dim[i] = all.dim[i];
	for (int i = 1; i < n->in_count; i++) {
		if (node_broadcast(n, &all, n->in[i], &rank, dim, e) < 0)
			return -1;
		all.rank = rank;
		for (int k = 0; k < rank; k++)
			all.dim[k] = dim[k];
	}
	return output(n, truth, rank, dim, e);
}

static int shape(struct node *n, struct err *e)
{
	return check_types(n, e) < 0 ? -1 : shape_any(n, false, e);
}

static int compare_shape(struct node *n, struct err *e)
{
	return check_types(n, e) < 0 ? -1 : shape_any(n, true, e);
}

struct job {
	loop *f;
	const struct tensor *a, *b;
	struct tensor *y;
	int b_last;
	int64_t parts;
};

static void task(void *context, size_t part, int lane)
{
	const struct job *j = context;
	size_t in = dtype_size(j->a->dtype), out = dtype_size(j->y->dtype);
	struct walk w;

	(void)lane;
	walk_init(&w, j->y);
	walk_add(&w, j->y, j->a, j->y->rank - 1);
	walk_add(&w, j->y, j->b, j->b_last);
	for (walk_begin_part(&w, (int64_t)part, j->parts); !w.done; walk_next(&w))
		j->f((const char *)j->a->data + w.offset[1] * (int64_t)in, w.step[1],
		     (const char *)j->b->data + w.offset[2] * (int64_t)in, w.step[2],
		     (char *)j->y->data + w.offset[0] * (int64_t)out, w.count);
}

static void apply(struct crew *crew, loop *f, const struct tensor *a, const struct tensor *b,
		  struct tensor *y, int b_last)
{
	struct job j = { f, a, b, y, b_last, walk_parts(tensor_count(y)) };

	crew_run(crew, task, &j, (size_t)j.parts);
}

static void run(const struct node *n)
{
	apply(n->crew, of(n)->loop[n->in[0]->dtype], n->in[0], n->in[1], n->out[0],
	      n->out[0]->rank - 1);
}

/* Up to opset 6 only the second input broadcasts, and only if `broadcast` says so: its dimensions
 * stand under those of the first from `axis` on (1 for opset 1's PRelu). */
struct old {
	int last; /* where b's last dimension stands */
};

static int shape_old(struct node *n, bool truth, struct err *e)
{
	struct old *old = node_note(n, sizeof *old, e);
	const struct tensor *a, *b;
	int64_t axis;

	if (!old || check_types(n, e) < 0)
		return -1;
	a = n->in[0];
	b = n->in[1];
	axis = node_int(n, "axis", a->rank - b->rank);
	if (!node_int(n, "broadcast", 0))
		axis = 0;
	else if (node_attr(n, "axis") && a->rank > 0 && node_axis(n, &axis, a->rank, e) < 0)
		return -1;
	if (axis < 0 || axis + b->rank > a->rank)
		return node_invalid(n, e, "rank %d at axis %lld does not fit rank %d", b->rank,
				    (long long)axis, a->rank);
	if (!node_int(n, "broadcast", 0) && a->rank != b->rank)
		return node_invalid(n, e, "ranks %d and %d without broadcast", a->rank, b->rank);
	for (int i = 0; i < b->rank; i++)
		if (b->dim[i] != 1 && b->dim[i] != a->dim[i + axis])
			return node_invalid(n, e, "dimension %lld stands under %lld",
					    (long long)b->dim[i], (long long)a->dim[i + axis]);
	old->last = (int)axis + b->rank - 1;
	return output(n, truth, a->rank, a->dim, e);
}

static int old_shape(struct node *n, struct err *e)
{
	return shape_old(n, false, e);
}

static int old_compare_shape(struct node *n, struct err *e)
{
	return shape_old(n, true, e);
}

static void old_run(const struct node *n)
{
	const struct old *old = n->state;

	apply(n->crew, of(n)->loop[n->in[0]->dtype], n->in[0], n->in[1], n->out[0], old->last);
}

/* One result for any number of inputs, from the left: y = in[0], then y = f(y, in[i]). */
static void fold_run(const struct node *n)
{
	loop *f = of(n)->loop[n->in[0]->dtype];
	struct tensor *y = n->out[0];

	if (n->in_count == 1)
		memmove(y->data, n->in[0]->data, tensor_bytes(y));
	else
		apply(n->crew, f, n->in[0], n->in[1], y, y->rank - 1);
	for (int i = 2; i < n->in_count; i++)
		apply(n->crew, f, y, n->in[i], y, y->rank - 1);
}

static void mean_run(const struct node *n)
{
	struct tensor *y = n->out[0], count = *y;
	float f = (float)n->in_count;
	double d = n->in_count;

	fold_run(n);
	count.rank = 0;
	count.data = y->dtype == DTYPE_F32 ? (void *)&f : (void *)&d;
	apply(n->crew, y->dtype == DTYPE_F32 ? div_f32 : div_f64, y, &count, y, y->rank - 1);
}

static int mod_shape(struct node *n, struct err *e)
{
	if (check_types(n, e) < 0)
		return -1;
	if (n->in[0]->dtype == DTYPE_F32 || n->in[0]->dtype == DTYPE_F64)
		if (node_int(n, "fmod", 0) != 1)
			return node_invalid(n, e, "fmod must be 1 for real numbers");
	return shape_any(n, false, e);
}

static void mod_run(const struct node *n)
{
	static loop *const c[] = { BY_INT(fmod), BY_FLOAT(fmod) };
	bool like_c = node_int(n, "fmod", 0);
	int type = n->in[0]->dtype;

	apply(n->crew, like_c ? c[type] : of(n)->loop[type], n->in[0], n->in[1], n->out[0],
	      n->out[0]->rank - 1);
}

static int shift_shape(struct node *n, struct err *e)
{
	const char *direction = node_text(n, "direction", "");

	if (strcmp(direction, "LEFT") != 0 && strcmp(direction, "RIGHT") != 0)
		return node_invalid(n, e, "direction '%s'", direction);
	return shape(n, e);
}

static void shift_run(const struct node *n)
{
	static loop *const left[] = { BY_INT(shift_left) };
	bool to_left = strcmp(node_text(n, "direction", ""), "LEFT") == 0;
	int type = n->in[0]->dtype;

	apply(n->crew, to_left ? left[type] : of(n)->loop[type], n->in[0], n->in[1], n->out[0],
	      n->out[0]->rank - 1);
}

/* PRelu's slope broadcasts to the input, never the other way. Up to opset 6 it was one number or one
 * per channel. */
static int prelu_check(struct node *n, int last, struct err *e)
{
	struct old *old = node_note(n, sizeof *old, e);
	const struct tensor *x, *slope;
	int shift;

	if (!old || check_types(n, e) < 0)
		return -1;
	x = n->in[0];
	slope = n->in[1];
	shift = last + 1 - slope->rank;
	for (int i = 0; i < slope->rank; i++)
		if (slope->dim[i] != 1 &&
		    (i + shift < 0 || i + shift >= x->rank || slope->dim[i] != x->dim[i + shift]))
			return node_invalid(n, e, "the slope does not broadcast to the input");
	old->last = last;
	return node_output_like(n, 0, x, e);
}

static int prelu_shape(struct node *n, struct err *e)
{
	return prelu_check(n, n->in[0]->rank - 1, e);
}

static int old_prelu_shape(struct node *n, struct err *e)
{
	return prelu_check(n, n->in[0]->rank > 1 ? 1 : n->in[0]->rank - 1, e);
}

#define TABLE(name, ...) static loop *const name[DTYPE_F64 + 1] = { __VA_ARGS__ }
#define ALL(name) TABLE(name, BY_INT(name), BY_FLOAT(name))
ALL(add);
ALL(sub);
ALL(mul);
ALL(div);
ALL(max);
ALL(min);
ALL(mod);
TABLE(prelu, BY_FLOAT(prelu), [DTYPE_I32] = prelu_i32, [DTYPE_I64] = prelu_i64);
ALL(less);
ALL(less_equal);
ALL(greater);
ALL(greater_equal);
TABLE(equal, BY_INT(equal), BY_FLOAT(equal), [DTYPE_BOOL] = equal_u8);
TABLE(sum, BY_FLOAT(add));
TABLE(and, [DTYPE_BOOL] = both);
TABLE(or, [DTYPE_BOOL] = either);
TABLE(xor, [DTYPE_BOOL] = one);
TABLE(bit_and, BY_INT(bit_and));
TABLE(bit_or, BY_INT(bit_or));
TABLE(bit_xor, BY_INT(bit_xor));
TABLE(shift_right, BY_INT(shift_right));

#define OLD "broadcast:i axis:i consumed_inputs:I"

#define ROW_OF(onnx, from, how, table, shapes, runs, least, most, place, ...) \
	(const struct op *)&(const struct binary)                             \
	{                                                                     \
		.op = { .name = onnx,                                         \
			.since = from,                                        \
			.layout = how,                                        \
			.in_least = least,                                    \
			.in_most = most,                                      \
			.shape = shapes,                                      \
			.run = runs,                                          \
			.flags = place,                                       \
			__VA_ARGS__ },                                        \
		.loop = table                                                 \
	}
#define ROW(onnx, from, how, table, shapes, runs, ...) \
	ROW_OF(onnx, from, how, table, shapes, runs, 2, 2, __VA_ARGS__)
#define ARITHMETIC(onnx, loops)                                             \
	ROW(onnx, 1, OP_PLAIN, loops, old_shape, old_run, 0, .attrs = OLD), \
	    ROW(onnx, 7, OP_FOLLOW, loops, shape, run, OP_INPLACE_ANY)
#define COMPARISON(onnx, table)                                                     \
	ROW(onnx, 1, OP_PLAIN, table, old_compare_shape, old_run, 0, .attrs = OLD), \
	    ROW(onnx, 7, OP_FOLLOW, table, compare_shape, run, 0)
#define FOLD(onnx, loops, runs) \
	ROW_OF(onnx, 1, OP_FOLLOW, loops, shape, runs, 1, 0, 0, .attrs = "consumed_inputs:I")

const struct op *const ops_binary[] = {
	ARITHMETIC("Add", add),
	ARITHMETIC("Sub", sub),
	ARITHMETIC("Mul", mul),
	ARITHMETIC("Div", div),
	COMPARISON("Equal", equal),
	COMPARISON("Less", less),
	COMPARISON("Greater", greater),
	COMPARISON("And", and),
	COMPARISON("Or", or),
	COMPARISON("Xor", xor),
	ROW("LessOrEqual", 12, OP_FOLLOW, less_equal, compare_shape, run, 0),
	ROW("GreaterOrEqual", 12, OP_FOLLOW, greater_equal, compare_shape, run, 0),
	FOLD("Max", max, fold_run),
	FOLD("Min", min, fold_run),
	FOLD("Sum", sum, fold_run),
	FOLD("Mean", sum, mean_run),
	ROW("Mod", 10, OP_FOLLOW, mod, mod_shape, mod_run, 0, .attrs = "fmod:i"),
	ROW("BitShift", 11, OP_FOLLOW, shift_right, shift_shape, shift_run, 0,
	    .attrs = "!direction:s"),
	ROW("BitwiseAnd", 18, OP_FOLLOW, bit_and, shape, run, 0),
	ROW("BitwiseOr", 18, OP_FOLLOW, bit_or, shape, run, 0),
	ROW("BitwiseXor", 18, OP_FOLLOW, bit_xor, shape, run, 0),
	ROW("PRelu", 1, OP_PLAIN, prelu, old_prelu_shape, old_run, 0, .attrs = "consumed_inputs:I"),
	ROW("PRelu", 7, OP_FOLLOW, prelu, prelu_shape, old_run, OP_INPLACE),
	NULL,
};
