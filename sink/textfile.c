/* Text outputs. The keys of a file are read back at the start (as ranges: a file of any size takes
 * little memory), so that what comes twice is written once. A last line without its end was being
 * written when the process was killed; its frame was not acknowledged and comes again: it is cut.
 *
 * A batch is formatted once; when the disk is full, writing goes on later where it stopped. */
#include "sink/textfile.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/folder.h"
#include "common/log.h"

#define CHUNK ((size_t)1 << 20)
#define LOCK_STEP_MS 20
#define LOCK_PATIENCE_MS 3000
#define RECORD_MAX ((size_t)64 << 20)

struct textfile {
	const struct line_format *format;
	int fd;
	bool stream;
	bool reopen;         /* once what is pending is out */
	bool empty;          /* the header is still to be written */
	struct keys keys;    /* of all lines that are durable */
	struct keys batch;   /* of those in pending */
	struct text pending; /* lines of the batch that is being written */
	size_t sent;         /* how much of it is out */
	off_t base;          /* where it began */
};

/* --- reading what is there -------------------------------------------------------------------- */

struct scan {
	struct text buffer;
	size_t at;      /* in buffer: the next record */
	off_t good;     /* in the file: end of the last whole record */
	size_t records; /* whole ones */
};

static int scan_records(struct textfile *t, struct scan *scan, const char *path, struct err *e)
{
	for (;;) {
		struct line_key key;
		size_t length = 0;
		int got =
		    t->format->read(scan->buffer.data + scan->at, scan->buffer.used - scan->at,
				    scan->records, &length, &key);
		if (got == 0)
			return 0;
		if (got < 0)
			return err_set(e,
				       "%s: record %zu is none of ours (another format, or written "
				       "by hand?); the file is left as it is",
				       path, scan->records + 1);
		if (got == 1 && keys_add(&t->keys, key.source, key.run, key.seq, key.seq) < 0)
			return err_code(e, EX_OSERR, "out of memory");
		scan->at += length;
		scan->good += (off_t)length;
		scan->records++;
	}
}

static void scan_shift(struct scan *scan)
{
	memmove(scan->buffer.data, scan->buffer.data + scan->at, scan->buffer.used - scan->at);
	scan->buffer.used -= scan->at;
	scan->at = 0;
}

/* Read the whole file: keys into t->keys, what is left over into scan->buffer. */
static int scan_file(struct textfile *t, struct scan *scan, const char *path, struct err *e)
{
	for (;;) {
		if (scan->buffer.used > RECORD_MAX)
			return err_set(e, "%s: record %zu has no end; the file is left as it is",
				       path, scan->records + 1);
		if (text_reserve(&scan->buffer, CHUNK) < 0)
			return err_code(e, EX_OSERR, "out of memory");
		ssize_t n = read(t->fd, scan->buffer.data + scan->buffer.used, CHUNK);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_code(e, EX_IOERR, "%s: %s", path, strerror(errno));
		if (n == 0)
			return 0;
		scan->buffer.used += (size_t)n;
		if (scan_records(t, scan, path, e) < 0)
			return -1;
		scan_shift(scan);
	}
}

/* Lines that a predecessor wrote and was killed before it could sync are only in the page cache. They
 * would be taken for durable, and acknowledged when they come again: so they are made durable first. */
static int mend(struct textfile *t, const char *path, struct err *e)
{
	struct scan scan = { 0 };
	int result = scan_file(t, &scan, path, e);
	size_t left = scan.buffer.used;

	if (result == 0 && left && scan.records == 0 && !t->format->begins(scan.buffer.data, left))
		result = err_set(e, "%s: not a file of ours; it is left as it is", path);
	if (result == 0 && left) {
		log_warn("%s: the last line was cut short by a crash: %zu bytes removed, its part "
			 "comes again",
			 path, left);
		if (ftruncate(t->fd, scan.good) < 0)
			result = err_code(e, EX_IOERR, "%s: %s", path, strerror(errno));
	}
	if (result == 0 && fdatasync(t->fd) < 0)
		result = err_code(e, EX_IOERR, "%s: %s", path, strerror(errno));
	t->empty = scan.records == 0;
	text_free(&scan.buffer);
	return result;
}

