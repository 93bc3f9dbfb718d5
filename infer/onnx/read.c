/* ModelProto to graph: opsets, constants, inputs, nodes, outputs, metadata, in that order. */
#include "infer/onnx/onnx.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "infer/onnx/parts.h"

#define DOMAINS_MAX 100

static int read_opsets(struct graph *g, const Onnx__ModelProto *p, struct err *e)
{
	if (p->n_opset_import > DOMAINS_MAX) /* every node looks for its own */
		return err_set(e, "not supported: %zu operator sets (at most %d)",
			       p->n_opset_import, DOMAINS_MAX);
	for (size_t i = 0; i < p->n_opset_import; i++) {
		const Onnx__OperatorSetIdProto *o = p->opset_import[i];
		struct graph_domain *d = arena_take(g->arena, sizeof *d, e);

		if (!d)
			return -1;
		d->name = o->domain && strcmp(o->domain, "ai.onnx") != 0 ? o->domain : "";
		d->name = arena_text(g->arena, d->name, e);
		if (!d->name)
			return -1;
		if (o->version < GRAPH_OPSET_LEAST)
			return err_set(e, "invalid: opset %lld", (long long)o->version);
		if (!*d->name && o->version > GRAPH_OPSET_MOST)
			return err_set(e, "not supported: opset %lld (at most %d)",
				       (long long)o->version, GRAPH_OPSET_MOST);
		d->opset = o->version > INT32_MAX ? INT32_MAX : (int)o->version;
		d->next = g->domains;
		g->domains = d;
	}
	return 0;
}

static int read_constants(struct graph *g, const Onnx__GraphProto *p, struct err *e)
{
	for (size_t i = 0; i < p->n_initializer; i++) {
		const char *name = p->initializer[i]->name;
		struct tensor *t;

		if (!name || !*name)
			return err_set(e, "invalid: initialiser %zu has no name", i);
		t = graph_tensor(g, name, e);
		if (!t)
			return -1;
		if (t->constant)
			return err_set(e, "invalid: initialiser '%.80s' is there twice", name);
		if (read_tensor(g, t, p->initializer[i], e) < 0)
			return -1;
	}
	if (p->n_sparse_initializer)
		return err_set(e, "not supported: sparse initialisers");
	return 0;
}

/* An open dimension is -1 and may have a name. */
static int open_dimension(struct graph *g, struct tensor *t, int i, const char *name, struct err *e)
{
	t->dim[i] = -1;
	if (!name || !*name)
		return 0;
	if (!t->open)
		t->open = arena_array(g->arena, TENSOR_RANK_MAX, sizeof *t->open, e);
	return t->open && (t->open[i] = arena_text(g->arena, name, e)) ? 0 : -1;
}

/* Declared type and shape. */
static int declare(struct graph *g, struct tensor *t, const Onnx__ValueInfoProto *v, struct err *e)
{
	const Onnx__TypeProto__Tensor *p;
	const Onnx__TensorShapeProto *shape;

	if (!v->type || v->type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE)
		return err_set(e, "not supported: '%.80s' is no tensor", v->name);
	p = v->type->tensor_type;
	shape = p->shape;
	if (read_type(p->elem_type, &t->dtype, &t->half, e) < 0)
		return err_at(e, "'%.80s'", v->name);
	if (!shape)
		return err_set(e, "not supported: the shape of '%.80s' is not declared", v->name);
	if (shape->n_dim > TENSOR_RANK_MAX)
		return err_set(e, "not supported: '%.80s' of rank %zu (at most %d)", v->name,
			       shape->n_dim, TENSOR_RANK_MAX);
	t->rank = (int)shape->n_dim;
	for (int i = 0; i < t->rank; i++) {
		const Onnx__TensorShapeProto__Dimension *d = shape->dim[i];

		if (d->value_case != ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE) {
			bool named =
			    d->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;

			if (open_dimension(g, t, i, named ? d->dim_param : NULL, e) < 0)
				return -1;
			continue;
		}
		if (d->dim_value < 0)
			return err_set(e, "invalid: dimension %d of '%.80s' is %lld", i, v->name,
				       (long long)d->dim_value);
		t->dim[i] = d->dim_value > 0 ? d->dim_value : 0;
	}
	return 0;
}

static int read_inputs(struct graph *g, const Onnx__GraphProto *p, struct err *e)
{
	g->input = arena_array(g->arena, p->n_input, sizeof(struct tensor *), e);
	if (!g->input)
		return -1;
	for (size_t i = 0; i < p->n_input; i++) {
		const Onnx__ValueInfoProto *v = p->input[i];
		struct tensor *t;

		if (!v->name || !*v->name)
			return err_set(e, "invalid: input %zu has no name", i);
		t = graph_tensor(g, v->name, e);
		if (!t)
			return -1;
		if (t->constant) /* before IR 4 every initialiser was an input too */
			continue;
		if (t->input)
			return err_set(e, "invalid: input '%.80s' is there twice", v->name);
		t->input = true;
		if (declare(g, t, v, e) < 0)
			return err_at(e, "input");
		g->input[g->input_count++] = t;
	}
	return 0;
}

