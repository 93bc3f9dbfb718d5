/* libFuzzer's custom mutator for ONNX models: the message is unpacked, a part of it changed, and packed
 * again. Memory comes from a pool that is emptied at each call. */
#ifndef TESTS_FUZZ_MUTATE_MODEL_H
#define TESTS_FUZZ_MUTATE_MODEL_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "onnx/onnx.pb-c.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size,
				 uint8_t *out, size_t most, unsigned seed);

static _Alignas(16) unsigned char pool[4 << 20];
static size_t pool_used;
static uint32_t dice;

static void *pool_take(void *context, size_t bytes)
{
	void *p = pool + pool_used;

	(void)context;
	bytes = (bytes + 15) & ~(size_t)15;
	if (bytes > sizeof pool - pool_used)
		return NULL;
	pool_used += bytes;
	return p;
}

static void pool_leave(void *context, void *p)
{
	(void)context;
	(void)p;
}

static ProtobufCAllocator pool_allocator = { pool_take, pool_leave, NULL };

static uint32_t throw(uint32_t below)
{
	dice ^= dice << 13;
	dice ^= dice >> 17;
	dice ^= dice << 5;
	return below ? dice % below : 0;
}

static const char op_names[] =
    "Abs|Add|And|ArgMax|ArgMin|Asinh|AveragePool|BatchNormalization|BitShift|BitwiseAnd|"
    "BitwiseNot|Cast|CastLike|Ceil|Celu|CenterCropPad|Clip|Col2Im|Concat|Constant|"
    "ConstantOfShape|Conv|ConvInteger|ConvTranspose|CumSum|DepthToSpace|DequantizeLinear|"
    "Div|Dropout|DynamicQuantizeLinear|Einsum|Elu|Equal|Erf|Exp|Expand|EyeLike|Flatten|"
    "Gather|GatherElements|GatherND|Gelu|Gemm|GlobalAveragePool|GlobalLpPool|GlobalMaxPool|"
    "GroupNormalization|HardSigmoid|HardSwish|Hardmax|Identity|InstanceNormalization|IsInf|"
    "IsNaN|LRN|LayerNormalization|LeakyRelu|Less|Log|LogSoftmax|LpNormalization|LpPool|"
    "MatMul|MatMulInteger|Max|MaxPool|Mean|MeanVarianceNormalization|Min|Mish|Mod|Mul|Neg|"
    "Not|OneHot|Or|PRelu|Pad|Pow|QLinearConv|QLinearMatMul|QuantizeLinear|Range|ReduceL2|"
    "ReduceLogSumExp|ReduceMax|ReduceMean|ReduceSum|Relu|Reshape|Resize|Round|"
    "ScatterElements|ScatterND|Shape|Shrink|Sigmoid|Sign|Size|Slice|Softmax|Softplus|"
    "SpaceToDepth|Split|Sqrt|Squeeze|Sub|Sum|Tanh|Tile|TopK|Transpose|Trilu|Unsqueeze|"
    "Upsample|Where|Xor";

static const char words[] =
    "NOTSET|SAME_UPPER|SAME_LOWER|VALID|nearest|linear|cubic|half_pixel|align_corners|"
    "asymmetric|tf_crop_and_resize|floor|ceil|round_prefer_ceil|constant|edge|reflect|wrap|"
    "DCR|CRD|add|mul|max|tanh|LEFT|not_larger|ij,jk->ik|...i->...|ii|";

static const char attribute_names[] =
    "axis|axes|keepdims|group|strides|pads|dilations|kernel_shape|auto_pad|ceil_mode|"
    "count_include_pad|mode|epsilon|alpha|beta|transA|transB|perm|to|blocksize|num_groups|"
    "num_outputs|split|output_shape|output_padding|p|size|antialias|exclude_outside|"
    "reduction|largest|select_last_index|noop_with_empty_axes|allowzero|batch_dims|upper|k|"
    "start|end|block_size|storage_order";

static int64_t interesting(void)
{
	static const int64_t some[] = { 0,         1,
					2,         3,
					4,         -1,
					-2,        5,
					7,         8,
					16,        64,
					255,       1000,
					32768,     INT32_MAX,
					INT32_MIN, INT64_MAX,
					INT64_MIN, INT64_C(1) << 32,
					1 << 20,   (1 << 16) + 1 };

	return throw(3) ? some[throw(10)] : some[throw(sizeof some / sizeof *some)];
}

