/* Graph to bytes. Messages live in an arena of their own and point at the graph's names and values,
 * so that weights are held once more only in the bytes. */
#include <stdlib.h>
#include <string.h>

#include "infer/onnx/parts.h"

#define MESSAGES_MAX ((size_t)1 << 30)
#define BYTES_MAX ((size_t)INT32_MAX) /* protobuf's own limit */

static void *message(struct arena *a, const ProtobufCMessageDescriptor *d, struct err *e)
{
	ProtobufCMessage *m = arena_take(a, d->sizeof_message, e);

	if (m)
		protobuf_c_message_init(d, m);
	return m;
}

/* --- tensors -------------------------------------------------------------------------------------- */

static Onnx__TensorProto *write_tensor(struct arena *a, const struct tensor *t, const char *name,
				       struct err *e)
{
	Onnx__TensorProto *p = message(a, &onnx__tensor_proto__descriptor, e);

	if (!p)
		return NULL;
	p->name = (char *)name;
	p->dims = (int64_t *)t->dim;
	p->n_dims = (size_t)t->rank;
	p->has_data_type = true;
	p->data_type = (int)t->dtype;
	p->has_raw_data = true;
	p->raw_data.data = t->data;
	p->raw_data.len = tensor_bytes(t);
	return p;
}

/* A name that no other tensor has: passes that make constants anew leave the old name on both. */
static int name_constant(struct graph *g, struct tensor *t, struct err *e)
{
	struct tensor *fresh;

	if (*t->name && graph_find(g, t->name) == t)
		return 0;
	fresh = graph_fresh(g, *t->name ? t->name : "constant", "", e);
	if (!fresh)
		return -1;
	t->name = fresh->name;
	return 0;
}

static int add_constant(struct graph *g, struct arena *a, Onnx__GraphProto *p, struct tensor *t,
			struct err *e)
{
	if (!t || !t->constant || t->ready)
		return 0;
	t->ready = true; /* written */
	if (name_constant(g, t, e) < 0)
		return -1;
	p->initializer[p->n_initializer] = write_tensor(a, t, t->name, e);
	return p->initializer[p->n_initializer++] ? 0 : -1;
}

/* Constants in the order in which nodes first read them. */
static int write_constants(struct graph *g, struct arena *a, Onnx__GraphProto *p, struct err *e)
{
	size_t most = (size_t)g->output_count;

	for (struct tensor *t = g->tensors; t; t = t->next)
		t->ready = false;
	for (const struct node *n = g->first; n; n = n->next)
		most += (size_t)n->in_count;
	p->initializer = arena_array(a, most, sizeof *p->initializer, e);
	if (!p->initializer)
		return -1;
	for (const struct node *n = g->first; n; n = n->next)
		for (int i = 0; i < n->in_count; i++)
			if (add_constant(g, a, p, n->in[i], e) < 0)
				return -1;
	for (int i = 0; i < g->output_count; i++)
		if (add_constant(g, a, p, g->output[i], e) < 0)
			return -1;
	return 0;
}

/* --- nodes ---------------------------------------------------------------------------------------- */

static const char types[] = "?fistgFISTG"; /* letter of a type, by AttributeProto's number */

static int write_attribute(struct arena *a, Onnx__AttributeProto *p, const struct attr *from,
			   struct err *e)
{
	const char *letter = strchr(types + 1, from->type);

	p->name = (char *)from->name;
	p->has_type = true;
	p->type = letter ? (Onnx__AttributeProto__AttributeType)(letter - types) : 0;
	switch (from->type) {
	case 'i':
		p->has_i = true;
		p->i = from->i;
		return 0;
	case 'f':
		p->has_f = true;
		p->f = from->f;
		return 0;
	case 's':
		p->has_s = true;
		p->s.data = (uint8_t *)from->s;
		p->s.len = strlen(from->s);
		return 0;
	case 'I':
		p->n_ints = (size_t)from->count;
		p->ints = from->ints;
		return 0;
	case 'F':
		p->n_floats = (size_t)from->count;
		p->floats = from->floats;
		return 0;
	case 't':
		p->t = write_tensor(a, from->t, "", e);
		return p->t ? 0 : -1;
	default:
		return err_set(e, "not supported: attribute '%.80s' cannot be written", from->name);
	}
}

