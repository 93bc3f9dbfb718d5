/* A text file of lines "run seq inode size mtime_ns name", appended to, and written anew when most
 * of it is settled. A last line that a crash cut short is ignored: its file was not yet sent. A
 * line end within a name is written as '/', which no name can hold. */
#include "capture/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/failpoint.h"
#include "common/folder.h"

#define SETTLED_MOST 4096 /* lines of settled files that are left to lie */

static int trouble(const struct journal *j, const char *what, struct err *e)
{
	return err_code(e, EX_IOERR, "cannot %s '%s': %s", what, j->path, strerror(errno));
}

static int64_t mtime_of(const struct stat *status)
{
	return (int64_t)status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec;
}

int entry_matches(const struct entry *entry, const struct stat *status)
{
	return entry->inode == (uint64_t)status->st_ino &&
	       entry->size == (int64_t)status->st_size && entry->mtime_ns == mtime_of(status);
}

/* Takes entry->name over, even when it fails. */
static int append(struct journal *j, const struct entry *entry, struct err *e)
{
	if (entry->name && j->count == j->capacity) {
		size_t capacity = j->capacity ? 2 * j->capacity : 64;
		struct entry *more = realloc(j->entry, capacity * sizeof *more);
		if (!more) {
			free(entry->name);
			return err_code(e, EX_TEMPFAIL, "no memory for the journal");
		}
		j->entry = more;
		j->capacity = capacity;
	}
	if (!entry->name)
		return err_code(e, EX_TEMPFAIL, "no memory for the journal");
	j->entry[j->count++] = *entry;
	return 0;
}

static void exchange(char *text, char from, char to)
{
	for (char *c = text; *c; c++)
		if (*c == from)
			*c = to;
}

/* A line without its end; one that makes no sense is left out. */
static int read_line(struct journal *j, const char *line, struct err *e)
{
	struct entry entry;
	int at = 0;

	if (sscanf(line, "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNd64 " %" SCNd64 "%n",
		   &entry.run, &entry.seq, &entry.inode, &entry.size, &entry.mtime_ns, &at) != 5 ||
	    line[at] != ' ' || line[at + 1] == 0)
		return 0;
	entry.name = strdup(line + at + 1);
	if (entry.name)
		exchange(entry.name, '/', '\n');
	return append(j, &entry, e);
}

static int read_file(struct journal *j, struct err *e)
{
	FILE *in = fopen(j->path, "re");
	char *line = NULL;
	size_t room = 0;
	ssize_t length;
	int result = 0;

	if (!in)
		return errno == ENOENT ? 0 : trouble(j, "read", e);
	while (result == 0 && (length = getline(&line, &room, in)) > 0)
		if (line[length - 1] == '\n') {
			line[length - 1] = 0;
			result = read_line(j, line, e);
		}
	free(line);
	fclose(in);
	return result;
}

static int write_entry(int fd, const struct entry *entry)
{
	char name[NAME_MAX + 1];

	snprintf(name, sizeof name, "%s", entry->name);
	exchange(name, '\n', '/');
	return dprintf(fd, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRId64 " %" PRId64 " %s\n",
		       entry->run, entry->seq, entry->inode, entry->size, entry->mtime_ns, name);
}

/* Replace the file by one that holds the unsettled entries alone; j->fd is then open at its end. */
static int write_anew(struct journal *j, struct err *e)
{
	char *fresh = NULL;
	int fd = -1, result = -1;

	if (asprintf(&fresh, "%s.new", j->path) < 0)
		return err_code(e, EX_TEMPFAIL, "no memory for the journal");
	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
	if (fd < 0)
		goto out;
	for (size_t i = 0; i < j->count; i++)
		if (write_entry(fd, &j->entry[i]) < 0)
			goto out;
	/* Not without the folder: a power cut would bring the former file back, and what is added from
	 * now on goes into this one. */
	if (fsync(fd) < 0 || failpoint("write-rename") || rename(fresh, j->path) < 0 ||
	    folder_sync(j->path) < 0)
		goto out;
	if (j->fd >= 0)
		close(j->fd);
	j->fd = fd;
	j->lines = j->count;
	fd = -1;
	result = 0;
out:
	if (result < 0)
		trouble(j, "write", e);
	if (fd >= 0)
		close(fd);
	free(fresh);
	return result;
}

int journal_open(struct journal *j, const char *path, struct err *e)
{
	memset(j, 0, sizeof *j);
	j->fd = -1;
	if (!path)
		return 0;
	j->path = strdup(path);
	if (!j->path)
		return err_code(e, EX_TEMPFAIL, "no memory for the journal");
	return read_file(j, e) < 0 ? -1 : write_anew(j, e);
}

int journal_add(struct journal *j, const char *name, const struct stat *status, uint64_t run,
		uint64_t seq, struct err *e)
{
	struct entry entry = { .name = strdup(name),
			       .run = run,
			       .seq = seq,
			       .inode = (uint64_t)status->st_ino,
			       .size = (int64_t)status->st_size,
			       .mtime_ns = mtime_of(status) };

	if (append(j, &entry, e) < 0)
		return -1;
	if (j->fd < 0)
		return 0;
	if (j->lines > j->count + SETTLED_MOST)
		return write_anew(j, e);
	j->lines++;
	return write_entry(j->fd, &entry) < 0 ? trouble(j, "write", e) : 0;
}

int journal_sync(struct journal *j, struct err *e)
{
	if (j->fd >= 0 && fdatasync(j->fd) < 0)
		return trouble(j, "write", e);
	return 0;
}

const struct entry *journal_find(const struct journal *j, uint64_t run, uint64_t seq)
{
	for (size_t i = 0; i < j->count; i++)
		if (j->entry[i].run == run && j->entry[i].seq == seq)
			return &j->entry[i];
	return NULL;
}

void journal_settle(struct journal *j, uint64_t run, uint64_t seq)
{
	size_t kept = 0;

	for (size_t i = 0; i < j->count; i++)
		if (j->entry[i].run == run && j->entry[i].seq == seq)
			free(j->entry[i].name);
		else
			j->entry[kept++] = j->entry[i];
	j->count = kept;
}

void journal_close(struct journal *j)
{
	for (size_t i = 0; i < j->count; i++)
		free(j->entry[i].name);
	free(j->entry);
	free(j->path);
	if (j->fd >= 0)
		close(j->fd);
	memset(j, 0, sizeof *j);
	j->fd = -1;
}
