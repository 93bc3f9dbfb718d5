/* Undo PNG's row filters (PNG specification, section 9). */
#ifndef CAPTURE_IMAGE_PNG_UNFILTER_H
#define CAPTURE_IMAGE_PNG_UNFILTER_H

#include <stddef.h>
#include <stdint.h>

/* raw: rows of one filter byte and row_bytes filtered bytes. out: rows * row_bytes, without gaps.
 * pixel_bytes: 1, 2, 3, 4, 6 or 8, and row_bytes a multiple of it. 0, or -1: a filter byte is
 * none of the five, or memory is short. */
int png_unfilter(uint8_t *out, const uint8_t *raw, size_t rows, size_t row_bytes,
		 size_t pixel_bytes);

/* The same, byte by byte as the specification has it: what tests measure the fast one by. */
int png_unfilter__reference(uint8_t *out, const uint8_t *raw, size_t rows, size_t row_bytes,
			    size_t pixel_bytes);

#endif
