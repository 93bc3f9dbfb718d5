/* Gemm and MatMul. Where the second factor is known at load it is packed for the kernel, with alpha in
 * it and beta C as the bias; all else is computed by plain loops over strides. */
#include "infer/ops/ops.h"

#include <stdlib.h>
#include <string.h>

#include "infer/kernels/gemm.h"
#include "infer/ops/walk.h"

struct product {
	int64_t m, n, k, batch; /* batch: products, each with a place of its own in both factors */
	int64_t am, ak, bk, bn; /* strides within one */
	bool fast;
	float alpha, beta;
	struct gemm gemm;
};

static int output(struct node *n, int rank, const int64_t *dim, struct err *e)
{
	if (node_output(n, 0, DTYPE_F32, rank, dim, e) < 0)
		return -1;
	if (n->out[0])
		n->out[0]->half = n->in[0]->half;
	return 0;
}

static int check_types(const struct node *n, struct err *e)
{
	for (int i = 0; i < 3; i++)
		if (node_types(n, i, TYPE(F32), e) < 0)
			return -1;
	return 0;
}

/* --- Gemm: y = alpha A B + beta C ----------------------------------------------------------------- */

/* C must broadcast to m, n (one direction only). */
static int check_c(const struct node *n, const struct product *p, struct err *e)
{
	const struct tensor *c = node_in(n, 2);
	const int64_t dim[] = { p->m, p->n };

	if (!c)
		return 0;
	for (int i = 0; i < c->rank; i++) {
		int at = i + 2 - c->rank;
		if (at < 0 ? c->dim[i] != 1 : c->dim[i] != 1 && c->dim[i] != dim[at])
			return node_invalid(n, e, "C does not broadcast to %lldx%lld",
					    (long long)p->m, (long long)p->n);
	}
	return 0;
}

static int gemm_shape(struct node *n, struct err *e)
{
	struct product *p = node_note(n, sizeof *p, e);
	const struct tensor *a = n->in[0], *b = n->in[1];
	bool ta = node_int(n, "transA", 0) != 0, tb = node_int(n, "transB", 0) != 0;
	int64_t dim[2];

	if (!p || check_types(n, e) < 0)
		return -1;
	if (a->rank != 2 || b->rank != 2)
		return node_invalid(n, e, "factors of rank %d and %d", a->rank, b->rank);
	if (a->dim[!ta] != b->dim[tb])
		return node_invalid(n, e, "inner dimensions %lld and %lld", (long long)a->dim[!ta],
				    (long long)b->dim[tb]);
	*p = (struct product){ .m = a->dim[ta],
			       .n = b->dim[!tb],
			       .k = a->dim[!ta],
			       .batch = 1,
			       .am = ta ? 1 : a->dim[1],
			       .ak = ta ? a->dim[1] : 1,
			       .bk = tb ? 1 : b->dim[1],
			       .bn = tb ? b->dim[1] : 1,
			       .alpha = node_float(n, "alpha", 1),
			       .beta = node_float(n, "beta", 1) };
	if (check_c(n, p, e) < 0)
		return -1;
	n->flops = 2.0 * (double)p->m * (double)p->n * (double)p->k;
	dim[0] = p->m;
	dim[1] = p->n;
	return output(n, 2, dim, e);
}

/* One value per column, the same in all rows: C as the kernel's bias. */
static bool is_row(const struct tensor *c)
{
	return c->constant && (c->rank < 2 || c->dim[c->rank - 2] == 1);
}

/* scratch: n floats, and k n more where alpha is not 1. */
static void pack(struct product *p, const float *b, const struct tensor *c, float *bias,
		 void *packed)
{
	float *scratch = bias + p->n;
	int64_t step = c && tensor_count(c) > 1;

	for (int64_t i = 0; c && i < p->n; i++)
		bias[i] = p->beta * ((const float *)c->data)[i * step];
	for (int64_t i = 0; p->alpha != 1 && i < p->k; i++)
		for (int64_t j = 0; j < p->n; j++)
			scratch[i * p->n + j] = p->alpha * b[i * p->bk + j * p->bn];
	if (p->alpha != 1)
		gemm_pack(&p->gemm, scratch, p->n, 1, c ? bias : NULL, packed);
	else
		gemm_pack(&p->gemm, b, p->bk, p->bn, c ? bias : NULL, packed);
}

/* Choose and pack, where the second factor (and C) are known. */
static int plan(struct node *n, const struct tensor *c, struct err *e)
{
	struct product *p = n->state;
	float *scratch;
	void *packed;

	n->kernel = "plain";
	p->fast = false;
	if (!node_known(n, 1) || (c && !is_row(c)) || p->batch != 1 || p->ak != 1 || !p->k ||
	    !p->n || !p->m)
		return 0;
	p->gemm = (struct gemm){ .m = (size_t)p->m,
				 .n = (size_t)p->n,
				 .k = (size_t)p->k,
				 .x_pitch = (size_t)p->am,
				 .y_pitch = (size_t)p->n,
				 .epilogue = n->epilogue,
				 .bias = c != NULL,
				 .use_up = p->alpha == 1 && n->alone & 2 };
	gemm_choose(&p->gemm, n->kernels, crew_lanes(n->crew));
	n->kernel = gemm_kernel_name(&p->gemm);
	packed = node_keep(n, p->gemm.packed_bytes, e);
	if (!packed)
		return -1;
	scratch = malloc(sizeof *scratch * (size_t)(p->n + (p->alpha != 1 ? p->k * p->n : 0)));
	if (!scratch)
		return err_code(e, EX_OSERR, "memory is short");
	pack(p, n->in[1]->data, c, scratch, packed);
	free(scratch);
	p->fast = true;
	n->unread |= node_in(n, 2) ? 6 : 2;
	return node_work(n, p->gemm.work_bytes, e);
}

