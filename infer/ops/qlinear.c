/* From a node with scales and zero points to a kernel's convolution: see qlinear.h. */
#include "infer/ops/qlinear.h"

#include <math.h>
#include <stdlib.h>

#include "infer/kernels/requant.h"

/* Larger ones are left to the plain kernel, which does not mind infinities. */
#define FACTOR_MOST 1e30f

enum dtype qlinear_result(const struct node *n, const struct qplaces *at)
{
	const struct tensor *zero = node_in(n, n->residual ? at->sum_zero : at->y_zero);

	if (!node_in(n, at->y_scale))
		return DTYPE_F32;
	return zero ? zero->dtype : DTYPE_U8;
}

void qlinear_range(enum dtype t, int32_t *low, int32_t *high)
{
	*low = t == DTYPE_U8 ? 0 : -128;
	*high = t == DTYPE_U8 ? 255 : 127;
}

float qlinear_scale(const struct node *n, int i)
{
	return *(const float *)n->in[i]->data;
}

int32_t qlinear_zero(const struct node *n, int i)
{
	const struct tensor *t = node_in(n, i);

	return t ? (int32_t)tensor_int(t, 0) : 0;
}

/* --- checks ------------------------------------------------------------------------------------------ */

static int check_count(const struct node *n, int i, int64_t count, struct err *e)
{
	const struct tensor *t = i < 0 ? NULL : node_in(n, i);

	if (t && tensor_count(t) != 1 && (t->rank != 1 || t->dim[0] != count))
		return node_invalid(n, e, "input %d: %zu values for %lld", i, tensor_count(t),
				    (long long)count);
	return 0;
}

static int check_types(const struct node *n, int i, unsigned types, struct err *e)
{
	return i < 0 ? 0 : node_types(n, i, types, e);
}

static int check_pair(const struct node *n, int zero, int of, struct err *e)
{
	const struct tensor *z = zero < 0 ? NULL : node_in(n, zero);

	if (z && z->dtype != n->in[of]->dtype)
		return node_invalid(n, e, "a zero point of another type than its tensor");
	return 0;
}

int qlinear_check(const struct node *n, const struct qplaces *at, int64_t channels, struct err *e)
{
	const unsigned bytes = TYPE(U8) | TYPE(I8), real = TYPE(F32);
	const struct tensor *bias = at->bias < 0 ? NULL : node_in(n, at->bias);

	if (check_types(n, at->x, bytes, e) < 0 || check_types(n, at->w, bytes, e) < 0 ||
	    check_types(n, at->x_zero, bytes, e) < 0 || check_types(n, at->w_zero, bytes, e) < 0 ||
	    check_types(n, at->y_zero, bytes, e) < 0 || check_types(n, at->x_scale, real, e) < 0 ||
	    check_types(n, at->w_scale, real, e) < 0 || check_types(n, at->y_scale, real, e) < 0 ||
	    check_types(n, at->bias, TYPE(I32) | real, e) < 0)
		return -1;
	if (check_pair(n, at->x_zero, at->x, e) < 0 || check_pair(n, at->w_zero, at->w, e) < 0 ||
	    check_count(n, at->x_scale, 1, e) < 0 || check_count(n, at->x_zero, 1, e) < 0 ||
	    check_count(n, at->w_scale, channels, e) < 0 ||
	    check_count(n, at->w_zero, channels, e) < 0 || check_count(n, at->y_scale, 1, e) < 0 ||
	    check_count(n, at->y_zero, 1, e) < 0)
		return -1;
	if (bias && (bias->rank != 1 || bias->dim[0] != channels))
		return node_invalid(n, e, "the bias is not one value per output channel");
	return 0;
}

/* --- from inputs to numbers ---------------------------------------------------------------------------- */

static size_t index_of(const struct tensor *t, size_t k)
{
	return tensor_count(t) == 1 ? 0 : k;
}

