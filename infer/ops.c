/* The table of operators: one line per file's rows. An operator that stands in no row is refused at
 * load. Rows of one name may lie in any order; the one with the largest `since` that is not above
 * the model's opset serves. */
#include "infer/ops/ops.h"

#include <string.h>

static const struct op *const *const tables[] = {
	ops_activation, ops_binary,        ops_cast,    ops_centre, ops_col2im, ops_constant,
	ops_conv,       ops_convtranspose, ops_einsum,  ops_gather, ops_matmul, ops_move,
	ops_norm,       ops_norm_axes,     ops_order,   ops_pad,    ops_pool,   ops_qcontrib,
	ops_qconv,      ops_qelement,      ops_qmatmul, ops_qpool,  ops_quant,  ops_reduce,
	ops_resize,     ops_softmax,       ops_unary,   ops_view,   NULL
};

static bool same_domain(const char *a, const char *b)
{
	const char *x = a && strcmp(a, "ai.onnx") != 0 ? a : "";
	const char *y = b && strcmp(b, "ai.onnx") != 0 ? b : "";

	return strcmp(x, y) == 0;
}

const struct op *op_find(const char *domain, const char *type, int opset, bool *known)
{
	const struct op *best = NULL;

	*known = false;
	for (size_t t = 0; tables[t]; t++) {
		for (const struct op *const *o = tables[t]; *o; o++) {
			if (strcmp((*o)->name, type) != 0 || !same_domain((*o)->domain, domain))
				continue;
			*known = true;
			if ((*o)->since <= opset && (!best || (*o)->since > best->since))
				best = *o;
		}
	}
	return best;
}
