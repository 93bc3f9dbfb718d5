/* Convolution of bytes without VNNI: see qwords.h. The picture is widened to words once, without its zero
 * point, so that padding is zeros; depthwise reads its bytes. */
#include <string.h>

#include "infer/kernels/isa.h"
#include "infer/kernels/qconv_kernel.h"
#include "infer/kernels/qwords.h"

#define BLOCK 96 /* pixels a task */

static const struct qwords_isa *best(void)
{
#ifdef __x86_64__
	if (isa_best() == ISA_AVX512)
		return &qwords__avx512;
	if (isa_best() == ISA_AVX2)
		return &qwords__avx2;
#endif
	return &qwords__base;
}

/* Words of a group of channels, filled up to two; of all of them. */
static size_t depth_of(const struct qconv *q)
{
	return (q->c / q->groups + 1) / 2 * 2;
}

static size_t pixel_words(const struct qconv *q)
{
	return q->groups * depth_of(q);
}

static size_t edge_bytes(const struct qconv *q)
{
	return qconv_lines(qconv_depthwise(q) ? q->c : pixel_words(q) * 2);
}

static size_t wide_bytes(const struct qconv *q)
{
	size_t pixels = q->n * q->rows.in[0] * q->rows.in[1] * q->rows.in[2];

	return qconv_depthwise(q) ? 0 : qconv_lines(pixels * pixel_words(q) * 2);
}

static size_t lane_bytes(const struct qconv *q)
{
	size_t most = qconv_depthwise(q) ? q->rows.out[2] : BLOCK;

	return qconv_lines(rows_taps(&q->rows) * most * sizeof(char *));
}

static size_t column_bytes(const struct qconv *q)
{
	return 8 + rows_taps(&q->rows) * depth_of(q) * 2;
}

static size_t group_bytes(const struct qconv *q)
{
	size_t columns = best()->columns;

	return (q->k / q->groups + columns - 1) / columns * columns * column_bytes(q);
}

static void measure(struct qconv *q, int lanes)
{
	q->packed_bytes = edge_bytes(q) + (qconv_depthwise(q) ? q->k * (8 + rows_taps(&q->rows) * 2)
							      : q->groups * group_bytes(q));
	q->work_bytes = wide_bytes(q) + (size_t)lanes * lane_bytes(q);
}

static void pack_depthwise(const struct qconv *q, const struct qweights *w, char *to)
{
	int32_t *bias = (int32_t *)(void *)to;
	float *factor = (float *)(bias + q->k);
	int16_t *words = (int16_t *)(factor + q->k);

	for (size_t k = 0; k < q->k; k++) {
		bias[k] = w->bias[k];
		factor[k] = q->requant.out == QOUT_SUMS ? 0 : w->factor[k];
		for (size_t t = 0; t < rows_taps(&q->rows); t++)
			words[t * q->k + k] = (int16_t)(qweight(w, k, 0, t) - w->zero[k]);
	}
}

/* n columns from k on. */
static void pack_panel(const struct qconv *q, const struct qweights *w, size_t k, size_t n,
		       char *panel)
{
	size_t columns = best()->columns;
	int32_t *bias = (int32_t *)(void *)panel;
	float *factor = (float *)(bias + columns);
	int16_t *to = (int16_t *)(factor + columns);

	for (size_t j = 0; j < n; j++) {
		bias[j] = w->bias[k + j];
		factor[j] = q->requant.out == QOUT_SUMS ? 0 : w->factor[k + j];
	}
	for (size_t t = 0; t < rows_taps(&q->rows); t++)
		for (size_t c = 0; c < q->c / q->groups; c++)
			for (size_t j = 0; j < n; j++)
				to[((t * depth_of(q) + c) / 2 * columns + j) * 2 + c % 2] =
				    (int16_t)(qweight(w, k + j, c, t) - w->zero[k + j]);
}

static void pack(const struct qconv *q, const struct qweights *w, void *packed)
{
	size_t columns = best()->columns, each = q->k / q->groups;
	char *to = packed;

	memset(to, 0, q->packed_bytes);
	if (qconv_depthwise(q)) {
		memset(to, q->x_zero, edge_bytes(q));
		pack_depthwise(q, w, to + edge_bytes(q));
		return;
	}
	to += edge_bytes(q);
	for (size_t g = 0; g < q->groups; g++, to += group_bytes(q))
		for (size_t k = 0; k < each; k += columns)
			pack_panel(q, w, g * each + k, each - k < columns ? each - k : columns,
				   to + k * column_bytes(q));
}

static void rezero(const struct qconv *q, void *packed)
{
	if (qconv_depthwise(q))
		memset(packed, q->x_zero, edge_bytes(q));
}

