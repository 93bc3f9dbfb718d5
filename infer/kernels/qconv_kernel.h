/* What a kernel for convolutions of bytes gives to qconv.c's table, and what several of them share. */
#ifndef INFER_KERNELS_QCONV_KERNEL_H
#define INFER_KERNELS_QCONV_KERNEL_H

#include "infer/kernels/qconv.h"

struct qconv_kernel {
	const char *name;
	bool (*fits)(const struct qconv *q); /* NULL: always */
	/* Set packed_bytes and work_bytes (lanes x what one lane needs). */
	void (*measure)(struct qconv *q, int lanes);
	void (*pack)(const struct qconv *q, const struct qweights *w, void *packed);
	void (*rezero)(const struct qconv *q, void *packed); /* NULL: nothing to do */
	void (*run)(const struct qconv *q, const void *x, const void *residual, void *y, void *work,
		    struct crew *crew);
};

extern const struct qconv_kernel qconv_plain, qconv_words, qconv_vnni, qconv_vnni_depthwise;

static inline bool qconv_depthwise(const struct qconv *q)
{
	return q->groups > 1 && q->groups == q->c && q->groups == q->k;
}

/* Weight of output k, channel c of its group, tap t, as it is stored. */
static inline int32_t qweight(const struct qweights *w, size_t k, size_t c, size_t t)
{
	const uint8_t *p = (const uint8_t *)w->w + (ptrdiff_t)k * w->k_step +
			   (ptrdiff_t)c * w->c_step + (ptrdiff_t)t * w->tap_step;

	return w->is_signed ? *(const int8_t *)p : *p;
}

/* Do the weights of output k, less their zero point, fit i8? */
bool qweights_fit(const struct qconv *q, const struct qweights *w, size_t k);

/* A layer as tasks: blocks of pixels of one picture and one group, times parts of its columns. Sums are
 * exact, so that results do not depend on it. */
struct qcut {
	size_t block, blocks; /* pixels a block, blocks a picture */
	size_t part, parts;   /* columns a task, a multiple of `panel`; parts */
	size_t tasks;
};
void qconv_cut(const struct qconv *q, size_t panel, size_t block, struct qcut *cut);

struct qtask {
	size_t picture, group, first, count, column, columns;
};
struct qtask qconv_task(const struct qconv *q, const struct qcut *cut, size_t i);

/* What a task has stored: floats are activated, bytes are looked up. */
void qconv_finish(const struct qconv *q, void *y, size_t pixel, size_t count, size_t column,
		  size_t columns);

/* Element of the result that pixel and column have, in bytes from y. */
size_t qconv_place(const struct qconv *q, size_t pixel, size_t column);

/* Bytes rounded up to whole cache lines. */
static inline size_t qconv_lines(size_t bytes)
{
	return (bytes + 63) / 64 * 64;
}

#endif