static char **write_names(struct arena *a, struct tensor **t, int count, struct err *e)
{
	char **names = arena_array(a, (size_t)count, sizeof *names, e);

	for (int i = 0; names && i < count; i++)
		names[i] = t[i] ? (char *)t[i]->name : (char *)"";
	return names;
}

static Onnx__NodeProto *write_node(struct arena *a, const struct node *n, struct err *e)
{
	Onnx__NodeProto *p = message(a, &onnx__node_proto__descriptor, e);

	if (!p)
		return NULL;
	p->name = (char *)n->name;
	p->op_type = (char *)n->type;
	p->domain = (char *)n->domain;
	p->input = write_names(a, n->in, n->in_count, e);
	p->output = write_names(a, n->out, n->out_count, e);
	p->attribute = arena_array(a, (size_t)n->attr_count, sizeof *p->attribute, e);
	if (!p->input || !p->output || !p->attribute)
		return NULL;
	p->n_input = (size_t)n->in_count;
	p->n_output = (size_t)n->out_count;
	for (int i = 0; i < n->attr_count; i++) {
		Onnx__AttributeProto *q = message(a, &onnx__attribute_proto__descriptor, e);

		if (!q || write_attribute(a, q, &n->attr[i], e) < 0)
			return NULL;
		p->attribute[p->n_attribute++] = q;
	}
	return p;
}

static int write_nodes(struct graph *g, struct arena *a, Onnx__GraphProto *p, struct err *e)
{
	p->node = arena_array(a, (size_t)g->node_count, sizeof *p->node, e);
	if (!p->node)
		return -1;
	for (const struct node *n = g->first; n; n = n->next) {
		p->node[p->n_node] = write_node(a, n, e);
		if (!p->node[p->n_node++])
			return graph_at(n, e);
	}
	return 0;
}

/* --- inputs and outputs --------------------------------------------------------------------------- */

static Onnx__TensorShapeProto *write_shape(struct arena *a, const struct tensor *t, struct err *e)
{
	Onnx__TensorShapeProto *p = message(a, &onnx__tensor_shape_proto__descriptor, e);

	if (!p)
		return NULL;
	p->dim = arena_array(a, (size_t)t->rank, sizeof *p->dim, e);
	for (int i = 0; p->dim && i < t->rank; i++) {
		Onnx__TensorShapeProto__Dimension *d =
		    message(a, &onnx__tensor_shape_proto__dimension__descriptor, e);

		if (!d)
			return NULL;
		p->dim[p->n_dim++] = d;
		d->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
		d->dim_value = t->dim[i];
		if (t->dim[i] >= 0)
			continue;
		d->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
		d->dim_param = (char *)(t->open && t->open[i] ? t->open[i] : "batch");
	}
	return p->dim ? p : NULL;
}

static Onnx__ValueInfoProto *write_value(struct arena *a, const struct tensor *t, struct err *e)
{
	Onnx__ValueInfoProto *p = message(a, &onnx__value_info_proto__descriptor, e);

	if (!p)
		return NULL;
	p->name = (char *)t->name;
	p->type = message(a, &onnx__type_proto__descriptor, e);
	if (!p->type)
		return NULL;
	p->type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
	p->type->tensor_type = message(a, &onnx__type_proto__tensor__descriptor, e);
	if (!p->type->tensor_type)
		return NULL;
	p->type->tensor_type->has_elem_type = true;
	p->type->tensor_type->elem_type = (int)t->dtype;
	p->type->tensor_type->shape = write_shape(a, t, e);
	return p->type->tensor_type->shape ? p : NULL;
}

static Onnx__ValueInfoProto **write_values(struct arena *a, struct tensor **t, int count,
					   struct err *e)
{
	Onnx__ValueInfoProto **p = arena_array(a, (size_t)count, sizeof *p, e);

