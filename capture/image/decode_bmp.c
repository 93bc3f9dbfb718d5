/* BMP as cameras and frame grabbers write it: uncompressed, 1, 4 or 8 bits with a palette, 24 or 32
 * bits. A palette of greys gives grey, any other RGB. The fourth byte of 32 bits is alpha only if
 * the header's masks say so. Compressed pictures and 16-bit ones are refused. */
#include "capture/image/decode.h"

#include <string.h>

#define FILE_HEADER 14
#define INFO_LEAST 40 /* BITMAPINFOHEADER; later ones begin in the same way */
#define INFO_MOST 124
#define UNCOMPRESSED 0
#define BITFIELDS 3
#define SLACK 4096 /* bytes after the pixels that the file's own size may count in */

struct bitmap {
	uint64_t width, height;
	bool top_down, alpha;
	int bits;
	size_t palette, colours; /* offset, entries of 4 bytes (blue, green, red, 0) */
	size_t pixels, row_bytes;
};

static uint32_t le32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static bool bmp_begins(const uint8_t *bytes, size_t size)
{
	return size >= 8 && bytes[0] == 'B' && bytes[1] == 'M' && bytes[6] == 0 && bytes[7] == 0;
}

/* With masks, only bytes in the usual order are taken. */
static int check_masks(struct bitmap *b, const uint8_t *info, size_t info_bytes, struct err *e)
{
	const uint8_t *masks = info + 40; /* in the header, or right after a short one */

	if (b->bits != 32 || le32(masks) != 0xff0000 || le32(masks + 4) != 0xff00 ||
	    le32(masks + 8) != 0xff)
		return err_set(e, "this order of colours (bit fields) is not supported");
	b->alpha = info_bytes >= 56 && le32(masks + 12) == 0xff000000;
	return 0;
}

static int read_info(struct bitmap *b, const uint8_t *bytes, size_t info_bytes, struct err *e)
{
	const uint8_t *info = bytes + FILE_HEADER;
	int32_t width = (int32_t)le32(info + 4), height = (int32_t)le32(info + 8);
	uint32_t compression = le32(info + 16), colours = le32(info + 32);

	b->bits = info[14] | info[15] << 8;
	b->top_down = height < 0;
	b->height = b->top_down ? -(uint64_t)height : (uint64_t)height;
	b->width = width < 0 ? 0 : (uint64_t)width;
	if (b->width < 1 || b->height < 1 || b->width > IMAGE_SIDE_MAX ||
	    b->height > IMAGE_SIDE_MAX)
		return err_set(e, "%dx%d pixels: sides must be from 1 to %d", width, height,
			       IMAGE_SIDE_MAX);
	if (compression != UNCOMPRESSED && compression != BITFIELDS)
		return err_set(e, "compression %u is not supported", compression);
	if (b->bits != 1 && b->bits != 4 && b->bits != 8 && b->bits != 24 && b->bits != 32)
		return err_set(e, "%d bits per pixel are not supported", b->bits);
	if (compression == BITFIELDS && check_masks(b, info, info_bytes, e) < 0)
		return -1;
	b->row_bytes = (size_t)(b->width * (uint64_t)b->bits + 31) / 32 * 4;
	b->palette = FILE_HEADER + info_bytes;
	if (b->bits > 8)
		return 0;
	b->colours = colours ? colours : (size_t)1 << b->bits;
	if (b->colours > (size_t)1 << b->bits)
		return err_set(e, "%u colours for %d bits", colours, b->bits);
	return 0;
}

