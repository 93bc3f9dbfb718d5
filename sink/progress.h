/* One live line on a terminal: how far, how fast, how good, how long still. */
#ifndef SINK_PROGRESS_H
#define SINK_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "sink/stats.h"

struct progress {
	bool on; /* stderr is a terminal and nobody wants quiet */
	int64_t shown_ns;
	bool visible;
};

void progress_open(struct progress *p, bool quiet);

/* Show, but at most a few times a second. expected: 0 if the sources do not know. waiting: why
 * nothing moves, or NULL. */
void progress_show(struct progress *p, const struct stats *s, uint64_t expected,
		   const char *waiting);

/* Wipe the line, before something else is said. */
void progress_hide(struct progress *p);

/* The text of the line (for tests); returns out. */
char *progress_text(char *out, size_t size, const struct stats *s, uint64_t expected,
		    const char *waiting);

#endif
