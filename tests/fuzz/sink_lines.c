/* Text files that a crash, or somebody, left: the readers of JSON Lines and CSV take any bytes. */
#include <stdlib.h>
#include <string.h>

#include "sink/textfile.h"

static void read_all(const struct line_format *format, const uint8_t *data, size_t size)
{
	/* A copy of the exact size, so that a byte read beyond it is seen. */
	char *copy = malloc(size + !size);
	size_t at = 0, number = 0;
	struct line_key key;

	memcpy(copy, data, size);
	for (;;) {
		size_t length = 0;
		int got = format->read(copy + at, size - at, number++, &length, &key);
		if (got <= 0)
			break;
		if (length == 0 || length > size - at)
			abort();
		if (got == 1 && strnlen(key.source, sizeof key.source) == sizeof key.source)
			abort();
		at += length;
	}
	if (size)
		format->begins(copy, size);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	read_all(&format_jsonl, data, size);
	read_all(&format_csv, data, size);
	return 0;
}