/* The bias as a sum: given as one, or as a real number. */
static int32_t bias_of(const struct tensor *bias, size_t k, double unit)
{
	double v;

	if (bias->dtype == DTYPE_I32)
		return ((const int32_t *)bias->data)[k];
	v = rint((double)((const float *)bias->data)[k] / unit);
	return v < -2e9 ? -2000000000 : v > 2e9 ? 2000000000 : v == v ? (int32_t)v : 0;
}

/* Three arrays of k values in memory. */
static void read_columns(const struct node *n, struct qlinear *l, void *memory)
{
	const struct qplaces *at = &l->at;
	const struct tensor *zero = at->w_zero < 0 ? NULL : node_in(n, at->w_zero);
	const struct tensor *bias = at->bias < 0 ? NULL : node_in(n, at->bias);
	const struct tensor *scale = at->w_scale < 0 ? NULL : node_in(n, at->w_scale);
	bool stored = at->y_scale >= 0 && node_in(n, at->y_scale);
	size_t count = l->conv.k;
	int32_t *zeros = memory, *sums = zeros + count;
	float *factor = (float *)(sums + count);

	for (size_t k = 0; k < count; k++) {
		float x = scale ? qlinear_scale(n, at->x_scale) : 1;
		float w = scale ? ((const float *)scale->data)[index_of(scale, k)] : 1;

		zeros[k] = zero ? (int32_t)tensor_int(zero, index_of(zero, k)) : 0;
		sums[k] = bias ? bias_of(bias, k, (double)x * w) : 0;
		factor[k] = stored ? x * w / qlinear_scale(n, at->y_scale) : x * w;
	}
	l->weights.w = n->in[at->w]->data;
	l->weights.is_signed = n->in[at->w]->dtype == DTYPE_I8;
	l->weights.zero = zeros;
	l->weights.bias = sums;
	l->weights.factor = factor;
}

void qlinear_stops(const struct node *n, struct requant *r, float scale, int32_t zero)
{
	int32_t low, high;

	qlinear_range(n->out[0]->dtype, &low, &high);
	r->zero = zero;
	r->low = low;
	r->high = high;
	if (n->epilogue.act == ACT_RELU)
		r->low = round_to(0, zero, low, high);
	if (n->epilogue.act == ACT_CLIP) {
		r->low = round_to(n->epilogue.a / scale, zero, low, high);
		r->high = round_to(n->epilogue.b / scale, zero, low, high);
	}
}

static void read_requant(const struct node *n, struct qlinear *l)
{
	const struct qplaces *at = &l->at;
	struct requant *r = &l->conv.requant;
	const struct tensor *y = n->out[0], *other = n->residual ? n->in[at->other] : NULL;
	int scale = other ? at->sum_scale : at->y_scale, zero = other ? at->sum_zero : at->y_zero;

	*r = (struct requant){ .out = y->dtype == DTYPE_I32   ? QOUT_SUMS
				      : y->dtype == DTYPE_F32 ? QOUT_FLOATS
							      : QOUT_BYTES,
			       .residual = other != NULL };
	l->conv.x_signed = n->in[at->x]->dtype == DTYPE_I8;
	l->conv.x_zero = at->x_zero < 0 || l->rezero ? 0 : qlinear_zero(n, at->x_zero);
	if (r->out == QOUT_FLOATS)
		r->epilogue = n->epilogue;
	if (r->out != QOUT_BYTES)
		return;
	qlinear_stops(n, r, qlinear_scale(n, scale), qlinear_zero(n, zero));
	r->table = at->table >= 0 && node_in(n, at->table) ? n->in[at->table]->data : NULL;
	if (other) {
		int32_t low, high, own = qlinear_zero(n, at->y_zero);

		qlinear_range(node_in(n, at->y_zero) ? n->in[at->y_zero]->dtype : DTYPE_U8, &low,
			      &high);
		r->own_low = (float)(low - own);
		r->own_high = (float)(high - own);
		r->mine = qlinear_scale(n, at->y_scale) / qlinear_scale(n, scale);
		r->other = qlinear_scale(n, at->other_scale) / qlinear_scale(n, scale);
		r->other_flip = other->dtype == DTYPE_I8 ? 0x80 : 0;
		r->other_zero = qlinear_zero(n, at->other_zero) + r->other_flip;
	}
}

