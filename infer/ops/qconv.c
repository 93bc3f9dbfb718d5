/* Convolutions of integers: QLinearConv (scaled, rounded half to even, saturated) and ConvInteger (sums
 * of 32 bits). Sums are exact, so their order does not matter; taps over the edge add nothing, since
 * padding is the zero point.
 *
 * x, y: N, pixels, C (channels last)     weights packed as 16 bits without their zero point:
 * by blocks of outputs: block, tap, channel, BLOCK;  depthwise: tap, channel. */
#include "infer/ops/ops.h"

#include <string.h>

#include "infer/ops/round.h"
#include "infer/ops/window.h"

#define BLOCK 16 /* outputs at once, whose sums stay in registers */

struct qconv {
	struct window w;
	int64_t groups, k, c;
	bool scaled, depthwise, ready;
	int weights, x_zero, w_zero; /* which inputs they are */
	size_t bytes;                /* of what is prepared */
	/* prepared at load, or each time in the workspace */
	int16_t *packed;
	int32_t *bias;
	float *factor;
};

static int check_count(const struct node *n, int i, int64_t count, struct err *e)
{
	const struct tensor *t = node_in(n, i);

	if (t && tensor_count(t) != 1 && (t->rank != 1 || t->dim[0] != count))
		return node_invalid(n, e, "input %d: %zu values for %lld", i, tensor_count(t),
				    (long long)count);
	return 0;
}

static int check(struct node *n, struct qconv *q, enum dtype type, struct err *e)
{
	const struct tensor *x = n->in[0], *w = n->in[q->weights];
	int64_t dim[5];

	q->groups = node_int(n, "group", 1);
	if (x->rank < 3 || x->rank > 5 || w->rank != x->rank)
		return node_invalid(n, e, "input of rank %d, weights of rank %d", x->rank, w->rank);
	q->c = x->dim[1];
	q->k = w->dim[0];
	if (q->groups < 1)
		return node_invalid(n, e, "group %lld", (long long)q->groups);
	if (q->c < 1 || q->c % q->groups != 0 || q->c / q->groups != w->dim[1] || q->k < 1 ||
	    q->k % q->groups != 0)
		return node_invalid(n, e, "%lld to %lld channels in %lld groups, weights for %lld",
				    (long long)q->c, (long long)q->k, (long long)q->groups,
				    (long long)w->dim[1]);
	if (check_count(n, q->x_zero, 1, e) < 0 || check_count(n, q->w_zero, q->k, e) < 0 ||
	    window_read(n, x, w->dim + 2, false, &q->w, e) < 0)
		return -1;
	q->depthwise = q->groups == q->c && q->k == q->c;
	dim[0] = x->dim[0];
	dim[1] = q->k;
	n->flops = 2.0 * (double)x->dim[0] * (double)tensor_count(w);
	for (int i = 2; i < x->rank; i++) {
		dim[i] = q->w.out[i - x->rank + 3];
		n->flops *= (double)dim[i];
	}
	return node_output(n, 0, type, x->rank, dim, e);
}

static int linear_shape(struct node *n, struct err *e)
{
	static const unsigned types[] = {
		TYPE(U8) | TYPE(I8), TYPE(F32),           TYPE(U8) | TYPE(I8),
		TYPE(U8) | TYPE(I8), TYPE(F32),           TYPE(U8) | TYPE(I8),
		TYPE(F32),           TYPE(U8) | TYPE(I8), TYPE(I32)
	};
	struct qconv *q = node_note(n, sizeof *q, e);

	if (!q)
		return -1;
	*q = (struct qconv){ .scaled = true, .weights = 3, .x_zero = 2, .w_zero = 5 };
	for (int i = 0; i < 9; i++)
		if (node_types(n, i, types[i], e) < 0)
			return -1;
	if (n->in[2]->dtype != n->in[0]->dtype || n->in[5]->dtype != n->in[3]->dtype)
		return node_invalid(n, e, "a zero point of another type than its tensor");
	if (check(n, q, n->in[7]->dtype, e) < 0 || check_count(n, 1, 1, e) < 0 ||
	    check_count(n, 4, q->k, e) < 0 || check_count(n, 6, 1, e) < 0 ||
	    check_count(n, 7, 1, e) < 0)
		return -1;
	if (node_in(n, 8) && (n->in[8]->rank != 1 || n->in[8]->dim[0] != q->k))
		return node_invalid(n, e, "the bias is not one value per output channel");
	return 0;
}

