/* Operators on quantised bytes that ONNX Runtime's quantiser writes, in com.microsoft's domain. These stand
 * here for their shapes alone: fuse_qdq.c writes each out as DequantizeLinear, the operator of ONNX that it
 * is named after, and QuantizeLinear, and goes on from there. */
#include "infer/ops/ops.h"
#include "infer/ops/qlinear.h"

enum { X, X_SCALE, X_ZERO, Y_SCALE, Y_ZERO };

static int one_known(const struct node *n, int i, unsigned types, struct err *e)
{
	const struct tensor *t = node_in(n, i);

	if (!t)
		return 0;
	if (node_types(n, i, types, e) < 0)
		return -1;
	if (!t->constant || tensor_count(t) != 1)
		return node_unsupported(n, e, "input %d that is not one known number", i);
	return 0;
}

static int check_pair(const struct node *n, int scale, int zero, struct err *e)
{
	if (!node_in(n, scale))
		return node_invalid(n, e, "input %d is missing", scale);
	return one_known(n, scale, TYPE(F32), e) < 0 ||
		       one_known(n, zero, TYPE(U8) | TYPE(I8), e) < 0
		   ? -1
		   : 0;
}

static int check_bytes(const struct node *n, int i, int zero, struct err *e)
{
	if (node_types(n, i, TYPE(U8) | TYPE(I8), e) < 0)
		return -1;
	if (node_in(n, zero) && n->in[zero]->dtype != n->in[i]->dtype)
		return node_invalid(n, e, "a zero point of another type than its tensor");
	return 0;
}

static int element_shape(struct node *n, struct err *e)
{
	const struct tensor *x = n->in[X], *zero = node_in(n, Y_ZERO);

	if (check_pair(n, X_SCALE, X_ZERO, e) < 0 || check_bytes(n, X, X_ZERO, e) < 0 ||
	    check_pair(n, Y_SCALE, Y_ZERO, e) < 0)
		return -1;
	return node_output(n, 0, zero ? zero->dtype : DTYPE_U8, x->rank, x->dim, e);
}

/* y's scale and zero point; then of each part bytes, scale, zero point. */
static int concat_shape(struct node *n, struct err *e)
{
	int64_t axis = node_int(n, "axis", 0), dim[TENSOR_RANK_MAX];
	const struct tensor *first = node_in(n, 2);

	if (n->in_count < 5 || (n->in_count - 2) % 3 != 0 || !first)
		return node_invalid(n, e, "%d inputs", n->in_count);
	if (check_pair(n, 0, 1, e) < 0 || !node_in(n, 1) || node_axis(n, &axis, first->rank, e) < 0)
		return node_in(n, 1) ? -1 : node_invalid(n, e, "input 1 is missing");
	for (int i = 0; i < first->rank; i++)
		dim[i] = i == axis ? 0 : first->dim[i];
	for (int i = 2; i < n->in_count; i += 3) {
		const struct tensor *t = node_in(n, i);

		if (!t || t->rank != first->rank)
			return node_invalid(n, e, "input %d of another rank", i);
		if (check_pair(n, i + 1, i + 2, e) < 0 || check_bytes(n, i, i + 2, e) < 0)
			return -1;
		for (int k = 0; k < t->rank; k++)
			if (k != axis && t->dim[k] != dim[k])
				return node_invalid(n, e, "parts of different sizes");
		dim[axis] += t->dim[axis];
	}
	return node_output(n, 0, n->in[1]->dtype, first->rank, dim, e);
}

#define ROW(onnx, least, most, attributes, shapes)                                       \
	&(const struct op)                                                               \
	{                                                                                \
		.domain = OP_MICROSOFT, .name = onnx, .since = 1, .flags = OP_NO_FOLD,   \
		.in_least = least, .in_most = most, .attrs = attributes, .shape = shapes \
	}

const struct op *const ops_qcontrib[] = {
	ROW("QLinearSigmoid", 4, 5, NULL, element_shape),
	ROW("QLinearLeakyRelu", 4, 5, "alpha:f", element_shape),
	ROW("QLinearConcat", 5, 0, "!axis:i", concat_shape),
	NULL,
};
