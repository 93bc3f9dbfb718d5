/* Operators on channels-last pictures against the same operators on row-major ones: each row is run
 * alone (its input comes row-major from outside) and behind a 1x1 convolution with identity weights,
 * whose output is channels last. Row-major is what ONNX's cases check; so this checks the rest. A second
 * run must give the same bytes, and so must a picture alone and in a batch. Needs no test data. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "infer/model.h"
#include "tests/c/model_bytes.h"

#define CHANNELS 6

struct row {
	const char *op;
	int opset;
	const char *attributes, *inputs; /* separated by blanks; inputs behind the first */
	int ranks;                       /* bit r: test at rank r */
	int outputs;
	double tolerance; /* 0: the same bytes */
};

#define R3 8
#define R4 16
#define R5 32
#define ALL (R3 | R4 | R5)

static const struct row rows[] = {
	{ "Relu", 14, "", "", ALL, 1, 0 },
	{ "Sigmoid", 13, "", "", ALL, 1, 0 },
	{ "Exp", 13, "", "", ALL, 1, 0 },
	{ "Elu", 6, "alpha=f0.7", "", ALL, 1, 0 },
	{ "Clip", 13, "", "F-0.5 F0.4", ALL, 1, 0 },
	{ "PRelu", 16, "", "B", ALL, 1, 0 },
	{ "Add", 14, "", "X", ALL, 1, 1e-6 },
	{ "Add", 14, "", "B", ALL, 1, 1e-6 },
	{ "Add", 14, "", "P", ALL, 1, 1e-6 },
	{ "Mul", 14, "", "W", ALL, 1, 1e-6 },
	{ "Sub", 14, "", "F0.25", ALL, 1, 1e-6 },
	{ "Div", 14, "", "P", ALL, 1, 1e-6 },
	{ "Max", 13, "", "P W X", ALL, 1, 0 },
	{ "Sum", 13, "", "B X", ALL, 1, 1e-6 },
	{ "Mean", 13, "", "B X", ALL, 1, 1e-6 },
	{ "Less", 13, "", "P", ALL, 1, 0 },
	{ "Pow", 15, "", "F2", ALL, 1, 0 },
	{ "BatchNormalization", 15, "", "C C C C", ALL, 1, 1e-5 },
	{ "LRN", 13, "size=i3", "", ALL, 1, 1e-6 },
	{ "LpNormalization", 1, "axis=i1", "", ALL, 1, 0 },
	{ "MeanVarianceNormalization", 13, "axes=I0,2", "", ALL, 1, 1e-6 },
	{ "InstanceNormalization", 6, "", "C C", ALL, 1, 0 },
	{ "Softmax", 13, "axis=i1", "", ALL, 1, 0 },
	{ "Softmax", 11, "axis=i1", "", ALL, 1, 0 },
	{ "MaxPool", 12, "kernel_shape=I2 strides=I2 ceil_mode=i1", "", R3, 2, 0 },
	{ "MaxPool", 12, "kernel_shape=I3,2 strides=I2,1 pads=I1,0,1,1", "", R4, 2, 0 },
	{ "MaxPool", 12, "kernel_shape=I2,2 dilations=I2,2 storage_order=i1", "", R4, 2, 0 },
	{ "MaxPool", 12, "kernel_shape=I2,3,2 strides=I1,2,2", "", R5, 2, 0 },
	{ "AveragePool", 11, "kernel_shape=I3,3 pads=I1,1,1,1 strides=I2,2", "", R4, 1, 0 },
	{ "AveragePool", 11, "kernel_shape=I3,3 pads=I1,1,1,1 count_include_pad=i1", "", R4, 1, 0 },
	{ "AveragePool", 11, "kernel_shape=I3,2,2 auto_pad=sSAME_UPPER", "", R5, 1, 0 },
	{ "LpPool", 18, "kernel_shape=I2,2 p=i3", "", R4, 1, 0 },
	{ "GlobalAveragePool", 1, "", "", ALL, 1, 0 },
	{ "GlobalMaxPool", 1, "", "", ALL, 1, 0 },
	{ "GlobalLpPool", 2, "", "", ALL, 1, 0 },
	{ "ReduceMean", 13, "axes=I2 keepdims=i1", "", ALL, 1, 0 },
	{ "ReduceMean", 13, "axes=I2,3 keepdims=i0", "", R4 | R5, 1, 1e-6 },
	{ "ReduceSum", 13, "keepdims=i0", "I1", ALL, 1, 0 },
	{ "ReduceMax", 13, "axes=I1,2", "", ALL, 1, 0 },
	{ "ReduceL2", 13, "axes=I1", "", ALL, 1, 0 },
	{ "ArgMax", 13, "axis=i1 keepdims=i0", "", ALL, 1, 0 },
	{ "ArgMin", 13, "axis=i2 keepdims=i1", "", ALL, 1, 0 },
	{ "TopK", 11, "axis=i1", "I3", ALL, 2, 0 },
	{ "CumSum", 14, "reverse=i1", "N1", ALL, 1, 0 },
	{ "Transpose", 13, "perm=I0,2,1", "", R3, 1, 0 },
	{ "Transpose", 13, "perm=I1,3,0,2", "", R4, 1, 0 },
	{ "Transpose", 13, "perm=I0,2,3,1", "", R4, 1, 0 },
	{ "Transpose", 13, "perm=I4,1,3,0,2", "", R5, 1, 0 },
	{ "Concat", 13, "axis=i1", "X X", ALL, 1, 0 },
	{ "Concat", 13, "axis=i2", "X", ALL, 1, 0 },
	{ "Concat", 13, "axis=i0", "X", ALL, 1, 0 },
	{ "Split", 13, "axis=i1", "I2,1,3", ALL, 3, 0 },
	{ "Split", 11, "axis=i2", "", ALL, 2, 0 },
	{ "Slice", 13, "", "I4,-1 I1,0 I1,2 I-2,-1", ALL, 1, 0 },
	{ "Gather", 13, "axis=i1", "I2,0,-1", ALL, 1, 0 },
	{ "Expand", 13, "", "I2,1,2,1,1,1", R3, 1, 0 },
	{ "Tile", 13, "", "I2,1,3", R3, 1, 0 },
	{ "Tile", 13, "", "I1,2,1,3", R4, 1, 0 },
	{ "Pad", 13, "mode=sreflect", "I0,2,1,1,0,1,2,0", R4, 1, 0 },
	{ "Pad", 13, "mode=sedge", "I0,0,3,0,1,0", R3, 1, 0 },
	{ "Pad", 13, "", "I0,1,-1,2,0,0,0,1,-1,0 F3", R5, 1, 0 },
	{ "CenterCropPad", 18, "axes=I2,1", "I3,9", ALL, 1, 0 },
	{ "CenterCropPad", 18, "axes=I1,-1", "I4,2", ALL, 1, 0 },
	{ "DepthToSpace", 13, "blocksize=i1 mode=sCRD", "", R4, 1, 0 },
	{ "SpaceToDepth", 13, "blocksize=i2", "", R4, 1, 0 },
	{ "Reshape", 14, "", "I0,-1", ALL, 1, 0 },
	{ "Flatten", 13, "", "", ALL, 1, 0 },
	{ "Cast", 13, "to=i6", "", ALL, 1, 0 },
	{ "Dropout", 10, "", "", ALL, 2, 0 },
	{ "Identity", 14, "", "", ALL, 1, 0 },
	{ "QuantizeLinear", 13, "", "F0.02 U100", ALL, 1, 0 },
};