	for (int i = 0; p && i < count; i++) {
		p[i] = write_value(a, t[i], e);
		if (!p[i])
			return NULL;
	}
	return p;
}

/* --- the model ------------------------------------------------------------------------------------ */

/* The graph's lists have the last first. */
static int write_properties(const struct graph *g, struct arena *a, Onnx__ModelProto *p,
			    struct err *e)
{
	size_t count = 0;

	for (const struct graph_property *q = g->properties; q; q = q->next)
		count++;
	p->n_metadata_props = count;
	p->metadata_props = arena_array(a, count, sizeof *p->metadata_props, e);
	if (!p->metadata_props)
		return -1;
	for (const struct graph_property *q = g->properties; q; q = q->next) {
		Onnx__StringStringEntryProto *s =
		    message(a, &onnx__string_string_entry_proto__descriptor, e);

		if (!s)
			return -1;
		s->key = (char *)q->key;
		s->value = (char *)q->value;
		p->metadata_props[--count] = s;
	}
	return 0;
}

/* Returns the opset of ONNX's own operators, -1 with *e. */
static int write_opsets(const struct graph *g, struct arena *a, Onnx__ModelProto *p, struct err *e)
{
	size_t count = 0;
	int own = 1;

	for (const struct graph_domain *d = g->domains; d; d = d->next)
		count++;
	p->n_opset_import = count;
	p->opset_import = arena_array(a, count, sizeof *p->opset_import, e);
	if (!p->opset_import)
		return -1;
	for (const struct graph_domain *d = g->domains; d; d = d->next) {
		Onnx__OperatorSetIdProto *o =
		    message(a, &onnx__operator_set_id_proto__descriptor, e);

		if (!o)
			return -1;
		o->domain = (char *)d->name;
		o->has_version = true;
		o->version = d->opset;
		p->opset_import[--count] = o;
		own = *d->name ? own : d->opset;
	}
	return own;
}

/* The least IR version that may name this opset (ONNX's docs/Versioning.md). */
static int ir_version(int opset)
{
	return opset < 15 ? 7 : opset < 19 ? 8 : opset < 21 ? 9 : 10;
}

static Onnx__GraphProto *write_graph(struct graph *g, struct arena *a, struct err *e)
{
	Onnx__GraphProto *p = message(a, &onnx__graph_proto__descriptor, e);

	if (!p)
		return NULL;
	p->name = (char *)"graph";
	p->n_input = (size_t)g->input_count;
	p->n_output = (size_t)g->output_count;
	p->input = write_values(a, g->input, g->input_count, e);
	p->output = write_values(a, g->output, g->output_count, e);
	return p->input && p->output && write_constants(g, a, p, e) == 0 &&
		       write_nodes(g, a, p, e) == 0
		   ? p
		   : NULL;
}

static int pack(const Onnx__ModelProto *p, uint8_t **bytes, size_t *size, struct err *e)
{
	*size = onnx__model_proto__get_packed_size(p);
	if (*size > BYTES_MAX)
		return err_set(e, "not supported: a model of %zu MB (at most %zu)", *size >> 20,
			       BYTES_MAX >> 20);
	*bytes = malloc(*size + 1);
	if (!*bytes)
		return err_code(e, EX_OSERR, "memory is short");
	onnx__model_proto__pack(p, *bytes);
	return 0;
}

int onnx_write(struct graph *g, uint8_t **bytes, size_t *size, struct err *e)
{
	struct arena *a = arena_new(MESSAGES_MAX);
	Onnx__ModelProto *p = a ? message(a, &onnx__model_proto__descriptor, e) : NULL;
	int opset, result = -1;

	if (!p) {
		arena_free(&a);
		return err_code(e, EX_OSERR, "memory is short");
	}
	opset = write_opsets(g, a, p, e);
	p->has_ir_version = true;
	p->ir_version = ir_version(opset);
	p->producer_name = (char *)"andon";
	p->graph = opset < 0 ? NULL : write_graph(g, a, e);
	if (p->graph && write_properties(g, a, p, e) == 0)
		result = pack(p, bytes, size, e);
	arena_free(&a);
	return result;
}