static int integer_shape(struct node *n, struct err *e)
{
	struct qconv *q = node_note(n, sizeof *q, e);

	if (!q)
		return -1;
	*q = (struct qconv){ .weights = 1, .x_zero = 2, .w_zero = 3 };
	for (int i = 0; i < 4; i++)
		if (node_types(n, i, TYPE(U8) | TYPE(I8), e) < 0)
			return -1;
	return check(n, q, DTYPE_I32, e);
}

/* --- preparing ------------------------------------------------------------------------------------- */

static int64_t taps_of(const struct qconv *q)
{
	return q->w.kernel[0] * q->w.kernel[1] * q->w.kernel[2];
}

static int64_t blocks_per_group(const struct qconv *q)
{
	return (q->k / q->groups + BLOCK - 1) / BLOCK;
}

static size_t packed_count(const struct qconv *q)
{
	if (q->depthwise)
		return (size_t)(taps_of(q) * q->c);
	return (size_t)(q->groups * blocks_per_group(q) * BLOCK * taps_of(q) * (q->c / q->groups));
}

static void pack(const struct node *n, const struct qconv *q, int16_t *to)
{
	const struct tensor *w = n->in[q->weights], *zero = node_in(n, q->w_zero);
	int64_t taps = taps_of(q), depth = q->c / q->groups, each = q->k / q->groups;
	bool one = !zero || tensor_count(zero) == 1;

	memset(to, 0, packed_count(q) * sizeof *to);
	for (int64_t k = 0; k < q->k; k++) {
		int64_t z = zero ? tensor_int(zero, one ? 0 : (size_t)k) : 0;
		int64_t group = k / each, block = k % each / BLOCK, lane = k % each % BLOCK;
		int64_t base = (group * blocks_per_group(q) + block) * taps * depth * BLOCK + lane;
		for (int64_t c = 0; c < depth; c++)
			for (int64_t t = 0; t < taps; t++) {
				int64_t v = tensor_int(w, (size_t)((k * depth + c) * taps + t)) - z;
				if (q->depthwise)
					to[t * q->c + k] = (int16_t)v;
				else
					to[base + (t * depth + c) * BLOCK] = (int16_t)v;
			}
	}
}

static void prepare(const struct node *n, struct qconv *q, void *memory)
{
	const struct tensor *bias = q->scaled ? node_in(n, 8) : NULL;

	q->bias = memory;
	q->factor = (float *)(q->bias + q->k);
	q->packed = (int16_t *)(q->factor + q->k);
	pack(n, q, q->packed);
	for (int64_t k = 0; k < q->k; k++) {
		q->bias[k] = bias ? ((const int32_t *)bias->data)[k] : 0;
		if (!q->scaled)
			continue;
		int64_t at = tensor_count(n->in[4]) == 1 ? 0 : k;
		q->factor[k] = *(const float *)n->in[1]->data *
			       ((const float *)n->in[4]->data)[at] / *(const float *)n->in[6]->data;
	}
	q->ready = true;
}

static int plan(struct node *n, struct err *e)
{
	struct qconv *q = n->state;
	bool known = true;
	void *memory;

	q->bytes =
	    (size_t)q->k * (sizeof(int32_t) + sizeof(float)) + packed_count(q) * sizeof(int16_t);
	for (int i = 1; i < n->in_count; i++)
		known &= !n->in[i] || n->in[i]->constant;
	n->kernel = q->depthwise ? "int depthwise" : "int";
	if (!known)
		return node_work(n, q->bytes, e);
	memory = node_keep(n, q->bytes, e);
	if (!memory)
		return -1;
	prepare(n, q, memory);
	n->unread |= 1u << q->weights;
	return 0;
}