/* x, through an identity convolution or not, into the row's node. */
static void build(struct bytes *model, const struct row *r, bool last, int rank, const int64_t *dim)
{
	struct bytes *graph = calloc(1, sizeof *graph), conv = { .size = 0 };
	int64_t kernel[] = { CHANNELS, CHANNELS, 1, 1, 1 };
	float identity[CHANNELS * CHANNELS] = { 0 };

	for (int i = 0; i < CHANNELS; i++)
		identity[i * CHANNELS + i] = 1;
	if (last) {
		put_text(&conv, 1, "x");
		put_text(&conv, 1, "identity");
		put_text(&conv, 2, "c");
		put_text(&conv, 4, "Conv");
		put_data(graph, 1, conv.at, conv.size);
		put_tensor(graph, "identity", 1, rank, kernel, identity, sizeof identity);
	}
	seed = 7;
	put_node(graph, r->op, last ? "c" : "x", r->attributes, r->inputs, r->outputs, rank, dim);
	put_model(model, graph, r->opset, rank, dim);
	free(graph);
}

/* --- running and comparing --------------------------------------------------------------------------- */

static struct model *load(const struct bytes *b, const struct row *r, bool last)
{
	static const struct model_options options = { .kernels = KERNELS_REFERENCE };
	struct err e;
	struct model *m = model_read(b->at, b->size, &options, &e);

