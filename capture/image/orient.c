/* The way up: read it from EXIF, and apply it. */
#include "capture/image/orient.h"

#include <stdbool.h>
#include <string.h>

#define TAG_ORIENTATION 0x0112
#define TYPE_SHORT 3

struct tiff {
	const uint8_t *bytes;
	size_t size;
	bool big;
};

static uint32_t number(const struct tiff *t, size_t at, int width)
{
	uint32_t v = 0;

	for (int i = 0; i < width; i++)
		v = v << 8 | t->bytes[at + (size_t)(t->big ? i : width - 1 - i)];
	return v;
}

static int from_directory(const struct tiff *t, size_t at)
{
	size_t entries;

	if (at > t->size || t->size - at < 2)
		return 1;
	entries = number(t, at, 2);
	at += 2;
	for (size_t i = 0; i < entries && t->size - at >= 12; i++, at += 12) {
		if (number(t, at, 2) != TAG_ORIENTATION)
			continue;
		uint32_t value = number(t, at + 8, 2);
		bool good = number(t, at + 2, 2) == TYPE_SHORT && number(t, at + 4, 4) == 1 &&
			    value >= 1 && value <= 8;
		return good ? (int)value : 1;
	}
	return 1;
}

int exif_orientation(const uint8_t *app1, size_t size)
{
	struct tiff t = { .bytes = app1 + 6, .size = size - 6 };

	if (size < 6 + 8 || memcmp(app1, "Exif\0", 6) != 0)
		return 1;
	t.big = t.bytes[0] == 'M';
	if (memcmp(t.bytes, t.big ? "MM\0*" : "II*\0", 4) != 0)
		return 1;
	return from_directory(&t, number(&t, 4, 4));
}

/* How to walk the stored picture in the order of the upright one. */
struct walk {
	int64_t width, height;        /* upright */
	ptrdiff_t start, right, down; /* in stored pixels */
};

static struct walk plan(int64_t width, int64_t height, int orientation)
{
	bool turned = orientation >= 5;
	/* Is the stored x (y) walked backwards? Rows of the table in EXIF: 2 mirrors, 3 turns by
	 * 180 degrees, 4 flips; 5 to 8 are these with rows and columns exchanged. */
	bool x_back = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
	bool y_back = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
	ptrdiff_t x_step = x_back ? -1 : 1, y_step = (ptrdiff_t)(y_back ? -width : width);

	return (struct walk){
		.width = turned ? height : width,
		.height = turned ? width : height,
		.start =
		    (ptrdiff_t)((x_back ? width - 1 : 0) + (y_back ? (height - 1) * width : 0)),
		.right = turned ? y_step : x_step,
		.down = turned ? x_step : y_step,
	};
}

/* pixel: bytes of one; a constant wherever this is inlined, so that memcpy becomes a move. */
static inline __attribute__((always_inline)) void copy_pixels(uint8_t *to, const uint8_t *from,
							      const struct walk *w, size_t pixel)
{
	for (int64_t y = 0; y < w->height; y++) {
		ptrdiff_t at = w->start + (ptrdiff_t)y * w->down;
		for (int64_t x = 0; x < w->width; x++, at += w->right, to += pixel)
			memcpy(to, from + at * (ptrdiff_t)pixel, pixel);
	}
}

int image_orient(struct frame *f, int orientation, struct err *e)
{
	if (orientation <= 1 || orientation > 8)
		return 0;
	struct walk w = plan(f->shape[1], f->shape[0], orientation);
	int64_t shape[] = { w.height, w.width, f->shape[2] };
	size_t pixel = (size_t)f->shape[2] * dtype_size(f->dtype);
	struct buffer *stored = buffer_ref(f->payload);
	int result = frame_shape(f, f->kind, f->dtype, 3, shape, e);

	if (result == 0 && pixel == 1)
		copy_pixels(f->payload->data, stored->data, &w, 1);
	else if (result == 0 && pixel == 3)
		copy_pixels(f->payload->data, stored->data, &w, 3);
	else if (result == 0)
		copy_pixels(f->payload->data, stored->data, &w, pixel);
	buffer_unref(&stored);
	return result;
}
