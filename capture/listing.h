/* The pictures that files, folders and patterns on the command line name. */
#ifndef CAPTURE_LISTING_H
#define CAPTURE_LISTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct listing_item {
	char *path;
	int64_t size, mtime_ns; /* as listed; -1 if the file could not be looked at */
};

/* Start from all zeroes. */
struct listing {
	struct listing_item *item;
	size_t count, capacity;
	size_t skipped; /* files of folders whose names claim no picture */
	size_t folders; /* folders within folders, not entered */
};

/* Add what an operand names: a file; a folder's pictures, judged by their names, and its
 * sub-folders' if recursive; or, if nothing has that very name, all that match it as a pattern.
 * Hidden files are left out. 0, or -1 with *e (EX_NOINPUT: there is none). */
int listing_add(struct listing *l, const char *operand, bool recursive, struct err *e);

/* Put all in byte order of their paths, each path once. */
void listing_sort(struct listing *l);

/* A number made of each file's real path, size and time of change: it stays as long as they do. */
int listing_id(const struct listing *l, uint64_t *id, struct err *e);

void listing_free(struct listing *l);

#endif
