/* Normalisations: BatchNormalization, InstanceNormalization, GroupNormalization, LayerNormalization,
 * RMSNormalization.
 *
 * Means and variances are summed in double, in eight lanes, two passes: exact enough that the order
 * hardly shows, and fixed. */
#include "infer/ops/ops.h"

#include <math.h>
#include <string.h>

#include "infer/ops/walk.h"

static int output(struct node *n, int i, int rank, const int64_t *dim, struct err *e)
{
	if (node_output(n, i, DTYPE_F32, rank, dim, e) < 0)
		return -1;
	if (node_out(n, i))
		n->out[i]->half = n->in[0]->half;
	return 0;
}

static int check_f32(const struct node *n, struct err *e)
{
	for (int i = 0; i < n->in_count; i++)
		if (node_types(n, i, TYPE(F32), e) < 0)
			return -1;
	return 0;
}

static int check_vector(const struct node *n, int i, int64_t count, struct err *e)
{
	const struct tensor *t = node_in(n, i);

	if (t && (t->rank != 1 || t->dim[0] != count))
		return node_invalid(n, e, "input %d is not %lld values", i, (long long)count);
	return 0;
}

/* --- BatchNormalization: y = (x - mean) / sqrt(var + epsilon) scale + b, per channel ------------- */

static int batch_shape(struct node *n, struct err *e)
{
	const struct tensor *x = n->in[0];
	int64_t channels = x->rank > 1 ? x->dim[1] : 1;

	if (check_f32(n, e) < 0)
		return -1;
	if (x->rank < 1)
		return node_invalid(n, e, "input of rank 0");
	if (node_int(n, "training_mode", 0) != 0)
		return node_unsupported(n, e, "training_mode");
	if (n->op->since < 7 && !node_int(n, "is_test", 0))
		return node_unsupported(n, e, "training (is_test is 0)");
	if (n->op->since < 9 && !node_int(n, "spatial", 1))
		return node_unsupported(n, e, "spatial 0");
	for (int i = 1; i < 5; i++)
		if (check_vector(n, i, channels, e) < 0)
			return -1;
	for (int i = 1; i < n->out_count; i++)
		if (n->out[i])
			return node_unsupported(n, e, "output %d of training", i);
	return output(n, 0, x->rank, x->dim, e);
}

static int batch_plan(struct node *n, struct err *e)
{
	int64_t channels = n->in[0]->rank > 1 ? n->in[0]->dim[1] : 1;

	return node_work(n, 2 * sizeof(float) * (size_t)channels, e);
}

static void scale_row(const float *x, float *y, const float *scale, const float *shift,
		      int64_t count)
{
	EACH_ITS_OWN
	for (int64_t c = 0; c < count; c++)
		y[c] = x[c] * scale[c] + shift[c];
}

/* y = x scale[c] + shift[c], in either layout. */
static void scale_channels(const struct tensor *x, const struct tensor *y, const float *scale,
			   const float *shift)
{
	int64_t c_stride = x->rank > 1 ? x->stride[1] : 0, channels = x->rank > 1 ? x->dim[1] : 1;
	size_t count = tensor_count(x);
	const float *from = x->data;
	float *to = y->data;

	if (x->layout == LAYOUT_LAST || (c_stride == 1 && channels > 1)) {
		for (size_t i = 0; i < count; i += (size_t)channels)
			scale_row(from + i, to + i, scale, shift, channels);
		return;
	}
	size_t inner = x->rank > 1 ? (size_t)walk_product(x->dim, 2, x->rank) : count;
	for (size_t i = 0, c = 0; i < count; i += inner, c = (c + 1) % (size_t)channels)
		for (size_t k = 0; k < inner; k++)
			to[i + k] = from[i + k] * scale[c] + shift[c];
}

static void batch_run(const struct node *n)
{
	int64_t channels = n->in[0]->rank > 1 ? n->in[0]->dim[1] : 1;
	double epsilon = (double)node_float(n, "epsilon", 1e-5f);
	float *scale = n->work, *shift = scale + channels;

	for (int64_t c = 0; c < channels; c++) {
		size_t i = (size_t)c;
		double s = tensor_real(n->in[1], i) / sqrt(tensor_real(n->in[4], i) + epsilon);
		scale[c] = (float)s;
		shift[c] = (float)(tensor_real(n->in[2], i) - tensor_real(n->in[3], i) * s);
	}
	scale_channels(n->in[0], n->out[0], scale, shift);
}

/* --- per picture and group of channels: Instance, Group -------------------------------------------- */

static int instance_shape(struct node *n, struct err *e)
{
	const struct tensor *x = n->in[0];

	if (check_f32(n, e) < 0)
		return -1;
	if (x->rank < 3)
		return node_invalid(n, e, "input of rank %d", x->rank);
	if (check_vector(n, 1, x->dim[1], e) < 0 || check_vector(n, 2, x->dim[1], e) < 0)
		return -1;
	return output(n, 0, x->rank, x->dim, e);
}