static int read_outputs(struct graph *g, const Onnx__GraphProto *p, struct err *e)
{
	g->output = arena_array(g->arena, p->n_output, sizeof(struct tensor *), e);
	if (!g->output)
		return -1;
	if (p->n_output == 0)
		return err_set(e, "invalid: the graph has no output");
	for (size_t i = 0; i < p->n_output; i++) {
		const char *name = p->output[i]->name;
		struct tensor *t = name ? graph_find(g, name) : NULL;

		if (!t || (!t->maker && !t->constant && !t->input))
			return err_set(e, "invalid: nothing makes the output '%.80s'",
				       name ? name : "");
		if (t->output)
			return err_set(e, "invalid: output '%.80s' is there twice", name);
		t->output = true;
		g->output[g->output_count++] = t;
	}
	return 0;
}

static int check_inputs(const struct graph *g, struct err *e)
{
	for (const struct node *n = g->first; n; n = n->next) {
		for (int i = 0; i < n->in_count; i++) {
			const struct tensor *t = n->in[i];

			if (!t || t->maker || t->constant || t->input)
				continue;
			err_set(e, "invalid: nothing makes its input '%.80s'", t->name);
			return graph_at(n, e);
		}
	}
	return 0;
}

static int read_properties(struct graph *g, const Onnx__ModelProto *p, struct err *e)
{
	for (size_t i = 0; i < p->n_metadata_props; i++) {
		const Onnx__StringStringEntryProto *m = p->metadata_props[i];
		struct graph_property *q = arena_take(g->arena, sizeof *q, e);

		if (!q)
			return -1;
		q->key = arena_text(g->arena, m->key ? m->key : "", e);
		q->value = arena_text(g->arena, m->value ? m->value : "", e);
		if (!q->key || !q->value)
			return -1;
		q->next = g->properties;
		g->properties = q;
	}
	return 0;
}

static int read_model(struct graph *g, const Onnx__ModelProto *p, struct err *e)
{
	if (!p->graph)
		return err_set(e, "invalid: no ONNX model: there is no graph in it");
	if (p->n_opset_import == 0)
		return err_set(e, "invalid: the model does not say which opset it uses");
	if (p->graph->n_node > GRAPH_NODES_MAX)
		return err_set(e, "not supported: %zu nodes (at most %d)", p->graph->n_node,
			       GRAPH_NODES_MAX);
	if (p->n_functions)
		return err_set(e, "not supported: functions inside the model");
	if (read_opsets(g, p, e) < 0 || read_properties(g, p, e) < 0 ||
	    read_constants(g, p->graph, e) < 0 || read_inputs(g, p->graph, e) < 0)
		return -1;
	for (size_t i = 0; i < p->graph->n_node; i++)
		if (read_node(g, p->graph->node[i], (int)i, e) < 0)
			return -1;
	if (check_inputs(g, e) < 0 || read_outputs(g, p->graph, e) < 0)
		return -1;
	return graph_sort(g, e);
}

static ProtobufCMessage *unpack(const ProtobufCMessageDescriptor *d, struct reader_memory *m,
				const struct graph *g, struct err *e)
{
	size_t size;
	uint8_t *extract = scan_message(d, g->file, g->file_size, &size, e);
	ProtobufCMessage *message;

	if (!extract)
		return NULL;
	if (g->mapped)
		madvise((void *)(uintptr_t)g->file, g->file_size, MADV_DONTNEED);
	message = protobuf_c_message_unpack(d, reader_memory_allocator(m), size, extract);
	free(extract);
	if (!message && reader_memory_full(m))
		err_set(e, "not supported: more parts than a file of %zu bytes explains",
			g->file_size);
	else if (!message && reader_memory_starved(m))
		err_code(e, EX_OSERR, "memory is short");
	else if (!message)
		err_set(e, "invalid: no ONNX model");
	return message;
}

int onnx_read(struct graph *g, const void *bytes, size_t size, struct err *e)
{
	struct reader_memory *m = reader_memory_new(5 * size + ((size_t)16 << 20));
	ProtobufCMessage *message;
	int result = -1;

	if (!m)
		return err_code(e, EX_OSERR, "memory is short");
	g->file = bytes;
	g->file_size = size;
	message = unpack(&onnx__model_proto__descriptor, m, g, e);
	if (message)
		result = read_model(g, (const Onnx__ModelProto *)message, e);
	g->file = NULL;
	reader_memory_free(&m);
	return result;
}

int onnx_read_tensor(struct graph *g, struct tensor *t, const void *bytes, size_t size,
		     struct err *e)
{
	struct reader_memory *m = reader_memory_new(4 * size + ((size_t)1 << 20));
	ProtobufCMessage *message;
	int result = -1;

	if (!m)
		return err_code(e, EX_OSERR, "memory is short");
	g->file = bytes;
	g->file_size = size;
	message = unpack(&onnx__tensor_proto__descriptor, m, g, e);
	if (message)
		result = read_tensor(g, t, (const Onnx__TensorProto *)message, e);
	g->file = NULL;
	reader_memory_free(&m);
	return result;
}
