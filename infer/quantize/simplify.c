/* The graph in its plainest form: what an exporter leaves for the reader to compute is computed. */
#include "infer/quantize/parts.h"

#include <string.h>

static int refuse_quantized(const struct graph *g, struct err *e)
{
	static const char *const types[] = { "QuantizeLinear",       "DequantizeLinear",
					     "QLinearConv",          "QLinearMatMul",
					     "ConvInteger",          "MatMulInteger",
					     "DynamicQuantizeLinear" };

	for (const struct node *n = g->first; n; n = n->next) {
		for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
			if (strcmp(n->type, types[i]) != 0)
				continue;
			err_set(e, "is quantised already");
			return graph_at(n, e);
		}
	}
	return 0;
}

static int refuse_half(const struct graph *g, struct err *e)
{
	for (int i = 0; i < g->input_count; i++)
		if (g->input[i]->half)
			return err_set(e,
				       "not supported: its input '%.80s' is f16; quantise the "
				       "model of f32 that it was made from",
				       g->input[i]->name);
	for (const struct node *n = g->first; n; n = n->next)
		if (strcmp(n->type, "Cast") == 0 && node_int(n, "to", 0) == DTYPE_F16)
			return err_set(e, "not supported: it casts to f16; quantise the model of "
					  "f32 that it was made from");
	return 0;
}

/* Factors and summands behind convolutions, as far as they reach. */
static int fold_affines(struct graph *g, struct err *e)
{
	for (struct node *n = g->first, *next; n; n = next) {
		next = n->next;
		if (!node_is(n, "Conv") || !n->out[0])
			continue;
		for (struct node *reader; (reader = graph_reader(n->out[0]));) {
			int done = fuse_affine(g, n, reader, e);

			if (done < 0)
				return graph_at(n, e);
			if (done == 0)
				break;
			if (next == reader) /* n stands there now */
				next = n->next;
		}
	}
	graph_sweep(g);
	return 0;
}

/* in[i], by a factor. */
static int scale_input(struct graph *g, struct node *n, int i, float factor, struct err *e)
{
	const struct tensor *from = n->in[i];
	struct tensor *to = graph_tensor(g, "", e);

	if (!to || tensor_shape(to, DTYPE_F32, from->rank, from->dim, e) < 0 ||
	    graph_fill(g, to, e) < 0)
		return -1;
	for (size_t k = 0; k < tensor_count(to); k++)
		((float *)to->data)[k] = ((const float *)from->data)[k] * factor;
	to->name = from->name;
	to->constant = true;
	n->in[i] = to;
	return 0;
}

/* Gemm's alpha and beta into what they multiply. */
static int fold_factors(struct graph *g, struct err *e)
{
	static const char *const names[] = { "", "alpha", "beta" };

	for (struct node *n = g->first; n; n = n->next) {
		for (int i = 1; i < 3 && node_is(n, "Gemm"); i++) {
			float factor = node_float(n, names[i], 1);

			if (factor == 1 || !node_known(n, i) || n->in[i]->dtype != DTYPE_F32)
				continue;
			if (scale_input(g, n, i, factor, e) < 0)
				return -1;
			((struct attr *)node_attr(n, names[i]))->f = 1;
		}
	}
	return 0;
}

/* A shape that was computed for one picture must not say so where the model takes any number: 0
 * copies the dim of the input. */
static int keep_open(struct graph *g, struct err *e)
{
	for (struct node *n = g->first; n; n = n->next) {
		struct tensor *from = node_is(n, "Reshape") ? node_in(n, 1) : NULL, *to;

		if (!from || !from->constant || tensor_count(from) == 0 ||
		    tensor_int(from, 0) != 1 || n->in[0]->rank == 0 || n->in[0]->dim[0] != 1 ||
		    node_int(n, "allowzero", 0) != 0)
			continue;
		to = graph_tensor(g, "", e);
		if (!to || tensor_shape(to, DTYPE_I64, 1, from->dim, e) < 0 ||
		    graph_fill(g, to, e) < 0)
			return -1;
		for (size_t i = 1; i < tensor_count(to); i++)
			((int64_t *)to->data)[i] = tensor_int(from, i);
		to->name = from->name;
		to->constant = true;
		n->in[1] = to;
	}
	return 0;
}

int simplify(struct model *m, const struct tensor *shape, struct err *e)
{
	struct graph *g = m->graph;
	bool open = g->input_count > 0 && g->input[0]->rank > 0 && g->input[0]->dim[0] < 0;

	if (refuse_quantized(g, e) < 0 || refuse_half(g, e) < 0 || model_infer(m, shape, e) < 0)
		return -1;
	fuse_bypass(g);
	graph_sweep(g);
	if (fold_affines(g, e) < 0 || fold_factors(g, e) < 0)
		return -1;
	return open ? keep_open(g, e) : 0;
}
