/* What operators are given: attributes, inputs, outputs and refusals. */
#include "infer/graph.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const struct attr *node_attr(const struct node *n, const char *name)
{
	for (int i = 0; i < n->attr_count; i++)
		if (strcmp(n->attr[i].name, name) == 0)
			return &n->attr[i];
	return NULL;
}

int64_t node_int(const struct node *n, const char *name, int64_t fallback)
{
	const struct attr *a = node_attr(n, name);

	return a ? a->i : fallback;
}

float node_float(const struct node *n, const char *name, float fallback)
{
	const struct attr *a = node_attr(n, name);

	return a ? a->f : fallback;
}

const char *node_text(const struct node *n, const char *name, const char *fallback)
{
	const struct attr *a = node_attr(n, name);

	return a ? a->s : fallback;
}

int node_ints(const struct node *n, const char *name, const int64_t **ints)
{
	const struct attr *a = node_attr(n, name);

	*ints = a ? a->ints : NULL;
	return a ? a->count : 0;
}

struct tensor *node_in(const struct node *n, int i)
{
	return i < n->in_count ? n->in[i] : NULL;
}

struct tensor *node_out(const struct node *n, int i)
{
	return i < n->out_count ? n->out[i] : NULL;
}

bool node_known(const struct node *n, int i)
{
	const struct tensor *t = node_in(n, i);

	return t && t->constant;
}

int node_output(struct node *n, int i, enum dtype dtype, int rank, const int64_t *dim,
		struct err *e)
{
	struct tensor *t = node_out(n, i);

	if (!t)
		return 0;
	t->half = dtype == DTYPE_F16;
	if (tensor_shape(t, tensor_held(dtype), rank, dim, e) < 0)
		return err_at(e, "output %d", i);
	return 0;
}

int node_output_like(struct node *n, int i, const struct tensor *t, struct err *e)
{
	struct tensor *out = node_out(n, i);

	if (node_output(n, i, t->dtype, t->rank, t->dim, e) < 0)
		return -1;
	if (out)
		out->half = t->half;
	return 0;
}

int node_axis(const struct node *n, int64_t *axis, int rank, struct err *e)
{
	if (*axis < -rank || *axis >= rank)
		return node_invalid(n, e, "axis %lld of a tensor of rank %d", (long long)*axis,
				    rank);
	if (*axis < 0)
		*axis += rank;
	return 0;
}

int node_list(const struct node *n, int i, const char *attr, int64_t *out, int most, struct err *e)
{
	const struct tensor *t = node_in(n, i);
	const struct attr *a = attr ? node_attr(n, attr) : NULL;
	size_t count = t ? 0 : a ? (size_t)a->count : 0;

	if (t) {
		if (!t->constant)
			return node_unsupported(n, e, "input %d ('%s') must be known at load", i,
						t->name);
		if (node_types(n, i, TYPE(I64) | TYPE(I32), e) < 0)
			return -1;
		count = tensor_count(t);
	}
	if (count > (size_t)most)
		return node_unsupported(n, e, "%zu values in %s, at most %d", count,
					t ? t->name : attr, most);
	for (size_t k = 0; k < count; k++)
		out[k] = t ? tensor_int(t, k) : a->ints[k];
	return (int)count;
}

int node_broadcast(const struct node *n, const struct tensor *a, const struct tensor *b, int *rank,
		   int64_t *dim, struct err *e)
{
	char ta[128], tb[128];

	*rank = a->rank > b->rank ? a->rank : b->rank;
	for (int i = 1; i <= *rank; i++) {
		int64_t x = i <= a->rank ? a->dim[a->rank - i] : 1;
		int64_t y = i <= b->rank ? b->dim[b->rank - i] : 1;

		if (x != y && x != 1 && y != 1)
			return node_invalid(n, e, "shapes %s and %s do not broadcast",
					    tensor_text(a, ta, sizeof ta),
					    tensor_text(b, tb, sizeof tb));
		dim[*rank - i] = x == 1 ? y : x;
	}
	return 0;
}

static int refuse(struct err *e, const char *kind, const char *format, va_list list)
{
	char text[ERR_TEXT_MAX];

	vsnprintf(text, sizeof text, format, list);
	return err_set(e, "%s: %s", kind, text);
}

int node_invalid(const struct node *n, struct err *e, const char *format, ...)
{
	va_list list;

	(void)n;
	va_start(list, format);
	refuse(e, "invalid", format, list);
	va_end(list);
	return -1;
}

int node_unsupported(const struct node *n, struct err *e, const char *format, ...)
{
	va_list list;

	(void)n;
	va_start(list, format);
	refuse(e, "not supported", format, list);
	va_end(list);
	return -1;
}

int node_types(const struct node *n, int i, unsigned types, struct err *e)
{
	const struct tensor *t = node_in(n, i);

	if (!t || types >> t->dtype & 1)
		return 0;
	return node_unsupported(n, e, "input %d ('%s') of type %s", i, t->name,
				dtype_name(t->dtype));
}

void *node_keep(struct node *n, size_t bytes, struct err *e)
{
	n->graph->weight_bytes += bytes;
	return arena_take(n->graph->arena, bytes, e);
}

void *node_note(struct node *n, size_t bytes, struct err *e)
{
	if (n->state && n->note_bytes == bytes)
		return memset(n->state, 0, bytes);
	n->state = arena_take(n->graph->arena, bytes, e);
	n->note_bytes = bytes;
	return n->state;
}

int node_work(struct node *n, size_t bytes, struct err *e)
{
	if (bytes > TENSOR_BYTES_MAX)
		return node_unsupported(n, e, "workspace of %zu MB", bytes >> 20);
	if (bytes > n->work_bytes)
		n->work_bytes = bytes;
	return 0;
}
