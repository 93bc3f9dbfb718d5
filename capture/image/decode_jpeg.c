/* JPEG with libjpeg-turbo, at its default settings: the accurate integer DCT and smooth chroma
 * upsampling give the same bytes as Pillow, with which networks are trained.
 *
 * libjpeg goes on after damage with a warning and grey blocks. Here a warning is an error. Bombs are
 * met with limits on the sides, on memory, and on the number of scans of a progressive picture. */
#include "capture/image/decode.h"

#include <stdio.h>
#include <jpeglib.h>
#include <jerror.h>
#include <setjmp.h>
#include <string.h>

#include "capture/image/orient.h"

#define MEMORY_MOST ((long)1 << 30)  /* libjpeg's own, for the coefficients of progressive ones */
#define SCANS_MOST 100               /* encoders write about ten */
#define SCAN_PIXELS_MOST 0x200000000 /* scans times pixels */

struct reader {
	struct jpeg_decompress_struct jpeg;
	struct jpeg_error_mgr errors;
	struct jpeg_progress_mgr progress;
	jmp_buf out;
	const struct decode_options *options;
	struct frame *frame;
	struct err *why;
};

static void say(j_common_ptr jpeg, char text[JMSG_LENGTH_MAX])
{
	jpeg->err->format_message(jpeg, text);
}

static void on_error(j_common_ptr jpeg)
{
	struct reader *r = jpeg->client_data;
	char text[JMSG_LENGTH_MAX];

	say(jpeg, text);
	if (jpeg->err->msg_code == JERR_OUT_OF_MEMORY)
		err_memory(r->why, (size_t)r->jpeg.image_width * r->jpeg.image_height * 3,
			   "a JPEG");
	else
		err_set(r->why, "%s", text);
	longjmp(r->out, 1);
}

/* level -1 is a warning: the data are damaged; others are chatter. */
static void on_message(j_common_ptr jpeg, int level)
{
	struct reader *r = jpeg->client_data;
	char text[JMSG_LENGTH_MAX];

	if (level >= 0 || jpeg->err->msg_code == JWRN_JFIF_MAJOR)
		return;
	if (!r->options->lenient)
		on_error(jpeg);
	say(jpeg, text);
	frame_meta_text(r->frame, "warning", text);
}

static void on_progress(j_common_ptr common)
{
	struct reader *r = common->client_data;
	const struct jpeg_decompress_struct *jpeg = &r->jpeg;
	uint64_t pixels = (uint64_t)jpeg->image_width * jpeg->image_height;

	if (jpeg->input_scan_number <= SCANS_MOST &&
	    (uint64_t)jpeg->input_scan_number * pixels <= SCAN_PIXELS_MOST)
		return;
	err_set(r->why, "%d scans are too many for %ux%u pixels", jpeg->input_scan_number,
		jpeg->image_width, jpeg->image_height);
	longjmp(r->out, 1);
}

static bool jpeg_begins(const uint8_t *bytes, size_t size)
{
	return size >= 3 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[2] == 0xff;
}

/* CMYK as Adobe's programs store it, inverted; the arithmetic is Pillow's convert("RGB"). */
static void cmyk_to_rgb(uint8_t *to, const uint8_t *from, size_t pixels)
{
	for (size_t i = 0; i < pixels; i++, to += 3, from += 4)
		for (int k = 0; k < 3; k++) {
			unsigned light = from[3], t = (255u - from[k]) * light + 128;
			to[k] = (uint8_t)(light - (((t >> 8) + t) >> 8));
		}
}

static int orientation_of(const struct jpeg_decompress_struct *jpeg)
{
	for (jpeg_saved_marker_ptr m = jpeg->marker_list; m; m = m->next) {
		int orientation = exif_orientation(m->data, m->data_length);
		if (orientation > 1)
			return orientation;
	}
	return 1;
}

static int choose_colours(struct jpeg_decompress_struct *jpeg, struct err *e)
{
	switch (jpeg->jpeg_color_space) {
	case JCS_GRAYSCALE:
		jpeg->out_color_space = JCS_GRAYSCALE;
		return 1;
	case JCS_RGB:
	case JCS_YCbCr:
		jpeg->out_color_space = JCS_RGB;
		return 3;
	case JCS_CMYK:
	case JCS_YCCK:
		jpeg->out_color_space = JCS_CMYK;
		return 3;
	default:
		return err_set(e, "%d colour components are not supported", jpeg->num_components);
	}
}

static void read_rows(struct jpeg_decompress_struct *jpeg, struct frame *f)
{
	size_t row_bytes = (size_t)f->shape[1] * (size_t)f->shape[2];
	bool cmyk = jpeg->out_color_space == JCS_CMYK;
	JSAMPARRAY four = cmyk ? jpeg->mem->alloc_sarray((j_common_ptr)jpeg, JPOOL_IMAGE,
							 (JDIMENSION)f->shape[1] * 4, 1)
			       : NULL;

	while (jpeg->output_scanline < jpeg->output_height) {
		JSAMPROW row = f->payload->data + jpeg->output_scanline * row_bytes;
		if (jpeg_read_scanlines(jpeg, cmyk ? four : &row, 1) == 1 && cmyk)
			cmyk_to_rgb(row, four[0], (size_t)f->shape[1]);
	}
}

