/* PNG. libpng is the decoder of record: all errors and all rare forms are its affair; png_fast
 * serves the plain forms with the same result.
 *
 * Greys of 1, 2 and 4 bits become 8; palettes become RGB, or RGBA if they have tRNS; a transparent
 * colour (tRNS) becomes alpha; 16 bits stay. Gamma, colour profiles and background are not applied:
 * neither do the libraries that networks are trained with. */
#include "capture/image/decode_png.h"

#include <png.h>
#include <setjmp.h>
#include <string.h>

#include "capture/image/png_fast.h"

#define SIGNATURE "\211PNG\r\n\032\n"
#define CHUNK_MOST ((png_alloc_size_t)8 << 20)
#define CHUNKS_KEPT 128

/* What libpng's callbacks see. */
struct reader {
	const uint8_t *bytes;
	size_t size, at;
	struct err *why;
	png_bytep rows[IMAGE_SIDE_MAX];
};

static bool png_begins(const uint8_t *bytes, size_t size)
{
	/* Four bytes suffice: a file spoilt by a text-mode transfer is to be called a bad PNG. */
	return size >= 4 && memcmp(bytes, SIGNATURE, 4) == 0;
}

static void on_read(png_structp png, png_bytep to, size_t size)
{
	struct reader *r = png_get_io_ptr(png);

	if (size > r->size - r->at)
		png_error(png, "the file ends too early");
	memcpy(to, r->bytes + r->at, size);
	r->at += size;
}

static void on_error(png_structp png, png_const_charp text)
{
	struct reader *r = png_get_error_ptr(png);

	err_code(r->why, strcmp(text, "Out of memory") == 0 ? EX_TEMPFAIL : EX_DATAERR, "%s", text);
	png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
	(void)png, (void)text; /* what matters has been made an error by prepare */
}

/* Strict where pixels or the file's soundness are concerned; chunks that say nothing about pixels
 * are not even parsed (their CRC is checked all the same). */
static void prepare(png_structp png, struct reader *r)
{
	png_set_read_fn(png, r, on_read);
	png_set_user_limits(png, IMAGE_SIDE_MAX, IMAGE_SIDE_MAX);
	png_set_chunk_malloc_max(png, CHUNK_MOST);
	png_set_chunk_cache_max(png, CHUNKS_KEPT);
	png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
	png_set_benign_errors(png, 0);
	png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
}

/* Transformations that leave grey, grey + alpha, RGB or RGBA of 8 or 16 bits; then *f's shape. */
static int arrange(png_structp png, png_infop info, struct frame *f, struct err *e)
{
	int depth = png_get_bit_depth(png, info);

	if (png_get_color_type(png, info) == PNG_COLOR_TYPE_PALETTE)
		png_set_palette_to_rgb(png);
	else if (depth < 8)
		png_set_expand_gray_1_2_4_to_8(png);
	if (png_get_valid(png, info, PNG_INFO_tRNS))
		png_set_tRNS_to_alpha(png);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	if (depth == 16)
		png_set_swap(png);
#endif
	png_set_interlace_handling(png);
	png_read_update_info(png, info);
	return image_shape(f, png_get_image_width(png, info), png_get_image_height(png, info),
			   png_get_channels(png, info), depth == 16 ? DTYPE_U16 : DTYPE_U8, e);
}

/* In a function of its own, so that no local variable lives across the setjmp. */
static int read_picture(png_structp png, png_infop info, struct reader *r, struct frame *f)
{
	if (setjmp(png_jmpbuf(png)))
		return -1;
	prepare(png, r);
	png_read_info(png, info);
	if (arrange(png, info, f, r->why) < 0)
		return -1;
	size_t row_bytes = f->payload->size / (size_t)f->shape[0];
	if (png_get_rowbytes(png, info) != row_bytes)
		return err_set(r->why, "rows of %zu bytes where %zu were expected",
			       png_get_rowbytes(png, info), row_bytes);
	for (int64_t y = 0; y < f->shape[0]; y++)
		r->rows[y] = f->payload->data + (size_t)y * row_bytes;
	png_read_image(png, r->rows);
	png_read_end(png, NULL);
	return 0;
}

static int record(struct frame *f, const uint8_t *bytes, size_t size, struct err *e)
{
	struct err ignored;
	struct buffer *store = buffer_new(sizeof(struct reader));
	struct reader *r = store ? (struct reader *)(void *)store->data : NULL;
	png_structp png =
	    r ? png_create_read_struct(PNG_LIBPNG_VER_STRING, r, on_error, on_warning) : NULL;
	png_infop info = png ? png_create_info_struct(png) : NULL;
	int result;

	if (info) {
		r->bytes = bytes;
		r->size = size;
		r->at = 0;
		r->why = e ? e : &ignored;
		result = read_picture(png, info, r, f);
	} else {
		result = err_code(e, EX_TEMPFAIL, "no memory");
	}
	if (png)
		png_destroy_read_struct(&png, &info, NULL);
	buffer_unref(&store);
	if (result < 0)
		buffer_unref(&f->payload);
	return result;
}

/* zlib's "insufficient memory" is also what libpng says of a chunk that unpacks to more than it is
 * allowed: what is said twice is the picture's fault. */
int png_record(struct frame *f, const uint8_t *bytes, size_t size, struct err *e)
{
	struct err why;
	int result = record(f, bytes, size, &why);

	if (result < 0 && !err_is_of_system(&why) && strstr(why.text, "memory"))
		result = record(f, bytes, size, &why);
	if (result < 0)
		err_code(e, why.code, "%s", why.text);
	return result;
}

static int png_decode(struct frame *f, const uint8_t *bytes, size_t size,
		      const struct decode_options *options, struct err *e)
{
	(void)options;
	if (size < 8 || memcmp(bytes, SIGNATURE, 8) != 0)
		return err_set(e, "the signature is damaged, as by a text-mode transfer");
	if (png_fast(f, bytes, size))
		return 0;
	return png_record(f, bytes, size, e);
}

/* Chunk after chunk until IEND. */
static int png_extent(struct extent *x, const uint8_t *bytes, size_t size, struct err *e)
{
	if (x->at == 0) {
		if (size < 8)
			return 0;
		if (memcmp(bytes, SIGNATURE, 8) != 0)
			return err_set(e, "PNG: the signature is damaged");
		x->at = 8;
	}
	while (size - x->at >= 12) {
		const uint8_t *p = bytes + x->at;
		size_t chunk = ((size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3]);
		if (chunk > PNG_UINT_31_MAX || chunk > IMAGE_BYTES_MAX)
			return err_set(e, "PNG: a chunk of %zu bytes", chunk);
		if (size - x->at < chunk + 12)
			return 0;
		x->at += chunk + 12;
		if (memcmp(p + 4, "IEND", 4) == 0)
			return 1;
	}
	return 0;
}

const struct decoder decoder_png = {
	.name = "PNG",
	.suffixes = ".png .apng",
	.begins = png_begins,
	.extent = png_extent,
	.decode = png_decode,
};