/* --- computing ------------------------------------------------------------------------------------- */

struct job {
	const struct node *n;
	const struct qconv *q;
	int64_t x_pitch, y_pitch;
	int32_t x_zero, y_zero, low, high;
	bool x_signed;
};

struct pixel {
	int64_t first; /* of the picture, in x */
	int64_t o[3], low[3], high[3];
};

static int64_t tap_pixel(const struct window *w, const struct pixel *p, int64_t i0, int64_t i1,
			 int64_t i2)
{
	int64_t d = p->o[0] * w->stride[0] - w->before[0] + i0 * w->dilation[0];
	int64_t h = p->o[1] * w->stride[1] - w->before[1] + i1 * w->dilation[1];

	return p->first + (d * w->in[1] + h) * w->in[2] + p->o[2] * w->stride[2] - w->before[2] +
	       i2 * w->dilation[2];
}

#define FOR_TAPS(p)                                                     \
	for (int64_t i0 = (p)->low[0]; i0 < (p)->high[0]; i0++)         \
		for (int64_t i1 = (p)->low[1]; i1 < (p)->high[1]; i1++) \
			for (int64_t i2 = (p)->low[2]; i2 < (p)->high[2]; i2++)

static inline int64_t tap_index(const struct window *w, int64_t i0, int64_t i1, int64_t i2)
{
	return (i0 * w->kernel[1] + i1) * w->kernel[2] + i2;
}

/* Sums of one block of outputs at one pixel; unsigned, so that they may wrap. */
#define SUMS(name, type)                                                                          \
	static void name(const struct job *j, const struct pixel *p, int64_t channel,             \
			 const int16_t *packed, uint32_t *sum)                                    \
	{                                                                                         \
		const struct window *w = &j->q->w;                                                \
		int64_t depth = j->q->c / j->q->groups;                                           \
		uint32_t acc[BLOCK] = { 0 };                                                      \
                                                                                                  \
		FOR_TAPS(p)                                                                       \
		{                                                                                 \
			const type *x = (const type *)j->n->in[0]->data +                         \
					tap_pixel(w, p, i0, i1, i2) * j->x_pitch + channel;       \
			const int16_t *v = packed + tap_index(w, i0, i1, i2) * depth * BLOCK;     \
			for (int64_t c = 0; c < depth; c++, v += BLOCK) {                         \
				int16_t at = (int16_t)(x[c] - j->x_zero);                         \
				for (int k = 0; k < BLOCK; k++)                                   \
					acc[k] += (uint32_t)(at * v[k]);                          \
			}                                                                         \
		}                                                                                 \
		memcpy(sum, acc, sizeof acc);                                                     \
	}                                                                                         \
	static void name##_depthwise(const struct job *j, const struct pixel *p, int64_t channel, \
				     const int16_t *packed, int many, uint32_t *sum)              \
	{                                                                                         \
		const struct window *w = &j->q->w;                                                \
		uint32_t acc[BLOCK] = { 0 };                                                      \
                                                                                                  \
		FOR_TAPS(p)                                                                       \
		{                                                                                 \
			const type *x = (const type *)j->n->in[0]->data +                         \
					tap_pixel(w, p, i0, i1, i2) * j->x_pitch + channel;       \
			const int16_t *v = packed + tap_index(w, i0, i1, i2) * j->q->c + channel; \
			if (many == BLOCK)                                                        \
				for (int k = 0; k < BLOCK; k++)                                   \
					acc[k] += (uint32_t)((int16_t)(x[k] - j->x_zero) * v[k]); \
			else                                                                      \
				for (int k = 0; k < many; k++)                                    \
					acc[k] += (uint32_t)((int16_t)(x[k] - j->x_zero) * v[k]); \
		}                                                                                 \
		memcpy(sum, acc, sizeof acc);                                                     \
	}
SUMS(sums_u8, uint8_t)
SUMS(sums_i8, int8_t)

