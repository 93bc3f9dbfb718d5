/* Col2Im: blocks that lie in columns are added up where they come from in the picture.
 *
 * x: N, C · block, L     y: N, C, picture; all row-major. L counts the blocks' places, last axis fastest. */
#include "infer/ops/ops.h"

#include <string.h>

#define AXES (TENSOR_RANK_MAX - 2)

struct state {
	int axes;
	int64_t picture[AXES], block[AXES], count[AXES];
	int64_t stride[AXES], dilation[AXES], before[AXES], after[AXES];
	int64_t blocks, places; /* products of block and count */
};

static int read_ints(const struct node *n, const char *name, int wanted, int64_t least,
		     int64_t fallback, int64_t *to, struct err *e)
{
	const int64_t *given;
	int count = node_ints(n, name, &given);

	if (count && count != wanted)
		return node_invalid(n, e, "%s has %d values for %d axes", name, count, wanted);
	for (int i = 0; i < wanted; i++) {
		to[i] = count ? given[i] : fallback;
		if (to[i] < least || to[i] > INT32_MAX)
			return node_invalid(n, e, "%s[%d] is %lld", name, i, (long long)to[i]);
	}
	return 0;
}

static int read(const struct node *n, struct state *s, struct err *e)
{
	int64_t pads[2 * AXES];
	int blocks = node_list(n, 2, NULL, s->block, AXES, e);

	s->axes = blocks < 0 ? -1 : node_list(n, 1, NULL, s->picture, AXES, e);
	if (s->axes < 0)
		return -1;
	if (s->axes < 1 || blocks != s->axes)
		return node_invalid(n, e, "a picture of %d axes, blocks of %d", s->axes, blocks);
	if (read_ints(n, "strides", s->axes, 1, 1, s->stride, e) < 0 ||
	    read_ints(n, "dilations", s->axes, 1, 1, s->dilation, e) < 0 ||
	    read_ints(n, "pads", 2 * s->axes, 0, 0, pads, e) < 0)
		return -1;
	for (int i = 0; i < s->axes; i++) {
		s->before[i] = pads[i];
		s->after[i] = pads[s->axes + i];
	}
	return 0;
}

/* How many places a block has along each axis. */
static int places(const struct node *n, struct state *s, struct err *e)
{
	s->blocks = s->places = 1;
	for (int i = 0; i < s->axes; i++) {
		int64_t room;

		if (s->picture[i] < 1 || s->picture[i] > INT32_MAX || s->block[i] < 1 ||
		    s->block[i] > INT32_MAX)
			return node_invalid(n, e, "a block of %lld in %lld", (long long)s->block[i],
					    (long long)s->picture[i]);
		room = s->picture[i] + s->before[i] + s->after[i] -
		       (s->block[i] - 1) * s->dilation[i] - 1;
		if (room < 0)
			return node_invalid(n, e, "a block of %lld does not fit into %lld",
					    (long long)s->block[i], (long long)s->picture[i]);
		s->count[i] = room / s->stride[i] + 1;
		if (__builtin_mul_overflow(s->blocks, s->block[i], &s->blocks) ||
		    __builtin_mul_overflow(s->places, s->count[i], &s->places))
			return node_invalid(n, e, "too many blocks");
	}
	return 0;
}

static int shape(struct node *n, struct err *e)
{
	struct state *s = node_note(n, sizeof *s, e);
	const struct tensor *x = n->in[0];
	int64_t dim[TENSOR_RANK_MAX];

	if (!s || node_types(n, 0, TYPE(F32), e) < 0 || read(n, s, e) < 0 || places(n, s, e) < 0)
		return -1;
	if (x->rank != 3 || x->dim[1] % s->blocks != 0 || x->dim[2] != s->places)
		return node_invalid(n, e, "%lld columns of blocks of %lld, wanted %lld",
				    x->rank == 3 ? (long long)x->dim[2] : -1, (long long)s->blocks,
				    (long long)s->places);
	dim[0] = x->dim[0];
	dim[1] = x->dim[1] / s->blocks;
	memcpy(dim + 2, s->picture, sizeof *dim * (size_t)s->axes);
	if (node_output(n, 0, DTYPE_F32, 2 + s->axes, dim, e) < 0)
		return -1;
	n->flops = (double)tensor_count(x);
	if (n->out[0])
		n->out[0]->half = x->half;
	return 0;
}

/* Where in the picture value `tap` of the block at `place` belongs; -1: in the padding. */
static int64_t target(const struct state *s, int64_t tap, int64_t place)
{
	int64_t at = 0, step = 1;

	for (int i = s->axes - 1; i >= 0; i--) {
		int64_t p = place % s->count[i] * s->stride[i] - s->before[i] +
			    tap % s->block[i] * s->dilation[i];

		place /= s->count[i];
		tap /= s->block[i];
		if (p < 0 || p >= s->picture[i])
			return -1;
		at += p * step;
		step *= s->picture[i];
	}
	return at;
}

static void run(const struct node *n)
{
	const struct state *s = n->state;
	const struct tensor *y = n->out[0];
	const float *x = n->in[0]->data;
	int64_t planes = y->dim[0] * y->dim[1], pixels = 1;
	float *to = y->data;

	for (int i = 0; i < s->axes; i++)
		pixels *= s->picture[i];
	memset(to, 0, tensor_bytes(y));
	for (int64_t p = 0; p < planes; p++, to += pixels) {
		for (int64_t tap = 0; tap < s->blocks; tap++) {
			for (int64_t place = 0; place < s->places; place++, x++) {
				int64_t at = target(s, tap, place);

				if (at >= 0)
					to[at] += *x;
			}
		}
	}
}

const struct op *const ops_col2im[] = {
	&(const struct op){ .name = "Col2Im",
			    .since = 18,
			    .in_least = 3,
			    .in_most = 3,
			    .attrs = "dilations:I pads:I strides:I",
			    .shape = shape,
			    .run = run },
	NULL,
};
