/* What the plan is, in words and numbers. */
#include <inttypes.h>
#include <string.h>

#include "infer/model.h"
#include "infer/model_parts.h"

static const char *const activations[] = {
	[ACT_RELU] = "Relu",           [ACT_CLIP] = "Clip",
	[ACT_LEAKY] = "LeakyRelu",     [ACT_HARDSIGMOID] = "HardSigmoid",
	[ACT_HARDSWISH] = "HardSwish", [ACT_SIGMOID] = "Sigmoid",
	[ACT_SILU] = "Silu",           [ACT_TANH] = "Tanh",
	[ACT_GELU] = "Gelu",           [ACT_GELU_TANH] = "Gelu(tanh)",
	[ACT_MISH] = "Mish",
};

bool ends_in_probabilities(const struct graph *g)
{
	const struct node *n = g->output[0]->maker;

	/* What only reshapes or casts behind it changes nothing. */
	while (n && n->in_count > 0 && n->in[0] &&
	       (strcmp(n->type, "Identity") == 0 || strcmp(n->type, "Reshape") == 0 ||
		strcmp(n->type, "Flatten") == 0 || strcmp(n->type, "Squeeze") == 0 ||
		strcmp(n->type, "Cast") == 0 || strcmp(n->type, "DequantizeLinear") == 0 ||
		strcmp(n->type, "QuantizeLinear") == 0))
		n = n->in[0]->maker;
	return n && (strcmp(n->type, "Softmax") == 0 || strcmp(n->type, "Sigmoid") == 0);
}

static size_t node_bytes(const struct node *n)
{
	size_t bytes = 0;

	for (int i = 0; i < n->in_count; i++)
		if (n->in[i])
			bytes += tensor_bytes(n->in[i]);
	for (int i = 0; i < n->out_count; i++)
		if (n->out[i])
			bytes += tensor_bytes(n->out[i]);
	return bytes;
}

static void explain_node(const struct node *n, int64_t least_ns, int runs, FILE *out)
{
	char shape[128], from[128];
	const struct tensor *y = node_out(n, 0);

	fprintf(out, "%4d %-22s %-20s %-20s %-26s %8.2f %9zu", n->index,
		n->op->name[0] ? n->type : "",
		node_in(n, 0) ? tensor_text(n->in[0], from, sizeof from) : "",
		y ? tensor_text(y, shape, sizeof shape) : "",
		n->op->flags & OP_VIEW ? "(view)"
		: n->kernel            ? n->kernel
				       : "loops",
		n->flops / 1e6, node_bytes(n) >> 10);
	if (runs > 0)
		fprintf(out, " %9.1f", (double)least_ns / 1e3);
	if (n->gate)
		fprintf(out, " *Gate");
	if (n->residual)
		fprintf(out, " +Add");
	if (n->epilogue.act != ACT_NONE)
		fprintf(out, " +%s", activations[n->epilogue.act]);
	fprintf(out, "%s%s\n", *n->name ? "  " : "", n->name);
}

void model_explain(const struct model *m, FILE *out)
{
	const struct graph *g = m->graph;
	int at = 0;

	fprintf(out, "node %-22s %-20s %-20s %-26s %8s %9s%s\n", "operator", "in", "out", "kernel",
		"MFLOP", "kB", g->runs > 0 ? "        us" : "");
	for (const struct node *n = g->first; n; n = n->next) {
		bool runs = at < g->order_count && g->order[at] == n;

		explain_node(n, runs ? g->least_ns[at] : 0, g->runs, out);
		at += runs;
	}
	fprintf(out, "%d nodes, %.1f MFLOP, weights %.2f MB, arena %.2f MB, kernels %s\n",
		g->node_count, g->flops / 1e6, (double)g->weight_bytes / 1e6,
		(double)model_arena_bytes(m) / 1e6, model_kernels(m));
}

void graph_run_timed(struct graph *g)
{
	for (int i = 0; i < g->order_count; i++) {
		int64_t start = clock_mono_ns();

		g->order[i]->op->run(g->order[i]);
		int64_t spent = clock_mono_ns() - start;
		if (g->runs == 0 || spent < g->least_ns[i])
			g->least_ns[i] = spent;
	}
	g->runs++;
}

void model_profile(struct model *m, bool on)
{
	m->profile = on;
}

double model_flops(const struct model *m)
{
	return m->graph->flops;
}

size_t model_arena_bytes(const struct model *m)
{
	return m->graph->memory_bytes + m->graph->work_bytes;
}

size_t model_weight_bytes(const struct model *m)
{
	return m->graph->weight_bytes;
}

const char *model_kernels(const struct model *m)
{
	return m->kernels;
}