/* In a function of its own, so that no local variable lives across the setjmp. */
static int read_picture(struct reader *r, const uint8_t *bytes, size_t size)
{
	struct jpeg_decompress_struct *jpeg = &r->jpeg;

	if (setjmp(r->out))
		return -1;
	jpeg_create_decompress(jpeg);
	jpeg->mem->max_memory_to_use = MEMORY_MOST;
	jpeg->progress = &r->progress;
	jpeg_mem_src(jpeg, bytes, size);
	if (!r->options->as_stored)
		jpeg_save_markers(jpeg, JPEG_APP0 + 1, 0xffff);
	jpeg_read_header(jpeg, TRUE);
	int channels = choose_colours(jpeg, r->why);
	if (channels < 0 || image_shape(r->frame, jpeg->image_width, jpeg->image_height, channels,
					DTYPE_U8, r->why) < 0)
		return -1;
	jpeg_start_decompress(jpeg);
	read_rows(jpeg, r->frame);
	int orientation = orientation_of(jpeg);
	jpeg_finish_decompress(jpeg);
	if (orientation > 1)
		frame_meta_int(r->frame, "orientation", orientation);
	return image_orient(r->frame, orientation, r->why);
}

static int jpeg_decode(struct frame *f, const uint8_t *bytes, size_t size,
		       const struct decode_options *options, struct err *e)
{
	struct err ignored;
	struct reader r = { .options = options, .frame = f, .why = e ? e : &ignored };
	int result;

	r.jpeg.err = jpeg_std_error(&r.errors);
	r.jpeg.client_data = &r;
	r.errors.error_exit = on_error;
	r.errors.emit_message = on_message;
	r.progress.progress_monitor = on_progress;
	result = read_picture(&r, bytes, size);
	jpeg_destroy_decompress(&r.jpeg);
	return result;
}

/* --- where one ends in a stream ---------------------------------------------------------------- */

enum { AT_MARKER, IN_SCAN };

static bool stands_alone(uint8_t marker)
{
	return marker == 0x01 || (marker >= 0xd0 && marker <= 0xd9);
}

/* In entropy-coded data FF is followed by 0 or a restart marker, FF or the marker that ends it. */
static int walk_scan(struct extent *x, const uint8_t *bytes, size_t size)
{
	while (size - x->at >= 2) {
		const uint8_t *ff = memchr(bytes + x->at, 0xff, size - x->at - 1);
		if (!ff) {
			x->at = size - 1;
			return 0;
		}
		x->at = (size_t)(ff - bytes);
		if (ff[1] != 0 && ff[1] != 0xff && !(ff[1] >= 0xd0 && ff[1] <= 0xd7)) {
			x->state = AT_MARKER;
			return 1;
		}
		x->at += ff[1] == 0xff ? 1 : 2;
	}
	return 0;
}

/* One marker and its segment: 1 stepped past it, 0 more is needed, 2 the end of the picture. */
static int walk_marker(struct extent *x, const uint8_t *bytes, size_t size, struct err *e)
{
	const uint8_t *p = bytes + x->at;
	size_t left = size - x->at, segment;

	if (left < 2)
		return 0;
	if (p[0] != 0xff)
		return err_set(e, "JPEG: a marker is missing");
	if (p[1] == 0xff) { /* fill byte */
		x->at++;
		return 1;
	}
	if (p[1] == 0xd8 && x->at > 0)
		return err_set(e, "JPEG: the next picture begins before this one ends");
	if (stands_alone(p[1])) {
		x->at += 2;
		return p[1] == 0xd9 ? 2 : 1;
	}
	if (left < 4)
		return 0;
	segment = (size_t)p[2] << 8 | p[3];
	if (segment < 2)
		return err_set(e, "JPEG: a segment is shorter than its length");
	if (left < segment + 2)
		return 0;
	if (p[1] == 0xda)
		x->state = IN_SCAN;
	x->at += segment + 2;
	return 1;
}

static int jpeg_extent(struct extent *x, const uint8_t *bytes, size_t size, struct err *e)
{
	for (;;) {
		int step = x->state == IN_SCAN ? walk_scan(x, bytes, size)
					       : walk_marker(x, bytes, size, e);
		if (step != 1)
			return step == 2 ? 1 : step;
	}
}

const struct decoder decoder_jpeg = {
	.name = "JPEG",
	.suffixes = ".jpg .jpeg .jpe .jfif .mpo",
	.begins = jpeg_begins,
	.extent = jpeg_extent,
	.decode = jpeg_decode,
};
