/* A list of true labels: what each picture really shows. */
#ifndef SINK_TRUTH_H
#define SINK_TRUTH_H

#include <stddef.h>

#include "common/err.h"

struct truth_part {
	char *name; /* base name of the picture */
	char *label;
};

struct truth {
	struct truth_part *part; /* in order of the names, none twice, at least one */
	size_t count, capacity;
};

/* Lines "NAME TAB LABEL" or "NAME,LABEL" (with quotes as in CSV); a heading, empty lines and those
 * that begin with '#' are skipped. truth: all zeroes; free it in either case. 0, -1 with *e. */
int truth_load(struct truth *t, const char *path, struct err *e);
void truth_free(struct truth *t); /* leaves it empty */

const char *truth_base_name(const char *path);

#endif
