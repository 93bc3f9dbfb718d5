/* Frames in files, as --dead-letter keeps them: what is taken has the payload that its shape asks for.
 * Checksums are made right, or nothing behind them would be looked at. */
#include <stdlib.h>
#include <string.h>

#include "capture/image/decode.h"
#include "common/envelope.h"
#include "common/hash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put64(uint8_t *to, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		to[i] = (uint8_t)(value >> 8 * i);
}

static void mend(uint8_t *bytes, size_t size)
{
	uint8_t all[ENVELOPE_MOST];
	struct envelope x;

	if (size < ENVELOPE_HEAD || !envelope_head(bytes, &x) || ENVELOPE_HEAD + x.header > size)
		return;
	if (x.payload <= size - ENVELOPE_HEAD - x.header)
		put64(bytes + 24, hash_quick(bytes + ENVELOPE_HEAD + x.header, x.payload));
	memcpy(all, bytes, 32);
	memset(all + ENVELOPE_MARK, 0, 4);
	memcpy(all + 32, bytes + ENVELOPE_HEAD, x.header);
	put64(bytes + 32, hash_quick(all, 32 + x.header));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct decode_options options = { 0 };
	struct extent extent = { 0 };
	struct frame *f = frame_new();
	uint8_t *bytes = malloc(size + 8);
	size_t wanted;
	struct err why;

	if (!f || !bytes)
		abort();
	memcpy(bytes, ENVELOPE_MAGIC, 8);
	memcpy(bytes + 8, data, size);
	mend(bytes, size + 8);
	if (decoder_frame.extent(&extent, bytes, size + 8, &why) == 1 && extent.at > size + 8)
		abort();
	if (image_decode(f, bytes, size + 8, &options, &why) == 0 &&
	    (frame_bytes(f, &wanted, &why) < 0 || !f->payload || f->payload->size != wanted))
		abort();
	frame_free(&f);
	free(bytes);
	return 0;
}
