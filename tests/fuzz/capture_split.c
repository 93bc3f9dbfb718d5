/* The stream splitter: the same pictures however the bytes arrive, none of them outside the stream,
 * and an end. */
#include <stdlib.h>
#include <string.h>

#include "capture/split.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Returns a sum over all pictures; each: what split_put gets at once. */
static uint64_t run(const uint8_t *data, size_t size, size_t each)
{
	struct split s = { 0 };
	const uint8_t *bytes;
	uint8_t *to;
	size_t at = 0, length, room;
	uint64_t sum = 0, taken = 0;
	struct err why;
	int got;

	while ((got = split_next(&s, &bytes, &length, &why)) != SPLIT_END) {
		if (got == SPLIT_MORE) {
			if (split_room(&s, &to, &room, &why) < 0)
				abort();
			size_t n = size - at < each ? size - at : each;
			n = n < room ? n : room;
			memcpy(to, data + at, n);
			at += n;
			split_put(&s, n);
			continue;
		}
		if (got == SPLIT_HOPELESS)
			break;
		sum = sum * 31 + (got == SPLIT_PICTURE ? length : 7);
		taken += got == SPLIT_PICTURE ? length : 0;
		for (size_t i = 0; got == SPLIT_PICTURE && i < length; i++)
			sum = sum * 131 + bytes[i];
	}
	if (taken > size)
		abort();
	split_free(&s);
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 4096)
		return 0;
	if (run(data, size, SIZE_MAX) != run(data, size, 1 + size / 7))
		abort();
	return 0;
}