struct job {
	const struct qconv *q;
	struct rows wide; /* of the widened picture */
	const char *x, *packed;
	char *words, *work;
	const uint8_t *residual;
	char *y;
	struct qcut cut;
};

/* One line of the picture, widened. */
static void widen(void *context, size_t i, int lane)
{
	const struct job *j = context;
	const struct qconv *q = j->q;
	size_t width = q->rows.in[2], each = q->c / q->groups;

	(void)lane;
	for (size_t p = i * width; p < (i + 1) * width; p++) {
		const uint8_t *x = (const uint8_t *)j->x + p * q->rows.pitch;
		int16_t *to = (int16_t *)(void *)(j->words + p * j->wide.pitch);

		for (size_t g = 0; g < q->groups; g++, x += each, to += depth_of(q)) {
			if (each % 2)
				to[each] = 0;
			if (q->x_signed)
				for (size_t c = 0; c < each; c++)
					to[c] = (int16_t)((int8_t)x[c] - q->x_zero);
			else
				for (size_t c = 0; c < each; c++)
					to[c] = (int16_t)(x[c] - q->x_zero);
		}
	}
}

static void product_task(void *context, size_t i, int lane)
{
	const struct job *j = context;
	const struct qconv *q = j->q;
	struct qtask t = qconv_task(q, &j->cut, i);
	size_t k = q->k / q->groups, pixel = t.picture * rows_pixels(&q->rows) + t.first;
	size_t channel = t.group * k + t.column;
	size_t picture = q->rows.in[0] * q->rows.in[1] * q->rows.in[2];
	const void **rows = (const void **)(void *)(j->work + (size_t)lane * lane_bytes(q));

	rows_point(&j->wide, j->words + t.picture * picture * j->wide.pitch, t.first, t.count,
		   j->packed, rows);
	struct qwords g = {
		.count = t.count,
		.taps = rows_taps(&q->rows),
		.depth = depth_of(q),
		.rows = rows,
		.offset = t.group * depth_of(q) * 2,
		.panel = j->packed + edge_bytes(q) + t.group * group_bytes(q) +
			 t.column * column_bytes(q),
		.columns = t.columns,
		.y = j->y + qconv_place(q, pixel, channel),
		.y_pitch = q->y_pitch,
		.residual = j->residual ? j->residual + pixel * q->r_pitch + channel : NULL,
		.r_pitch = q->r_pitch,
		.requant = &q->requant,
	};
	best()->product(&g);
	qconv_finish(q, j->y, pixel, t.count, channel, t.columns);
}

static void depthwise_task(void *context, size_t i, int lane)
{
	const struct job *j = context;
	const struct qconv *q = j->q;
	size_t lines = q->rows.out[0] * q->rows.out[1], width = q->rows.out[2];
	size_t picture = q->rows.in[0] * q->rows.in[1] * q->rows.in[2];
	const void **rows = (const void **)(void *)(j->work + (size_t)lane * lane_bytes(q));
	const int32_t *bias = (const int32_t *)(const void *)(j->packed + edge_bytes(q));
	const float *factor = (const float *)(bias + q->k);

	rows_point(&q->rows, j->x + i / lines * picture * q->rows.pitch, i % lines * width, width,
		   j->packed, rows);
	struct qwords_depthwise d = {
		.channels = q->c,
		.width = width,
		.taps = rows_taps(&q->rows),
		.rows = rows,
		.x_signed = q->x_signed,
		.x_zero = q->x_zero,
		.bias = bias,
		.factor = factor,
		.weights = (const int16_t *)(factor + q->k),
		.y = j->y + qconv_place(q, i * width, 0),
		.y_pitch = q->y_pitch,
		.residual = j->residual ? j->residual + i * width * q->r_pitch : NULL,
		.r_pitch = q->r_pitch,
		.requant = &q->requant,
	};
	best()->depthwise(&d);
	qconv_finish(q, j->y, i * width, width, 0, q->k);
}

static void run(const struct qconv *q, const void *x, const void *residual, void *y, void *work,
		struct crew *crew)
{
	struct job j = { .q = q,
			 .wide = q->rows,
			 .x = x,
			 .packed = q->packed,
			 .words = work,
			 .residual = residual,
			 .y = y };

	j.wide.pitch = pixel_words(q) * 2;
	j.work = (char *)work + wide_bytes(q);
	if (qconv_depthwise(q)) {
		crew_run(crew, depthwise_task, &j, q->n * q->rows.out[0] * q->rows.out[1]);
		return;
	}
	crew_run(crew, widen, &j, q->n * q->rows.in[0] * q->rows.in[1]);
	qconv_cut(q, best()->columns, BLOCK, &j.cut);
	crew_run(crew, product_task, &j, j.cut.tasks);
}

const struct qconv_kernel qconv_words = {
	.name = "int words", .measure = measure, .pack = pack, .rezero = rezero, .run = run
};