	if (m && model_plan(m, NULL, &e) == 0)
		return m;
	printf("BAD %s%s: %s\n", r->op, last ? " behind a convolution" : "", e.text);
	model_free(&m);
	return NULL;
}

static double difference(const struct tensor *a, const struct tensor *b)
{
	double worst = 0;

	if (a->dtype != b->dtype || !tensor_same_shape(a, b))
		return INFINITY;
	for (size_t i = 0; i < tensor_count(a); i++) {
		double d = fabs(tensor_real(a, i) - tensor_real(b, i));
		if (!(d <= worst) && !(isnan(tensor_real(a, i)) && isnan(tensor_real(b, i))))
			worst = isnan(d) ? INFINITY : d;
	}
	return worst;
}

static int run_again(struct model *m, const float *x)
{
	size_t size = tensor_bytes(model_output(m, 0));
	void *first = malloc(size + 1);
	int same;

	memcpy(first, model_output(m, 0)->data, size);
	model_run(m, (const void *const[]){ x });
	same = memcmp(first, model_output(m, 0)->data, size) == 0;
	free(first);
	return same;
}

static int check(const struct row *r, int rank)
{
	static const int64_t dims[3][5] = { { 2, CHANNELS, 8 },
					    { 2, CHANNELS, 4, 6 },
					    { 2, CHANNELS, 4, 4, 5 } };
	const int64_t *dim = dims[rank - 3];
	struct bytes *b = malloc(sizeof *b);
	struct model *plain = NULL, *last = NULL;
	float x[2048];
	int bad = 1;

	build(b, r, false, rank, dim);
	plain = load(b, r, false);
	build(b, r, true, rank, dim);
	last = plain ? load(b, r, true) : NULL;
	if (!last)
		goto out;
	seed = 99;
	for (int i = 0; i < 2048; i++)
		x[i] = random_float();
	model_run(plain, (const void *const[]){ x });
	model_run(last, (const void *const[]){ x });
	bad = !run_again(last, x);
	if (bad)
		printf("BAD %s at rank %d: a second run differs\n", r->op, rank);
	for (int i = 0; i < r->outputs; i++) {
		double d = difference(model_output(plain, i), model_output(last, i));
		if (d <= r->tolerance)
			continue;
		printf("BAD %s (%s; %s) at rank %d, output %d: %g\n", r->op, r->attributes,
		       r->inputs, rank, i, d);
		bad = 1;
	}
out:
	model_free(&plain);
	model_free(&last);
	free(b);
	return bad;
}

int main(void)
{
	int bad = 0, done = 0;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		for (int rank = 3; rank <= 5; rank++)
			if (rows[i].ranks >> rank & 1) {
				bad += check(&rows[i], rank);
				done++;
			}
	printf("%d operators and ranks in both layouts, %d differ\n", done, bad);
	return bad != 0;
}
