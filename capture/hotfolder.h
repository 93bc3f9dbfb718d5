/* A folder that others drop files into: which of them are whole, each told once. */
#ifndef CAPTURE_HOTFOLDER_H
#define CAPTURE_HOTFOLDER_H

#include <stdint.h>
#include <sys/stat.h>

#include "common/err.h"

struct hotfolder;

/* NULL with *e. What is in the folder already comes first, in byte order of names. */
struct hotfolder *hotfolder_open(const char *path, struct err *e);

/* The next whole file whose name claims a picture: 1, its name (borrowed until the next call) and
 * status; 0 none for now; -1 with *e: the folder is gone. A file that was changed since it was told
 * is told again. */
int hotfolder_next(struct hotfolder *h, const char **name, struct stat *status, struct err *e);

/* Do not tell this file, as it is now. */
void hotfolder_seen(struct hotfolder *h, const char *name, const struct stat *status);

/* This file will not come again as it was: it has been moved away. */
void hotfolder_forget(struct hotfolder *h, const char *name, const struct stat *status);

/* What to wait for when there was none: the descriptor is readable, or the time is over. */
int hotfolder_fd(const struct hotfolder *h);
int64_t hotfolder_wait_ms(const struct hotfolder *h);

int hotfolder_dir(const struct hotfolder *h); /* descriptor of the folder itself */

void hotfolder_close(struct hotfolder **h);

#endif
