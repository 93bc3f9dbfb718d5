/* Windows that slide over pictures and keep the largest value or a mean: MaxPool, AveragePool,
 * LpPool, and their Global forms, whose window is the whole picture.
 *
 * x: N, C, then one to three dimensions, in either layout. The innermost loop goes over channels, which
 * lie side by side inside the graph; a block of them is accumulated on the stack. */
#include "infer/ops/ops.h"

#include <math.h>
#include <string.h>

#include "infer/kernels/pool.h"
#include "infer/kernels/qelement.h"
#include "infer/ops/window.h"

#define BLOCK 64 /* channels at once */

enum kind { MAX, AVERAGE, LP };

struct pool {
	struct window w;
	enum kind kind;
	bool count_pads; /* in the mean */
	bool columns;    /* MaxPool's indices count down the columns first */
	int64_t p;
};

/* A picture's place in memory, as three dimensions; and the range of taps of a window that meet the
 * picture. */
struct place {
	int64_t batch, channel, at[3];
};

struct job {
	const struct node *n;
	const struct pool *p;
	struct place x, y;
	int64_t channels;
	bool rows;
	void (*pixel)(const struct job *j, int64_t b, const int64_t *o, const int64_t *low,
		      const int64_t *high);
};

static struct place place_of(const struct tensor *t)
{
	struct place p = { t->stride[0], t->stride[1], { 0 } };

	for (int i = 2; i < t->rank; i++)
		p.at[i - t->rank + 3] = t->stride[i];
	return p;
}

/* For the channels [c, c + many) at tap (i0, i1, i2) of the window at o: where they begin. */
static int64_t tap_offset(const struct job *j, const int64_t *o, int64_t i0, int64_t i1, int64_t i2)
{
	const struct window *w = &j->p->w;
	const int64_t tap[3] = { i0, i1, i2 };
	int64_t offset = 0;

	for (int i = 0; i < 3; i++)
		offset +=
		    (o[i] * w->stride[i] - w->before[i] + tap[i] * w->dilation[i]) * j->x.at[i];
	return offset;
}

#define FOR_TAPS                                              \
	for (int64_t i0 = low[0]; i0 < high[0]; i0++)         \
		for (int64_t i1 = low[1]; i1 < high[1]; i1++) \
			for (int64_t i2 = low[2]; i2 < high[2]; i2++)

static int64_t y_offset(const struct job *j, int64_t b, const int64_t *o)
{
	return b * j->y.batch + o[0] * j->y.at[0] + o[1] * j->y.at[1] + o[2] * j->y.at[2];
}

#define MAXIMUM(type, least)                                                                      \
	static void max_##type(const struct job *j, int64_t b, const int64_t *o,                  \
			       const int64_t *low, const int64_t *high)                           \
	{                                                                                         \
		const type *x = (const type *)j->n->in[0]->data + b * j->x.batch;                 \
		type *y = (type *)j->n->out[0]->data + y_offset(j, b, o), best[BLOCK];            \
		int64_t xs = j->x.channel, ys = j->y.channel;                                     \
                                                                                                  \
		for (int64_t c = 0; c < j->channels; c += BLOCK) {                                \
			int many = (int)(j->channels - c < BLOCK ? j->channels - c : BLOCK);      \
			for (int k = 0; k < many; k++)                                            \
				best[k] = least;                                                  \
			FOR_TAPS                                                                  \
			{                                                                         \
				const type *p = x + tap_offset(j, o, i0, i1, i2) + c * xs;        \
				if (xs == 1)                                                      \
					for (int k = 0; k < many; k++)                            \
						best[k] = p[k] > best[k] || p[k] != p[k]          \
							      ? p[k]                              \
							      : best[k];                          \
				else                                                              \
					for (int k = 0; k < many; k++)                            \
						best[k] =                                         \
						    p[k * xs] > best[k] || p[k * xs] != p[k * xs] \
							? p[k * xs]                               \
							: best[k];                                \
			}                                                                         \
			for (int k = 0; k < many; k++)                                            \
				y[(c + k) * ys] = best[k];                                        \
		}                                                                                 \
	}