/* One of the words that | sets apart. */
static char *choose(const char *list)
{
	uint32_t count = 1, which;
	char *word = pool_take(NULL, 64);
	size_t length;

	for (const char *p = list; *p; p++)
		count += *p == '|';
	for (which = throw(count); which > 0; which--)
		list = strchr(list, '|') + 1;
	length = strcspn(list, "|");
	if (word)
		snprintf(word, 64, "%.*s", (int)length, list);
	return word ? word : (char *)(uintptr_t) "";
}

static void mutate_bytes(ProtobufCBinaryData *b)
{
	if (b->len == 0)
		return;
	if (throw(2)) {
		b->data[throw((uint32_t)b->len)] = (uint8_t)dice;
	} else if (b->len >= 8) {
		int64_t v = interesting();

		memcpy(b->data + throw((uint32_t)(b->len / 8)) * 8, &v, 8);
	}
}

/* Another dimension; mostly with as many values as it asks for then. */
static void mutate_tensor(Onnx__TensorProto *t)
{
	size_t count = 1, have = 1, each;
	ProtobufCBinaryData *raw = &t->raw_data;

	if (throw(3) || t->n_dims == 0) {
		mutate_bytes(raw);
		return;
	}
	if (throw(8) == 0) {
		t->data_type = (int) throw(18);
		return;
	}
	for (size_t i = 0; i < t->n_dims; i++)
		have *= t->dims[i] > 0 && t->dims[i] < 4096 ? (size_t)t->dims[i] : 1;
	t->dims[throw((uint32_t)t->n_dims)] = throw(2) ? (int64_t) throw(6) : interesting();
	for (size_t i = 0; i < t->n_dims; i++)
		count *= t->dims[i] >= 0 && t->dims[i] < 4096 ? (size_t)t->dims[i] : 1;
	each = raw->len && have ? raw->len / have : 4;
	if (throw(4) && count * each < 1024) {
		uint8_t *data = pool_take(NULL, count * each + 1);

		for (size_t i = 0; data && i < count * each; i++)
			data[i] = raw->len ? raw->data[i % raw->len] : 0;
		if (data)
			*raw = (ProtobufCBinaryData){ count * each, data };
		t->has_raw_data = data != NULL;
	}
}

static void mutate_ints(Onnx__AttributeProto *a)
{
	uint32_t what = throw(4);

	if (what == 0 && a->n_ints > 0) {
		a->n_ints--;
	} else if (what == 1) {
		int64_t *more = pool_take(NULL, (a->n_ints + 1) * sizeof *more);

		if (!more)
			return;
		if (a->n_ints)
			memcpy(more, a->ints, a->n_ints * sizeof *more);
		more[a->n_ints++] = interesting();
		a->ints = more;
	} else if (a->n_ints) {
		a->ints[throw((uint32_t)a->n_ints)] = interesting();
	}
}

static void mutate_attribute(Onnx__AttributeProto *a)
{
	static const float floats[] = { 0, 1, -1, 0.5f, 1e30f, -1e-30f, 3 };

	if (throw(16) == 0)
		a->name = choose(attribute_names);
	else if (a->n_ints || a->type == ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS)
		mutate_ints(a);
	else if (a->has_s) {
		char *word = choose(words);

		a->s = (ProtobufCBinaryData){ strlen(word), (uint8_t *)word };
	} else if (a->t)
		mutate_tensor(a->t);
	else if (a->has_f)
		a->f = floats[throw(7)];
	else
		a->i = interesting();
}

static void add_attribute(Onnx__NodeProto *n)
{
	Onnx__AttributeProto *a = pool_take(NULL, sizeof *a), **more;

	more = pool_take(NULL, (n->n_attribute + 1) * sizeof *more);
	if (!a || !more)
		return;
	onnx__attribute_proto__init(a);
	a->name = choose(attribute_names);
	a->has_type = a->has_i = true;
	a->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
	a->i = interesting();
	if (n->n_attribute)
		memcpy(more, n->attribute, n->n_attribute * sizeof *more);
	more[n->n_attribute++] = a;
	n->attribute = more;
}

/* Any name that stands for a value in g. */
static char *any_name(const Onnx__GraphProto *g)
{
	uint32_t kind = throw(3);

	if (kind == 0 && g->n_initializer)
		return g->initializer[throw((uint32_t)g->n_initializer)]->name;
	if (kind == 1 && g->n_node) {
		const Onnx__NodeProto *n = g->node[throw((uint32_t)g->n_node)];

		if (n->n_output)
			return n->output[throw((uint32_t)n->n_output)];
	}
	return g->n_input ? g->input[throw((uint32_t)g->n_input)]->name : NULL;
}