static int group_shape(struct node *n, struct err *e)
{
	const struct tensor *x = n->in[0];
	int64_t groups = node_int(n, "num_groups", 0), count;

	if (check_f32(n, e) < 0)
		return -1;
	if (x->rank < 2)
		return node_invalid(n, e, "input of rank %d", x->rank);
	if (groups < 1 || x->dim[1] % groups != 0)
		return node_invalid(n, e, "%lld channels in %lld groups", (long long)x->dim[1],
				    (long long)groups);
	count = n->op->since < 21 ? groups : x->dim[1];
	if (check_vector(n, 1, count, e) < 0 || check_vector(n, 2, count, e) < 0)
		return -1;
	return output(n, 0, x->rank, x->dim, e);
}

#define LANES 8

/* Sums of x - from, or of its squares, over eight lanes that are added up in order at the end: a fixed
 * order that vectors can follow. */
static double lane_sum(const float *x, int64_t count, double from, bool squared)
{
	double lane[LANES] = { 0 }, total = 0;
	int64_t i = 0;

	for (; i + LANES <= count; i += LANES)
		for (int l = 0; l < LANES; l++) {
			double d = (double)x[i + l] - from;
			lane[l] += squared ? d * d : d;
		}
	for (int l = 0; i < count; i++, l++) {
		double d = (double)x[i] - from;
		lane[l] += squared ? d * d : d;
	}
	for (int l = 0; l < LANES; l++)
		total += lane[l];
	return total;
}

static void moments(const float *x, int64_t count, double *mean, double *variance)
{
	*mean = count ? lane_sum(x, count, 0, false) / (double)count : 0;
	*variance = count ? lane_sum(x, count, *mean, true) / (double)count : 0;
}

/* Row-major. per_group: scale and bias are one per group rather than per channel. */
static void normalise_groups(const struct node *n, int64_t groups, bool per_group)
{
	const struct tensor *x = n->in[0];
	const float *from = x->data, *scale = n->in[1]->data, *bias = n->in[2]->data;
	double epsilon = (double)node_float(n, "epsilon", 1e-5f), mean, variance;
	int64_t pixels = walk_product(x->dim, 2, x->rank), each = x->dim[1] / groups;
	float *to = n->out[0]->data;

	for (int64_t b = 0; b < x->dim[0]; b++)
		for (int64_t g = 0; g < groups; g++) {
			moments(from, each * pixels, &mean, &variance);
			for (int64_t k = 0; k < each; k++, from += pixels, to += pixels) {
				int64_t c = per_group ? g : g * each + k;
				double s = (double)scale[c] / sqrt(variance + epsilon);
				double shift = (double)bias[c] - mean * s;
				for (int64_t i = 0; i < pixels; i++)
					to[i] = (float)((double)from[i] * s + shift);
			}
		}
}

static void instance_run(const struct node *n)
{
	if (tensor_count(n->in[0]))
		normalise_groups(n, n->in[0]->dim[1], false);
}

static void group_run(const struct node *n)
{
	if (tensor_count(n->in[0]))
		normalise_groups(n, node_int(n, "num_groups", 1), n->op->since < 21);
}

/* --- over the last axes: Layer, RMS ------------------------------------------------------------------ */

struct layer {
	int axis;
	int64_t outer, inner;
	bool mean; /* is subtracted */
};

static int layer_check(struct node *n, bool mean, struct err *e)
{
	struct layer *l = node_note(n, sizeof *l, e);
	const struct tensor *x = n->in[0];
	int64_t axis = node_int(n, "axis", -1), dim[TENSOR_RANK_MAX],
		stash = node_int(n, "stash_type", 1);
	struct tensor tail = { .rank = 0 };
	int rank;

	if (!l || check_f32(n, e) < 0 || node_axis(n, &axis, x->rank, e) < 0)
		return -1;
	if (stash != DTYPE_F32 && stash != DTYPE_F16)
		return node_unsupported(n, e, "stash_type %lld", (long long)stash);
	*l = (struct layer){ .axis = (int)axis, .mean = mean };
	l->outer = walk_product(x->dim, 0, l->axis);
	l->inner = walk_product(x->dim, l->axis, x->rank);
	tail.rank = x->rank - l->axis;
	memcpy(tail.dim, x->dim + axis, (size_t)tail.rank * sizeof tail.dim[0]);
	for (int i = 1; i < n->in_count; i++)
		if (n->in[i] && (node_broadcast(n, &tail, n->in[i], &rank, dim, e) < 0 ||
				 rank != tail.rank || walk_product(dim, 0, rank) != l->inner))
			return node_invalid(n, e, "input %d does not broadcast to the last axes",
					    i);
	memcpy(dim, x->dim, sizeof dim);
	for (int i = l->axis; i < x->rank; i++)
		dim[i] = 1;
	if (output(n, 1, x->rank, dim, e) < 0 || output(n, 2, x->rank, dim, e) < 0)
		return -1;
	return output(n, 0, x->rank, x->dim, e);
}

static int layer_shape(struct node *n, struct err *e)
{
	return layer_check(n, true, e);
}

static int rms_shape(struct node *n, struct err *e)
{
	return layer_check(n, false, e);
}

