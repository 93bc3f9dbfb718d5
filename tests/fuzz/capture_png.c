/* PNG: the fast path against libpng. What the fast path takes, libpng must take, with the same
 * bytes.
 *
 * Check sums would keep the fuzzer out, so inputs get right ones: one that begins as a PNG has its
 * chunks' CRCs put right; of any other, a PNG is made: its first bytes choose the form, the rest is
 * the filtered rows, in a stored (uncompressed) block. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture/image/decode_png.h"
#include "capture/image/png_fast.h"

#define MOST 60000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static uint32_t crc32(const uint8_t *p, size_t n)
{
	uint32_t crc = ~0u;

	for (; n > 0; n--, p++) {
		crc ^= *p;
		for (int k = 0; k < 8; k++)
			crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
	}
	return ~crc;
}

static uint32_t adler32(const uint8_t *p, size_t n)
{
	uint32_t a = 1, b = 0;

	for (; n > 0; n--, p++) {
		a = (a + *p) % 65521;
		b = (b + a) % 65521;
	}
	return b << 16 | a;
}

static void mend(uint8_t *png, size_t size)
{
	for (size_t at = 8; size - at >= 12;) {
		size_t length = get32(png + at);
		if (length > size - at - 12)
			break;
		put32(png + at + 8 + length, crc32(png + at + 4, length + 4));
		at += length + 12;
	}
}

static size_t chunk(uint8_t *to, const char *name, const uint8_t *data, size_t size)
{
	put32(to, (uint32_t)size);
	memcpy(to + 4, name, 4);
	if (size > 0)
		memcpy(to + 8, data, size);
	put32(to + 8 + size, crc32(to + 4, size + 4));
	return size + 12;
}

/* Returns the size of the PNG made in to (2 * MOST bytes). */
static size_t make(uint8_t *to, const uint8_t *data, size_t size)
{
	static const int colours[] = { 0, 2, 4, 6 }, channels[] = { 1, 3, 2, 4 };
	static uint8_t zlib[MOST + 64];
	int form = data[0] & 3, deep = data[0] >> 2 & 1;
	uint32_t width = 1 + data[1], height = 1 + data[2] % 32;
	size_t row = width * (size_t)channels[form] * (deep ? 2 : 1) + 1, raw = row * height;
	uint8_t header[13] = { 0 };

	if (raw > MOST)
		return 0;
	memset(zlib, 0, sizeof zlib);
	memcpy(zlib, "\x78\x01\x01", 3);
	zlib[3] = (uint8_t)raw;
	zlib[4] = (uint8_t)(raw >> 8);
	zlib[5] = (uint8_t)~raw;
	zlib[6] = (uint8_t)(~raw >> 8);
	memcpy(zlib + 7, data + 3, size - 3 < raw ? size - 3 : raw);
	for (size_t y = 0; y < height; y++)
		zlib[7 + y * row] %= 5;
	put32(zlib + 7 + raw, adler32(zlib + 7, raw));
	put32(header, width);
	put32(header + 4, height);
	header[8] = deep ? 16 : 8;
	header[9] = (uint8_t)colours[form];
	memcpy(to, "\211PNG\r\n\032\n", 8);
	size_t at = 8 + chunk(to + 8, "IHDR", header, sizeof header), cut = (raw + 11) / 2;
	at += chunk(to + at, "IDAT", zlib, cut);
	at += chunk(to + at, "IDAT", zlib + cut, raw + 11 - cut);
	return at + chunk(to + at, "IEND", NULL, 0);
}

static void compare(const uint8_t *png, size_t size)
{
	struct frame *fast = frame_new(), *record = frame_new();
	struct err why;
	int recorded = png_record(record, png, size, &why) == 0;

	if (png_fast(fast, png, size)) {
		if (!recorded) {
			fprintf(stderr, "only the fast path takes it: %s\n", why.text);
			abort();
		}
		if (memcmp(fast->shape, record->shape, sizeof fast->shape) != 0 ||
		    fast->dtype != record->dtype || fast->payload->size != record->payload->size ||
		    memcmp(fast->payload->data, record->payload->data, fast->payload->size) != 0)
			abort();
	}
	frame_free(&fast);
	frame_free(&record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t png[2 * MOST];

	if (size < 8 || size > MOST)
		return 0;
	if (memcmp(data, "\211PNG\r\n\032\n", 8) != 0) {
		size = make(png, data, size);
	} else {
		memcpy(png, data, size);
		mend(png, size);
	}
	/* Larger pictures are only slower. */
	if (size >= 33 && (uint64_t)get32(png + 16) * get32(png + 20) < 1 << 20)
		compare(png, size);
	return 0;
}
