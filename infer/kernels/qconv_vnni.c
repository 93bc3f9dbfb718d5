/* Convolution of bytes with VNNI: the product (qproduct.h) and the depthwise rows (qdepthwise.h), fed with
 * pointers. The instruction multiplies u8 by i8, so an i8 picture is made u8 first, and weights less
 * their zero point must fit i8; where they do not, they are moved by 128, and what that is off by comes
 * back through the sum of each row's bytes. */
#ifdef __x86_64__
#include <string.h>

#include "infer/kernels/qconv_kernel.h"
#include "infer/kernels/qdepthwise.h"
#include "infer/kernels/qproduct.h"

#define BLOCK 96 /* pixels a task: with their window they should stay in L2 */

/* --- what both share ------------------------------------------------------------------------------------- */

static size_t picture_bytes(const struct qconv *q)
{
	return q->rows.in[0] * q->rows.in[1] * q->rows.in[2] * q->rows.pitch;
}

static size_t unsigned_bytes(const struct qconv *q)
{
	return q->x_signed ? qconv_lines(q->n * picture_bytes(q) + 64) : 0;
}

static uint8_t edge_value(const struct qconv *q)
{
	return (uint8_t)(q->x_zero + (q->x_signed ? 128 : 0));
}

/* x as u8: it, or its copy. */
static const char *as_unsigned(const struct qconv *q, const char *x, char *copy)
{
	if (!q->x_signed)
		return x;
	for (size_t i = 0; i < q->n * picture_bytes(q); i++)
		copy[i] = (char)(x[i] ^ 0x80);
	return copy;
}

/* How much output k's weights are moved beyond their zero point, so that they fit i8. */
static int32_t moved(const struct qconv *q, const struct qweights *w, size_t k)
{
	return qweights_fit(q, w, k) ? 0 : 128 - w->zero[k] - (w->is_signed ? 128 : 0);
}

/* --- product ----------------------------------------------------------------------------------------------- */

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
	q->work_bytes = unsigned_bytes(q) + (size_t)lanes * lane_bytes(q);
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
		    (int32_t)((uint32_t)w->bias[k + j] - edge_value(q) * (uint32_t)whole[at]);
		factor[at] = q->requant.out == QOUT_SUMS ? 0 : w->factor[k + j];
	}
}

static void product_pack(const struct qconv *q, const struct qweights *w, void *packed)
{
	struct head *head = packed;
	char *panel = (char *)packed + sizeof *head;
	size_t k = q->k / q->groups;

	memset(head, 0, sizeof *head);
	memset(panel, edge_value(q), edge_bytes(q));
	panel += edge_bytes(q);
	for (size_t g = 0; g < q->groups; g++)
		for (size_t j = 0; j < k; j += QPANEL) {
			size_t n = k - j < QPANEL ? k - j : QPANEL;
			pack_panel(q, w, g * k + j, n, panel, head);
			panel += qpanel_bytes(qpanel_columns(n), taps_of(q), depth_of(q));
		}
}

