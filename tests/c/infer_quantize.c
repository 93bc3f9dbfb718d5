/* What --quantize is built of: a graph that was read, raised to opset 13 and written computes the same
 * bytes; histograms do not depend on the order of values; ranges and scales are those that the error
 * asks for; rounded weights keep their means. Needs no test data. */
#include <math.h>

#include "infer/onnx/onnx.h"
#include "infer/quantize/parts.h"
#include "tests/c/model_bytes.h"

static int bad;

#define EXPECT(what, ...)                          \
	do {                                       \
		if (!(what)) {                     \
			printf("BAD %s: ", #what); \
			printf(__VA_ARGS__);       \
			printf("\n");              \
			bad++;                     \
		}                                  \
	} while (0)

/* --- written as opset 13 -------------------------------------------------------------------------- */

struct row {
	const char *op;
	int opset;
	const char *attributes, *inputs;
	const char *words; /* of the refusal, NULL: the same results */
};

/* The input is 2x6x4x5. */
static const struct row rows[] = {
	{ "Clip", 6, "min=f-0.25 max=f0.5", "", "opset 6" },
	{ "Clip", 7, "min=f-0.25 max=f0.5", "", NULL },
	{ "Clip", 10, "max=f0.5", "", NULL },
	{ "Clip", 11, "", "F-0.25 F0.5", NULL },
	{ "Pad", 10, "pads=I0,0,1,2,0,0,0,1 value=f3", "", NULL },
	{ "Pad", 7, "pads=I0,0,1,1,0,0,1,1 mode=sreflect", "", NULL },
	{ "Slice", 9, "starts=I1,0 ends=I4,2 axes=I2,1", "", NULL },
	{ "Slice", 9, "starts=I0,1 ends=I2,5", "", NULL },
	{ "Split", 11, "axis=i1 split=I6", "", NULL },
	{ "Unsqueeze", 11, "axes=I0,3", "", NULL },
	{ "ReduceSum", 11, "axes=I2,3 keepdims=i0", "", NULL },
	{ "ReduceMean", 11, "axes=I1", "", NULL },
	{ "Softmax", 11, "axis=i3", "", NULL },
	{ "Softmax", 11, "", "", "not supported: several axes" },
	{ "LogSoftmax", 11, "axis=i-1", "", NULL },
	{ "BatchNormalization", 7, "spatial=i1", "C C C C", NULL },
	{ "BatchNormalization", 7, "spatial=i0", "P P P P", "not supported: spatial" },
	{ "MaxPool", 7, "kernel_shape=I2,2", "", NULL },
	{ "AveragePool", 7, "kernel_shape=I3,2 pads=I1,0,1,0 count_include_pad=i1", "", NULL },
	{ "TopK", 9, "k=i2 axis=i1", "", "not supported: opset 13" },
	{ "Upsample", 7, "scales=F1,1,2,2", "", NULL },
	{ "Upsample", 9, "mode=slinear", "F1,1,2.5,3", NULL },
	{ "Upsample", 9, "", "F1,1,1.5,2", NULL },
	{ "Resize", 10, "", "F1,1,0.5,1.6", NULL },
	{ "Resize", 10, "mode=slinear", "F1,1,2,1.6", NULL },
	{ "Reshape", 7, "", "I0,-1", NULL },
	{ "LeakyRelu", 7, "alpha=f0.25", "", NULL },
	{ "Add", 7, "", "B", NULL },
};

static const int64_t dim[] = { 2, 6, 4, 5 };
static const struct model_options reference = { .kernels = KERNELS_REFERENCE };

/* The first output for the same random input. */
static float *results(struct model *m, size_t *count, struct err *e)
{
	float x[240], *y;
	const void *in[1] = { x };

	if (model_plan(m, NULL, e) < 0)
		return NULL;
	seed = 7;
	for (size_t i = 0; i < 240; i++)
		x[i] = random_float();
	model_run(m, in);
	*count = tensor_count(model_output(m, 0));
	y = malloc(*count * sizeof *y + 1);
	memcpy(y, model_output(m, 0)->data, *count * sizeof *y);
	return y;
}

static int raise(const struct bytes *model, uint8_t **bytes, size_t *size, struct err *e)
{
	struct model *m = model_read(model->at, model->size, &reference, e);
	struct tensor shape;
	int result = -1;

	if (!m)
		return -1;
	shape = *model_input(m, 0);
	if (simplify(m, &shape, e) == 0 && opset_raise(m->graph, 13, e) == 0)
		result = onnx_write(m->graph, bytes, size, e);
	model_free(&m);
	return result;
}

static void check_row(const struct row *r)
{
	struct bytes *graph = calloc(1, sizeof *graph), *model = calloc(1, sizeof *model);
	struct err e = { .text = "" };
	struct model *before, *after = NULL;
	uint8_t *bytes = NULL;
	float *x = NULL, *y = NULL;
	size_t size = 0, x_count = 0, y_count = 0;

	put_node(graph, r->op, "x", r->attributes, r->inputs, 1, 4, dim);
	put_model(model, graph, r->opset, 4, dim);
	if (raise(model, &bytes, &size, &e) < 0) {
		EXPECT(r->words && strstr(e.text, r->words), "%s-%d: %s", r->op, r->opset, e.text);
		goto out;
	}
	EXPECT(!r->words, "%s-%d (%s) was written", r->op, r->opset, r->attributes);
	before = model_read(model->at, model->size, &reference, &e);
	after = model_read(bytes, size, &reference, &e);
	x = before ? results(before, &x_count, &e) : NULL;
	y = after ? results(after, &y_count, &e) : NULL;
	EXPECT(x && y && x_count == y_count && memcmp(x, y, x_count * sizeof *x) == 0,
	       "%s-%d (%s) computes something else: %s", r->op, r->opset, r->attributes, e.text);
	model_free(&before);
	model_free(&after);
out:
	free(x);
	free(y);
	free(bytes);
	free(graph);
	free(model);
}

/* --- histograms ----------------------------------------------------------------------------------- */

#define VALUES 5000

static void check_order(void)
{
	struct histogram *a = calloc(1, sizeof *a), *b = calloc(1, sizeof *b),
			 *c = calloc(1, sizeof *c);
	static float x[VALUES], back[VALUES];

	for (int i = 0; i < VALUES; i++)
		x[i] = i % 7 ? ldexpf(random_float(), (i * 37) % 40 - 20) : 0;
	for (int i = 0; i < VALUES; i++)
		back[VALUES - 1 - i] = x[i];
	histogram_add(a, x, VALUES);
	for (int i = 0; i < VALUES; i += 50)
		histogram_add(b, back + i, 50);
	EXPECT(memcmp(a, b, sizeof *a) == 0, "another order counts otherwise");
	memset(b, 0, sizeof *b);
	histogram_add(b, x, 100);
	histogram_add(c, x + 100, VALUES - 100);
	histogram_join(c, b);
	EXPECT(memcmp(a, c, sizeof *a) == 0, "joining counts otherwise");
	x[77] = NAN;
	EXPECT(histogram_add(a, x, VALUES) < 0, "NaN was counted");
	x[77] = -INFINITY;
	EXPECT(histogram_add(a, x, VALUES) < 0, "infinity was counted");
	free(a);
	free(b);
	free(c);
}

static void check_ranges(void)
{
	struct histogram *h = calloc(1, sizeof *h);
	struct range r = histogram_range(h);
	static float x[VALUES];

	EXPECT(r.low == 0 && r.high == 0, "a range of nothing");
	for (int i = 0; i < VALUES; i++)
		x[i] = (float)i / VALUES;
	histogram_add(h, x, VALUES);
	r = histogram_range(h);
	EXPECT(r.low == 0 && r.high > 0.98f && r.high <= 1, "even values: %g to %g", r.low, r.high);
	x[0] = 100; /* one far out, beside many */
	for (int i = 0; i < 1000; i++)
		histogram_add(h, x + (i > 0), VALUES - 1);
	r = histogram_range(h);
	EXPECT(r.high > 1 && r.high < 50, "one of five million drags the range to %g", r.high);
	free(h);
}

static void check_levels(void)
{
	struct distinct *d = calloc(1, sizeof *d);
	struct scale s = { 0 };

	for (int i = 0; i < 256; i++) {
		float x = ((float)i - 37) * 0.03125f;

		distinct_add(d, &x, 1);
		distinct_add(d, &x, 1);
	}
	EXPECT(distinct_scale(d, &s) && s.scale == 0.03125f && s.zero == 37, "%g, %d", s.scale,
	       s.zero);
	for (int i = 0; i < 2000; i++) {
		float x = random_float();
		distinct_add(d, &x, 1);
	}
	EXPECT(!distinct_scale(d, &s), "too many values for levels");
	free(d);
}

/* --- weights -------------------------------------------------------------------------------------- */

static void check_weights(void)
{
	static const float w[] = { 1, -0.5f, 0.251f, 127, 0, 0 };
	static const float broken[] = { 1, 1, INFINITY, 0, 0, 0 };
	static const float bias[] = { 0.5f, 1e9f, 1 };
	static const double mean[] = { 2, 4 };
	struct weights v = { .w = w,
			     .bias = bias,
			     .outer = 1,
			     .channels = 3,
			     .inner = 2,
			     .groups = 1,
			     .taps = 1,
			     .x_scale = 0.5f,
			     .mean = mean };
	float scale[3];
	int8_t rounded[6];
	double off[3];

	struct err e = { .text = "" };

	EXPECT(weights_round(&v, scale, rounded, off, &e) == 0, "%s", e.text);
	EXPECT(rounded[0] == 127 && rounded[1] == -64, "%d, %d", rounded[0], rounded[1]);
	EXPECT(fabs(off[0] - 4 * (-64.0 * (double)scale[0] + 0.5)) < 1e-6, "%g", off[0]);
	EXPECT((double)bias[1] / (double)(0.5f * scale[1]) < 2147483647.0, "scale %g", scale[1]);
	EXPECT(scale[2] > 0 && rounded[4] == 0, "a channel of zeros: %g", scale[2]);
	v.w = broken;
	EXPECT(weights_round(&v, scale, rounded, off, &e) < 0, "infinite weights were rounded");
}

int main(void)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		check_row(&rows[i]);
	check_order();
	check_ranges();
	check_levels();
	check_weights();
	printf("%zu operators written as opset 13; %d things not as they should be\n",
	       sizeof rows / sizeof *rows, bad);
	return bad != 0;
}