/* --- opening ---------------------------------------------------------------------------------- */

/* One writer at a time. A predecessor that was just killed may still be finishing an fsync. */
static int take_lock(int fd)
{
	for (int waited_ms = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; waited_ms += LOCK_STEP_MS) {
		if (errno != EWOULDBLOCK || waited_ms >= LOCK_PATIENCE_MS)
			return -1;
		poll(NULL, 0, LOCK_STEP_MS);
	}
	return 0;
}

static int open_file(struct textfile *t, const char *path, struct err *e)
{
	struct stat is;

	t->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (t->fd < 0)
		return err_code(e, errno == ENOSPC ? EX_TEMPFAIL : EX_CANTCREAT, "%s: %s", path,
				strerror(errno));
	if (fstat(t->fd, &is) < 0)
		return err_code(e, EX_IOERR, "%s: %s", path, strerror(errno));
	if (!S_ISREG(is.st_mode)) {
		t->stream = true;
		return 0;
	}
	if (take_lock(t->fd) < 0)
		return err_code(e, EX_TEMPFAIL, "%s: another process is writing to it", path);
	if (is.st_size == 0 && folder_sync(path) < 0)
		log_warn("%s: its folder cannot be synced (%s): a power cut may lose the file",
			 path, strerror(errno));
	return mend(t, path, e);
}

int textfile_open(struct writer *w, const struct line_format *format, struct err *e)
{
	struct textfile *t = calloc(1, sizeof *t);

	if (!t)
		return err_code(e, EX_OSERR, "out of memory");
	w->state = t;
	t->format = format;
	t->empty = true;
	t->fd = -1;
	if (strcmp(w->path, "-") != 0)
		return open_file(t, w->path, e);
	t->fd = STDOUT_FILENO;
	t->stream = true;
	return 0;
}

static bool same_file(int fd, const char *path)
{
	struct stat is, named;

	return fstat(fd, &is) == 0 && stat(path, &named) == 0 && is.st_dev == named.st_dev &&
	       is.st_ino == named.st_ino;
}

/* Keys are kept: what is in the file that was moved away is not written again. If the new one cannot
 * be opened, the old one takes the rows: it is there, wherever it may be called now. */
static void reopen_now(struct writer *w)
{
	struct textfile *t = w->state, fresh = *t;
	struct err e;

	t->reopen = false;
	if (same_file(t->fd, w->path))
		return;
	fresh.reopen = fresh.stream = false;
	fresh.fd = -1;
	fresh.empty = true;
	int result = open_file(&fresh, w->path, &e);
	t->keys = fresh.keys;
	if (result < 0) {
		log_error("%s; rows go on into the file that had this name before", e.text);
		if (fresh.fd >= 0)
			close(fresh.fd);
		return;
	}
	close(t->fd);
	*t = fresh;
	log_info("%s: opened anew", w->path);
}

void textfile_reopen(struct writer *w)
{
	struct textfile *t = w->state;

	if (t->fd == STDOUT_FILENO)
		return;
	t->reopen = true;
	if (t->pending.used == 0)
		reopen_now(w);
}

void textfile_close(struct writer *w)
{
	struct textfile *t = w->state;

	if (t->fd >= 0 && t->fd != STDOUT_FILENO)
		close(t->fd);
	keys_free(&t->keys);
	keys_free(&t->batch);
	text_free(&t->pending);
	free(t);
	w->state = NULL;
}

/* --- writing ---------------------------------------------------------------------------------- */

