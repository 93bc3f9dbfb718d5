/* Pictures to pixels. One file per format with its descriptor at the foot, one row in decode.c.
 *
 * All bytes are hostile. A picture that is damaged anywhere is refused, never half decoded: a part
 * whose lower half is grey because the file was cut would otherwise be judged, perhaps good. */
#ifndef CAPTURE_IMAGE_DECODE_H
#define CAPTURE_IMAGE_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/frame.h"

#define IMAGE_SIDE_MAX 16384
#define IMAGE_BYTES_MAX (FRAME_PAYLOAD_MAX + ((size_t)1 << 20)) /* of an encoded picture */
#define IMAGE_MAGIC 8 /* bytes that tell the formats apart; no picture is shorter */

struct decode_options {
	bool as_stored; /* leave EXIF orientation alone */
	bool lenient;   /* take a JPEG whose decoder only warns; meta "warning" says what */
};

/* How far a walk along the first picture of a stream has come; all zeroes at its start. */
struct extent {
	size_t at;     /* bytes understood so far; once the end is seen, the picture's length */
	uint64_t left; /* samples still to come (plain PNM) */
	int state;     /* the walker's own */
};

struct decoder {
	const char *name;     /* "PNG" */
	const char *suffixes; /* file names that claim this format: ".png .apng", lower case */

	/* Do the first IMAGE_MAGIC bytes (fewer in a file that is shorter) begin such a picture? */
	bool (*begins)(const uint8_t *bytes, size_t size);

	/* Where does the picture end that begins at bytes? 1: after x->at bytes; 0: more bytes are
	 * needed, call again with the same x and the same bytes, longer; -1 broken, with *e. */
	int (*extent)(struct extent *x, const uint8_t *bytes, size_t size, struct err *e);

	/* Fill *f as a FRAME_IMAGE. 0, or -1 with *e and *f without a payload worth keeping. */
	int (*decode)(struct frame *f, const uint8_t *bytes, size_t size,
		      const struct decode_options *options, struct err *e);
};

/* The decoder whose format the bytes begin with; NULL, with *e saying what they are instead. */
const struct decoder *image_decoder(const uint8_t *bytes, size_t size, struct err *e);

/* Decode whatever it is; sets meta width and height too. 0, or -1 with *e. */
int image_decode(struct frame *f, const uint8_t *bytes, size_t size,
		 const struct decode_options *options, struct err *e);

/* Does a file of this name claim to be a picture, of a format that is read here or of another? */
bool image_name(const char *name);

/* For decoders: check the sides, then give *f its shape and payload. */
int image_shape(struct frame *f, uint64_t width, uint64_t height, int channels, enum dtype dtype,
		struct err *e);

extern const struct decoder decoder_png, decoder_jpeg, decoder_pnm, decoder_bmp, decoder_frame;

#endif