static void mutate_node(Onnx__GraphProto *g, Onnx__NodeProto *n)
{
	uint32_t what = throw(10);
	char *name;

	if (what < 5 && n->n_attribute) {
		mutate_attribute(n->attribute[throw((uint32_t)n->n_attribute)]);
	} else if (what < 6) {
		add_attribute(n);
	} else if (what < 7) {
		n->op_type = choose(op_names);
	} else if (what < 8 && n->n_attribute) {
		n->n_attribute--;
	} else if (n->n_input) {
		name = throw(6) ? any_name(g) : (char *)(uintptr_t) "";
		if (name)
			n->input[throw((uint32_t)n->n_input)] = name;
	}
}

static void mutate_input(Onnx__ValueInfoProto *v)
{
	Onnx__TypeProto__Tensor *t =
	    v->type && v->type->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE
		? v->type->tensor_type
		: NULL;

	if (!t)
		return;
	if (throw(6) == 0)
		t->elem_type = (int) throw(17);
	else if (t->shape && t->shape->n_dim) {
		Onnx__TensorShapeProto__Dimension *d =
		    t->shape->dim[throw((uint32_t)t->shape->n_dim)];

		d->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
		d->dim_value = throw(2) ? (int64_t) throw(9) : interesting();
	}
}

/* b's last node reads what was g's output, and makes what it is now. */
static void append(Onnx__GraphProto *g, Onnx__GraphProto *b)
{
	Onnx__NodeProto *n = b->n_node ? b->node[throw((uint32_t)b->n_node)] : NULL, **nodes;
	Onnx__TensorProto **inits;
	char *name = pool_take(NULL, 16);

	nodes = pool_take(NULL, (g->n_node + 1) * sizeof *nodes);
	inits = pool_take(NULL, (g->n_initializer + b->n_initializer + 1) * sizeof *inits);
	if (!n || !n->n_input || !n->n_output || !g->n_output || !g->output[0]->name || !nodes ||
	    !inits || !name)
		return;
	snprintf(name, 16, "t%zu", g->n_node);
	n->input[0] = g->output[0]->name;
	n->output[0] = g->output[0]->name = name;
	if (g->n_node)
		memcpy(nodes, g->node, g->n_node * sizeof *nodes);
	nodes[g->n_node++] = n;
	g->node = nodes;
	if (g->n_initializer)
		memcpy(inits, g->initializer, g->n_initializer * sizeof *inits);
	for (size_t i = 0; i < b->n_initializer; i++) {
		bool there = false;

		for (size_t k = 0; k < g->n_initializer; k++)
			there |= inits[k]->name && b->initializer[i]->name &&
				 strcmp(inits[k]->name, b->initializer[i]->name) == 0;
		if (!there)
			inits[g->n_initializer++] = b->initializer[i];
	}
	g->initializer = inits;
}

static Onnx__ModelProto *unpack(const uint8_t *data, size_t size)
{
	return onnx__model_proto__unpack(&pool_allocator, size, data);
}

static size_t pack(const Onnx__ModelProto *m, uint8_t *out, size_t most)
{
	size_t size = onnx__model_proto__get_packed_size(m);

	return size <= most ? onnx__model_proto__pack(m, out) : 0;
}

static void mutate_model(Onnx__ModelProto *m)
{
	Onnx__GraphProto *g = m->graph;
	uint32_t what = throw(16);

	if (what == 0 && m->n_opset_import)
		m->opset_import[0]->version = 7 + throw(15);
	else if (what < 3 && g->n_input)
		mutate_input(g->input[throw((uint32_t)g->n_input)]);
	else if (what < 6 && g->n_initializer)
		mutate_tensor(g->initializer[throw((uint32_t)g->n_initializer)]);
	else if (what == 6 && g->n_node > 1)
		g->n_node--;
	else if (g->n_node)
		mutate_node(g, g->node[throw((uint32_t)g->n_node)]);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed)
{
	Onnx__ModelProto *m;
	size_t made = 0;

	pool_used = 0;
	dice = seed * 2654435761u | 1;
	m = throw(16) ? unpack(data, size) : NULL;
	if (m && m->graph) {
		for (uint32_t i = 1 + throw(3); i > 0; i--)
			mutate_model(m);
		made = pack(m, data, most);
	}
	return made ? made : LLVMFuzzerMutate(data, size, most);
}

size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size,
				 uint8_t *out, size_t most, unsigned seed)
{
	Onnx__ModelProto *x, *y;

	pool_used = 0;
	dice = seed * 2654435761u | 1;
	x = unpack(a, a_size);
	y = unpack(b, b_size);
	if (!x || !y || !x->graph || !y->graph)
		return 0;
	append(x->graph, y->graph);
	return pack(x, out, most);
}

#endif
