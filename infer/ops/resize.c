/* Resize and Upsample: nearest, linear, cubic, with or without antialiasing, in all of the
 * specification's coordinate systems. Axis by axis: each output position is a weighted sum of a few
 * inputs, which are tabled at load. */
#include "infer/ops/ops.h"

#include <math.h>
#include <string.h>

enum method { NEAREST, LINEAR, CUBIC };
enum system { HALF, HALF_SYMMETRIC, HALF_TORCH, ALIGN, ASYMMETRIC, HALF_NN, CROP };
enum nearest { PREFER_FLOOR, PREFER_CEIL, FLOOR, CEIL };

struct axis {
	bool resized;
	double scale,
	    length;        /* length: of the output, as the formulas want it, with its fraction */
	double start, end; /* of the region */
	int taps;
	int32_t *index; /* out * taps; -1: outside, the extrapolation value */
	float *weight;
};

struct resize {
	enum method method;
	enum system system;
	enum nearest nearest;
	bool antialias, exclude;
	double a; /* of the cubic */
	float outside;
	struct axis axis[TENSOR_RANK_MAX];
};

/* --- reading ----------------------------------------------------------------------------------------- */

static int choose(const struct node *n, const char *attribute, const char *fallback,
		  const char *const *names, int count, struct err *e)
{
	const char *given = node_text(n, attribute, fallback);

	for (int i = 0; i < count; i++)
		if (names[i] && strcmp(given, names[i]) == 0)
			return i;
	return node_invalid(n, e, "%s '%s'", attribute, given);
}

static int read_modes(const struct node *n, struct resize *r, struct err *e)
{
	static const char *const methods[] = { "nearest", "linear", "cubic" };
	static const char *const systems[] = { "half_pixel",         "half_pixel_symmetric",
					       "pytorch_half_pixel", "align_corners",
					       "asymmetric",         "tf_half_pixel_for_nn",
					       "tf_crop_and_resize" };
	static const char *const nearests[] = { "round_prefer_floor", "round_prefer_ceil", "floor",
						"ceil" };
	bool old = n->op->since < 11;
	int method = strcmp(node_text(n, "mode", "nearest"), "bilinear") == 0
			 ? LINEAR
			 : choose(n, "mode", "nearest", methods, old ? 2 : 3, e);
	int system = choose(n, "coordinate_transformation_mode", old ? "asymmetric" : "half_pixel",
			    systems, 7, e);
	int nearest =
	    choose(n, "nearest_mode", old ? "floor" : "round_prefer_floor", nearests, 4, e);

	if (method < 0 || system < 0 || nearest < 0)
		return -1;
	r->method = (enum method)method;
	r->system = (enum system)system;
	r->nearest = (enum nearest)nearest;
	r->antialias = node_int(n, "antialias", 0) != 0;
	r->exclude = node_int(n, "exclude_outside", 0) != 0;
	r->a = (double)node_float(n, "cubic_coeff_a", -0.75f);
	r->outside = node_float(n, "extrapolation_value", 0);
	return 0;
}

/* Known real numbers of input i; how many, 0 if it is left out or empty, -1 with *e. */
static int read_reals(const struct node *n, int i, double *to, int most, struct err *e)
{
	const struct tensor *t = node_in(n, i);

	if (!t || tensor_count(t) == 0)
		return 0;
	if (!t->constant)
		return node_unsupported(n, e, "input %d ('%s') must be known at load", i, t->name);
	if (node_types(n, i, TYPES_FLOAT, e) < 0)
		return -1;
	if (tensor_count(t) > (size_t)most)
		return node_invalid(n, e, "%zu values in input %d", tensor_count(t), i);
	for (size_t k = 0; k < tensor_count(t); k++)
		to[k] = tensor_real(t, k);
	return (int)tensor_count(t);
}

static int64_t whole(double v)
{
	return v >= 0 && v < 1e12 ? (int64_t)v : -1;
}

static void by_scale(const struct tensor *x, int axis, double scale, struct axis *a, int64_t *dim)
{
	a->resized = true;
	a->scale = scale;
	a->length = scale * (double)x->dim[axis];
	dim[axis] = whole(floor(a->length));
}

