/* Matrix products of integers: MatMulInteger (32-bit result), QLinearMatMul (scaled and rounded), and what
 * fusion makes of DequantizeLinear, Gemm or MatMul and QuantizeLinear (QGemm). Sums are exact; they wrap
 * around at 32 bits as the specification's type says.
 *
 * A known second factor for all rows is packed and computed as a convolution of 1x1 over a line of rows;
 * all else (factors that are both computed, batches of them, a zero point per row) row by row. */
#include "infer/ops/ops.h"

#include "infer/kernels/requant.h"
#include "infer/ops/qlinear.h"
#include "infer/ops/walk.h"

struct qmatmul {
	int64_t m, n, k, batch;
	bool scaled;
	int a_zero, b_zero; /* inputs that hold them */
	bool fast;
	struct qlinear linear; /* if fast */
};

/* One value, or one per row (of a) or column (of b). */
static int check_per(const struct node *n, int i, int64_t count, struct err *e)
{
	const struct tensor *t = node_in(n, i);

	if (t && tensor_count(t) != 1 && (t->rank > 2 || tensor_count(t) != (size_t)count))
		return node_unsupported(n, e, "input %d of %zu values", i, tensor_count(t));
	return 0;
}

static int check_product(struct node *n, const struct tensor *a, const struct tensor *b,
			 struct qmatmul *q, int *rank, int64_t *dim, struct err *e)
{
	struct tensor pa = *a, pb = *b;

	if (a->rank < 1 || b->rank < 1)
		return node_invalid(n, e, "a factor of rank 0");
	q->m = a->rank > 1 ? a->dim[a->rank - 2] : 1;
	q->k = a->dim[a->rank - 1];
	q->n = b->rank > 1 ? b->dim[b->rank - 1] : 1;
	if (b->dim[b->rank > 1 ? b->rank - 2 : 0] != q->k)
		return node_invalid(n, e, "inner dimensions %lld and %lld", (long long)q->k,
				    (long long)b->dim[b->rank > 1 ? b->rank - 2 : 0]);
	pa.rank -= a->rank > 1 ? 2 : 1;
	pb.rank -= b->rank > 1 ? 2 : 1;
	if (node_broadcast(n, &pa, &pb, rank, dim, e) < 0)
		return -1;
	q->batch = 1;
	for (int i = 0; i < *rank; i++)
		q->batch *= dim[i];
	if (a->rank > 1)
		dim[(*rank)++] = q->m;
	if (b->rank > 1)
		dim[(*rank)++] = q->n;
	n->flops = 2.0 * (double)q->batch * (double)q->m * (double)q->n * (double)q->k;
	return 0;
}

static int integer_shape(struct node *n, struct err *e)
{
	struct qmatmul *q = node_note(n, sizeof *q, e);
	int64_t dim[TENSOR_RANK_MAX];
	int rank;

	if (!q)
		return -1;
	*q = (struct qmatmul){ .a_zero = 2, .b_zero = 3 };
	for (int i = 0; i < 4; i++)
		if (node_types(n, i, TYPE(U8) | TYPE(I8), e) < 0)
			return -1;
	if (check_product(n, n->in[0], n->in[1], q, &rank, dim, e) < 0 ||
	    check_per(n, 2, q->m, e) < 0 || check_per(n, 3, q->n, e) < 0)
		return -1;
	return node_output(n, 0, DTYPE_I32, rank, dim, e);
}

static int linear_shape(struct node *n, struct err *e)
{
	struct qmatmul *q = node_note(n, sizeof *q, e);
	int64_t dim[TENSOR_RANK_MAX];
	int rank;

	if (!q)
		return -1;
	*q = (struct qmatmul){ .scaled = true, .a_zero = 2, .b_zero = 5 };
	for (int i = 0; i < 8; i++) {
		bool scale = i == 1 || i == 4 || i == 6;
		if (node_types(n, i, scale ? TYPE(F32) : TYPE(U8) | TYPE(I8), e) < 0)
			return -1;
	}
	if (check_product(n, n->in[0], n->in[3], q, &rank, dim, e) < 0 ||
	    check_per(n, 1, q->m, e) < 0 || check_per(n, 2, q->m, e) < 0 ||
	    check_per(n, 4, q->n, e) < 0 || check_per(n, 5, q->n, e) < 0 ||
	    check_per(n, 6, 1, e) < 0 || check_per(n, 7, 1, e) < 0)
		return -1;
	return node_output(n, 0, n->in[7]->dtype, rank, dim, e);
}

static int32_t zero_at(const struct node *n, int input, int64_t i)
{
	const struct tensor *t = node_in(n, input);

	return t ? (int32_t)tensor_int(t, tensor_count(t) == 1 ? 0 : (size_t)i) : 0;
}

