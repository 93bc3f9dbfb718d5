/* The short way through a plain PNG: walk the chunks, inflate the image data in one go with
 * libdeflate, undo the row filters with png_unfilter.
 *
 * Nothing is taken that libpng would refuse: all CRCs and the Adler sum are checked, and whatever
 * is unusual is left to libpng, which is the judge of every error. */
#include "capture/image/png_fast.h"

#include <libdeflate.h>
#include <string.h>

#include "capture/image/decode.h"
#include "capture/image/png_unfilter.h"

#define SIGNATURE 8
#define CHUNK_MOST \
	((size_t)4 << 20) /* of a chunk that is no image data; libpng's limit is higher */

#define NAME(a, b, c, d) ((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d))
#define IHDR NAME('I', 'H', 'D', 'R')
#define IDAT NAME('I', 'D', 'A', 'T')
#define IEND NAME('I', 'E', 'N', 'D')
#define TRNS NAME('t', 'R', 'N', 'S')

struct chunk {
	uint32_t name;
	const uint8_t *data;
	size_t size;
};

struct plain {
	uint64_t width, height;
	int channels;
	enum dtype dtype;
	size_t row_bytes, raw_bytes; /* raw: with the filter bytes */
	struct buffer *joined;       /* image data of several chunks, made one; or NULL */
	const uint8_t *data;         /* zlib stream */
	size_t data_bytes;
};

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool is_letter(uint8_t c)
{
	return (c | 32) >= 'a' && (c | 32) <= 'z';
}

/* Read the chunk at *at, check it, step past it. */
static bool next_chunk(struct chunk *c, const uint8_t *bytes, size_t size, size_t *at)
{
	const uint8_t *p = bytes + *at;

	if (size - *at < 12)
		return false;
	c->size = be32(p);
	if (c->size > size - *at - 12)
		return false;
	for (int i = 4; i < 8; i++)
		if (!is_letter(p[i]))
			return false;
	c->name = be32(p + 4);
	c->data = p + 8;
	*at += c->size + 12;
	return libdeflate_crc32(0, p + 4, c->size + 4) == be32(p + 8 + c->size);
}

static bool read_header(struct plain *png, const struct chunk *c)
{
	static const int channels_of[] = { [0] = 1, [2] = 3, [4] = 2, [6] = 4 };

	if (c->name != IHDR || c->size != 13)
		return false;
	int depth = c->data[8], colour = c->data[9];
	png->width = be32(c->data);
	png->height = be32(c->data + 4);
	if ((depth != 8 && depth != 16) || colour > 6 || channels_of[colour] == 0)
		return false;
	if (c->data[10] != 0 || c->data[11] != 0 || c->data[12] != 0) /* methods, interlace */
		return false;
	if (png->width - 1 >= IMAGE_SIDE_MAX || png->height - 1 >= IMAGE_SIDE_MAX)
		return false;
	png->channels = channels_of[colour];
	png->dtype = depth == 16 ? DTYPE_U16 : DTYPE_U8;
	png->row_bytes = png->width * (size_t)png->channels * (size_t)depth / 8;
	png->raw_bytes = (png->row_bytes + 1) * png->height;
	/* The filtered rows are a second copy: libpng needs only two of them. */
	return png->raw_bytes <= FRAME_PAYLOAD_MAX / 2;
}

/* zlib refuses matches that reach out of the window that the stream's first byte declares;
 * libdeflate does not look. A window as large as the image, or the largest, cannot be left. */
static bool window_suffices(const struct plain *png)
{
	unsigned log2_window = (png->data[0] >> 4) + 8u;

	return log2_window == 15 ||
	       (log2_window < 15 && png->raw_bytes <= (size_t)1 << log2_window);
}

/* The image data's chunks follow one another; start is the first one's place. One needs no copy. */
static bool join(struct plain *png, const uint8_t *start, size_t total, int chunks)
{
	uint8_t *to;

	png->data_bytes = total;
	png->data = start + 8;
	if (chunks == 1)
		return true;
	png->joined = buffer_new(total);
	if (!png->joined)
		return false;
	to = png->joined->data;
	for (int i = 0; i < chunks; i++) {
		size_t size = be32(start);
		memcpy(to, start + 8, size);
		to += size;
		start += size + 12;
	}
	png->data = png->joined->data;
	return true;
}

/* Everything after the header: image data in one stretch, nothing that changes pixels, the end. */
static bool read_chunks(struct plain *png, const uint8_t *bytes, size_t size, size_t at)
{
	const uint8_t *start = NULL;
	size_t total = 0, most = png->raw_bytes + png->raw_bytes / 1024 + 1024;
	int chunks = 0;
	bool over = false; /* a chunk came after the image data */
	struct chunk c;

	while (next_chunk(&c, bytes, size, &at)) {
		if (c.name == IDAT) {
			if (over || c.size > most - total)
				return false;
			if (!start)
				start = c.data - 8;
			total += c.size;
			chunks++;
			continue;
		}
		over = start != NULL;
		if (c.name == IEND)
			return c.size == 0 && total >= 6 && join(png, start, total, chunks);
		bool ancillary = c.name & NAME(32, 0, 0, 0);
		if (!ancillary || c.name == TRNS || c.size > CHUNK_MOST)
			return false;
	}
	return false;
}

static bool inflate_all(const struct plain *png, uint8_t *raw)
{
	struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
	size_t read, made;
	bool ok =
	    d && libdeflate_zlib_decompress_ex(d, png->data, png->data_bytes, raw, png->raw_bytes,
					       &read, &made) == LIBDEFLATE_SUCCESS;

	if (d)
		libdeflate_free_decompressor(d);
	return ok && read == png->data_bytes && made == png->raw_bytes;
}

void samples_to_native(uint8_t *samples, size_t count)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	for (size_t i = 0; i < count; i++) {
		uint16_t v;
		memcpy(&v, samples + 2 * i, 2);
		v = __builtin_bswap16(v);
		memcpy(samples + 2 * i, &v, 2);
	}
#else
	(void)samples, (void)count;
#endif
}

static bool fill(struct frame *f, const struct plain *png)
{
	struct buffer *raw = buffer_new(png->raw_bytes + 16);
	bool ok = raw && inflate_all(png, raw->data) &&
		  image_shape(f, png->width, png->height, png->channels, png->dtype, NULL) == 0 &&
		  png_unfilter(f->payload->data, raw->data, png->height, png->row_bytes,
			       (size_t)png->channels * dtype_size(png->dtype)) == 0;

	if (ok && png->dtype == DTYPE_U16)
		samples_to_native(f->payload->data, f->payload->size / 2);
	buffer_unref(&raw);
	return ok;
}

bool png_fast(struct frame *f, const uint8_t *bytes, size_t size)
{
	struct plain png = { 0 };
	struct chunk header;
	size_t at = SIGNATURE;
	bool ok = size > SIGNATURE && next_chunk(&header, bytes, size, &at) &&
		  read_header(&png, &header) && read_chunks(&png, bytes, size, at) &&
		  window_suffices(&png) && fill(f, &png);

	buffer_unref(&png.joined);
	if (!ok)
		buffer_unref(&f->payload);
	return ok;
}
