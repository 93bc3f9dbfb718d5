/* JPEG, PNM and PAM (PNG has a target of its own), and the way up: no crash, and a picture that is
 * taken has the payload that its shape asks for. */
#include <stdlib.h>

#include "capture/image/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Lenient decoding of a hundred bytes that claim 16384x16384 pixels takes its seconds, rightly. */
static int claims_much(const uint8_t *data, size_t size)
{
	for (size_t i = 0; i + 9 < size; i++)
		if (data[i] == 0xff && (data[i + 1] & 0xf0) == 0xc0 &&
		    (data[i + 5] >= 4 || data[i + 7] >= 4))
			return 1;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct decode_options options = { .lenient = size > 0 && (data[size - 1] & 1) &&
						     !claims_much(data, size) };
	struct frame *f = frame_new();
	struct err why;
	size_t bytes;

	if (image_decode(f, data, size, &options, &why) == 0)
		if (frame_bytes(f, &bytes, &why) < 0 || f->payload->size != bytes || f->rank != 3)
			abort();
	frame_free(&f);
	return 0;
}
