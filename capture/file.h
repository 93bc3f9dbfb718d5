/* One whole file in memory. */
#ifndef CAPTURE_FILE_H
#define CAPTURE_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "common/err.h"

/* Start from all zeroes; the memory is used again from file to file. */
struct file_bytes {
	uint8_t *data;
	size_t size, capacity;
	struct stat stat;
};

/* Read a regular file of at most IMAGE_BYTES_MAX; pipes, devices and folders are refused without
 * touching them. 0, or -1 with *e. */
int file_read(const char *path, struct file_bytes *file, struct err *e);

void file_free(struct file_bytes *file);

#endif
