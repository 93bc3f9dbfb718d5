/* Colours as Pillow converts them: alpha is dropped, not blended; gray is ITU-R 601 luma in 16-bit
 * fixed point. Depth: 16 bits become 8 by their high byte (as libpng, OpenCV and Pillow read 16-bit
 * files into 8), 8 bits become 16 by × 257, so that white stays white. */
#include "preprocess/picture.h"

#include <string.h>

int picture_of(struct picture *p, const struct frame *f, struct err *e)
{
	size_t bytes;

	if (f->kind != FRAME_IMAGE)
		return err_set(e, "the frame is not a picture");
	if (f->rank != 3 || f->shape[0] < 1 || f->shape[1] < 1 || f->shape[2] < 1 ||
	    f->shape[0] > RECIPE_SIDE_MAX || f->shape[1] > RECIPE_SIDE_MAX || f->shape[2] > 4)
		return err_set(e, "the picture's shape is not {height, width, 1 to 4 channels}");
	if (f->dtype != DTYPE_U8 && f->dtype != DTYPE_U16)
		return err_set(e, "pictures of %s are not supported", dtype_name(f->dtype));
	if (frame_bytes(f, &bytes, e) < 0)
		return -1;
	if (!f->payload || f->payload->size != bytes)
		return err_set(e, "the picture's pixels are not there");
	p->height = (int)f->shape[0];
	p->width = (int)f->shape[1];
	p->channels = (int)f->shape[2];
	p->depth = f->dtype == DTYPE_U16 ? 16 : 8;
	p->data = f->payload->data;
	p->end = p->data + bytes;
	p->stride = bytes / (size_t)p->height;
	return 0;
}

struct samples picture_samples(const struct picture *p, const struct recipe *r)
{
	bool gray = r->color == COLOR_GRAY || p->channels < 3;

	return (struct samples){ gray ? 1 : 3, r->depth };
}

size_t samples_bytes(const struct samples *s)
{
	return (size_t)s->channels * (size_t)(s->depth / 8);
}

bool picture_is(const struct picture *p, const struct samples *s)
{
	return p->channels == s->channels && p->depth == s->depth;
}

const uint8_t *picture_row(const struct picture *p, int y)
{
	return p->data + (size_t)y * p->stride;
}

/* One picture's sample i as a number of the depth asked for. */
static uint32_t sample(const uint8_t *row, size_t i, int have, int want)
{
	uint16_t wide;

	if (have == 8)
		return want == 8 ? row[i] : row[i] * 257u;
	memcpy(&wide, row + i * 2, 2);
	return want == 8 ? wide >> 8 : wide;
}

static void store(uint8_t *out, size_t i, int depth, uint32_t value)
{
	uint16_t wide = (uint16_t)value;

	if (depth == 8)
		out[i] = (uint8_t)value;
	else
		memcpy(out + i * 2, &wide, 2);
}

/* Any form to any other, sample by sample; inlined with constants for the usual ones. */
static inline void convert(const uint8_t *row, int channels, int depth, struct samples s,
			   size_t count, uint8_t *out)
{
	size_t step = (size_t)channels, i;

	if (channels >= 3 && s.channels == 1)
		for (i = 0; i < count; i++) {
			uint32_t red = sample(row, i * step, depth, s.depth);
			uint32_t green = sample(row, i * step + 1, depth, s.depth);
			uint32_t blue = sample(row, i * step + 2, depth, s.depth);
			store(out, i, s.depth,
			      (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16);
		}
	else
		for (i = 0; i < count; i++)
			for (size_t c = 0; c < (size_t)s.channels; c++)
				store(out, i * (size_t)s.channels + c, s.depth,
				      sample(row, i * step + c, depth, s.depth));
}

/* RGBA to RGB: four bytes at a time, of which the next pixel overwrites the last. */
static void drop_alpha(const uint8_t *row, size_t count, uint8_t *out)
{
	for (size_t i = 0; i + 1 < count; i++)
		memcpy(out + i * 3, row + i * 4, 4);
	memcpy(out + (count - 1) * 3, row + (count - 1) * 4, 3);
}

void picture_convert(const struct picture *p, const struct samples *s, int y, int from, int to,
		     uint8_t *out)
{
	static const struct samples gray = { 1, 8 };
	size_t pixel = (size_t)p->channels * (size_t)(p->depth / 8), count = (size_t)(to - from);
	const uint8_t *row = picture_row(p, y) + (size_t)from * pixel;

	if (picture_is(p, s))
		memcpy(out, row, count * pixel);
	else if (p->depth == 8 && p->channels == 3 && s->depth == 8)
		convert(row, 3, 8, gray, count, out);
	else if (p->depth == 8 && p->channels == 4 && s->depth == 8 && s->channels == 1)
		convert(row, 4, 8, gray, count, out);
	else if (p->depth == 8 && p->channels == 4 && s->depth == 8)
		drop_alpha(row, count, out);
	else
		convert(row, p->channels, p->depth, *s, count, out);
}