/* The axes that are meant, and what becomes of them: sizes or scales. */
static int by_sizes(struct node *n, struct resize *r, const int64_t *axes, int count,
		    const int64_t *sizes, int64_t *dim, struct err *e)
{
	static const char *const policies[] = { "stretch", "not_larger", "not_smaller" };
	int policy = choose(n, "keep_aspect_ratio_policy", "stretch", policies, 3, e);
	const struct tensor *x = n->in[0];
	double common = 0;

	if (policy < 0)
		return -1;
	for (int i = 0; i < count; i++) {
		double s = (double)sizes[i] / (double)x->dim[axes[i]];
		if (sizes[i] < 1 || x->dim[axes[i]] < 1)
			return node_invalid(n, e, "size %lld from %lld", (long long)sizes[i],
					    (long long)x->dim[axes[i]]);
		common = i == 0 || (policy == 1 ? s < common : s > common) ? s : common;
	}
	for (int i = 0; i < count; i++) {
		struct axis *a = &r->axis[axes[i]];
		a->resized = true;
		dim[axes[i]] = sizes[i];
		a->scale = (double)sizes[i] / (double)x->dim[axes[i]];
		a->length = (double)sizes[i];
		if (policy == 0)
			continue;
		a->scale = common;
		dim[axes[i]] = whole(floor(common * (double)x->dim[axes[i]] + 0.5));
		a->length = (double)dim[axes[i]];
	}
	return 0;
}

static int read_axes(const struct node *n, int64_t *axes, struct err *e)
{
	int count = node_list(n, 99, "axes", axes, TENSOR_RANK_MAX, e), seen = 0;

	for (int i = 0; i < count; i++) {
		if (node_axis(n, &axes[i], n->in[0]->rank, e) < 0)
			return -1;
		if (seen >> axes[i] & 1)
			return node_invalid(n, e, "axis %lld comes twice", (long long)axes[i]);
		seen |= 1 << axes[i];
	}
	for (; count == 0 && seen < n->in[0]->rank; seen++)
		axes[seen] = seen;
	return count ? count : seen;
}

static int read_region(const struct node *n, struct resize *r, const int64_t *axes, int count,
		       struct err *e)
{
	double roi[2 * TENSOR_RANK_MAX];
	int values = r->system == CROP ? read_reals(n, 1, roi, 2 * TENSOR_RANK_MAX, e) : 0;

	if (values < 0)
		return -1;
	if (r->system == CROP && values != 2 * count)
		return node_invalid(n, e, "%d values of a region of %d axes", values, count);
	for (int i = 0; i < count; i++) {
		r->axis[axes[i]].start = values ? roi[i] : 0;
		r->axis[axes[i]].end = values ? roi[count + i] : 1;
	}
	return 0;
}

static int output(struct node *n, const struct resize *r, const int64_t *dim, struct err *e)
{
	const struct tensor *x = n->in[0];

	if (r->method != NEAREST && node_types(n, 0, TYPE(F32), e) < 0)
		return -1;
	for (int i = 0; i < x->rank; i++) {
		const struct axis *a = &r->axis[i];
		if (!a->resized)
			continue;
		if (!(a->scale > 0) || !(a->scale < 1e6) || dim[i] < 0)
			return node_invalid(n, e, "scale %g", a->scale);
		if (x->dim[i] == 0 || x->dim[i] > INT32_MAX)
			return node_invalid(n, e, "axis %d has %lld elements", i,
					    (long long)x->dim[i]);
		if (a->scale < 1.0 / (double)x->dim[i] / 4 && dim[i] > 0)
			return node_invalid(n, e, "scale %g of %lld", a->scale,
					    (long long)x->dim[i]);
	}
	if (node_output(n, 0, x->dtype, x->rank, dim, e) < 0)
		return -1;
	if (n->out[0])
		n->out[0]->half = x->half;
	return 0;
}

