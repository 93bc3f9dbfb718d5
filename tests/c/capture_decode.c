/* Decode the files named on the command line; one line each, tab-separated:
 * file, WIDTHxHEIGHT, channels, dtype, SHA-256 of the pixels (native endian); or file, "error", why.
 * --record: PNGs with libpng alone. --as-stored, --lenient: as capture has them. --repeat N: time.
 * --dump DIR: the pixels of the n-th file go to DIR/n.raw.
 * run by: capture_image.bats */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture/file.h"
#include "capture/image/decode_png.h"
#include "common/hash.h"

static bool record;
static int repeat = 1, number;
static const char *dump;
static struct decode_options options;

static int decode(struct frame *f, const uint8_t *bytes, size_t size, struct err *e)
{
	return record ? png_record(f, bytes, size, e) : image_decode(f, bytes, size, &options, e);
}

static void print(const char *path, const struct frame *f)
{
	char hex[HASH_HEX];

	if (dump) {
		char name[4096];
		snprintf(name, sizeof name, "%s/%d.raw", dump, number);
		FILE *out = fopen(name, "w");
		if (!out || fwrite(f->payload->data, 1, f->payload->size, out) != f->payload->size)
			exit(1);
		fclose(out);
	}
	hash_bytes(f->payload->data, f->payload->size, hex);
	printf("%s\t%lldx%lld\t%lld\t%s\t%s\n", path, (long long)f->shape[1],
	       (long long)f->shape[0], (long long)f->shape[2], dtype_name(f->dtype), hex);
}

static void one(const char *path)
{
	struct file_bytes file = { 0 };
	struct err why;
	int result = file_read(path, &file, &why);
	int64_t start = clock_mono_ns();

	for (int i = 0; i < repeat; i++) {
		struct frame *f = frame_new();
		if (f && result == 0)
			result = decode(f, file.data, file.size, &why);
		if (i + 1 == repeat && result == 0)
			print(path, f);
		else if (i + 1 == repeat)
			printf("%s\terror\t%s\n", path, why.text);
		frame_free(&f);
	}
	if (repeat > 1)
		printf("%.2f ms\n", (double)(clock_mono_ns() - start) / 1e6 / repeat);
	file_free(&file);
	number++;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--record") == 0)
			record = true;
		else if (strcmp(argv[i], "--as-stored") == 0)
			options.as_stored = true;
		else if (strcmp(argv[i], "--lenient") == 0)
			options.lenient = true;
		else if (strcmp(argv[i], "--repeat") == 0 && i + 1 < argc)
			repeat = atoi(argv[++i]);
		else if (strcmp(argv[i], "--dump") == 0 && i + 1 < argc)
			dump = argv[++i];
		else
			one(argv[i]);
	}
	buffer_pool_drain();
	return 0;
}