static bool modest(float v)
{
	return fabsf(v) <= FACTOR_MOST; /* no NaN either */
}

static bool all_modest(const struct qlinear *l)
{
	const struct requant *r = &l->conv.requant;

	for (size_t k = 0; k < l->conv.k; k++)
		if (!modest(l->weights.factor[k]))
			return false;
	return !r->residual || (modest(r->mine) && modest(r->other));
}

/* --- plan and run -------------------------------------------------------------------------------------- */

static size_t columns_bytes(const struct qlinear *l)
{
	return (l->conv.k * 12 + 63) / 64 * 64;
}

static bool known(const struct node *n, const struct qlinear *l)
{
	for (int i = 0; i < n->in_count; i++)
		if (n->in[i] && i != l->at.x && i != l->at.other && !n->in[i]->constant &&
		    !(l->rezero && i == l->at.x_zero))
			return false;
	return true;
}

/* All is known: choose, and pack. */
static int settle(struct node *n, struct qlinear *l, struct err *e)
{
	void *memory = malloc(columns_bytes(l)), *packed;
	int result = -1;

	if (!memory)
		return err_code(e, EX_OSERR, "memory is short");
	read_columns(n, l, memory);
	read_requant(n, l);
	l->conv.parts = qweights_parts(&l->conv, &l->weights);
	qconv_choose(&l->conv, n->kernels, n->in[l->at.x]->constant || !all_modest(l),
		     crew_lanes(n->crew));
	packed = node_keep(n, l->conv.packed_bytes, e);
	if (packed && node_work(n, l->conv.work_bytes, e) == 0) {
		l->weights.use_up = n->alone >> l->at.w & 1;
		qconv_pack(&l->conv, &l->weights, packed);
		l->packed = packed;
		n->unread |= 1u << l->at.w;
		l->ready = true;
		result = 0;
	}
	free(memory);
	return result;
}

int qlinear_plan(struct node *n, struct qlinear *l, struct err *e)
{
	const struct tensor *x = n->in[l->at.x], *y = n->out[0];
	bool pixels = x->rank > 2 && x->layout == LAYOUT_LAST;

	l->conv.rows.pitch = pixels ? (size_t)x->stride[x->rank - 1] : l->conv.c;
	l->conv.y_pitch = pixels ? (size_t)y->stride[y->rank - 1] : l->conv.k;
	l->conv.r_pitch =
	    n->residual && pixels ? (size_t)n->in[l->at.other]->stride[y->rank - 1] : l->conv.k;
	l->rezero = y->dtype == DTYPE_I32 && l->at.x_zero >= 0 && node_in(n, l->at.x_zero) &&
		    !n->in[l->at.x_zero]->constant;
	if (known(n, l)) {
		if (settle(n, l, e) < 0)
			return -1;
	} else { /* packed anew each time, by the plain kernel */
		l->rezero = false;
		qconv_choose(&l->conv, n->kernels, true, crew_lanes(n->crew));
		if (node_work(n,
			      columns_bytes(l) + (l->conv.packed_bytes + 63) / 64 * 64 +
				  l->conv.work_bytes,
			      e) < 0)
			return -1;
	}
	n->kernel = qconv_kernel_name(&l->conv);
	return 0;
}

void qlinear_run(const struct node *n, const struct qlinear *l)
{
	struct qlinear now = *l;
	char *work = n->work;

	if (!l->ready) {
		read_columns(n, &now, work);
		read_requant(n, &now);
		work += columns_bytes(l);
		qconv_pack(&now.conv, &now.weights, work);
		work += (l->conv.packed_bytes + 63) / 64 * 64;
	} else if (l->rezero) {
		now.conv.x_zero = qlinear_zero(n, l->at.x_zero);
		qconv_rezero(&now.conv, l->packed);
	}
	qconv_run(&now.conv, n->in[l->at.x]->data, n->residual ? n->in[l->at.other]->data : NULL,
		  n->out[0]->data, work, n->crew);
}