static int gemm_plan(struct node *n, struct err *e)
{
	return plan(n, node_in(n, 2), e);
}

static void gemm_run_node(const struct node *n)
{
	const struct product *p = n->state;
	const struct tensor *c = node_in(n, 2);
	float *y = n->out[0]->data;
	const float *from = c ? c->data : NULL;
	int64_t cn = c && c->rank > 0 && c->dim[c->rank - 1] > 1;
	int64_t cm = c && c->rank > 1 && c->dim[c->rank - 2] > 1 ? c->dim[c->rank - 1] : 0;

	if (p->fast) {
		gemm_run(&p->gemm, n->in[0]->data, NULL, y, n->work, n->crew);
		return;
	}
	gemm_plain(n->kernels, (size_t)p->m, (size_t)p->n, (size_t)p->k, n->in[0]->data, p->am,
		   p->ak, n->in[1]->data, p->bk, p->bn, y, p->n);
	for (int64_t i = 0; i < p->m; i++)
		for (int64_t j = 0; j < p->n; j++) {
			float v = p->alpha * y[i * p->n + j];
			y[i * p->n + j] = from ? v + p->beta * from[i * cm + j * cn] : v;
		}
	activate(&n->epilogue, y, y, (size_t)(p->m * p->n));
}

/* --- MatMul ----------------------------------------------------------------------------------------- */

/* Batch dims are all before the last two; a factor of rank 1 is a row on the left, a column on the
 * right, and its dimension is then dropped from the result. */
static int matmul_shape(struct node *n, struct err *e)
{
	struct product *p = node_note(n, sizeof *p, e);
	struct tensor a, b;
	int64_t dim[TENSOR_RANK_MAX], k_b;
	int rank;

	if (!p || check_types(n, e) < 0)
		return -1;
	a = *n->in[0];
	b = *n->in[1];
	if (a.rank < 1 || b.rank < 1)
		return node_invalid(n, e, "a factor of rank 0");
	*p = (struct product){ .m = a.rank > 1 ? a.dim[a.rank - 2] : 1,
			       .k = a.dim[a.rank - 1],
			       .n = b.rank > 1 ? b.dim[b.rank - 1] : 1,
			       .alpha = 1 };
	k_b = b.dim[b.rank > 1 ? b.rank - 2 : 0];
	if (k_b != p->k)
		return node_invalid(n, e, "inner dimensions %lld and %lld", (long long)p->k,
				    (long long)k_b);
	a.rank -= a.rank > 1 ? 2 : 1;
	b.rank -= b.rank > 1 ? 2 : 1;
	if (node_broadcast(n, &a, &b, &rank, dim, e) < 0)
		return -1;
	p->am = p->k;
	p->ak = 1;
	p->bk = p->n;
	p->bn = 1;
	p->batch = 1;
	for (int i = 0; i < rank; i++)
		p->batch *= dim[i];
	if (tensor_count(&b) == 1) { /* one second factor for all: one product of many rows */
		p->m *= p->batch;
		p->batch = 1;
	}
	if (n->in[0]->rank > 1)
		dim[rank++] = n->in[0]->dim[n->in[0]->rank - 2];
	if (n->in[1]->rank > 1)
		dim[rank++] = p->n;
	n->flops = 2.0 * (double)p->batch * (double)p->m * (double)p->n * (double)p->k;
	return output(n, rank, dim, e);
}

/* A third input, one value per column, comes of a fused Add (fuse_matmul.c), which sees to it that the
 * second factor is known. */
static int matmul_plan(struct node *n, struct err *e)
{
	struct product *p = n->state;

	p->beta = 1;
	return plan(n, node_in(n, 2), e);
}

static void matmul_run(const struct node *n)
{
	const struct product *p = n->state;
	const struct tensor *a = n->in[0], *b = n->in[1];
	struct tensor *y = n->out[0];
	int rank = y->rank - (a->rank > 1) - (b->rank > 1);

	if (p->fast) {
		gemm_run(&p->gemm, a->data, NULL, y->data, n->work, n->crew);
		return;
	}
	for (int64_t i = 0; i < p->batch; i++) {
		int64_t from_a = p->batch > 1 ? walk_matrix(a, y->dim, rank, i) : 0;
		int64_t from_b = p->batch > 1 ? walk_matrix(b, y->dim, rank, i) : 0;
		gemm_plain(n->kernels, (size_t)p->m, (size_t)p->n, (size_t)p->k,
			   (const float *)a->data + from_a * p->m * p->k, p->am, p->ak,
			   (const float *)b->data + from_b * p->k * p->n, p->bk, p->bn,
			   (float *)y->data + i * p->m * p->n, p->n);
	}
	activate(&n->epilogue, y->data, y->data, tensor_count(y));
}

#define GEMM(from, least, attributes)                                                      \
	&(const struct op)                                                                 \
	{                                                                                  \
		.name = "Gemm", .since = from, .flags = OP_EPILOGUE, .in_least = least,    \
		.in_most = 3, .attrs = attributes, .shape = gemm_shape, .plan = gemm_plan, \
		.run = gemm_run_node                                                       \
	}

const struct op *const ops_matmul[] = {
	GEMM(1, 3, "alpha:f beta:f broadcast:i transA:i transB:i"),
	GEMM(7, 3, "alpha:f beta:f transA:i transB:i"),
	GEMM(11, 2, "alpha:f beta:f transA:i transB:i"),
	&(const struct op){ .name = "MatMul",
			    .since = 1,
			    .flags = OP_EPILOGUE,
			    .in_least = 2,
			    .in_most = 2,
			    .shape = matmul_shape,
			    .plan = matmul_plan,
			    .run = matmul_run },
	NULL,
};
