/* The short way through the PNGs that cameras and scripts write. */
#ifndef CAPTURE_IMAGE_PNG_FAST_H
#define CAPTURE_IMAGE_PNG_FAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct frame;

/* Decode a plain PNG: 8 or 16 bits, grey or colour, with or without alpha, not interlaced, no
 * palette, no tRNS. true: *f is filled, with the bytes that libpng would give. false: it is of
 * another form, or there is something wrong with it; libpng then decides. */
bool png_fast(struct frame *f, const uint8_t *bytes, size_t size);

/* Big-endian samples, as PNG and PNM have them, to the machine's order. */
void samples_to_native(uint8_t *samples, size_t count);

#endif
