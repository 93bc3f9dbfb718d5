/* Convolution of bytes in plain loops: the oracle, and what serves where the others may not.
 *
 * packed: bias and factor of each output; weights without their zero points, 16 bits: output, tap,
 * channel. */
#include <string.h>

#include "infer/kernels/qconv_kernel.h"
#include "infer/kernels/requant.h"

static size_t sums_of(const struct qconv *q)
{
	return rows_taps(&q->rows) * (q->c / q->groups);
}

/* Per lane: a pointer for each tap, and the edge: a page of zero points. */
static size_t lane_bytes(const struct qconv *q)
{
	return qconv_lines(rows_taps(&q->rows) * sizeof(char *)) + qconv_lines(q->c);
}

static void measure(struct qconv *q, int lanes)
{
	q->packed_bytes = q->k * (8 + sums_of(q) * sizeof(int16_t));
	q->work_bytes = (size_t)lanes * lane_bytes(q);
}

static void pack(const struct qconv *q, const struct qweights *w, void *packed)
{
	int32_t *bias = packed;
	float *factor = (float *)(bias + q->k);
	int16_t *to = (int16_t *)(factor + q->k);
	size_t depth = q->c / q->groups;

	for (size_t k = 0; k < q->k; k++) {
		bias[k] = w->bias[k];
		factor[k] = q->requant.out == QOUT_SUMS ? 0 : w->factor[k];
		for (size_t t = 0; t < rows_taps(&q->rows); t++)
			for (size_t c = 0; c < depth; c++)
				*to++ = (int16_t)(qweight(w, k, c, t) - w->zero[k]);
	}
}

struct job {
	const struct qconv *q;
	const char *x;
	const uint8_t *residual;
	void *y;
	char *work;
};

static int32_t sum_of(const struct qconv *q, const void *const *rows, size_t offset,
		      const int16_t *w)
{
	size_t depth = q->c / q->groups;
	uint32_t sum = 0; /* may wrap */

	for (size_t t = 0; t < rows_taps(&q->rows); t++)
		for (size_t c = 0; c < depth; c++) {
			uint8_t u = ((const uint8_t *)rows[t])[offset + c];
			int32_t x = (q->x_signed ? (int8_t)u : u) - q->x_zero;
			sum += (uint32_t)(x * *w++);
		}
	return (int32_t)sum;
}

/* One output pixel. */
static void task(void *context, size_t i, int lane)
{
	const struct job *j = context;
	const struct qconv *q = j->q;
	size_t pixels = rows_pixels(&q->rows), each = q->k / q->groups, depth = q->c / q->groups;
	const char *x =
	    j->x + i / pixels * q->rows.in[0] * q->rows.in[1] * q->rows.in[2] * q->rows.pitch;
	char *work = j->work + (size_t)lane * lane_bytes(q);
	const void **rows = (const void **)(void *)work;
	char *edge = work + qconv_lines(rows_taps(&q->rows) * sizeof(char *));
	const int32_t *bias = q->packed;
	const float *factor = (const float *)(bias + q->k);
	const int16_t *w = (const int16_t *)(factor + q->k);

	memset(edge, q->x_zero, q->c);
	rows_point(&q->rows, x, i % pixels, 1, edge, rows);
	for (size_t k = 0; k < q->k; k++) {
		uint32_t sum = (uint32_t)bias[k] +
			       (uint32_t)sum_of(q, rows, k / each * depth, w + k * sums_of(q));
		requant_store(&q->requant, (int32_t)sum, factor[k], j->y, i * q->y_pitch + k,
			      j->residual ? j->residual + i * q->r_pitch + k : NULL);
	}
	qconv_finish(q, j->y, i, 1, 0, q->k);
}

static void run(const struct qconv *q, const void *x, const void *residual, void *y, void *work,
		struct crew *crew)
{
	struct job j = { q, x, residual, y, work };

	crew_run(crew, task, &j, q->n * rows_pixels(&q->rows));
}

const struct qconv_kernel qconv_plain = {
	.name = "int", .measure = measure, .pack = pack, .run = run
};