/* 1, 0 the bytes do not suffice, -1 with *e. */
static int read_header(struct bitmap *b, const uint8_t *bytes, size_t size, struct err *e)
{
	size_t info_bytes, least;

	memset(b, 0, sizeof *b);
	if (size < FILE_HEADER + 4)
		return 0;
	info_bytes = le32(bytes + FILE_HEADER);
	if (info_bytes < INFO_LEAST || info_bytes > INFO_MOST)
		return err_set(e, "a header of %zu bytes is not supported", info_bytes);
	least = FILE_HEADER + info_bytes;
	if (size >= least && info_bytes < 52 && le32(bytes + FILE_HEADER + 16) == BITFIELDS)
		least = FILE_HEADER + 52; /* the masks follow */
	if (size < least)
		return 0;
	b->pixels = le32(bytes + 10);
	if (read_info(b, bytes, info_bytes, e) < 0)
		return -1;
	if (b->pixels < b->palette + 4 * b->colours || b->pixels > SLACK + INFO_MOST)
		return err_set(e, "the pixels begin at byte %zu, which cannot be", b->pixels);
	return 1;
}

static void blue_to_red(uint8_t *to, const uint8_t *from, uint64_t width, size_t step, bool alpha)
{
	for (uint64_t x = 0; x < width; x++, from += step) {
		*to++ = from[2];
		*to++ = from[1];
		*to++ = from[0];
		if (alpha)
			*to++ = from[3];
	}
}

static int look_up(const struct bitmap *b, uint8_t *to, const uint8_t *from, const uint8_t *palette,
		   bool grey, struct err *e)
{
	unsigned mask = (1u << b->bits) - 1, per_byte = 8u / (unsigned)b->bits;

	for (uint64_t x = 0; x < b->width; x++) {
		unsigned shift = (per_byte - 1 - x % per_byte) * (unsigned)b->bits;
		unsigned index = from[x / per_byte] >> shift & mask;
		if (index >= b->colours)
			return err_set(e, "colour %u of a palette of %zu", index, b->colours);
		const uint8_t *colour = palette + (size_t)4 * index;
		*to++ = colour[2];
		if (!grey) {
			*to++ = colour[1];
			*to++ = colour[0];
		}
	}
	return 0;
}

static bool all_grey(const uint8_t *palette, size_t colours)
{
	for (size_t i = 0; i < colours; i++, palette += 4)
		if (palette[0] != palette[1] || palette[1] != palette[2])
			return false;
	return true;
}

static int bmp_decode(struct frame *f, const uint8_t *bytes, size_t size,
		      const struct decode_options *options, struct err *e)
{
	struct bitmap b;
	int got = read_header(&b, bytes, size, e);

	(void)options;
	if (got < 0)
		return -1;
	if (got == 0 || size < b.pixels || (size - b.pixels) / b.row_bytes < b.height)
		return err_set(e, "the file ends too early");
	bool grey = b.colours > 0 && all_grey(bytes + b.palette, b.colours);
	int channels = grey ? 1 : b.alpha ? 4 : 3;
	if (image_shape(f, b.width, b.height, channels, DTYPE_U8, e) < 0)
		return -1;
	for (uint64_t y = 0; y < b.height; y++) {
		uint64_t stored = b.top_down ? y : b.height - 1 - y;
		const uint8_t *from = bytes + b.pixels + stored * b.row_bytes;
		uint8_t *to = f->payload->data + y * b.width * (uint64_t)channels;
		if (b.bits > 8)
			blue_to_red(to, from, b.width, (size_t)b.bits / 8, b.alpha);
		else if (look_up(&b, to, from, bytes + b.palette, grey, e) < 0)
			return -1;
	}
	return 0;
}

static int bmp_extent(struct extent *x, const uint8_t *bytes, size_t size, struct err *e)
{
	struct bitmap b;
	int got = read_header(&b, bytes, size, e);

	if (got < 0)
		return err_at(e, "BMP");
	if (got == 0)
		return 0;
	size_t own = le32(bytes + 2), end = b.pixels + b.row_bytes * (size_t)b.height;
	x->at = own >= end && own - end <= SLACK ? own : end;
	return x->at <= size;
}

const struct decoder decoder_bmp = {
	.name = "BMP",
	.suffixes = ".bmp .dib",
	.begins = bmp_begins,
	.extent = bmp_extent,
	.decode = bmp_decode,
};
