/* A frame's payload as a file that other programs read: images as PNM or PAM, the rest as NumPy's .npy. */
#ifndef TAP_SAVE_H
#define TAP_SAVE_H

#include "common/err.h"
#include "common/frame.h"

/* Into directory/SOURCE-RUN-SEQ.EXTENSION, whole or not at all; what was there is replaced. A frame
 * without a payload, or of a shape that no such file can have, is left out. 0, or -1 with *e. */
int save_frame(int directory, const struct frame *f, struct err *e);

#endif