static int format_batch(struct writer *w, struct row *rows, size_t count, struct err *e)
{
	struct textfile *t = w->state;

	keys_free(&t->batch);
	text_clear(&t->pending);
	t->sent = 0;
	if (t->empty && t->format->header)
		t->format->header(&t->pending);
	for (size_t i = 0; i < count; i++) {
		const struct row *r = &rows[i];
		uint64_t run = (uint64_t)r->run, seq = (uint64_t)r->seq;
		bool known = keys_have(&t->keys, r->source, run, seq) ||
			     keys_have(&t->batch, r->source, run, seq);
		if (w->first)
			rows[i].duplicate = known;
		if (known)
			continue;
		t->format->line(&t->pending, r);
		if (keys_add(&t->batch, r->source, run, seq, seq) < 0)
			t->pending.failed = true;
	}
	if (!t->pending.failed)
		return 0;
	text_clear(&t->pending);
	return err_code(e, EX_TEMPFAIL, "out of memory");
}

static const char *shown(const struct writer *w)
{
	return strcmp(w->path, "-") == 0 ? "standard output" : w->path;
}

static int write_failed(const struct writer *w, struct err *e)
{
	bool full = errno == ENOSPC || errno == EDQUOT;

	if (errno == EPIPE)
		return err_code(e, EX_IOERR, "%s: its reader has gone", shown(w));
	return err_code(e, full ? EX_TEMPFAIL : EX_IOERR, "%s: %s", shown(w),
			full ? "disk full" : strerror(errno));
}

static int send_pending(struct writer *w, struct err *e)
{
	struct textfile *t = w->state;

	while (t->sent < t->pending.used) {
		ssize_t n = write(t->fd, t->pending.data + t->sent, t->pending.used - t->sent);
		if (n >= 0) {
			t->sent += (size_t)n;
			continue;
		}
		if (errno == EAGAIN) { /* somebody made the terminal or pipe non-blocking */
			struct pollfd ready = { t->fd, POLLOUT, 0 };
			poll(&ready, 1, -1);
		} else if (errno != EINTR) {
			return write_failed(w, e);
		}
	}
	return 0;
}

/* Some file systems notice only here that the disk is full: what was written is then in doubt, and
 * is written again. After any other error nothing that was written can be trusted. */
static int make_durable(struct writer *w, struct err *e)
{
	struct textfile *t = w->state;

	if (t->stream || fdatasync(t->fd) == 0)
		return 0;
	write_failed(w, e);
	if (e->code != EX_TEMPFAIL)
		return -1;
	t->sent = 0;
	if (ftruncate(t->fd, t->base) < 0)
		return err_code(e, EX_IOERR, "%s: %s", shown(w), strerror(errno));
	return -1;
}

/* The batch is safe: its keys are the file's. */
static int take_over(struct writer *w, struct err *e)
{
	struct textfile *t = w->state;

	for (size_t i = 0; i < t->batch.count; i++) {
		const struct key_run *r = &t->batch.run[i];
		for (size_t k = 0; k < r->count; k++)
			if (keys_add(&t->keys, r->source, r->run, r->range[k].first,
				     r->range[k].last) < 0)
				return err_code(e, EX_OSERR, "out of memory");
	}
	t->empty = false;
	w->bytes += t->pending.used;
	text_clear(&t->pending);
	return 0;
}

int textfile_write(struct writer *w, struct row *rows, size_t count, struct err *e)
{
	struct textfile *t = w->state;
	struct stat is;

	if (t->pending.used == 0) {
		if (t->reopen)
			reopen_now(w);
		if (format_batch(w, rows, count, e) < 0)
			return -1;
		if (t->pending.used == 0)
			return 0;
		t->base = !t->stream && fstat(t->fd, &is) == 0 ? is.st_size : 0;
	}
	if (send_pending(w, e) < 0 || make_durable(w, e) < 0)
		return -1;
	return take_over(w, e);
}

int textfile_keys(struct writer *w, struct store_run *run, struct keys *keys, struct err *e)
{
	struct textfile *t = w->state;
	const struct key_run *r = keys_run(&t->keys, run->source, run->run);

	run->rows = keys_count(r);
	run->errors = -1;
	for (size_t i = 0; r && i < r->count; i++)
		if (keys_add(keys, run->source, run->run, r->range[i].first, r->range[i].last) < 0)
			return err_code(e, EX_OSERR, "out of memory");
	return 0;
}