/* From opset 11 on: region, scales, sizes are inputs 1 to 3. */
static int resize_shape(struct node *n, struct err *e)
{
	struct resize *r = node_note(n, sizeof *r, e);
	const struct tensor *x = n->in[0];
	int64_t axes[TENSOR_RANK_MAX], dim[TENSOR_RANK_MAX], sizes[TENSOR_RANK_MAX];
	double scales[TENSOR_RANK_MAX];
	bool sized = node_in(n, 3) && tensor_count(n->in[3]) > 0;
	int count, given;

	if (!r)
		return -1;
	memset(r, 0, sizeof *r);
	if (read_modes(n, r, e) < 0 || (count = read_axes(n, axes, e)) < 0 ||
	    read_region(n, r, axes, count, e) < 0)
		return -1;
	memcpy(dim, x->dim, sizeof dim);
	given = sized ? node_list(n, 3, NULL, sizes, TENSOR_RANK_MAX, e)
		      : read_reals(n, 2, scales, TENSOR_RANK_MAX, e);
	if (given < 0)
		return -1;
	if (given != count)
		return node_invalid(n, e, "%d %s for %d axes", given, sized ? "sizes" : "scales",
				    count);
	if (sized && by_sizes(n, r, axes, count, sizes, dim, e) < 0)
		return -1;
	for (int i = 0; !sized && i < count; i++)
		by_scale(x, (int)axes[i], scales[i], &r->axis[axes[i]], dim);
	return output(n, r, dim, e);
}

/* Upsample and Resize of opset 10: scales are an attribute (before 9) or input 1. */
static int upsample_shape(struct node *n, struct err *e)
{
	struct resize *r = node_note(n, sizeof *r, e);
	const struct tensor *x = n->in[0];
	const struct attr *attr = node_attr(n, "scales");
	double scales[TENSOR_RANK_MAX] = { 1, 1 };
	int64_t dim[TENSOR_RANK_MAX];
	int count = attr ? attr->count : 0;

	if (!r)
		return -1;
	memset(r, 0, sizeof *r);
	if (read_modes(n, r, e) < 0)
		return -1;
	for (int i = 0; i < count && i < TENSOR_RANK_MAX; i++)
		scales[i] = (double)attr->floats[i];
	if (node_attr(n, "height_scale") && x->rank == 4) {
		scales[2] = (double)node_float(n, "height_scale", 1);
		scales[3] = (double)node_float(n, "width_scale", 1);
		count = 4;
	} else if (!attr && (count = read_reals(n, 1, scales, TENSOR_RANK_MAX, e)) < 0) {
		return -1;
	}
	if (count != x->rank)
		return node_invalid(n, e, "%d scales for rank %d", count, x->rank);
	memcpy(dim, x->dim, sizeof dim);
	for (int i = 0; i < count; i++)
		by_scale(x, i, scales[i], &r->axis[i], dim);
	return output(n, r, dim, e);
}

/* --- tables ------------------------------------------------------------------------------------------ */

/* Where output position o lies in the input. */
static double source(const struct resize *r, const struct axis *a, double o, double in, double out)
{
	switch (r->system) {
	case ALIGN:
		return a->length == 1 ? 0 : o * (in - 1) / (a->length - 1);
	case ASYMMETRIC:
		return o / a->scale;
	case HALF_NN:
		return (o + 0.5) / a->scale;
	case HALF_TORCH:
		return out > 1 ? (o + 0.5) / a->scale - 0.5 : 0;
	case CROP:
		if (a->length == 1)
			return 0.5 * (a->start + a->end) * (in - 1);
		return a->start * (in - 1) + o * (a->end - a->start) * (in - 1) / (a->length - 1);
	case HALF_SYMMETRIC:
		return in / 2 * (1 - out / (a->scale * in)) + (o + 0.5) / a->scale - 0.5;
	default:
		return (o + 0.5) / a->scale - 0.5;
	}
}

