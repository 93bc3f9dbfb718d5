/* Files and their names, whole and durable. */
#ifndef COMMON_FOLDER_H
#define COMMON_FOLDER_H

#include <stddef.h>

/* A file's bytes are durable once it is synced, its name (made, renamed, removed) once its folder is: sync the folder
 * that holds path. 0, also where the file system has no such thing; -1 with errno. */
int folder_sync(const char *path);

/* Write all of it, however many calls that takes. 0, or -1 with errno. */
int file_write(int fd, const void *bytes, size_t size);

#endif
