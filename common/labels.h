/* The names of a network's classes, in the order of its scores. */
#ifndef COMMON_LABELS_H
#define COMMON_LABELS_H

#include <stddef.h>

#include "common/err.h"

#define LABELS_MAX 65536

struct labels {
	char **name; /* count of them, printable UTF-8 */
	size_t count;
};

/* From a file: JSON ("labels", "classes", "label_names" or "names" as a list, or Hugging Face's
 * "id2label"), or, if it does not begin with '{' or '[', one label a line. 1 and *l filled (free
 * with labels_free), 0 the JSON speaks of no labels, -1 *e (EX_NOINPUT: no such file). */
int labels_load(struct labels *l, const char *path, struct err *e);

void labels_free(struct labels *l); /* leaves it empty */

#endif