static double weight_at(const struct resize *r, double distance)
{
	double d = fabs(distance), a = r->a;

	if (r->method == LINEAR)
		return d < 1 ? 1 - d : 0;
	if (d <= 1)
		return ((a + 2) * d - (a + 3)) * d * d + 1;
	return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

static double nearest_of(const struct resize *r, double x)
{
	switch (r->nearest) {
	case FLOOR:
		return floor(x);
	case CEIL:
		return ceil(x);
	case PREFER_CEIL:
		return floor(x + 0.5);
	default:
		return ceil(x - 0.5);
	}
}

static int32_t inside(double i, int64_t in)
{
	if (!(i > 0)) /* NaN too */
		return 0;
	return i > (double)(in - 1) ? (int32_t)(in - 1) : (int32_t)i;
}

/* Shrink of the weights' reach: below 1 when antialiasing a reduction. */
static double reach(const struct resize *r, const struct axis *a)
{
	return r->antialias && a->scale < 1 ? a->scale : 1;
}

static void fill_position(const struct resize *r, struct axis *a, double x, int64_t in,
			  int32_t *index, float *weight)
{
	double s = reach(r, a), sum = 0, first = floor(x) - (double)(a->taps / 2 - 1);

	if (r->method == NEAREST) {
		index[0] = inside(nearest_of(r, x), in);
		weight[0] = 1;
		return;
	}
	for (int t = 0; t < a->taps; t++) {
		double i = first + t, w = weight_at(r, (i - x) * s);
		if (r->exclude && (i < 0 || i > (double)(in - 1)))
			w = 0;
		index[t] = inside(i, in);
		weight[t] = (float)w;
		sum += w;
	}
	for (int t = 0; t < a->taps && sum != 0; t++)
		weight[t] = (float)((double)weight[t] / sum);
}

static int fill_axis(struct node *n, struct resize *r, int i, struct err *e)
{
	struct axis *a = &r->axis[i];
	int64_t in = n->in[0]->dim[i], out = n->out[0]->dim[i];
	double radius = (r->method == CUBIC ? 2 : 1) / reach(r, a);

	a->taps = r->method == NEAREST ? 1 : 2 * (int)ceil(radius);
	a->index = node_keep(n, sizeof *a->index * (size_t)(out * a->taps + 1), e);
	a->weight = node_keep(n, sizeof *a->weight * (size_t)(out * a->taps + 1), e);
	if (!a->index || !a->weight)
		return -1;
	for (int64_t o = 0; o < out; o++) {
		double x = source(r, a, (double)o, (double)in, (double)out);
		fill_position(r, a, x, in, a->index + o * a->taps, a->weight + o * a->taps);
		if (r->system == CROP && (x < 0 || x > (double)(in - 1)))
			a->index[o * a->taps] = -1;
	}
	return 0;
}

/* Elements after axes before `to` have been resized. */
static size_t elements(const struct node *n, int to)
{
	size_t count = 1;

	for (int i = 0; i < n->in[0]->rank; i++)
		count *= (size_t)(i < to ? n->out[0]->dim[i] : n->in[0]->dim[i]);
	return count;
}

static bool unchanged(const struct node *n, const struct resize *r, int i)
{
	return !r->axis[i].resized || (r->axis[i].scale == 1 && r->system != CROP &&
				       n->in[0]->dim[i] == n->out[0]->dim[i]);
}

static int plan(struct node *n, struct err *e)
{
	struct resize *r = n->state;
	size_t most = 1;

	for (int i = 0; i < n->in[0]->rank; i++) {
		if (!unchanged(n, r, i) && fill_axis(n, r, i, e) < 0)
			return -1;
		most = elements(n, i + 1) > most ? elements(n, i + 1) : most;
	}
	if (most > TENSOR_BYTES_MAX / 16)
		return node_unsupported(n, e, "%zu elements on the way", most);
	return node_work(n, 2 * most * dtype_size(n->in[0]->dtype), e);
}

/* --- computing --------------------------------------------------------------------------------------- */

static void weigh(const struct axis *a, int64_t o, const float *x, size_t inner, float *y)
{
	const int32_t *index = a->index + o * a->taps;
	const float *weight = a->weight + o * a->taps;

	for (size_t i = 0; i < inner; i++)
		y[i] = 0;
	for (int t = 0; t < a->taps; t++) {
		const float *from = x + (size_t)(index[t] < 0 ? 0 : index[t]) * inner;
		for (size_t i = 0; i < inner; i++)
			y[i] += weight[t] * from[i];
	}
}

/* x: outer, in, inner     y: outer, out, inner */
static void pass(const struct node *n, int i, const char *x, char *y)
{
	const struct resize *r = n->state;
	const struct axis *a = &r->axis[i];
	size_t each = dtype_size(n->in[0]->dtype), inner = 1, outer = 1;
	size_t in = (size_t)n->in[0]->dim[i], out = (size_t)n->out[0]->dim[i];

	for (int k = 0; k < i; k++)
		outer *= (size_t)n->out[0]->dim[k];
	for (int k = i + 1; k < n->in[0]->rank; k++)
		inner *= (size_t)n->in[0]->dim[k];
	for (size_t b = 0; b < outer; b++, x += in * inner * each)
		for (size_t o = 0; o < out; o++, y += inner * each) {
			int32_t at = a->index[o * (size_t)a->taps];
			if (r->method == NEAREST)
				memcpy(y, x + (size_t)(at < 0 ? 0 : at) * inner * each,
				       inner * each);
			else
				weigh(a, (int64_t)o, (const float *)x, inner, (float *)y);
		}
}

/* Positions outside of the input, along one axis. */
static void extrapolate(const struct node *n, int i)
{
	const struct resize *r = n->state;
	const struct axis *a = &r->axis[i];
	struct tensor *y = n->out[0];
	size_t inner = 1, out = (size_t)y->dim[i], count = tensor_count(y);

	for (int k = i + 1; k < y->rank; k++)
		inner *= (size_t)y->dim[k];
	for (size_t p = 0; y->dtype == DTYPE_F32 && p < count; p++)
		if (a->index[p / inner % out * (size_t)a->taps] < 0)
			((float *)y->data)[p] = r->outside;
}

static void run(const struct node *n)
{
	const struct resize *r = n->state;
	size_t bytes = 1;
	const char *x = n->in[0]->data;
	char *half[2] = { n->work, n->work };
	int turn = 0;

	if (tensor_count(n->out[0]) == 0)
		return;
	for (int i = 0; i < n->in[0]->rank; i++)
		bytes = elements(n, i + 1) > bytes ? elements(n, i + 1) : bytes;
	half[1] += bytes * dtype_size(n->in[0]->dtype);
	for (int i = 0; i < n->in[0]->rank; i++) {
		if (unchanged(n, r, i))
			continue;
		pass(n, i, x, half[turn]);
		x = half[turn];
		turn = !turn;
	}
	memcpy(n->out[0]->data, x, tensor_bytes(n->out[0]));
	for (int i = 0; r->system == CROP && i < n->in[0]->rank; i++)
		if (!unchanged(n, r, i))
			extrapolate(n, i);
}

#define ROW(onnx, from, least, most, attributes, shapes)                         \
	&(const struct op)                                                       \
	{                                                                        \
		.name = onnx, .since = from, .in_least = least, .in_most = most, \
		.attrs = attributes, .shape = shapes, .plan = plan, .run = run   \
	}
#define MODES                                                                        \
	"mode:s coordinate_transformation_mode:s cubic_coeff_a:f exclude_outside:i " \
	"extrapolation_value:f nearest_mode:s "

const struct op *const ops_resize[] = {
	ROW("Upsample", 1, 1, 1, "!height_scale:f !width_scale:f mode:s", upsample_shape),
	ROW("Upsample", 7, 1, 1, "!scales:F mode:s", upsample_shape),
	ROW("Upsample", 9, 2, 2, "mode:s", upsample_shape),
	ROW("Resize", 10, 2, 2, "mode:s", upsample_shape),
	ROW("Resize", 11, 1, 4, MODES, resize_shape),
	ROW("Resize", 18, 1, 4, MODES "antialias:i axes:I keep_aspect_ratio_policy:s",
	    resize_shape),
	NULL,
};
