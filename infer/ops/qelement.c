/* Quantised bytes element by element: sums and products that are scaled, rounded and stopped (QLinearAdd,
 * QLinearMul of com.microsoft's domain, and what fusion makes of DequantizeLinear, Add or Mul and
 * QuantizeLinear), a factor and a summand per channel (QScale), any function of one byte (Lookup).
 *
 * x, y: channels last where they are pictures; gaps between pixels are honoured. */
#include "infer/kernels/qelement.h"

#include <math.h>

#include "infer/ops/ops.h"
#include "infer/ops/qlinear.h"

#define BLOCK 8192 /* bytes a task, about */

/* How a tensor lies: rows of channels, or all of it. */
struct lines {
	size_t rows, each, x_pitch, y_pitch, b_pitch;
	size_t per_task;
};

static size_t pitch_of(const struct tensor *t, size_t each)
{
	return t->rank >= 3 && t->layout == LAYOUT_LAST ? (size_t)t->stride[t->rank - 1] : each;
}

/* b: another tensor of y's shape, or NULL. keep: rows of channels are wanted. */
static struct lines lines_of(const struct tensor *x, const struct tensor *b, const struct tensor *y,
			     bool keep)
{
	size_t count = tensor_count(y);
	bool last = y->rank >= 3 && y->layout == LAYOUT_LAST;
	size_t each = last ? (size_t)y->dim[1] : y->rank ? (size_t)y->dim[y->rank - 1] : 1;
	struct lines l = { .rows = each ? count / each : 0, .each = each };

	l.x_pitch = pitch_of(x, each);
	l.y_pitch = pitch_of(y, each);
	l.b_pitch = b ? pitch_of(b, each) : 0;
	if (!keep && l.x_pitch == each && l.y_pitch == each && (!b || l.b_pitch == each) && count) {
		l.each = l.x_pitch = l.y_pitch = l.b_pitch = count < BLOCK ? count : BLOCK;
		l.rows = (count + l.each - 1) / l.each;
	}
	l.per_task = l.each < BLOCK ? (BLOCK + l.each) / (l.each + 1) : 1;
	return l;
}

/* --- what two operands have in common -------------------------------------------------------------------- */

enum { A, A_SCALE, A_ZERO, B, B_SCALE, B_ZERO, Y_SCALE, Y_ZERO };

struct pair {
	bool product, per_channel; /* b: one value for each channel of each picture */
};

static int pair_shape(struct node *n, bool product, struct err *e)
{
	static const unsigned types[] = { TYPE(U8) | TYPE(I8), TYPE(F32),
					  TYPE(U8) | TYPE(I8), TYPE(U8) | TYPE(I8),
					  TYPE(F32),           TYPE(U8) | TYPE(I8),
					  TYPE(F32),           TYPE(U8) | TYPE(I8) };
	struct pair *p = node_note(n, sizeof *p, e);
	const struct tensor *a = n->in[A], *b = n->in[B];
	const struct tensor *zero = node_in(n, Y_ZERO);

	if (!p)
		return -1;
	p->product = product;
	for (int i = 0; i < 8; i++) {
		if (node_types(n, i, types[i], e) < 0)
			return -1;
		if (i != A && i != B && node_in(n, i) && tensor_count(n->in[i]) != 1)
			return node_unsupported(n, e, "input %d of %zu values", i,
						tensor_count(n->in[i]));
		if (i != A && i != B && node_in(n, i) && !n->in[i]->constant)
			return node_unsupported(n, e, "a scale that is computed");
	}
	if ((node_in(n, A_ZERO) && n->in[A_ZERO]->dtype != a->dtype) ||
	    (node_in(n, B_ZERO) && n->in[B_ZERO]->dtype != b->dtype))
		return node_invalid(n, e, "a zero point of another type than its tensor");
	p->per_channel = product && a->rank >= 3 && b->rank == a->rank && a->dim[0] == b->dim[0] &&
			 a->dim[1] == b->dim[1] &&
			 tensor_count(b) == (size_t)(b->dim[0] * b->dim[1]) &&
			 !tensor_same_shape(a, b);
	if (!p->per_channel && !tensor_same_shape(a, b))
		return node_unsupported(n, e, "operands of different shapes");
	n->residual = p->per_channel ? 0 : B; /* laid out as the result */
	return node_output(n, 0, zero ? zero->dtype : DTYPE_U8, a->rank, a->dim, e);
}

