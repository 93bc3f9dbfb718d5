/* The table of decoders, and words for the formats that are not in it. */
#include "capture/image/decode.h"

#include <string.h>
#include <strings.h>

static const struct decoder *const decoders[] = { &decoder_png, &decoder_jpeg, &decoder_pnm,
						  &decoder_bmp, &decoder_frame };
#define DECODERS (sizeof decoders / sizeof decoders[0])

/* Formats that are known by sight only. Their files count as pictures, so that a folder of them
 * ends in error rows and not in silence. at: offset of the magic bytes. */
static const struct stranger {
	const char *name, *suffixes;
	size_t at;
	const char *magic;
	size_t length;
} strangers[] = {
	{ "GIF", ".gif", 0, "GIF8", 4 },
	{ "TIFF", ".tif .tiff", 0, "II*\0", 4 },
	{ "TIFF", "", 0, "MM\0*", 4 },
	{ "TIFF", "", 0, "II+\0", 4 },
	{ "WebP", ".webp", 8, "WEBP", 4 },
	{ "HEIF or AVIF", ".heic .heif .avif", 4, "ftyp", 4 },
	{ "JPEG 2000", ".jp2 .j2k", 0, "\0\0\0\014jP  ", 8 },
	{ "JPEG 2000", "", 0, "\377\117\377\121", 4 },
	{ "JPEG XL", ".jxl", 0, "\0\0\0\014JXL ", 8 },
	{ "JPEG XL", "", 0, "\377\012", 2 },
	{ "Photoshop", ".psd", 0, "8BPS", 4 },
	{ "OpenEXR", ".exr", 0, "\166\057\061\001", 4 },
	{ "floating-point PFM", ".pfm", 0, "PF", 2 },
	{ "floating-point PFM", "", 0, "Pf", 2 },
};
#define STRANGERS (sizeof strangers / sizeof strangers[0])

static int no_decoder(const uint8_t *bytes, size_t size, struct err *e)
{
	if (size == 0)
		return err_set(e, "the file is empty");
	for (size_t i = 0; i < STRANGERS; i++) {
		const struct stranger *s = &strangers[i];
		if (size >= s->at + s->length && memcmp(bytes + s->at, s->magic, s->length) == 0)
			return err_set(
			    e, "%s pictures are not supported (PNG, JPEG, PNM, PAM and BMP are)",
			    s->name);
	}
	return err_set(e, "not a picture (PNG, JPEG, PNM, PAM or BMP)");
}

const struct decoder *image_decoder(const uint8_t *bytes, size_t size, struct err *e)
{
	for (size_t i = 0; i < DECODERS; i++)
		if (decoders[i]->begins(bytes, size < IMAGE_MAGIC ? size : IMAGE_MAGIC))
			return decoders[i];
	if (e) /* the words cost more than the search */
		no_decoder(bytes, size, e);
	return NULL;
}

int image_decode(struct frame *f, const uint8_t *bytes, size_t size,
		 const struct decode_options *options, struct err *e)
{
	const struct decoder *d = image_decoder(bytes, size, e);

	if (!d)
		return -1;
	if (d->decode(f, bytes, size, options, e) == 0) {
		if (f->kind != FRAME_IMAGE) /* a frame that died */
			return 0;
		frame_meta_int(f, "width", f->shape[1]);
		frame_meta_int(f, "height", f->shape[0]);
		return 0;
	}
	buffer_unref(&f->payload);
	return err_at(e, "%s", d->name);
}

/* Is the name's ending one of the words of the list? */
static bool ends_with_one_of(const char *name, const char *suffixes)
{
	const char *dot = strrchr(name, '.');
	size_t length;

	if (!dot || dot == name)
		return false;
	for (const char *s = suffixes; *s; s += length + (s[length] == ' ')) {
		length = strcspn(s, " ");
		if (strlen(dot) == length && strncasecmp(dot, s, length) == 0)
			return true;
	}
	return false;
}

bool image_name(const char *name)
{
	for (size_t i = 0; i < DECODERS; i++)
		if (ends_with_one_of(name, decoders[i]->suffixes))
			return true;
	for (size_t i = 0; i < STRANGERS; i++)
		if (ends_with_one_of(name, strangers[i].suffixes))
			return true;
	return false;
}

int image_shape(struct frame *f, uint64_t width, uint64_t height, int channels, enum dtype dtype,
		struct err *e)
{
	if (width == 0 || height == 0 || width > IMAGE_SIDE_MAX || height > IMAGE_SIDE_MAX)
		return err_set(e, "%llux%llu pixels: sides must be from 1 to %d",
			       (unsigned long long)width, (unsigned long long)height,
			       IMAGE_SIDE_MAX);
	int64_t shape[] = { (int64_t)height, (int64_t)width, channels };

	return frame_shape(f, FRAME_IMAGE, dtype, 3, shape, e);
}
