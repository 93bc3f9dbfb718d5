/* Attributes of windows that slide over pictures: see window.h. */
#include "infer/ops/window.h"

#include <string.h>

#define LIMIT INT32_MAX /* of any of these numbers: sums and products of two stay within 64 bits */

/* One value per dimension, at the end of to[3]; fallback where the attribute is not given. */
static int read_ints(const struct node *n, const char *name, int dims, int64_t least,
		     int64_t fallback, int64_t *to, struct err *e)
{
	const int64_t *given;
	int count = node_ints(n, name, &given);

	for (int i = 0; i < 3; i++)
		to[i] = fallback;
	if (count == 0)
		return 0;
	if (count != dims)
		return node_invalid(n, e, "%s has %d values for %d dimensions", name, count, dims);
	for (int i = 0; i < dims; i++) {
		if (given[i] < least || given[i] > LIMIT)
			return node_invalid(n, e, "%s[%d] is %lld", name, i, (long long)given[i]);
		to[3 - dims + i] = given[i];
	}
	return 0;
}

static int read_kernel(const struct node *n, const int64_t *kernel, struct window *w, struct err *e)
{
	if (read_ints(n, "kernel_shape", w->dims, 1, 1, w->kernel, e) < 0)
		return -1;
	if (!kernel && !node_attr(n, "kernel_shape"))
		return node_invalid(n, e, "no kernel_shape");
	for (int i = 0; kernel && i < w->dims; i++) {
		int64_t *k = &w->kernel[3 - w->dims + i];
		if (node_attr(n, "kernel_shape") && *k != kernel[i])
			return node_invalid(n, e, "kernel_shape[%d] is %lld, the weights have %lld",
					    i, (long long)*k, (long long)kernel[i]);
		if (kernel[i] < 1 || kernel[i] > LIMIT)
			return node_invalid(n, e, "weights of size %lld", (long long)kernel[i]);
		*k = kernel[i];
	}
	return 0;
}

static int64_t extent(const struct window *w, int i)
{
	return (w->kernel[i] - 1) * w->dilation[i] + 1;
}

static int read_pads(const struct node *n, struct window *w, struct err *e)
{
	const int64_t *pads;
	int count = node_ints(n, "pads", &pads);

	if (count && count != 2 * w->dims)
		return node_invalid(n, e, "%d pads for %d dimensions", count, w->dims);
	for (int i = 0; count && i < w->dims; i++) {
		int k = 3 - w->dims + i;
		w->before[k] = pads[i];
		w->after[k] = pads[w->dims + i];
		if (pads[i] < 0 || pads[i] > LIMIT || pads[w->dims + i] < 0 ||
		    pads[w->dims + i] > LIMIT)
			return node_invalid(n, e, "pads %lld and %lld", (long long)pads[i],
					    (long long)pads[w->dims + i]);
	}
	return 0;
}

/* SAME: as many outputs as inputs / stride, rounded up; the odd pad at the end or the beginning. */
static void same_pads(struct window *w, int i, bool lower)
{
	int64_t out = (w->in[i] + w->stride[i] - 1) / w->stride[i];
	int64_t need = (out - 1) * w->stride[i] + extent(w, i) - w->in[i];

	need = need < 0 ? 0 : need;
	w->before[i] = lower ? (need + 1) / 2 : need / 2;
	w->after[i] = need - w->before[i];
}

static int size_out(const struct node *n, struct window *w, int i, bool round_up, struct err *e)
{
	int64_t padded = w->in[i] + w->before[i] + w->after[i], room = padded - extent(w, i);

	if (room < 0)
		return node_invalid(n, e, "a window of %lld does not fit into %lld",
				    (long long)extent(w, i), (long long)padded);
	w->out[i] = room / w->stride[i] + 1;
	/* Rounded up, but no window may begin beyond the input and the padding before it. */
	if (round_up && room % w->stride[i] != 0 &&
	    w->out[i] * w->stride[i] < w->in[i] + w->before[i])
		w->out[i]++;
	return 0;
}

