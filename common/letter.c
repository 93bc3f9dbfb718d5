#include "common/letter.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/envelope.h"
#include "common/folder.h"
#include "common/log.h"

#define NAME_SIZE 160 /* source, run, seq, a number, suffix */
#define NAMES_MOST 1000

int letters_open(struct letters *l, const char *path, struct err *e)
{
	l->path = path;
	if (mkdir(path, 0777) < 0 && errno != EEXIST)
		return err_code(e, EX_CANTCREAT, "--dead-letter: cannot make folder '%s': %s", path,
				strerror(errno));
	l->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (l->dir < 0 || faccessat(l->dir, ".", W_OK, AT_EACCESS) < 0)
		return err_code(e, EX_CANTCREAT, "--dead-letter: cannot write into '%s': %s", path,
				strerror(errno));
	return 0;
}

void letters_close(struct letters *l)
{
	if (l->dir >= 0)
		close(l->dir);
	l->dir = -1;
}

/* A source's name is somebody's word: only plain characters, and nothing that hides. */
static void name_of(const struct frame *f, int number, char name[NAME_SIZE])
{
	char source[FRAME_SOURCE_MAX], again[16] = "";

	snprintf(source, sizeof source, "%s", f->source);
	for (char *c = source; *c; c++) {
		bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
			     (*c >= '0' && *c <= '9') || strchr("._-", *c);
		if (!plain || (c == source && (*c == '.' || *c == '-')))
			*c = '_';
	}
	if (number > 1)
		snprintf(again, sizeof again, ".%d", number);
	snprintf(name, NAME_SIZE, "%s-%" PRIu64 "-%" PRIu64 "%s" LETTER_SUFFIX, source, f->run,
		 f->seq, again);
}

/* From its temporary name to the first that is free, written to name. */
static int settle(const struct letters *l, const char *temporary, const struct frame *f,
		  char name[NAME_SIZE])
{
	for (int number = 1; number <= NAMES_MOST; number++) {
		name_of(f, number, name);
		if (renameat2(l->dir, temporary, l->dir, name, RENAME_NOREPLACE) == 0)
			return fsync(l->dir);
		if (errno != EEXIST)
			return -1;
	}
	return -1;
}

/* 0 and its name, or -1 with *e. */
static int keep(const struct letters *l, const struct frame *f, char name[NAME_SIZE], struct err *e)
{
	const struct buffer *payload = f->payload;
	uint8_t head[ENVELOPE_MOST];
	char temporary[64];
	int n = envelope_write(f, payload ? payload->data : NULL, payload ? payload->size : 0,
			       false, 0, head, e);

	if (n < 0)
		return -1;
	snprintf(temporary, sizeof temporary, ".letter-%ld", (long)getpid());
	/* Left by a namesake that was killed; or put there: a FIFO to wait for, somebody's file. */
	unlinkat(l->dir, temporary, 0);
	int fd = openat(l->dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	int result = -1;
	if (fd >= 0 && file_write(fd, head, (size_t)n) == 0 &&
	    (!payload || file_write(fd, payload->data, payload->size) == 0) && fsync(fd) == 0)
		result = settle(l, temporary, f, name);
	if (result < 0)
		err_set(e, "%s", strerror(errno));
	if (fd >= 0)
		close(fd);
	if (result < 0)
		unlinkat(l->dir, temporary, 0);
	return result;
}

void letters_keep(void *context, const struct frame *f, const char *reason)
{
	const struct letters *l = context;
	char name[NAME_SIZE];
	struct err why;

	(void)reason; /* it is in the row, and was told */
	if (keep(l, f, name, &why) == 0)
		log_warn("%s %" PRIu64 " is kept as '%s/%s'", f->source, f->seq, l->path, name);
	else
		log_error("%s %" PRIu64 " cannot be kept in '%s': %s", f->source, f->seq, l->path,
			  why.text);
}