MAXIMUM(float, -INFINITY)
MAXIMUM(double, -(double)INFINITY)
MAXIMUM(uint8_t, 0)
MAXIMUM(int8_t, INT8_MIN)

/* Of each maximum its place in the row-major (or column-major) input, the first where several are
 * equal. */
static void max_indices(const struct job *j, int64_t b, const int64_t *o, const int64_t *low,
			const int64_t *high)
{
	const struct window *w = &j->p->w;
	const struct tensor *x = j->n->in[0];
	int64_t *y = (int64_t *)j->n->out[1]->data + y_offset(j, b, o);
	int64_t pixels = w->in[0] * w->in[1] * w->in[2];

	for (int64_t c = 0; c < j->channels; c++) {
		double best = 0;
		int64_t at = -1;
		FOR_TAPS
		{
			int64_t offset = b * j->x.batch + tap_offset(j, o, i0, i1, i2);
			double v = tensor_real(x, (size_t)(offset + c * j->x.channel));
			int64_t p0 = o[0] * w->stride[0] - w->before[0] + i0 * w->dilation[0];
			int64_t p1 = o[1] * w->stride[1] - w->before[1] + i1 * w->dilation[1];
			int64_t p2 = o[2] * w->stride[2] - w->before[2] + i2 * w->dilation[2];
			if (at >= 0 && !(v > best))
				continue;
			best = v;
			at = j->p->columns ? p0 + w->in[0] * (p1 + w->in[1] * p2)
					   : (p0 * w->in[1] + p1) * w->in[2] + p2;
		}
		y[c * j->y.channel] = (b * j->channels + c) * pixels + (at < 0 ? 0 : at);
	}
}

/* How many taps a mean is divided by: those inside, or those inside the padded picture. */
static int64_t divisor(const struct job *j, const int64_t *o, const int64_t *low,
		       const int64_t *high)
{
	const struct window *w = &j->p->w;
	int64_t count = 1;

	for (int i = 0; i < 3; i++) {
		int64_t start = o[i] * w->stride[i], d = w->dilation[i];
		int64_t room = w->in[i] + w->before[i] + w->after[i] - start;
		int64_t fit = (room + d - 1) / d;
		fit = fit > w->kernel[i] ? w->kernel[i] : fit;
		count *= j->p->count_pads ? fit : high[i] - low[i];
	}
	return count;
}

/* Rows are summed one by one and then added up: a fixed order, and less lost than in one long sum. */
static void average(const struct job *j, int64_t b, const int64_t *o, const int64_t *low,
		    const int64_t *high)
{
	const float *x = (const float *)j->n->in[0]->data + b * j->x.batch;
	float *y = (float *)j->n->out[0]->data + y_offset(j, b, o);
	int64_t xs = j->x.channel, ys = j->y.channel, step = j->p->w.dilation[2] * j->x.at[2];
	int64_t count = divisor(j, o, low, high);

	for (int64_t c = 0; c < j->channels; c += BLOCK) {
		int many = (int)(j->channels - c < BLOCK ? j->channels - c : BLOCK);
		float sum[BLOCK] = { 0 };
		for (int64_t i0 = low[0]; i0 < high[0]; i0++)
			for (int64_t i1 = low[1]; i1 < high[1]; i1++) {
				const float *p = x + tap_offset(j, o, i0, i1, low[2]) + c * xs;
				float row[BLOCK] = { 0 };
				for (int64_t i2 = low[2]; i2 < high[2]; i2++, p += step)
					if (xs == 1)
						for (int k = 0; k < many; k++)
							row[k] += p[k];
					else
						for (int k = 0; k < many; k++)
							row[k] += p[k * xs];
				for (int k = 0; k < many; k++)
					sum[k] += row[k];
			}
		for (int k = 0; k < many; k++)
			y[(c + k) * ys] = count > 0 ? sum[k] / (float)count : 0;
	}
}

