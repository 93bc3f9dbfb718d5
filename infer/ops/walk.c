/* Walking several tensors together: see walk.h. */
#include "infer/ops/walk.h"

#include <string.h>

void walk_init(struct walk *w, const struct tensor *to)
{
	*w = (struct walk){ .tensors = 1, .rank = to->rank };
	for (int i = 0; i < to->rank; i++) {
		w->dim[i] = to->dim[i];
		w->stride[0][i] = to->stride[i];
	}
}

void walk_add_strides(struct walk *w, const int64_t *stride)
{
	for (int i = 0; i < w->rank; i++)
		w->stride[w->tensors][i] = stride[i];
	w->tensors++;
}

void walk_add(struct walk *w, const struct tensor *to, const struct tensor *t, int last)
{
	int64_t stride[TENSOR_RANK_MAX] = { 0 };
	int shift = last + 1 - t->rank;

	for (int i = 0; i < t->rank; i++)
		if (i + shift >= 0 && i + shift < to->rank && t->dim[i] != 1)
			stride[i + shift] = t->stride[i];
	walk_add_strides(w, stride);
}

static void swap_dims(struct walk *w, int i, int j)
{
	int64_t keep = w->dim[i];

	w->dim[i] = w->dim[j];
	w->dim[j] = keep;
	for (int t = 0; t < w->tensors; t++) {
		keep = w->stride[t][i];
		w->stride[t][i] = w->stride[t][j];
		w->stride[t][j] = keep;
	}
}

static void drop_dim(struct walk *w, int i)
{
	for (; i + 1 < w->rank; i++)
		swap_dims(w, i, i + 1);
	w->rank--;
}

static bool can_merge(const struct walk *w, int i)
{
	for (int t = 0; t < w->tensors; t++)
		if (w->stride[t][i] != w->stride[t][i + 1] * w->dim[i + 1])
			return false;
	return true;
}

/* Largest stride of tensor 0 outermost; dimensions of one element do not matter. */
static void normalise(struct walk *w)
{
	for (int i = w->rank - 1; i >= 0; i--)
		if (w->dim[i] == 1)
			drop_dim(w, i);
	for (int i = 1; i < w->rank; i++)
		for (int j = i; j > 0 && w->stride[0][j - 1] < w->stride[0][j]; j--)
			swap_dims(w, j - 1, j);
	for (int i = w->rank - 2; i >= 0; i--) {
		if (!can_merge(w, i))
			continue;
		w->dim[i + 1] *= w->dim[i];
		drop_dim(w, i);
	}
}

void walk_begin(struct walk *w)
{
	for (int i = 0; i < w->rank; i++)
		if (w->dim[i] == 0) {
			w->done = true;
			return;
		}
	normalise(w);
	w->count = w->left = 1;
	if (w->rank == 0)
		return;
	w->rank--;
	w->count = w->dim[w->rank];
	for (int t = 0; t < w->tensors; t++)
		w->step[t] = w->stride[t][w->rank];
	for (int i = 0; i < w->rank; i++)
		w->left *= w->dim[i];
}

int64_t walk_parts(size_t elements)
{
	size_t parts = elements / 8192;

	return parts > 16 ? 16 : parts > 1 ? (int64_t)parts : 1;
}

void walk_begin_part(struct walk *w, int64_t i, int64_t parts)
{
	int64_t *all, first, step;

	walk_begin(w);
	if (w->done || parts == 1)
		return;
	all = w->left > 1 ? &w->left : &w->count;
	first = *all * i / parts;
	*all = *all * (i + 1) / parts - first;
	w->done = *all == 0;
	if (all == &w->count) {
		for (int t = 0; t < w->tensors; t++)
			w->offset[t] += first * w->step[t];
		return;
	}
	for (int d = w->rank - 1; d >= 0; d--, first = step) {
		step = first / w->dim[d];
		w->at[d] = first % w->dim[d];
		for (int t = 0; t < w->tensors; t++)
			w->offset[t] += w->at[d] * w->stride[t][d];
	}
}

void walk_next(struct walk *w)
{
	if (--w->left == 0) {
		w->done = true;
		return;
	}
	for (int i = w->rank - 1; i >= 0; i--) {
		for (int t = 0; t < w->tensors; t++)
			w->offset[t] += w->stride[t][i];
		if (++w->at[i] < w->dim[i])
			return;
		w->at[i] = 0;
		for (int t = 0; t < w->tensors; t++)
			w->offset[t] -= w->stride[t][i] * w->dim[i];
	}
}

#define COPY(type)                                                                              \
	static void copy_##type(type *to, int64_t to_step, const type *from, int64_t from_step, \
				int64_t count)                                                  \
	{                                                                                       \
		if (to_step == 1 && from_step == 0)                                             \
			for (int64_t i = 0; i < count; i++)                                     \
				to[i] = *from;                                                  \
		else                                                                            \
			for (int64_t i = 0; i < count; i++)                                     \
				to[i * to_step] = from[i * from_step];                          \
	}
COPY(uint8_t)
COPY(uint16_t)
COPY(uint32_t)
COPY(uint64_t)

void walk_copy(struct walk *w, void *to, const void *from, size_t each)
{
	for (walk_begin(w); !w->done; walk_next(w)) {
		void *t = (char *)to + w->offset[0] * (int64_t)each;
		const void *f = (const char *)from + w->offset[1] * (int64_t)each;

		if (w->count == 1 || (w->step[0] == 1 && w->step[1] == 1))
			memcpy(t, f, (size_t)w->count * each);
		else if (each == 1)
			copy_uint8_t(t, w->step[0], f, w->step[1], w->count);
		else if (each == 2)
			copy_uint16_t(t, w->step[0], f, w->step[1], w->count);
		else if (each == 4)
			copy_uint32_t(t, w->step[0], f, w->step[1], w->count);
		else
			copy_uint64_t(t, w->step[0], f, w->step[1], w->count);
	}
}

void walk_part(const struct tensor *t, unsigned mask, struct tensor *some)
{
	*some = *t;
	for (int i = 0; i < t->rank; i++)
		if (!(mask >> i & 1))
			some->dim[i] = 1;
}

int64_t walk_product(const int64_t *dim, int from, int to)
{
	uint64_t p = 1;

	for (int i = from; i < to; i++)
		p *= (uint64_t)dim[i];
	return (int64_t)p;
}

int64_t walk_matrix(const struct tensor *t, const int64_t *dim, int rank, int64_t i)
{
	int own = t->rank > 2 ? t->rank - 2 : 0;
	int64_t at = 0, step = 1;

	for (int k = 1; k <= rank; k++) {
		int64_t here = i % dim[rank - k];
		i /= dim[rank - k];
		if (k > own)
			continue;
		at += t->dim[own - k] == 1 ? 0 : here * step;
		step *= t->dim[own - k];
	}
	return at;
}