/* A channel's byte as a number. */
static int pair_plan(struct node *n, struct err *e)
{
	const struct pair *p = n->state;

	return p->per_channel ? node_work(n, tensor_count(n->in[B]) * sizeof(float), e) : 0;
}

static int add_shape(struct node *n, struct err *e)
{
	return pair_shape(n, false, e);
}

static int mul_shape(struct node *n, struct err *e)
{
	return pair_shape(n, true, e);
}

struct job {
	const struct node *n;
	struct lines l;
	struct requant r;
	struct qoperand a, b;
	float factor;
	const uint8_t *x, *other;
	uint8_t *y;
	size_t whole; /* bytes in all, where rows are pieces */
	size_t pixels;
	const float *scale, *shift;
};

static struct qoperand operand(const struct node *n, int i, int zero)
{
	uint8_t flip = n->in[i]->dtype == DTYPE_I8 ? 0x80 : 0;

	return (struct qoperand){ qlinear_zero(n, zero) + flip, flip };
}

static struct job job_of(const struct node *n)
{
	const struct tensor *y = n->out[0];
	struct job j = { .n = n, .x = n->in[0]->data, .y = y->data, .whole = tensor_count(y) };

	j.pixels = y->rank >= 3 ? j.whole / (size_t)(y->dim[0] * y->dim[1]) : 1;
	j.a = operand(n, A, A_ZERO);
	return j;
}

/* Row i, and its bytes: the last piece may be shorter. */
static size_t row_bytes(const struct job *j, size_t i)
{
	size_t left = j->whole - i * j->l.each;

	return left < j->l.each ? left : j->l.each;
}

#define FOR_ROWS(j, task)                         \
	for (size_t i = (task) * (j)->l.per_task; \
	     i < ((task) + 1) * (j)->l.per_task && i < (j)->l.rows; i++)

static void pair_task(void *context, size_t task, int lane)
{
	const struct job *j = context;
	const struct pair *p = j->n->state;

	(void)lane;
	FOR_ROWS(j, task)
	{
		const uint8_t *x = j->x + i * j->l.x_pitch;
		uint8_t *y = j->y + i * j->l.y_pitch;
		const uint8_t *b = j->other + i * j->l.b_pitch;

		if (p->per_channel)
			qelement_mul_row(&j->r, j->factor, j->a, x,
					 j->scale + i / j->pixels * j->l.each, y, j->l.each);
		else if (p->product)
			qelement_mul(&j->r, j->factor, j->a, x, j->b, b, 1, y, row_bytes(j, i));
		else
			qelement_add(&j->r, j->a, x, b, y, row_bytes(j, i));
	}
}

/* A picture whose channels are row-major: one value of b for all pixels of a plane. */
static void planes(struct job *j)
{
	for (size_t i = 0; i < j->whole / j->pixels; i++)
		qelement_mul(&j->r, j->factor, j->a, j->x + i * j->pixels, j->b, j->other + i, 0,
			     j->y + i * j->pixels, j->pixels);
}

static void pair_run(const struct node *n)
{
	const struct pair *p = n->state;
	struct job j = job_of(n);
	float y = qlinear_scale(n, Y_SCALE);

	if (j.whole == 0)
		return;
	j.other = n->in[B]->data;
	j.b = operand(n, B, B_ZERO);
	qlinear_stops(n, &j.r, y, qlinear_zero(n, Y_ZERO));
	j.r.mine = qlinear_scale(n, A_SCALE) / y;
	j.r.other = qlinear_scale(n, B_SCALE) / y;
	j.r.other_zero = j.b.zero;
	j.r.other_flip = j.b.flip;
	j.factor = qlinear_scale(n, A_SCALE) * qlinear_scale(n, B_SCALE) / y;
	if (p->per_channel && n->out[0]->layout != LAYOUT_LAST) {
		planes(&j);
		return;
	}
	if (p->per_channel) {
		float *b = n->work;

		for (size_t i = 0; i < tensor_count(n->in[B]); i++)
			b[i] = (float)((j.other[i] ^ j.b.flip) - j.b.zero);
		j.scale = b;
	}
	j.l = lines_of(n->in[A], p->per_channel ? NULL : n->in[B], n->out[0], p->per_channel);
	crew_run(n->crew, pair_task, &j, (j.l.rows + j.l.per_task - 1) / j.l.per_task);
}

/* --- QScale: x, its scale, its zero point, factors, summands (real numbers), y's scale, zero point --------- */

enum { S_FACTOR = 3, S_SUMMAND, S_SCALE, S_ZERO };

