/* NodeProto to node: names to tensors, attributes to values in the graph's arena. */
#include <string.h>

#include "infer/onnx/parts.h"

#define ATTRIBUTES_MAX 64

static const char *copy_text(struct graph *g, const ProtobufCBinaryData *s, struct err *e)
{
	char *text;

	if (s->len && memchr(s->data, 0, s->len)) {
		err_set(e, "invalid: a text with a zero byte in it");
		return NULL;
	}
	text = arena_take(g->arena, s->len + 1, e);
	if (text && s->len)
		memcpy(text, s->data, s->len);
	return text;
}

static int copy_ints(struct graph *g, struct attr *a, const Onnx__AttributeProto *p, struct err *e)
{
	a->ints = arena_array(g->arena, p->n_ints, sizeof *a->ints, e);
	if (!a->ints)
		return -1;
	if (p->n_ints)
		memcpy(a->ints, p->ints, p->n_ints * sizeof *a->ints);
	a->count = (int)p->n_ints;
	return 0;
}

static int copy_floats(struct graph *g, struct attr *a, const Onnx__AttributeProto *p,
		       struct err *e)
{
	a->floats = arena_array(g->arena, p->n_floats, sizeof *a->floats, e);
	if (!a->floats)
		return -1;
	if (p->n_floats)
		memcpy(a->floats, p->floats, p->n_floats * sizeof *a->floats);
	a->count = (int)p->n_floats;
	return 0;
}

/* Old files leave the type out: what is there tells it. */
static char type_of(const Onnx__AttributeProto *p)
{
	static const char letters[] = { [1] = 'f', [2] = 'i', [3] = 's', [4] = 't', [5] = 'g',
					[6] = 'F', [7] = 'I', [8] = 'S', [9] = 'T', [10] = 'G' };

	if (p->has_type && p->type > 0)
		return (size_t)p->type < sizeof letters ? letters[p->type] : '?';
	return p->has_f      ? 'f'
	       : p->has_i    ? 'i'
	       : p->has_s    ? 's'
	       : p->t        ? 't'
	       : p->n_ints   ? 'I'
	       : p->n_floats ? 'F'
			     : '?';
}

static int read_attribute(struct graph *g, struct attr *a, const Onnx__AttributeProto *p,
			  struct err *e)
{
	if (!p->name || !*p->name)
		return err_set(e, "invalid: an attribute without a name");
	if (p->ref_attr_name && *p->ref_attr_name)
		return err_set(e, "not supported: attribute '%.80s' refers to a function's",
			       p->name);
	a->name = arena_text(g->arena, p->name, e);
	a->type = type_of(p);
	a->i = p->i;
	a->f = p->f;
	a->count = 1;
	if (!a->name)
		return -1;
	switch (a->type) {
	case 'i':
	case 'f':
		return 0;
	case 's':
		a->s = copy_text(g, &p->s, e);
		return a->s ? 0 : -1;
	case 'I':
		return copy_ints(g, a, p, e);
	case 'F':
		return copy_floats(g, a, p, e);
	case 't':
		if (!p->t)
			return err_set(e, "invalid: attribute '%.80s' without its tensor", p->name);
		a->t = graph_tensor(g, "", e);
		return a->t ? read_tensor(g, a->t, p->t, e) : -1;
	case 'g':
	case 'G':
		return err_set(e, "not supported: attribute '%.80s' holds a graph", p->name);
	default:
		return err_set(e, "not supported: attribute '%.80s' of this type", p->name);
	}
}

static int read_attributes(struct graph *g, struct node *n, const Onnx__NodeProto *p, struct err *e)
{
	if (p->n_attribute > ATTRIBUTES_MAX)
		return err_set(e, "not supported: %zu attributes (at most %d)", p->n_attribute,
			       ATTRIBUTES_MAX);
	n->attr = arena_array(g->arena, p->n_attribute, sizeof *n->attr, e);
	if (!n->attr)
		return -1;
	for (size_t i = 0; i < p->n_attribute; i++) {
		if (read_attribute(g, &n->attr[i], p->attribute[i], e) < 0)
			return -1;
		if (node_attr(n, n->attr[i].name))
			return err_set(e, "invalid: attribute '%.80s' is given twice",
				       n->attr[i].name);
		n->attr_count++;
	}
	return 0;
}

static int connect(struct graph *g, struct node *n, const Onnx__NodeProto *p, struct err *e)
{
	for (int i = 0; i < n->in_count; i++) {
		if (!*p->input[i])
			continue;
		n->in[i] = graph_tensor(g, p->input[i], e);
		if (!n->in[i])
			return -1;
	}
	for (int i = 0; i < n->out_count; i++) {
		struct tensor *t;

		if (!*p->output[i])
			continue;
		t = n->out[i] = graph_tensor(g, p->output[i], e);
		if (!t)
			return -1;
		if (t->maker || t->constant || t->input)
			return err_set(e, "invalid: it makes '%.80s', which is there already",
				       t->name);
		t->maker = n;
	}
	return 0;
}

static int opset_of(const struct graph *g, const char *domain)
{
	for (const struct graph_domain *d = g->domains; d; d = d->next)
		if (strcmp(d->name, domain) == 0)
			return d->opset;
	return 0;
}

int read_node(struct graph *g, const Onnx__NodeProto *p, int index, struct err *e)
{
	const char *domain = p->domain && strcmp(p->domain, "ai.onnx") != 0 ? p->domain : "";
	struct node *n;

	if (p->n_input > NODE_IN_MAX || p->n_output > NODE_IN_MAX)
		return err_set(e, "not supported: node %d has more than %d inputs or outputs",
			       index, NODE_IN_MAX);
	n = graph_node(g, p->op_type ? p->op_type : "", (int)p->n_input, (int)p->n_output, e);
	if (!n)
		return -1;
	n->index = index;
	n->name = arena_text(g->arena, p->name ? p->name : "", e);
	n->domain = arena_text(g->arena, domain, e);
	if (!n->name || !n->domain)
		return -1;
	n->opset = opset_of(g, domain);
	if (n->opset == 0) {
		err_set(e, "invalid: the model does not say which opset of '%.80s' it uses",
			domain);
		return graph_at(n, e);
	}
	if (read_attributes(g, n, p, e) < 0 || connect(g, n, p, e) < 0)
		return graph_at(n, e);
	graph_append(g, n);
	return 0;
}
