/* The way up of a picture, as EXIF has it (EXIF 2.3, tag 0x0112). */
#ifndef CAPTURE_IMAGE_ORIENT_H
#define CAPTURE_IMAGE_ORIENT_H

#include <stddef.h>
#include <stdint.h>

#include "common/frame.h"

/* Orientation 1..8 that an APP1 segment's content ("Exif\0\0", then TIFF) names; 1 if it names none
 * or is damaged. */
int exif_orientation(const uint8_t *app1, size_t size);

/* Turn and mirror the pixels of an u8 or u16 image so that it is upright; 1 does nothing. */
int image_orient(struct frame *f, int orientation, struct err *e);

#endif
