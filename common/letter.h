/* Dead letters (--dead-letter DIR): frames over which too many workers died, kept whole in a folder,
 * so that somebody can look at them and `capture DIR` can send them again. One file each, an envelope
 * (common/envelope.h), named SOURCE-RUN-SEQ.frame. */
#ifndef COMMON_LETTER_H
#define COMMON_LETTER_H

#include "common/err.h"
#include "common/frame.h"

#define LETTER_SUFFIX ".frame"

struct letters {
	int dir;
	const char *path;
};

/* Open the folder, made if need be. 0, or -1 with *e. */
int letters_open(struct letters *l, const char *path, struct err *e);

/* Keep a frame: on the disk under its name when this returns, never over another file. What cannot
 * be kept is told. context: the letters. */
void letters_keep(void *context, const struct frame *f, const char *reason);

void letters_close(struct letters *l);

#endif
