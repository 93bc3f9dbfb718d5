/* Convolution of bytes with VNNI: the product (qproduct.h), fed with pointers. Weights less their zero point
 * must fit i8; where they do not, they are moved by 128, and what that is off by comes back through the sum
 * of each row's bytes. */
#ifdef __x86_64__
#include "infer/kernels/qconv_vnni.h"

#include <string.h>

#include "infer/arena.h"
#include "infer/kernels/qproduct.h"

#define BLOCK 96 /* pixels a task: with their window they should stay in L2 */

/* How much output k's weights are moved beyond their zero point, so that they fit i8. */
static int32_t moved(const struct qconv *q, const struct qweights *w, size_t k)
{
	return qweights_fit(q, w, k) ? 0 : 128 - w->zero[k] - (w->is_signed ? 128 : 0);
}

/* packed: the edge's page; whether sums of rows are needed; then the panels of each group. */
struct head {
	uint64_t sums;
	char spare[56];
};

static bool runs(const struct qconv *q)
{
	return rows_run(&q->rows, q->groups, q->c);
}

static size_t taps_of(const struct qconv *q)
{
	return runs(q) ? rows_run_taps(&q->rows) : rows_taps(&q->rows);
}

static size_t depth_of(const struct qconv *q)
{
	return runs(q) ? rows_run_bytes(&q->rows) : q->c / q->groups;
}

static size_t edge_bytes(const struct qconv *q)
{
	return qconv_lines((runs(q) ? depth_of(q) : q->c) + 64);
}

static size_t columns_bytes(const struct qconv *q, size_t columns)
{
	size_t whole = columns / QPANEL, rest = columns % QPANEL;

	return whole * qpanel_bytes(QPANEL, taps_of(q), depth_of(q)) +
	       (rest ? qpanel_bytes(qpanel_columns(rest), taps_of(q), depth_of(q)) : 0);
}

/* Per lane: pointers, sums of rows, copies of windows that hang over. */
static size_t pointers_bytes(const struct qconv *q)
{
	return qconv_lines(taps_of(q) * BLOCK * sizeof(char *));
}

static size_t lane_bytes(const struct qconv *q)
{
	return pointers_bytes(q) + qconv_lines(BLOCK * sizeof(int32_t)) +
	       (runs(q) ? qconv_lines(taps_of(q) * BLOCK * depth_of(q) + 64) : 0);
}

static void product_measure(struct qconv *q, int lanes)
{
	q->packed_bytes =
	    sizeof(struct head) + edge_bytes(q) + q->groups * columns_bytes(q, q->k / q->groups);
	q->work_bytes = qvnni_unsigned_bytes(q) + (size_t)lanes * lane_bytes(q);
}

/* Weight d of tap t as the product sees them. */
static int32_t weight_at(const struct qconv *q, const struct qweights *w, size_t k, size_t t,
			 size_t d)
{
	size_t channels = q->c / q->groups;

	if (!runs(q))
		return qweight(w, k, d, t);
	return qweight(w, k, d % channels, t * q->rows.kernel[2] + d / channels);
}

/* The weights of n columns from k on, fours of channels side by side; sum: of each column's. */
static void pack_weights(const struct qconv *q, const struct qweights *w, size_t k, size_t n,
			 const int32_t *off, char *to, int32_t *sum)
{
	size_t depth = depth_of(q), columns = qpanel_columns(n);

	for (size_t t = 0; t < taps_of(q); t++)
		for (size_t d = 0; d < depth; d += 4, to += columns * 4) {
			size_t many = depth - d < 4 ? depth - d : 4;
			for (size_t j = 0; j < n; j++) {
				char *four = to + qpanel_place(columns, j) * 4;
				for (size_t i = 0; i < many; i++) {
					int32_t v = weight_at(q, w, k + j, t, d + i) - off[j];
					four[i] = (char)v;
					sum[j] += v;
				}
			}
		}
}

static void pack_panel(const struct qconv *q, const struct qweights *w, size_t k, size_t n,
		       char *panel, struct head *head)
{
	size_t columns = qpanel_columns(n), sums = taps_of(q) * depth_of(q);
	int32_t *bias = (int32_t *)(void *)panel, *spread = bias + 2 * columns;
	int32_t *whole = spread + columns;
	float *factor = (float *)(bias + columns);
	int32_t off[QPANEL], sum[QPANEL] = { 0 };

	memset(panel, 0, qpanel_bytes(columns, taps_of(q), depth_of(q)));
	for (size_t j = 0; j < n; j++) {
		int32_t shift = moved(q, w, k + j);

		spread[qpanel_place(columns, j)] = shift;
		off[j] = w->zero[k + j] + shift;
		head->sums |= shift != 0;
	}
	pack_weights(q, w, k, n, off, panel + columns * QPANEL_HEAD, sum);
	for (size_t j = 0; j < n; j++) {
		size_t at = qpanel_place(columns, j);

		whole[at] = (int32_t)((uint32_t)sum[j] + (uint32_t)spread[at] * (uint32_t)sums);
		bias[at] =
		    (int32_t)((uint32_t)w->bias[k + j] - qvnni_edge(q) * (uint32_t)whole[at]);
		factor[at] = q->requant.out == QOUT_SUMS ? 0 : w->factor[k + j];
	}
}