static void norm(const struct job *j, int64_t b, const int64_t *o, const int64_t *low,
		 const int64_t *high)
{
	const float *x = (const float *)j->n->in[0]->data + b * j->x.batch;
	float *y = (float *)j->n->out[0]->data + y_offset(j, b, o);
	double p = (double)j->p->p;

	for (int64_t c = 0; c < j->channels; c++) {
		double sum = 0;
		FOR_TAPS
		{
			double v = fabs((double)x[tap_offset(j, o, i0, i1, i2) + c * j->x.channel]);
			sum += p == 2 ? v * v : p == 1 ? v : pow(v, p);
		}
		y[c * j->y.channel] = (float)(p == 2 ? sqrt(sum) : p == 1 ? sum : pow(sum, 1 / p));
	}
}

/* Channels last, f32: the kernels' way. */
static struct pool_pixel pixel_of(const struct job *j, int64_t b, const int64_t *o,
				  const int64_t *low, const int64_t *high)
{
	struct pool_pixel p = {
		.x = (const float *)j->n->in[0]->data + b * j->x.batch +
		     tap_offset(j, o, low[0], low[1], low[2]),
		.y = (float *)j->n->out[0]->data + y_offset(j, b, o),
		.channels = (size_t)j->channels,
	};

	for (int i = 0; i < 3; i++) {
		p.taps[i] = (size_t)(high[i] - low[i]);
		p.step[i] = (ptrdiff_t)(j->p->w.dilation[i] * j->x.at[i]);
	}
	return p;
}

static void max_last(const struct job *j, int64_t b, const int64_t *o, const int64_t *low,
		     const int64_t *high)
{
	struct pool_pixel p = pixel_of(j, b, o, low, high);

	pool_max(&p);
}

static void max_bytes_last(const struct job *j, int64_t b, const int64_t *o, const int64_t *low,
			   const int64_t *high)
{
	const struct tensor *x = j->n->in[0];
	struct qelement_box box = {
		.x = (const uint8_t *)x->data + b * j->x.batch +
		     tap_offset(j, o, low[0], low[1], low[2]),
		.channels = (size_t)j->channels,
		.flip = x->dtype == DTYPE_I8 ? 0x80 : 0,
	};

	for (int i = 0; i < 3; i++) {
		box.taps[i] = (size_t)(high[i] - low[i]);
		box.step[i] = (ptrdiff_t)(j->p->w.dilation[i] * j->x.at[i]);
	}
	qelement_max(&box, (uint8_t *)j->n->out[0]->data + y_offset(j, b, o));
}

static void mean_last(const struct job *j, int64_t b, const int64_t *o, const int64_t *low,
		      const int64_t *high)
{
	struct pool_pixel p = pixel_of(j, b, o, low, high);
	int64_t count = divisor(j, o, low, high);

	p.divisor = count > 0 ? (float)count : 1;
	pool_mean(&p);
}

/* Windows three pixels wide have a kernel for whole rows. */
static bool has_rows(const struct node *n, const struct pool *p)
{
	const struct window *w = &p->w;

	return p->kind == MAX && !node_out(n, 1) && w->in[0] == 1 && w->kernel[0] == 1 &&
	       w->kernel[2] == 3 && w->dilation[2] == 1 && w->stride[2] <= 2;
}

static void max_rows(const struct job *j, int64_t b, const int64_t *o, const int64_t *low,
		     const int64_t *high)
{
	const struct window *w = &j->p->w;
	const int64_t left[3] = { o[0], o[1], 0 };
	struct pool_row p = {
		.x = (const float *)j->n->in[0]->data + b * j->x.batch +
		     tap_offset(j, left, 0, low[1], 0) + w->before[2] * j->x.at[2],
		.lines = (size_t)(high[1] - low[1]),
		.line_step = (ptrdiff_t)(w->dilation[1] * j->x.at[1]),
		.width = (size_t)w->out[2],
		.in_width = (size_t)w->in[2],
		.stride = (size_t)w->stride[2],
		.pad = (ptrdiff_t)w->before[2],
		.x_pitch = (size_t)j->x.at[2],
		.y_pitch = (size_t)j->y.at[2],
		.channels = (size_t)j->channels,
		.y = (float *)j->n->out[0]->data + y_offset(j, b, left),
	};

	pool_max_row(&p);
}

