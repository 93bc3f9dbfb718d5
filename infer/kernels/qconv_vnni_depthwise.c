/* Depthwise convolution of bytes with VNNI: rows (qdepthwise.h), fed with pointers. */
#ifdef __x86_64__
#include <string.h>

#include "infer/kernels/qconv_vnni.h"
#include "infer/kernels/qdepthwise.h"

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
	q->work_bytes = qvnni_unsigned_bytes(q) + (size_t)lanes * depthwise_lane(q);
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
	    (int32_t)((uint32_t)w->bias[channel] - (uint32_t)qvnni_edge(q) * (uint32_t)sum);
	((float *)(void *)block)[wide + at] = w->factor[channel];
}

static void depthwise_pack(const struct qconv *q, const struct qweights *w, void *packed)
{
	char *block = (char *)packed + depthwise_edge(q);

	memset(packed, qvnni_edge(q), depthwise_edge(q));
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

struct job {
	const struct qconv *q;
	const char *x;
	char *y, *work;
};

/* Pointers to all pixels that a line of outputs sees. */
static void point_lines(const struct job *j, size_t picture, size_t h, const void **to)
{
	const struct rows *r = &j->q->rows;
	const char *x = j->x + picture * qvnni_picture_bytes(j->q), *edge = j->q->packed;
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
	const struct job *j = context;
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
	struct job j = { .q = q, .y = y };

	(void)residual; /* does not fit */
	j.x = qvnni_unsigned(q, x, work);
	j.work = (char *)work + qvnni_unsigned_bytes(q);
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
