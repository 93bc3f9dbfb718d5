/* A set of files, each as it was: name, inode, size and time of change. */
#ifndef CAPTURE_SEEN_H
#define CAPTURE_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* Start from all zeroes. Sixteen bytes at most for each file that is in it. */
struct seen {
	uint64_t *print; /* fingerprints; open addressing, 0 is empty */
	size_t count, capacity;
};

/* Was the file, as it is, in the set? If not, it is now (unless memory is short). */
bool seen_before(struct seen *s, const char *name, const struct stat *status);

/* It is not in the set any more. */
void seen_forget(struct seen *s, const char *name, const struct stat *status);

void seen_free(struct seen *s);

#endif