/* One row of outputs. */
static void task(void *context, size_t i, int lane)
{
	const struct job *j = context;
	const struct window *w = &j->p->w;
	int64_t rows = w->out[0] * w->out[1], b = (int64_t)i / rows, low[3], high[3];
	int64_t o[3] = { (int64_t)i % rows / w->out[1], (int64_t)i % w->out[1], 0 };

	(void)lane;
	window_taps(w, 0, o[0], &low[0], &high[0]);
	window_taps(w, 1, o[1], &low[1], &high[1]);
	if (j->rows && high[1] > low[1]) {
		max_rows(j, b, o, low, high);
		return;
	}
	for (o[2] = 0; o[2] < w->out[2]; o[2]++) {
		window_taps(w, 2, o[2], &low[2], &high[2]);
		if (j->n->out[0])
			j->pixel(j, b, o, low, high);
		if (j->p->kind == MAX && node_out(j->n, 1))
			max_indices(j, b, o, low, high);
	}
}

static void run(const struct node *n)
{
	const struct pool *p = n->state;
	const struct tensor *x = n->in[0];
	const struct tensor *y = n->out[0] ? n->out[0] : n->out[1];
	struct job j = { .n = n, .p = p, .x = place_of(x), .y = place_of(y) };

	bool channels_last = x->layout == LAYOUT_LAST && j.x.channel == 1;
	bool last = x->dtype == DTYPE_F32 && channels_last;

	j.channels = x->dim[1];
	j.rows = last && has_rows(n, p);
	if (p->kind == AVERAGE)
		j.pixel = last ? mean_last : average;
	else if (p->kind == LP)
		j.pixel = norm;
	else
		j.pixel = last                    ? max_last
			  : x->dtype == DTYPE_F32 ? max_float
			  : x->dtype == DTYPE_F64 ? max_double
			  : channels_last         ? max_bytes_last
			  : x->dtype == DTYPE_U8  ? max_uint8_t
						  : max_int8_t;
	crew_run(n->crew, task, &j, (size_t)(x->dim[0] * p->w.out[0] * p->w.out[1]));
}

/* --- shapes ------------------------------------------------------------------------------------- */

static int output(struct node *n, const struct pool *p, struct err *e)
{
	const struct tensor *x = n->in[0];
	int64_t dim[5] = { x->dim[0], x->dim[1] };

	for (int i = 2; i < x->rank; i++)
		dim[i] = p->w.out[i - x->rank + 3];
	n->flops = (double)x->dim[0] * (double)x->dim[1];
	for (int i = 0; i < 3; i++)
		n->flops *= (double)p->w.out[i] * (double)p->w.kernel[i];
	if (node_output(n, 1, DTYPE_I64, x->rank, dim, e) < 0 ||
	    node_output(n, 0, x->dtype, x->rank, dim, e) < 0)
		return -1;
	if (n->out[0])
		n->out[0]->half = x->half;
	return 0;
}

/* A window that meets only padding would have no largest value. */
static int check_pads(const struct node *n, const struct window *w, struct err *e)
{
	for (int i = 0; i < 3; i++) {
		int64_t extent = (w->kernel[i] - 1) * w->dilation[i] + 1;
		if (w->before[i] >= extent || w->after[i] >= extent)
			return node_invalid(n, e, "pads %lld and %lld for a window of %lld",
					    (long long)w->before[i], (long long)w->after[i],
					    (long long)extent);
	}
	return 0;
}