/* What both directions share: checks, kernel, strides, dilations; whether auto_pad says SAME (and on
 * which side the odd pad lies), whether pads are to be read. */
static int read_common(const struct node *n, const struct tensor *x, const int64_t *kernel,
		       struct window *w, bool *same, bool *lower, struct err *e)
{
	const char *how = node_text(n, "auto_pad", "NOTSET");
	bool valid = strcmp(how, "VALID") == 0;

	*lower = strcmp(how, "SAME_LOWER") == 0;
	*same = *lower || strcmp(how, "SAME_UPPER") == 0;
	*w = (struct window){ .dims = x->rank - 2 };
	if (x->rank < 3)
		return node_invalid(n, e, "input of rank %d", x->rank);
	if (x->rank > 5)
		return node_unsupported(n, e, "input of rank %d", x->rank);
	if (!*same && !valid && strcmp(how, "NOTSET") != 0 && *how)
		return node_invalid(n, e, "auto_pad '%s'", how);
	for (int i = 0; i < 3; i++) {
		w->in[i] = 3 - i > w->dims ? 1 : x->dim[2 + i - (3 - w->dims)];
		if (w->in[i] < 1 || w->in[i] > LIMIT)
			return node_invalid(n, e, "input of size %lld", (long long)w->in[i]);
	}
	if (read_kernel(n, kernel, w, e) < 0 ||
	    read_ints(n, "strides", w->dims, 1, 1, w->stride, e) < 0 ||
	    read_ints(n, "dilations", w->dims, 1, 1, w->dilation, e) < 0)
		return -1;
	return *same || valid ? 0 : read_pads(n, w, e);
}

int window_read(const struct node *n, const struct tensor *x, const int64_t *kernel, bool round_up,
		struct window *w, struct err *e)
{
	bool same, lower;

	if (read_common(n, x, kernel, w, &same, &lower, e) < 0)
		return -1;
	for (int i = 0; i < 3; i++) {
		if (same)
			same_pads(w, i, lower);
		if (size_out(n, w, i, round_up, e) < 0)
			return -1;
	}
	return 0;
}

int window_read_transposed(const struct node *n, const struct tensor *x, const int64_t *kernel,
			   struct window *w, struct err *e)
{
	int64_t extra[3], shape[3];
	bool same, lower, given = node_attr(n, "output_shape") != NULL;

	if (read_common(n, x, kernel, w, &same, &lower, e) < 0 ||
	    read_ints(n, "output_padding", w->dims, 0, 0, extra, e) < 0 ||
	    read_ints(n, "output_shape", w->dims, 1, 1, shape, e) < 0)
		return -1;
	for (int i = 0; i < 3; i++) {
		int64_t full = w->stride[i] * (w->in[i] - 1) + extent(w, i) + extra[i];
		if (given || same) {
			int64_t out = given ? shape[i] : w->in[i] * w->stride[i];
			int64_t cut = full > out ? full - out : 0;
			w->before[i] = same && !lower ? cut / 2 : cut - cut / 2;
			w->after[i] = cut - w->before[i];
			w->out[i] = out;
		} else {
			w->out[i] = full - w->before[i] - w->after[i];
		}
		if (w->out[i] < 1 || w->out[i] > LIMIT)
			return node_invalid(n, e, "output of size %lld", (long long)w->out[i]);
	}
	return 0;
}

void window_taps(const struct window *w, int i, int64_t o, int64_t *low, int64_t *high)
{
	int64_t start = o * w->stride[i] - w->before[i], d = w->dilation[i];

	*low = start < 0 ? (-start + d - 1) / d : 0;
	*high = start >= w->in[i] ? 0 : (w->in[i] - start + d - 1) / d;
	*high = *high > w->kernel[i] ? w->kernel[i] : *high;
	*high = *high < *low ? *low : *high;
}
