/* Pad in front of a convolution, with zeros around the picture: the convolution pads itself. */
#include "infer/fuse.h"

#include <string.h>

/* Pads of the spatial axes, before and after, if it pads nothing else; false otherwise. */
static bool spatial_pads(const struct node *pad, int64_t *out)
{
	struct err ignored;
	int64_t all[2 * TENSOR_RANK_MAX];
	int rank = pad->in[0]->rank;
	const struct tensor *value = node_in(pad, 2);

	if (strcmp(node_text(pad, "mode", "constant"), "constant") != 0 || node_in(pad, 3) ||
	    (value && (!value->constant || tensor_real(value, 0) != 0)) ||
	    node_float(pad, "value", 0) != 0 ||
	    node_list(pad, 1, "pads", all, 2 * TENSOR_RANK_MAX, &ignored) != 2 * rank)
		return false;
	for (int i = 0; i < 2 * rank; i++) {
		if (all[i] < 0 || (i % rank < 2 && all[i] != 0))
			return false;
		if (i % rank >= 2)
			out[i / rank * (rank - 2) + i % rank - 2] = all[i];
	}
	return true;
}

static int add_pads(struct graph *g, struct node *n, const int64_t *pads, int count, struct err *e)
{
	struct attr *attr = arena_array(g->arena, (size_t)n->attr_count + 1, sizeof *attr, e);
	int64_t *sum = arena_array(g->arena, (size_t)count, sizeof *sum, e);
	struct attr *own = NULL;

	if (!attr || !sum)
		return -1;
	for (int i = 0; i < n->attr_count; i++) {
		attr[i] = n->attr[i];
		if (strcmp(attr[i].name, "auto_pad") == 0)
			attr[i].s = "NOTSET";
		if (strcmp(attr[i].name, "pads") == 0)
			own = &attr[i];
	}
	for (int i = 0; i < count; i++)
		sum[i] = pads[i] + (own ? own->ints[i] : 0);
	if (!own) {
		own = &attr[n->attr_count++];
		*own = (struct attr){ .name = "pads", .type = 'I' };
	}
	own->ints = sum;
	own->count = count;
	n->attr = attr;
	return 0;
}

int fuse_pads(struct graph *g, struct err *e)
{
	for (struct node *n = g->first; n; n = n->next) {
		struct node *pad = node_is(n, "Conv") ? n->in[0]->maker : NULL;
		const char *mode = node_text(n, "auto_pad", "NOTSET");
		int64_t pads[2 * TENSOR_RANK_MAX];

		if (!node_is(pad, "Pad") || graph_reader(pad->out[0]) != n ||
		    (strcmp(mode, "NOTSET") != 0 && strcmp(mode, "VALID") != 0) ||
		    !spatial_pads(pad, pads))
			continue;
		if (add_pads(g, n, pads, 2 * (n->in[0]->rank - 2), e) < 0)
			return -1;
		n->in[0] = pad->in[0];
		if (n->in[0]->reader == pad)
			n->in[0]->reader = n;
		graph_remove(g, pad);
		if (n->op->shape(n, e) < 0)
			return graph_at(n, e);
	}
	return 0;
}
