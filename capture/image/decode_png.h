/* What tests and the fuzzer ask of the PNG decoder beyond its descriptor. */
#ifndef CAPTURE_IMAGE_DECODE_PNG_H
#define CAPTURE_IMAGE_DECODE_PNG_H

#include "capture/image/decode.h"

/* Decode with libpng alone: the decoder of record. 0, or -1 with *e. */
int png_record(struct frame *f, const uint8_t *bytes, size_t size, struct err *e);

#endif