static int pool_shape(struct node *n, enum kind kind, unsigned types, struct err *e)
{
	struct pool *p = node_note(n, sizeof *p, e);
	const struct tensor *x = n->in[0];

	if (!p || node_types(n, 0, types, e) < 0)
		return -1;
	p->kind = kind;
	p->count_pads = node_int(n, "count_include_pad", 0) != 0;
	p->columns = node_int(n, "storage_order", 0) != 0;
	p->p = node_int(n, "p", 2);
	if (p->p < 1 || p->p > 1000)
		return node_invalid(n, e, "p is %lld", (long long)p->p);
	if (window_read(n, x, NULL, node_int(n, "ceil_mode", 0) != 0, &p->w, e) < 0 ||
	    check_pads(n, &p->w, e) < 0)
		return -1;
	return output(n, p, e);
}

static int max_shape(struct node *n, struct err *e)
{
	return pool_shape(n, MAX, TYPES_FLOAT | TYPE(U8) | TYPE(I8), e);
}

static int average_shape(struct node *n, struct err *e)
{
	return pool_shape(n, AVERAGE, TYPE(F32), e);
}

static int lp_shape(struct node *n, struct err *e)
{
	return pool_shape(n, LP, TYPE(F32), e);
}

static int global_shape(struct node *n, enum kind kind, unsigned types, struct err *e)
{
	struct pool *p = node_note(n, sizeof *p, e);
	const struct tensor *x = n->in[0];

	if (!p || node_types(n, 0, types, e) < 0)
		return -1;
	if (x->rank < 3)
		return node_invalid(n, e, "input of rank %d", x->rank);
	if (x->rank > 5)
		return node_unsupported(n, e, "input of rank %d", x->rank);
	*p = (struct pool){ .kind = kind, .p = node_int(n, "p", 2), .w.dims = x->rank - 2 };
	if (p->p < 1 || p->p > 1000)
		return node_invalid(n, e, "p is %lld", (long long)p->p);
	for (int i = 0; i < 3; i++) {
		int k = i - 3 + x->rank;
		p->w.in[i] = p->w.kernel[i] = k < 2 ? 1 : x->dim[k];
		p->w.out[i] = p->w.stride[i] = p->w.dilation[i] = 1;
		if (p->w.in[i] == 0)
			return node_invalid(n, e, "an empty input");
	}
	return output(n, p, e);
}

static int global_max_shape(struct node *n, struct err *e)
{
	return global_shape(n, MAX, TYPES_FLOAT | TYPE(U8) | TYPE(I8), e);
}

static int global_average_shape(struct node *n, struct err *e)
{
	return global_shape(n, AVERAGE, TYPE(F32), e);
}

static int global_lp_shape(struct node *n, struct err *e)
{
	return global_shape(n, LP, TYPE(F32), e);
}

#define ROW(onnx, from, outs, attributes, shapes)                                              \
	&(const struct op)                                                                     \
	{                                                                                      \
		.name = onnx, .since = from, .layout = OP_FOLLOW, .in_least = 1, .in_most = 1, \
		.out_most = outs, .attrs = attributes, .shape = shapes, .run = run             \
	}
#define WINDOW "!kernel_shape:I strides:I pads:I auto_pad:s "

const struct op *const ops_pool[] = {
	ROW("MaxPool", 1, 1, WINDOW, max_shape),
	ROW("MaxPool", 8, 2, WINDOW "storage_order:i", max_shape),
	ROW("MaxPool", 10, 2, WINDOW "storage_order:i ceil_mode:i dilations:I", max_shape),
	ROW("AveragePool", 1, 1, WINDOW, average_shape),
	ROW("AveragePool", 7, 1, WINDOW "count_include_pad:i", average_shape),
	ROW("AveragePool", 10, 1, WINDOW "count_include_pad:i ceil_mode:i", average_shape),
	ROW("AveragePool", 19, 1, WINDOW "count_include_pad:i ceil_mode:i dilations:I",
	    average_shape),
	ROW("LpPool", 2, 1, WINDOW "p:i", lp_shape),
	ROW("LpPool", 18, 1, WINDOW "p:i ceil_mode:i dilations:I", lp_shape),
	ROW("GlobalMaxPool", 1, 1, NULL, global_max_shape),
	ROW("GlobalAveragePool", 1, 1, NULL, global_average_shape),
	ROW("GlobalLpPool", 2, 1, "p:i", global_lp_shape),
	NULL,
};