static float scale_at(const struct node *n, int input, int64_t i)
{
	const struct tensor *t = n->in[input];

	return ((const float *)t->data)[tensor_count(t) == 1 ? 0 : i];
}

/* Rows as pixels of one line. b[k][n], or b[n][k] if turned. */
static int plan_linear(struct node *n, struct qmatmul *q, bool turned, struct err *e)
{
	struct qlinear *l = &q->linear;
	struct rows *r = &l->conv.rows;

	for (int i = 0; i < 3; i++)
		r->in[i] = r->out[i] = r->kernel[i] = r->stride[i] = r->dilation[i] = 1;
	r->in[2] = r->out[2] = (size_t)(q->batch * q->m);
	l->conv.n = l->conv.groups = 1;
	l->conv.c = (size_t)q->k;
	l->conv.k = (size_t)q->n;
	l->weights.k_step = turned ? q->k : 1;
	l->weights.c_step = turned ? 1 : q->n;
	return qlinear_plan(n, l, e);
}

static bool one_or(const struct node *n, int i, int64_t count)
{
	const struct tensor *t = node_in(n, i);

	return !t || tensor_count(t) == 1 || (t->rank == 1 && t->dim[0] == count);
}

/* One known second factor for all rows, and nothing that differs from row to row? */
static bool is_fast(const struct node *n, const struct qmatmul *q)
{
	static const struct qplaces linear = QLINEAR_PLACES;
	const struct tensor *b = n->in[q->scaled ? linear.w : 1];

	for (int i = 1; i < n->in_count; i++)
		if (n->in[i] && !n->in[i]->constant && (q->scaled || i != q->a_zero))
			return false; /* a computed zero point of a is no matter to sums */
	return b->rank == 2 && q->k > 0 && q->n > 0 && one_or(n, q->a_zero, 1) &&
	       (!q->scaled || one_or(n, linear.x_scale, 1)) && one_or(n, q->b_zero, q->n) &&
	       (!q->scaled || one_or(n, linear.w_scale, q->n));
}

static int plan(struct node *n, struct err *e)
{
	struct qmatmul *q = n->state;

	q->linear.at = q->scaled ? (struct qplaces)QLINEAR_PLACES : (struct qplaces)QINTEGER_PLACES;
	q->fast = is_fast(n, q);
	if (q->fast)
		return plan_linear(n, q, false, e);
	n->kernel = "int rows";
	return node_work(n, sizeof(uint32_t) * (size_t)q->n, e); /* a row of sums */
}

static void row_sums(const struct node *n, const struct tensor *a, int64_t a_at,
		     const struct tensor *b, int64_t b_at, int64_t i, uint32_t *sum)
{
	const struct qmatmul *q = n->state;
	int32_t a_zero = zero_at(n, q->a_zero, i);
	bool one = !node_in(n, q->b_zero) || tensor_count(n->in[q->b_zero]) == 1;
	int32_t b_zero = one ? zero_at(n, q->b_zero, 0) : 0;

	for (int64_t j = 0; j < q->n; j++)
		sum[j] = 0;
	for (int64_t k = 0; k < q->k; k++) {
		int32_t v = (int32_t)tensor_int(a, (size_t)(a_at + i * q->k + k)) - a_zero;
		const uint8_t *u = (const uint8_t *)b->data + b_at + k * q->n;
		const int8_t *s = (const int8_t *)u;
		if (!one)
			for (int64_t j = 0; j < q->n; j++)
				sum[j] += (uint32_t)(v * ((b->dtype == DTYPE_U8 ? u[j] : s[j]) -
							  zero_at(n, q->b_zero, j)));
		else if (b->dtype == DTYPE_U8)
			for (int64_t j = 0; j < q->n; j++)
				sum[j] += (uint32_t)(v * (u[j] - b_zero));
		else
			for (int64_t j = 0; j < q->n; j++)
				sum[j] += (uint32_t)(v * (s[j] - b_zero));
	}
}

static void store_row(const struct node *n, int64_t i, int64_t at, const uint32_t *sum)
{
	const struct qmatmul *q = n->state;
	struct tensor *y = n->out[0];
	bool u8 = y->dtype == DTYPE_U8;

	for (int64_t j = 0; j < q->n; j++) {
		if (!q->scaled) {
			((int32_t *)y->data)[at + j] = (int32_t)sum[j];
			continue;
		}
		float factor = scale_at(n, 1, i) * scale_at(n, 4, j) / scale_at(n, 6, 0);
		int32_t v = round_to((float)(int32_t)sum[j] * factor, zero_at(n, 7, 0),
				     u8 ? 0 : -128, u8 ? 255 : 127);
		((uint8_t *)y->data)[at + j] = (uint8_t)v;
	}
}