static int scale_shape(struct node *n, struct err *e)
{
	const struct tensor *x = n->in[0], *zero = node_in(n, S_ZERO);

	if (node_types(n, 0, TYPE(U8) | TYPE(I8), e) < 0)
		return -1;
	return node_output(n, 0, zero ? zero->dtype : DTYPE_U8, x->rank, x->dim, e);
}

static int scale_plan(struct node *n, struct err *e)
{
	size_t channels = (size_t)n->in[0]->dim[1];
	float *kept = node_keep(n, 2 * channels * sizeof *kept, e);
	float x = qlinear_scale(n, A_SCALE), y = qlinear_scale(n, S_SCALE);

	if (!kept)
		return -1;
	n->state = kept;
	for (size_t c = 0; c < channels; c++) {
		kept[c] = ((const float *)n->in[S_FACTOR]->data)[c] * x / y;
		kept[channels + c] = ((const float *)n->in[S_SUMMAND]->data)[c] / y;
	}
	n->unread |= 1u << S_FACTOR | 1u << S_SUMMAND;
	return 0;
}

static void scale_task(void *context, size_t task, int lane)
{
	const struct job *j = context;

	(void)lane;
	FOR_ROWS(j, task)
	qelement_scale(&j->r, j->a, j->x + i * j->l.x_pitch, j->scale, j->shift,
		       j->y + i * j->l.y_pitch, j->l.each);
}

static void scale_run_node(const struct node *n)
{
	struct job j = job_of(n);

	if (j.whole == 0)
		return;
	j.l = lines_of(n->in[0], NULL, n->out[0], true);
	j.scale = n->state;
	j.shift = j.scale + j.l.each;
	qlinear_stops(n, &j.r, qlinear_scale(n, S_SCALE), qlinear_zero(n, S_ZERO));
	crew_run(n->crew, scale_task, &j, (j.l.rows + j.l.per_task - 1) / j.l.per_task);
}

/* --- Lookup: x, 256 bytes; the type of the result is theirs -------------------------------------------------- */

static int lookup_shape(struct node *n, struct err *e)
{
	const struct tensor *x = n->in[0], *table = n->in[1];

	if (node_types(n, 0, TYPE(U8) | TYPE(I8), e) < 0 ||
	    node_types(n, 1, TYPE(U8) | TYPE(I8), e) < 0)
		return -1;
	if (tensor_count(table) != 256 || !table->constant)
		return node_invalid(n, e, "a table of %zu values", tensor_count(table));
	return node_output(n, 0, table->dtype, x->rank, x->dim, e);
}

static void lookup_task(void *context, size_t task, int lane)
{
	const struct job *j = context;

	(void)lane;
	FOR_ROWS(j, task)
	qelement_lookup(j->n->in[1]->data, j->x + i * j->l.x_pitch, j->y + i * j->l.y_pitch,
			row_bytes(j, i));
}

static void lookup_run(const struct node *n)
{
	const struct tensor *y = n->out[0];
	struct job j = { .n = n, .x = n->in[0]->data, .y = y->data, .whole = tensor_count(y) };

	j.l = lines_of(n->in[0], NULL, y, false);
	crew_run(n->crew, lookup_task, &j, (j.l.rows + j.l.per_task - 1) / j.l.per_task);
}

#define PAIR(of, onnx, shapes)                                                                   \
	&(const struct op)                                                                       \
	{                                                                                        \
		.domain = of, .name = onnx, .since = 1, .layout = OP_LAST,                       \
		.flags = OP_GAPS | OP_INPLACE_ANY, .in_least = 7, .in_most = 8, .shape = shapes, \
		.plan = pair_plan, .run = pair_run                                               \
	}

const struct op *const ops_qelement[] = {
	PAIR(OP_MICROSOFT, "QLinearAdd", add_shape),
	PAIR(OP_MICROSOFT, "QLinearMul", mul_shape),
	&(const struct op){ .domain = OP_OURS,
			    .name = "QScale",
			    .since = 1,
			    .layout = OP_LAST,
			    .flags = OP_GAPS | OP_INPLACE,
			    .in_least = 6,
			    .in_most = 7,
			    .shape = scale_shape,
			    .plan = scale_plan,
			    .run = scale_run_node },
	&(const struct op){ .domain = OP_OURS,
			    .name = "Lookup",
			    .since = 1,
			    .layout = OP_LAST,
			    .flags = OP_GAPS | OP_INPLACE,
			    .in_least = 2,
			    .in_most = 2,
			    .shape = lookup_shape,
			    .run = lookup_run },
	NULL,
};
