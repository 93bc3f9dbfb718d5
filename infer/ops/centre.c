/* CenterCropPad: the middle of an axis that is too long, zeros around one that is too short. */
#include "infer/ops/ops.h"

#include <string.h>

#include "infer/ops/walk.h"

/* Sizes of the axes that are named, or of all. */
static int shape(struct node *n, struct err *e)
{
	const struct tensor *x = n->in[0];
	int64_t dim[TENSOR_RANK_MAX], size[TENSOR_RANK_MAX];
	int count = node_list(n, 1, NULL, size, TENSOR_RANK_MAX, e), given, seen = 0;
	const int64_t *axes;

	if (count < 0)
		return -1;
	given = node_ints(n, "axes", &axes);
	if (count != (node_attr(n, "axes") ? given : x->rank))
		return node_invalid(n, e, "%d sizes for %d axes", count,
				    node_attr(n, "axes") ? given : x->rank);
	memcpy(dim, x->dim, sizeof dim);
	for (int i = 0; i < count; i++) {
		int64_t axis = given ? axes[i] : i;

		if (node_axis(n, &axis, x->rank, e) < 0)
			return -1;
		if (seen >> axis & 1)
			return node_invalid(n, e, "axis %lld comes twice", (long long)axis);
		seen |= 1 << axis;
		dim[axis] = size[i];
	}
	if (node_output(n, 0, x->dtype, x->rank, dim, e) < 0)
		return -1;
	if (n->out[0])
		n->out[0]->half = x->half;
	return 0;
}

static void run(const struct node *n)
{
	const struct tensor *x = n->in[0], *y = n->out[0];
	size_t each = dtype_size(x->dtype);
	int64_t from = 0, to = 0;
	struct tensor part = *y;
	struct walk w;

	memset(y->data, 0, tensor_bytes(y));
	for (int i = 0; i < x->rank; i++) {
		int64_t more = x->dim[i] - y->dim[i];

		from += more > 0 ? more / 2 * x->stride[i] : 0;
		to += more < 0 ? -more / 2 * y->stride[i] : 0;
		part.dim[i] = more > 0 ? y->dim[i] : x->dim[i];
	}
	walk_init(&w, &part);
	walk_add_strides(&w, x->stride);
	walk_copy(&w, (char *)y->data + (size_t)to * each,
		  (const char *)x->data + (size_t)from * each, each);
}

const struct op *const ops_centre[] = {
	&(const struct op){ .name = "CenterCropPad",
			    .since = 18,
			    .layout = OP_FOLLOW,
			    .in_least = 2,
			    .in_most = 2,
			    .attrs = "axes:I",
			    .shape = shape,
			    .run = run },
	NULL,
};