/* Scale and bias are spread over the last axes once. */
static int layer_plan(struct node *n, struct err *e)
{
	const struct layer *l = n->state;

	return node_work(n, 2 * sizeof(float) * ((size_t)l->inner + 1), e);
}

static void spread(const struct node *n, int i, float *to)
{
	const struct layer *l = n->state;
	struct tensor tail = { .rank = n->in[0]->rank - l->axis };
	struct walk w;

	memcpy(tail.dim, n->in[0]->dim + l->axis, (size_t)tail.rank * sizeof tail.dim[0]);
	tensor_layout(&tail, LAYOUT_PLAIN);
	walk_init(&w, &tail);
	walk_add(&w, &tail, n->in[i], tail.rank - 1);
	walk_copy(&w, to, n->in[i]->data, sizeof(float));
}

static void normalise(const float *x, float *y, int64_t count, float mean, float inverse,
		      const float *scale, const float *bias)
{
	if (bias)
		EACH_ITS_OWN
	for (int64_t i = 0; i < count; i++)
		y[i] = (x[i] - mean) * inverse * scale[i] + bias[i];
	else EACH_ITS_OWN for (int64_t i = 0; i < count; i++) y[i] =
	    (x[i] - mean) * inverse * scale[i];
}

struct layer_job {
	const struct node *n;
	const float *scale, *bias; /* bias: NULL if there is none */
	double epsilon;
	int64_t parts;
};

static void layer_task(void *context, size_t part, int lane)
{
	const struct layer_job *j = context;
	const struct layer *l = j->n->state;
	const float *x = j->n->in[0]->data;
	const struct tensor *y = j->n->out[0], *means = node_out(j->n, 1),
			    *inverses = node_out(j->n, 2);
	int64_t o = l->outer * (int64_t)part / j->parts;

	(void)lane;
	for (; o < l->outer * (int64_t)(part + 1) / j->parts; o++) {
		double mean, variance, inverse;
		moments(x + o * l->inner, l->inner, &mean, &variance);
		if (!l->mean) {
			variance += mean * mean;
			mean = 0;
		}
		inverse = 1 / sqrt(variance + j->epsilon);
		if (y)
			normalise(x + o * l->inner, (float *)y->data + o * l->inner, l->inner,
				  (float)mean, (float)inverse, j->scale, j->bias);
		if (means)
			((float *)means->data)[o] = (float)mean;
		if (inverses)
			((float *)inverses->data)[o] = (float)inverse;
	}
}

static void layer_run(const struct node *n)
{
	const struct layer *l = n->state;
	float *scale = n->work, *bias = scale + l->inner;
	bool biased = node_in(n, 2) != NULL;
	struct layer_job j = { n, scale, biased ? bias : NULL,
			       (double)node_float(n, "epsilon", 1e-5f),
			       walk_parts((size_t)l->outer * (size_t)l->inner) };

	spread(n, 1, scale);
	if (biased)
		spread(n, 2, bias);
	crew_run(n->crew, layer_task, &j, (size_t)j.parts);
}

#define ROW(onnx, from, how, least, outs, attributes, shapes, plans, runs)                         \
	&(const struct op)                                                                         \
	{                                                                                          \
		.name = onnx, .since = from, .layout = how, .in_least = least, .in_most = least,   \
		.out_most = outs, .attrs = attributes, .shape = shapes, .plan = plans, .run = runs \
	}
#define BATCH(from, outs, attributes)                                                           \
	&(const struct op)                                                                      \
	{                                                                                       \
		.name = "BatchNormalization", .since = from, .layout = OP_FOLLOW,               \
		.flags = OP_INPLACE, .in_least = 5, .in_most = 5, .out_most = outs,             \
		.attrs = attributes, .shape = batch_shape, .plan = batch_plan, .run = batch_run \
	}

const struct op *const ops_norm[] = {
	BATCH(1, 5, "consumed_inputs:I epsilon:f is_test:i momentum:f spatial:i"),
	BATCH(7, 5, "epsilon:f momentum:f spatial:i"),
	BATCH(9, 5, "epsilon:f momentum:f"),
	BATCH(14, 3, "epsilon:f momentum:f training_mode:i"),
	ROW("InstanceNormalization", 1, OP_PLAIN, 3, 1, "epsilon:f consumed_inputs:I",
	    instance_shape, NULL, instance_run),
	ROW("GroupNormalization", 18, OP_PLAIN, 3, 1, "epsilon:f !num_groups:i", group_shape, NULL,
	    group_run),
	ROW("GroupNormalization", 21, OP_PLAIN, 3, 1, "epsilon:f !num_groups:i stash_type:i",
	    group_shape, NULL, group_run),
	&(const struct op){ .name = "LayerNormalization",
			    .since = 17,
			    .in_least = 2,
			    .in_most = 3,
			    .out_most = 3,
			    .attrs = "axis:i epsilon:f stash_type:i",
			    .shape = layer_shape,
			    .plan = layer_plan,
			    .run = layer_run },
	ROW("RMSNormalization", 23, OP_PLAIN, 2, 1, "axis:i epsilon:f stash_type:i", rms_shape,
	    layer_plan, layer_run),
	NULL,
};
