/* What an operator must refuse, and how: "invalid" where the model breaks ONNX's rules, "not supported"
 * where we lack something, with the offending value; never a crash, never a guess. Needs no test data. */
#include "infer/model.h"
#include "tests/c/model_bytes.h"

struct row {
	const char *op;
	int opset;
	const char *attributes, *inputs;
	const char *words; /* must occur in what is said */
};

/* The input is 2x6x4x5. */
static const struct row rows[] = {
	{ "MaxPool", 12, "kernel_shape=I0,2", "", "invalid: kernel_shape[0] is 0" },
	{ "MaxPool", 12, "kernel_shape=I2", "", "invalid: kernel_shape has 1 values" },
	{ "MaxPool", 12, "kernel_shape=I2,2 strides=I0,1", "", "invalid: strides[0] is 0" },
	{ "MaxPool", 12, "kernel_shape=I2,2 dilations=I1,0", "", "invalid: dilations[1] is 0" },
	{ "MaxPool", 12, "kernel_shape=I2,2 pads=I1,1", "", "invalid: 2 pads" },
	{ "MaxPool", 12, "kernel_shape=I2,2 pads=I0,0,-1,0", "", "invalid: pads" },
	{ "MaxPool", 12, "kernel_shape=I2,2 pads=I2,0,0,0", "", "invalid: pads 2" },
	{ "MaxPool", 12, "kernel_shape=I9,9", "", "invalid: a window of 9" },
	{ "MaxPool", 12, "kernel_shape=I2,2 auto_pad=sUPPER", "", "invalid: auto_pad 'UPPER'" },
	{ "MaxPool", 12, "", "", "invalid" },
	{ "MaxPool", 12, "kernel_shape=I2,9223372036854775807", "", "invalid" },
	{ "AveragePool", 11, "kernel_shape=I2,2 dilations=I2,2", "", "not supported: attribute" },
	{ "Reshape", 14, "", "I-1,-1", "invalid: two -1" },
	{ "Reshape", 14, "", "I5,7", "invalid: 240 elements into a shape of 35" },
	{ "Reshape", 14, "", "I-1,7", "invalid: 240 elements do not divide" },
	{ "Reshape", 14, "", "I-2", "invalid: shape[0] is -2" },
	{ "Reshape", 14, "", "I4611686018427387904,8", "invalid: the shape is too large" },
	{ "Reshape", 14, "", "I1,1,1,1,0", "invalid: shape[4] is 0" },
	{ "Flatten", 13, "axis=i99", "", "invalid: axis 99" },
	{ "Flatten", 13, "axis=i-5", "", "invalid: axis -5" },
	{ "Transpose", 13, "perm=I0,1,2", "", "invalid: perm has 3" },
	{ "Transpose", 13, "perm=I0,1,1,3", "", "invalid: perm is not" },
	{ "Squeeze", 13, "", "I1", "invalid: axis 1 is 6" },
	{ "Unsqueeze", 13, "", "I0,0", "invalid: axis 0 comes twice" },
	{ "Unsqueeze", 13, "", "I9", "invalid: axis 9" },
	{ "Concat", 13, "axis=i4", "X", "invalid: axis 4" },
	{ "Concat", 13, "axis=i1", "P", "invalid: input 1 differs" },
	{ "Split", 13, "axis=i1", "I3,4", "invalid: part 1" },
	{ "Split", 13, "axis=i1", "I3,2", "invalid: parts sum to 5" },
	{ "Slice", 13, "", "I0 I1 I0 I0", "invalid: step 0" },
	{ "Slice", 13, "", "I0,0 I1", "invalid: 2 starts" },
	{ "Gather", 13, "axis=i1", "I6", "invalid: index 6 of 6" },
	{ "Expand", 13, "", "I7", "invalid: shapes" },
	{ "Expand", 13, "", "I1152921504606846976,1,1,1,1", "not supported" },
	{ "Tile", 13, "", "I1,-1,1,1", "invalid: repeats[1] is -1" },
	{ "Tile", 13, "", "I1,1,1152921504606846976,4", "" },
	{ "Pad", 13, "", "I0,0,0,0", "invalid: 4 pads" },
	{ "Pad", 13, "mode=sreflect", "I0,0,4,0,0,0,0,0", "invalid: reflection by 4" },
	{ "Pad", 13, "mode=swrap", "I0,0,1,0,0,0,0,0", "invalid: mode 'wrap'" },
	{ "DepthToSpace", 13, "blocksize=i4", "", "invalid: the input does not divide" },
	{ "DepthToSpace", 13, "blocksize=i0", "", "invalid: blocksize 0" },
	{ "Softmax", 13, "axis=i4", "", "invalid: axis 4" },
	{ "ReduceSum", 13, "", "I1,1", "invalid: axis 1 comes twice" },
	{ "ReduceMean", 13, "axes=I7", "", "invalid: axis 7" },
	{ "TopK", 11, "axis=i1", "I7", "invalid: k is 7 of 6" },
	{ "Add", 14, "", "I1,2,3,4,5,6", "invalid: inputs of type f32 and i64" },
	{ "Add", 6, "broadcast=i1 axis=i1", "W", "invalid: dimension 5 stands" },
	{ "BatchNormalization", 15, "", "C C C W", "invalid: input 4 is not 6 values" },
	{ "BatchNormalization", 15, "training_mode=i1", "C C C C", "not supported: training_mode" },
	{ "GroupNormalization", 18, "num_groups=i4", "C C", "invalid: 6 channels in 4 groups" },
	{ "LRN", 13, "size=i0", "", "invalid: size 0" },
	{ "Gemm", 13, "", "X", "invalid: factors of rank 4" },
	{ "MatMul", 13, "", "X", "invalid: inner dimensions 5 and 4" },
	{ "Conv", 13, "", "W", "invalid: weights of rank 1" },
	{ "Conv", 13, "group=i-1", "X", "invalid: group -1" },
	{ "Conv", 13, "group=i0", "X", "invalid: group 0" },
	{ "ConvTranspose", 13, "", "X", "invalid: 6 channels" },
	{ "Cast", 13, "to=i99", "", "not supported: element type 99" },
	{ "Cast", 13, "to=i8", "", "not supported: element type 8" },
	{ "QuantizeLinear", 13, "axis=i2", "C", "invalid: 6 scales along an axis of 4" },
	{ "Resize", 13, "mode=sspline", "", "invalid: mode 'spline'" },
	{ "Resize", 13, "", "C F1 I1,2", "invalid" },
	{ "Einsum", 13, "equation=sabc->abc", "", "invalid: equation" },
	{ "Einsum", 13, "equation=sabcd->abz", "", "invalid: 'z' in the output" },
	{ "CumSum", 14, "", "N9", "invalid: axis 9" },
	{ "OneHot", 13, "", "N-3 C", "invalid" },
	{ "NonSuch", 13, "", "", "not supported: there is no such operator" },
	{ "Relu", 13, "colour=i1", "", "not supported: attribute 'colour'" },
	{ "LeakyRelu", 13, "alpha=i1", "", "invalid: attribute 'alpha' has the wrong type" },
	{ "Relu", 13, "", "X", "invalid: 2 inputs" },
};

static int check(const struct row *r)
{
	static const struct model_options options = { .kernels = KERNELS_REFERENCE };
	static const int64_t dim[] = { 2, 6, 4, 5 };
	struct bytes *graph = calloc(1, sizeof *graph), *model = calloc(1, sizeof *model);
	struct err e = { .text = "" };
	struct model *m;
	int refused;

	put_node(graph, r->op, "x", r->attributes, r->inputs, 1, 4, dim);
	put_model(model, graph, r->opset, 4, dim);
	m = model_read(model->at, model->size, &options, &e);
	refused = !m || model_plan(m, NULL, &e) < 0;
	if (!refused || !strstr(e.text, r->words))
		printf("BAD %s (%s; %s): %s, wanted '%s'\n", r->op, r->attributes, r->inputs,
		       refused ? e.text : "accepted", r->words);
	model_free(&m);
	free(graph);
	free(model);
	return !refused || !strstr(e.text, r->words);
}

int main(void)
{
	int bad = 0, count = sizeof rows / sizeof *rows;

	for (int i = 0; i < count; i++)
		bad += check(&rows[i]);
	printf("%d refusals, %d not as they should be\n", count, bad);
	return bad != 0;
}
