/* JPEG, PNM and PAM (PNG has a target of its own), and the way up: no crash, and a picture that is
 * taken has the payload that its shape asks for. */
#include <stdlib.h>

#include "capture/image/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct decode_options options = { .lenient = size > 0 && (data[size - 1] & 1) };
	struct frame *f = frame_new();
	struct err why;
	size_t bytes;

	if (image_decode(f, data, size, &options, &why) == 0)
		if (frame_bytes(f, &bytes, &why) < 0 || f->payload->size != bytes || f->rank != 3)
			abort();
	frame_free(&f);
	return 0;
}