static void product_rezero(const struct qconv *q, void *packed)
{
	char *panel = (char *)packed + sizeof(struct head);
	size_t k = q->k / q->groups;

	memset(panel, edge_value(q), edge_bytes(q));
	panel += edge_bytes(q);
	for (size_t g = 0; g < q->groups; g++)
		for (size_t j = 0; j < k; j += QPANEL) {
			size_t columns = qpanel_columns(k - j);
			int32_t *bias = (int32_t *)(void *)panel, *whole = bias + 3 * columns;

			for (size_t i = 0; i < columns; i++)
				bias[i] = (int32_t)(0u - edge_value(q) * (uint32_t)whole[i]);
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
	const char *x = j->x + t->picture * picture_bytes(q);
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

	j.x = as_unsigned(q, x, work);
	j.work = (char *)work + unsigned_bytes(q);
	qconv_cut(q, QPANEL, BLOCK, &j.cut);
	crew_run(crew, product_task, &j, j.cut.tasks);
}

const struct qconv_kernel qconv_vnni = { .name = "int vnni",
					 .measure = product_measure,
					 .pack = product_pack,
					 .rezero = product_rezero,
					 .run = product_run };

/* --- depthwise --------------------------------------------------------------------------------------------- */

/* Two pixels of a 3-wide window, four of a 5-wide one, share the fours of pixels that they see. */
static size_t flight_of(const struct qconv *q)
{
	size_t width = q->rows.kernel[2];

	if (q->rows.dilation[2] != 1 || q->rows.stride[2] != 1)
		return 1;
	return width == 2 || width == 3 || width == 7 ? 2 : width == 5 ? 4 : 1;
}

static size_t fours_of(const struct qconv *q)
{
	return ((flight_of(q) - 1) * q->rows.stride[2] + q->rows.kernel[2] + 3) / 4;
}

/* Weights that do not fit i8 come as sums of such that do: the window has each row several times. */
static size_t lines_of(const struct qconv *q)
{
	return q->rows.kernel[1] * (size_t)q->parts;
}

static bool depthwise_fits(const struct qconv *q)
{
	return qconv_depthwise(q) && q->requant.out == QOUT_BYTES && !q->requant.residual &&
	       q->rows.kernel[0] == 1 && q->rows.in[0] == 1 && q->rows.out[0] == 1 &&
	       q->rows.pad[0] == 0 && q->rows.kernel[1] <= 32 && q->rows.kernel[2] <= 32;
}

static size_t depthwise_edge(const struct qconv *q)
{
	return qconv_lines(q->c + 64);
}

/* Pointers to the pixels of a line: as many as the last group of the last output reaches. */
static size_t depthwise_columns(const struct qconv *q)
{
	size_t flight = flight_of(q), outs = (q->rows.out[2] + flight - 1) / flight * flight;

	return (outs - flight) * q->rows.stride[2] + (fours_of(q) * 4 - 1) * q->rows.dilation[2] +
	       1;
}

static size_t depthwise_lane(const struct qconv *q)
{
	return qconv_lines(lines_of(q) * depthwise_columns(q) * sizeof(char *));
}

static void depthwise_measure(struct qconv *q, int lanes)
{
	size_t bytes = depthwise_edge(q);

	for (size_t c = 0; c < q->c; c += qdepthwise_wide(q->c - c))
		bytes += qdepthwise_block_bytes(qdepthwise_wide(q->c - c), lines_of(q),
						flight_of(q), fours_of(q));
	q->packed_bytes = bytes;
	q->work_bytes = unsigned_bytes(q) + (size_t)lanes * depthwise_lane(q);
}

/* Part i of v: as much as fits i8 of what the parts before leave. */
static int32_t part_of(int32_t v, size_t i)
{
	int32_t part = 0;

	for (size_t k = 0; k <= i; k++) {
		v -= part;
		part = v < -128 ? -128 : v > 127 ? 127 : v;
	}
	return part;
}

/* Channel c of a block, of whose 16 it is number c % 16. */
static void pack_channel(const struct qconv *q, const struct qweights *w, size_t channel, size_t c,
			 size_t wide, char *block)
{
	size_t at = qdepthwise_place(c) * (wide / 4) + c / 16 * 4 + c % 4,
	       width = q->rows.kernel[2];
	size_t flight = flight_of(q), fours = fours_of(q);
	char *weights = block + wide * 8;
	int32_t sum = 0;

	for (size_t l = 0; l < lines_of(q); l++)
		for (size_t f = 0; f < flight; f++)
			for (size_t t = 0; t < width; t++) {
				size_t x = f * q->rows.stride[2] + t;
				size_t tap = l % q->rows.kernel[1] * width + t;
				int32_t v = qweight(w, channel, 0, tap) - w->zero[channel];
				v = part_of(v, l / q->rows.kernel[1]);
				char *four =
				    weights + ((l * flight + f) * fours + x / 4) * 4 * wide;

				four[at * 4 + x % 4] = (char)v;
				sum += f == 0 ? v : 0;
			}
	((int32_t *)(void *)block)[at] =
	    (int32_t)((uint32_t)w->bias[channel] - (uint32_t)edge_value(q) * (uint32_t)sum);
	((float *)(void *)block)[wide + at] = w->factor[channel];
}

static void depthwise_pack(const struct qconv *q, const struct qweights *w, void *packed)
{
	char *block = (char *)packed + depthwise_edge(q);

	memset(packed, edge_value(q), depthwise_edge(q));
	for (size_t c = 0; c < q->c;) {
		size_t wide = qdepthwise_wide(q->c - c);
		size_t bytes = qdepthwise_block_bytes(wide, lines_of(q), flight_of(q), fours_of(q));

		memset(block, 0, bytes);
		for (size_t i = 0; i < wide && c + i < q->c; i++)
			pack_channel(q, w, c + i, i, wide, block);
		block += bytes;
		c += wide;
	}
}

/* Pointers to all pixels that a line of outputs sees. */
static void point_lines(const struct product_job *j, size_t picture, size_t h, const void **to)
{
	const struct rows *r = &j->q->rows;
	const char *x = j->x + picture * picture_bytes(j->q), *edge = j->q->packed;
	size_t columns = depthwise_columns(j->q);

	for (size_t l = 0; l < lines_of(j->q); l++) {
		size_t tap = l % r->kernel[1];
		ptrdiff_t at = (ptrdiff_t)(h * r->stride[1] + tap * r->dilation[1]) - r->pad[1];
		bool inside = at >= 0 && (size_t)at < r->in[1];
		const char *line = inside ? x + (size_t)at * r->in[2] * r->pitch : edge;

		for (size_t i = 0; i < columns; i++) {
			ptrdiff_t w = (ptrdiff_t)i - r->pad[2];
			*to++ = inside && w >= 0 && (size_t)w < r->in[2]
				    ? line + (size_t)w * r->pitch
				    : edge;
		}
	}
}

static void depthwise_task(void *context, size_t i, int lane)
{
	const struct product_job *j = context;
	const struct qconv *q = j->q;
	const void **at = (const void **)(void *)(j->work + (size_t)lane * depthwise_lane(q));

	point_lines(j, i / q->rows.out[1], i % q->rows.out[1], at);
	struct qdepthwise d = {
		.channels = q->c,
		.width = q->rows.out[2],
		.lines = lines_of(q),
		.columns = depthwise_columns(q),
		.at = at,
		.flight = flight_of(q),
		.groups = fours_of(q),
		.stride = q->rows.stride[2],
		.dilation = q->rows.dilation[2],
		.packed = (const char *)q->packed + depthwise_edge(q),
		.y = (uint8_t *)j->y + i * q->rows.out[2] * q->y_pitch,
		.y_pitch = q->y_pitch,
		.requant = &q->requant,
	};
	qdepthwise__vnni(&d);
	qconv_finish(q, j->y, i * q->rows.out[2], q->rows.out[2], 0, q->k);
}

static void depthwise_run(const struct qconv *q, const void *x, const void *residual, void *y,
			  void *work, struct crew *crew)
{
	struct product_job j = { .q = q, .residual = residual, .y = y };

	j.x = as_unsigned(q, x, work);
	j.work = (char *)work + unsigned_bytes(q);
	crew_run(crew, depthwise_task, &j, q->n * q->rows.out[1]);
}

const struct qconv_kernel qconv_vnni_depthwise = {
	.name = "int vnni depthwise",
	.fits = depthwise_fits,
	.measure = depthwise_measure,
	.pack = depthwise_pack,
	.run = depthwise_run,
};
#endif
