/* Fast un-filtering against the specification's, on random rows of all widths, pixel sizes and
 * filters. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture/image/png_unfilter.h"

#define ROWS 12
#define ROW_MOST (8 * 70)

static uint64_t state = 88172645463325252u;

static uint8_t random_byte(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint8_t)(state >> 32);
}

/* Exact heap blocks, so that the sanitizer sees one byte too far. */
static int check(size_t row_bytes, size_t bpp)
{
	size_t raw_bytes = ROWS * (row_bytes + 1);
	uint8_t *raw = malloc(raw_bytes), *fast = malloc(ROWS * row_bytes),
		*slow = malloc(ROWS * row_bytes);
	int differ;

	for (size_t i = 0; i < raw_bytes; i++)
		raw[i] = i % (row_bytes + 1) == 0 ? (random_byte() & 1 ? 4 : random_byte() % 5)
						  : random_byte();
	differ = png_unfilter(fast, raw, ROWS, row_bytes, bpp) != 0 ||
		 png_unfilter__reference(slow, raw, ROWS, row_bytes, bpp) != 0 ||
		 memcmp(fast, slow, ROWS * row_bytes) != 0;
	if (differ)
		printf("rows of %zu bytes, %zu per pixel: different bytes\n", row_bytes, bpp);
	free(raw);
	free(fast);
	free(slow);
	return differ;
}

int main(void)
{
	static const size_t pixel_bytes[] = { 1, 2, 3, 4, 6, 8 };
	static const uint8_t bad[] = { 5, 0 };
	int failures = 0, checks = 0;
	uint8_t out;

	for (size_t p = 0; p < sizeof pixel_bytes / sizeof pixel_bytes[0]; p++)
		for (size_t row = pixel_bytes[p]; row <= ROW_MOST / 8 * pixel_bytes[p];
		     row += pixel_bytes[p], checks++)
			for (int i = 0; i < 20; i++)
				failures += check(row, pixel_bytes[p]);
	if (png_unfilter(&out, bad, 1, 1, 1) != -1) {
		puts("filter 5 was taken");
		failures++;
	}
	printf("%d shapes, 20 pictures each: %d differ\n", checks, failures);
	return failures > 0;
}