static void store(const struct job *j, int64_t at, int64_t k, int many, const uint32_t *sum)
{
	const int32_t *bias = j->q->bias + k;
	const float *factor = j->q->factor + k;
	uint8_t *y = (uint8_t *)j->n->out[0]->data + at + k;

	if (!j->q->scaled) {
		memcpy((int32_t *)j->n->out[0]->data + at + k, sum, (size_t)many * sizeof *sum);
		return;
	}
	for (int i = 0; i < many; i++) {
		int32_t v = (int32_t)(sum[i] + (uint32_t)bias[i]);
		y[i] = (uint8_t)round_to((float)v * factor[i], j->y_zero, j->low, j->high);
	}
}

static void pixel(const struct job *j, const struct pixel *p, int64_t at)
{
	const struct qconv *q = j->q;
	int64_t depth = q->c / q->groups, each = q->k / q->groups;
	const int16_t *packed = q->packed;
	uint32_t sum[BLOCK];

	for (int64_t c = 0; q->depthwise && c < q->c; c += BLOCK) {
		int many = (int)(q->c - c < BLOCK ? q->c - c : BLOCK);
		(j->x_signed ? sums_i8_depthwise : sums_u8_depthwise)(j, p, c, packed, many, sum);
		store(j, at, c, many, sum);
	}
	for (int64_t g = 0; !q->depthwise && g < q->groups; g++)
		for (int64_t k = 0; k < each; k += BLOCK, packed += taps_of(q) * depth * BLOCK) {
			int many = (int)(each - k < BLOCK ? each - k : BLOCK);
			(j->x_signed ? sums_i8 : sums_u8)(j, p, g * depth, packed, sum);
			store(j, at, g * each + k, many, sum);
		}
}

/* One row of outputs. */
static void task(void *context, size_t i, int lane)
{
	const struct job *j = context;
	const struct window *w = &j->q->w;
	int64_t rows = w->out[0] * w->out[1], b = (int64_t)i / rows;
	struct pixel p = { .first = b * w->in[0] * w->in[1] * w->in[2],
			   .o = { (int64_t)i % rows / w->out[1], (int64_t)i % w->out[1], 0 } };

	(void)lane;
	window_taps(w, 0, p.o[0], &p.low[0], &p.high[0]);
	window_taps(w, 1, p.o[1], &p.low[1], &p.high[1]);
	for (p.o[2] = 0; p.o[2] < w->out[2]; p.o[2]++) {
		window_taps(w, 2, p.o[2], &p.low[2], &p.high[2]);
		pixel(j, &p, ((int64_t)i * w->out[2] + p.o[2]) * j->y_pitch);
	}
}

static void run(const struct node *n)
{
	struct qconv q = *(const struct qconv *)n->state;
	const struct tensor *x = n->in[0], *y = n->out[0], *zero = node_in(n, q.x_zero);
	struct job j = { .n = n, .q = &q };
	bool u8 = y->dtype == DTYPE_U8;

	if (!q.ready)
		prepare(n, &q, n->work);
	j.x_pitch = x->stride[x->rank - 1];
	j.y_pitch = y->stride[y->rank - 1];
	j.x_signed = x->dtype == DTYPE_I8;
	j.x_zero = zero ? (int32_t)tensor_int(zero, 0) : 0;
	j.y_zero = q.scaled ? (int32_t)tensor_int(n->in[7], 0) : 0;
	j.low = u8 ? 0 : -128;
	j.high = u8 ? 255 : 127;
	crew_run(n->crew, task, &j, (size_t)(x->dim[0] * q.w.out[0] * q.w.out[1]));
}

#define ROW(onnx, least, most, shapes)                                                             \
	&(const struct op)                                                                         \
	{                                                                                          \
		.name = onnx, .since = 10, .layout = OP_LAST, .flags = OP_GAPS, .in_least = least, \
		.in_most = most,                                                                   \
		.attrs = "kernel_shape:I strides:I pads:I dilations:I group:i auto_pad:s",         \
		.shape = shapes, .plan = plan, .run = run                                          \
	}

const struct op *const ops_qconv[] = {
	ROW("QLinearConv", 8, 9, linear_shape),
	ROW("ConvInteger", 2, 4, integer_shape),
	NULL,
};