static void run(const struct node *n)
{
	const struct qmatmul *q = n->state;
	const struct tensor *a = n->in[0], *b = n->in[q->scaled ? 3 : 1], *y = n->out[0];
	int rank = y->rank - (a->rank > 1) - (b->rank > 1);

	if (q->fast) {
		qlinear_run(n, &q->linear);
		return;
	}
	for (int64_t p = 0; p < q->batch; p++) {
		int64_t a_at = walk_matrix(a, y->dim, rank, p) * q->m * q->k;
		int64_t b_at = walk_matrix(b, y->dim, rank, p) * q->k * q->n;
		for (int64_t i = 0; i < q->m; i++) {
			row_sums(n, a, a_at, b, b_at, i, n->work);
			store_row(n, i, (p * q->m + i) * q->n, n->work);
		}
	}
}

/* --- QGemm: x[…][k] by known w[k][n], or w[n][k] with transB ------------------------------------------ */

static int gemm_shape_at(struct node *n, const struct qplaces *at, struct err *e)
{
	struct qmatmul *q = node_note(n, sizeof *q, e);
	const struct tensor *x = n->in[0], *w = n->in[3];
	int64_t dim[TENSOR_RANK_MAX];

	if (!q)
		return -1;
	*q = (struct qmatmul){ .batch = 1, .m = 1, .linear.at = *at };
	if (x->rank < 1 || w->rank != 2)
		return node_invalid(n, e, "factors of rank %d and %d", x->rank, w->rank);
	q->n = w->dim[node_int(n, "transB", 0) ? 0 : 1];
	q->k = w->dim[node_int(n, "transB", 0) ? 1 : 0];
	if (q->k < 1 || q->n < 1 || x->dim[x->rank - 1] != q->k)
		return node_invalid(n, e, "inner dimensions do not agree");
	for (int i = 0; i < x->rank - 1; i++)
		q->m *= dim[i] = x->dim[i];
	dim[x->rank - 1] = q->n;
	n->flops = 2.0 * (double)q->m * (double)q->n * (double)q->k;
	if (qlinear_check(n, &q->linear.at, q->n, e) < 0)
		return -1;
	return node_output(n, 0, qlinear_result(n, &q->linear.at), x->rank, dim, e);
}

static int gemm_shape(struct node *n, struct err *e)
{
	return gemm_shape_at(n, &(const struct qplaces)QLINEAR_PLACES, e);
}

static int gemm_plan(struct node *n, struct err *e)
{
	return plan_linear(n, n->state, node_int(n, "transB", 0) != 0, e);
}

static void gemm_run(const struct node *n)
{
	qlinear_run(n, &((const struct qmatmul *)n->state)->linear);
}

/* com.microsoft has the bias before the result's scale. */
static int microsoft_shape(struct node *n, struct err *e)
{
	static const struct qplaces places = { .x = 0,
					       .x_scale = 1,
					       .x_zero = 2,
					       .w = 3,
					       .w_scale = 4,
					       .w_zero = 5,
					       .bias = 6,
					       .y_scale = 7,
					       .y_zero = 8,
					       .other = -1,
					       .other_scale = -1,
					       .other_zero = -1,
					       .sum_scale = -1,
					       .sum_zero = -1,
					       .table = -1 };

	if (node_int(n, "transA", 0) || node_float(n, "alpha", 1) != 1)
		return node_unsupported(n, e, "transA, or an alpha that is not 1");
	return gemm_shape_at(n, &places, e);
}

const struct op *const ops_qmatmul[] = {
	&(const struct op){ .domain = OP_MICROSOFT,
			    .name = "QGemm",
			    .since = 1,
			    .flags = OP_NO_FOLD,
			    .in_least = 6,
			    .in_most = 9,
			    .attrs = "transA:i transB:i alpha:f",
			    .shape = microsoft_shape,
			    .plan = gemm_plan,
			    .run = gemm_run },
	&(const struct op){ .domain = OP_OURS,
			    .name = "QGemm",
			    .since = 1,
			    .flags = OP_EPILOGUE,
			    .in_least = 6,
			    .in_most = QLINEAR_INPUTS,
			    .attrs = "transB:i",
			    .shape = gemm_shape,
			    .plan = gemm_plan,
			    .run = gemm_run },
	&(const struct op){ .name = "MatMulInteger",
			    .since = 10,
			    .in_least = 2,
			    .in_most = 4,
			    .shape = integer_shape,
			    .plan = plan,
			    .run = run },
	&(const struct op){ .name = "QLinearMatMul",
			    .since = 10,
			    .in_least = 8,
			    .in_most = 8,
			    .shape = linear_shape,
			    .plan = plan,
			    .run = run },
	NULL,
};
