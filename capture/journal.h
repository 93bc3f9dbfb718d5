/* Which key each file of a hot folder was given, on disk before the file is sent: after a crash it
 * is sent again under the same key, so that the store knows it. */
#ifndef CAPTURE_JOURNAL_H
#define CAPTURE_JOURNAL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "common/err.h"

/* A file as it was when it got its key; name is within the folder. */
struct entry {
	char *name;
	uint64_t run, seq;
	uint64_t inode;
	int64_t size, mtime_ns;
};

struct journal {
	char *path;
	int fd;              /* -1: there is no journal, only the list in memory */
	size_t lines;        /* in the file, settled ones included */
	struct entry *entry; /* not yet settled, in order of their keys */
	size_t count, capacity;
};

/* Read what is unsettled from path and open it for more; path NULL keeps the list in memory alone.
 * 0, or -1 with *e. */
int journal_open(struct journal *j, const char *path, struct err *e);

/* A new entry; durable only after journal_sync. 0, or -1 with *e. */
int journal_add(struct journal *j, const char *name, const struct stat *status, uint64_t run,
		uint64_t seq, struct err *e);
int journal_sync(struct journal *j, struct err *e);

/* The entry of this key, or NULL. */
const struct entry *journal_find(const struct journal *j, uint64_t run, uint64_t seq);

/* Nothing is to be done about it any more. */
void journal_settle(struct journal *j, uint64_t run, uint64_t seq);

/* Is the file still the one that got the key? */
int entry_matches(const struct entry *entry, const struct stat *status);

void journal_close(struct journal *j);

#endif
