/* Which kernel computes a convolution of bytes, and what they share: see qconv.h. */
#include "infer/kernels/qconv_kernel.h"

#include "infer/kernels/isa.h"
#include "infer/kernels/qelement.h"

static const struct qconv_kernel *choose(const struct qconv *q, enum kernel_set set, bool plain)
{
	if (plain || set == KERNELS_REFERENCE)
		return &qconv_plain;
#ifdef __x86_64__
	if (isa_vnni())
		return qconv_vnni_depthwise.fits(q) ? &qconv_vnni_depthwise
		       : qconv_depthwise(q)         ? &qconv_words
						    : &qconv_vnni;
#endif
	(void)q;
	return &qconv_words;
}

bool qweights_fit(const struct qconv *q, const struct qweights *w, size_t k)
{
	if (w->is_signed && w->zero[k] == 0)
		return true;
	for (size_t c = 0; c < q->c / q->groups; c++)
		for (size_t t = 0; t < rows_taps(&q->rows); t++) {
			int32_t v = qweight(w, k, c, t) - w->zero[k];
			if (v < -128 || v > 127)
				return false;
		}
	return true;
}

int qweights_parts(const struct qconv *q, const struct qweights *w)
{
	int parts = 1;

	for (size_t k = 0; k < q->k; k++) {
		if (qweights_fit(q, w, k))
			continue;
		parts = 2;
		for (size_t c = 0; c < q->c / q->groups; c++)
			for (size_t t = 0; t < rows_taps(&q->rows); t++)
				if (qweight(w, k, c, t) - w->zero[k] == 255)
					return 3; /* 127 + 127 + 1 */
	}
	return parts;
}

void qconv_choose(struct qconv *q, enum kernel_set set, bool plain, int lanes)
{
	q->kernel_used = choose(q, set, plain);
	q->kernel_used->measure(q, lanes);
}

const char *qconv_kernel_name(const struct qconv *q)
{
	return q->kernel_used->name;
}

void qconv_pack(struct qconv *q, const struct qweights *w, void *packed)
{
	q->packed = packed;
	q->kernel_used->pack(q, w, packed);
}

void qconv_rezero(const struct qconv *q, void *packed)
{
	if (q->kernel_used->rezero)
		q->kernel_used->rezero(q, packed);
}

void qconv_run(const struct qconv *q, const void *x, const void *residual, void *y, void *work,
	       struct crew *crew)
{
	q->kernel_used->run(q, x, residual, y, work, crew);
}

void qconv_cut(const struct qconv *q, size_t panel, size_t block, struct qcut *cut)
{
	size_t pixels = rows_pixels(&q->rows), panels = (q->k / q->groups + panel - 1) / panel;
	size_t whole;

	cut->block = block < pixels ? block : pixels;
	cut->blocks = (pixels + cut->block - 1) / cut->block;
	/* Few pixels are cut along the columns instead, into about eight tasks. */
	whole = cut->blocks * q->groups;
	cut->parts = whole >= 8 ? 1 : (8 + whole - 1) / whole;
	if (cut->parts > panels)
		cut->parts = panels;
	cut->part = (panels + cut->parts - 1) / cut->parts;
	cut->parts = (panels + cut->part - 1) / cut->part;
	cut->part *= panel;
	cut->tasks = q->n * q->groups * cut->blocks * cut->parts;
}

struct qtask qconv_task(const struct qconv *q, const struct qcut *cut, size_t i)
{
	size_t pixels = rows_pixels(&q->rows), k = q->k / q->groups;
	struct qtask t = { .column = i % cut->parts * cut->part,
			   .first = i / cut->parts % cut->blocks * cut->block };

	t.group = i / cut->parts / cut->blocks % q->groups;
	t.picture = i / cut->parts / cut->blocks / q->groups;
	t.count = pixels - t.first < cut->block ? pixels - t.first : cut->block;
	t.columns = k - t.column < cut->part ? k - t.column : cut->part;
	return t;
}

size_t qconv_place(const struct qconv *q, size_t pixel, size_t column)
{
	return (pixel * q->y_pitch + column) * (q->requant.out == QOUT_BYTES ? 1 : 4);
}

void qconv_finish(const struct qconv *q, void *y, size_t pixel, size_t count, size_t column,
		  size_t columns)
{
	const struct requant *r = &q->requant;

	if (!(r->out == QOUT_FLOATS && r->epilogue.act != ACT_NONE) &&
	    !(r->out == QOUT_BYTES && r->table))
		return;
	if (columns == q->y_pitch) {
		columns *= count;
		count = 1;
	}
	for (size_t i = 0; i < count; i++) {
		void *row = (char *)y + qconv_place(q, pixel + i, column);
		if (r->out == QOUT_FLOATS)
			activate(&r->epilogue, row, row, columns);
		else
			qelement_lookup(r->table, row, row, columns);
	}
}
