/* Names of files, made durable. */
#ifndef COMMON_FOLDER_H
#define COMMON_FOLDER_H

/* A file's bytes are durable once it is synced, its name (made, renamed, removed) once its folder is: sync the folder
 * that holds path. 0, also where the file system has no such thing; -1 with errno. */
int folder_sync(const char *path);

#endif