static void product_pack(const struct qconv *q, const struct qweights *w, void *packed)
{
	struct head *head = packed;
	char *panel = (char *)packed + sizeof *head;
	size_t k = q->k / q->groups, each = q->c / q->groups * rows_taps(&q->rows);
	bool use_up = w->use_up && w->k_step == (ptrdiff_t)each;
	const char *weights = w->w, *left = weights;

	memset(head, 0, sizeof *head);
	memset(panel, qvnni_edge(q), edge_bytes(q));
	panel += edge_bytes(q);
	for (size_t g = 0; g < q->groups; g++)
		for (size_t j = 0; j < k; j += QPANEL) {
			size_t n = k - j < QPANEL ? k - j : QPANEL;
			pack_panel(q, w, g * k + j, n, panel, head);
			if (use_up)
				left = memory_spend(left, weights + (g * k + j + n) * each);
			panel += qpanel_bytes(qpanel_columns(n), taps_of(q), depth_of(q));
		}
}

static void product_rezero(const struct qconv *q, void *packed)
{
	char *panel = (char *)packed + sizeof(struct head);
	size_t k = q->k / q->groups;

	memset(panel, qvnni_edge(q), edge_bytes(q));
	panel += edge_bytes(q);
	for (size_t g = 0; g < q->groups; g++)
		for (size_t j = 0; j < k; j += QPANEL) {
			size_t columns = qpanel_columns(k - j);
			int32_t *bias = (int32_t *)(void *)panel, *whole = bias + 3 * columns;

			for (size_t i = 0; i < columns; i++)
				bias[i] = (int32_t)(0u - qvnni_edge(q) * (uint32_t)whole[i]);
			panel += qpanel_bytes(columns, taps_of(q), depth_of(q));
		}
}

struct product_job {
	const struct qconv *q;
	const char *x;
	const uint8_t *residual;
	char *y, *work;
	struct qcut cut;
};

static void sum_rows(const struct qproduct *g, int32_t *sum)
{
	memset(sum, 0, g->count * sizeof *sum);
	for (size_t t = 0; t < g->taps; t++)
		for (size_t i = 0; i < g->count; i++) {
			const char *row = (const char *)g->rows[t * g->count + i] + g->offset;
			for (size_t d = 0; d < g->depth; d++)
				sum[i] += (uint8_t)row[d];
		}
}

static void point(const struct product_job *j, const struct qtask *t, char *work)
{
	const struct qconv *q = j->q;
	const char *x = j->x + t->picture * qvnni_picture_bytes(q);
	const char *edge = (const char *)q->packed + sizeof(struct head);

	if (runs(q))
		rows_point_runs(&q->rows, x, t->first, t->count, edge,
				work + pointers_bytes(q) + qconv_lines(BLOCK * sizeof(int32_t)),
				(const void **)(void *)work);
	else
		rows_point(&q->rows, x, t->first, t->count, edge, (const void **)(void *)work);
}

static void product_task(void *context, size_t i, int lane)
{
	const struct product_job *j = context;
	const struct qconv *q = j->q;
	const struct head *head = q->packed;
	struct qtask t = qconv_task(q, &j->cut, i);
	size_t k = q->k / q->groups, pixel = t.picture * rows_pixels(&q->rows) + t.first;
	size_t channel = t.group * k + t.column;
	char *work = j->work + (size_t)lane * lane_bytes(q);
	int32_t *sums = (int32_t *)(void *)(work + pointers_bytes(q));

	point(j, &t, work);
	struct qproduct g = {
		.count = t.count,
		.taps = taps_of(q),
		.depth = depth_of(q),
		.rows = (const void *const *)(void *)work,
		.offset = t.group * (q->c / q->groups),
		.panel = (const char *)(head + 1) + edge_bytes(q) + t.group * columns_bytes(q, k) +
			 columns_bytes(q, t.column),
		.columns = t.columns,
		.row_sum = head->sums ? sums : NULL,
		.y = j->y + qconv_place(q, pixel, channel),
		.y_pitch = q->y_pitch,
		.residual = j->residual ? j->residual + pixel * q->r_pitch + channel : NULL,
		.r_pitch = q->r_pitch,
		.requant = &q->requant,
	};
	if (head->sums)
		sum_rows(&g, sums);
	qproduct__vnni(&g);
	qconv_finish(q, j->y, pixel, t.count, channel, t.columns);
}

static void product_run(const struct qconv *q, const void *x, const void *residual, void *y,
			void *work, struct crew *crew)
{
	struct product_job j = { .q = q, .residual = residual, .y = y };

	j.x = qvnni_unsigned(q, x, work);
	j.work = (char *)work + qvnni_unsigned_bytes(q);
	qconv_cut(q, QPANEL, BLOCK, &j.cut);
	crew_run(crew, product_task, &j, j.cut.tasks);
}

const struct qconv_kernel qconv_vnni = { .name = "int vnni",
					 .measure = product_measure,
					 .pack = product_pack,
					 .rezero = product_rezero,
					 .run = product_run };
#endif
