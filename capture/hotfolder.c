/* inotify(7) tells of files that were closed after writing, moved or linked in; a look through the folder
 * finds those that were there before, and those of an overflowed queue. A file that is found by
 * looking may still be written: a read lease is refused by the kernel as long as anybody has it open
 * for writing. Where leases do not work (network, another owner), a file counts once it has not been
 * changed for a while. inotify is silent about what other machines do on a network file system, so
 * there the folder is looked through every second. */
#include "capture/hotfolder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "capture/image/decode.h"
#include "capture/seen.h"
#include "common/frame.h"

#define QUIET_NS ((int64_t)2000000000)
#define RETRY_NS ((int64_t)20000000)
#define RETRIES_MOST 50
#define ALIVE_NS ((int64_t)2000000000) /* how often to see whether the folder is still there */
#define LOOK_AGAIN_NS ((int64_t)500000000)
#define LOOK_NETWORK_NS ((int64_t)1000000000)

struct waiting {
	char *name;
	bool told; /* by inotify: whole when that was said */
	int tries; /* somebody had it open for writing */
};

struct hotfolder {
	int inotify, dir;
	char *path;
	struct waiting *queue; /* [head, tail) */
	size_t head, tail, capacity;
	struct seen seen;      /* files that were told */
	char *current;         /* name given out last */
	int64_t look_ns;       /* when to look through the folder again (monotonic); 0 never */
	struct waiting *retry; /* open for writing just now; all again at retry_ns */
	size_t retry_count, retry_capacity;
	int64_t retry_ns;
	bool network, gone;
};

static int no_memory(struct err *e)
{
	return err_code(e, EX_TEMPFAIL, "no memory to watch the folder");
}

/* --- the queue --------------------------------------------------------------------------------- */

static bool is_wanted(const char *name)
{
	return name[0] != '.' && image_name(name);
}

static int push(struct hotfolder *h, const char *name, bool told, struct err *e)
{
	char *copy;

	if (!is_wanted(name))
		return 0;
	if (h->tail == h->capacity && h->head > 0) {
		memmove(h->queue, h->queue + h->head, (h->tail - h->head) * sizeof *h->queue);
		h->tail -= h->head;
		h->head = 0;
	}
	if (h->tail == h->capacity) {
		size_t capacity = h->capacity ? 2 * h->capacity : 64;
		struct waiting *more = realloc(h->queue, capacity * sizeof *more);
		if (!more)
			return no_memory(e);
		h->queue = more;
		h->capacity = capacity;
	}
	copy = strdup(name);
	if (!copy)
		return no_memory(e);
	h->queue[h->tail++] = (struct waiting){ .name = copy, .told = told };
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct waiting *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* Look again soon at one that is open for writing: the kernel tells of the closing a moment before
 * the file counts as closed. One that stays open will be told of once more. Takes w->name over. */
static int push_retry(struct hotfolder *h, struct waiting w, struct err *e)
{
	if (++w.tries > RETRIES_MOST) {
		free(w.name);
		return 0;
	}
	if (h->retry_count == h->retry_capacity) {
		size_t capacity = h->retry_capacity ? 2 * h->retry_capacity : 16;
		struct waiting *more = realloc(h->retry, capacity * sizeof *more);
		if (!more) {
			free(w.name);
			return no_memory(e);
		}
		h->retry = more;
		h->retry_capacity = capacity;
	}
	h->retry[h->retry_count++] = w;
	h->retry_ns = clock_mono_ns() + RETRY_NS;
	return 0;
}

static int queue_retries(struct hotfolder *h, struct err *e)
{
	size_t count = h->retry_count;

	if (count == 0 || clock_mono_ns() < h->retry_ns)
		return 0;
	h->retry_count = 0;
	for (size_t i = 0; i < count; i++) {
		struct waiting w = h->retry[i];
		int pushed = push(h, w.name, w.told, e);
		if (pushed == 0)
			h->queue[h->tail - 1].tries = w.tries;
		free(w.name);
		if (pushed < 0)
			return -1;
	}
	return 0;
}

/* Queue all names of the folder, in byte order. */
static int look_through(struct hotfolder *h, struct err *e)
{
	int fd = openat(h->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	size_t before = h->tail - h->head;
	int result = 0;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return err_code(e, EX_NOINPUT, "cannot read folder '%s': %s", h->path,
				strerror(errno));
	}
	while (result == 0 && (errno = 0, entry = readdir(dir)))
		result = push(h, entry->d_name, false, e);
	if (result == 0 && errno != 0)
		result = err_code(e, EX_NOINPUT, "cannot read folder '%s': %s", h->path,
				  strerror(errno));
	closedir(dir);
	if (h->tail > h->head + before)
		qsort(h->queue + h->head + before, h->tail - h->head - before, sizeof *h->queue,
		      by_name);
	h->look_ns = h->network ? clock_mono_ns() + LOOK_NETWORK_NS : 0;
	return result;
}

/* A new name may be a link to a whole file, of which nothing else is told; most are files that will
 * be written now, and are open the next time we look. */
static int take_name(struct hotfolder *h, const struct inotify_event *event, struct err *e)
{
	struct waiting w = { 0 };

	if (!(event->mask & IN_CREATE))
		return push(h, event->name, true, e);
	if ((event->mask & IN_ISDIR) || !is_wanted(event->name))
		return 0;
	w.name = strdup(event->name);
	return w.name ? push_retry(h, w, e) : no_memory(e);
}

static int take_events(struct hotfolder *h, struct err *e)
{
	char events[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t size;

	while ((size = read(h->inotify, events, sizeof events)) > 0)
		for (char *at = events; at < events + size;) {
			const struct inotify_event *event = (const void *)at;
			at += sizeof *event + event->len;
			if (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED))
				h->gone = true;
			if (event->mask & IN_Q_OVERFLOW)
				h->look_ns = clock_mono_ns();
			if (event->len > 0 && take_name(h, event, e) < 0)
				return -1;
		}
	return 0;
}

/* --- is it whole? ------------------------------------------------------------------------------ */

static bool quiet(const struct stat *status)
{
	int64_t age = clock_real_ns() - (int64_t)status->st_mtim.tv_sec * 1000000000 -
		      status->st_mtim.tv_nsec;

	return age > QUIET_NS || age < -QUIET_NS; /* in the future: no help from that clock */
}

/* 1 nobody writes, 0 somebody does, -1 leases do not tell. */
static int lease(int fd)
{
	if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0) {
		fcntl(fd, F_SETLEASE, F_UNLCK);
		return 1;
	}
	return errno == EAGAIN ? 0 : -1;
}

enum state { NOT_READY, READY, IS_OPEN };

static enum state whole(struct hotfolder *h, int fd, const struct stat *status, bool told)
{
	int unwritten = lease(fd);

	if (unwritten == 0)
		return IS_OPEN;
	/* Some writers make a file, close it, and open it again to fill it. */
	if (status->st_size == 0 && !quiet(status)) {
		h->look_ns = clock_mono_ns() + LOOK_AGAIN_NS;
		return NOT_READY;
	}
	/* On a network file system a lease knows nothing of the other machines. */
	if (quiet(status) || (!h->network && (told || unwritten == 1)))
		return READY;
	h->look_ns = clock_mono_ns() + LOOK_AGAIN_NS;
	return NOT_READY;
}

/* Is the file there, whole, and new? A name that is no regular file is the reader's to refuse. */
static enum state look(struct hotfolder *h, const struct waiting *w, struct stat *status)
{
	int fd = openat(h->dir, w->name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	enum state state = NOT_READY;

	if (fd >= 0 && fstat(fd, status) == 0 && S_ISREG(status->st_mode))
		state = whole(h, fd, status, w->told);
	else if (fstatat(h->dir, w->name, status, 0) == 0 && !S_ISDIR(status->st_mode))
		state = READY; /* one that may not be read is a part all the same */
	if (fd >= 0)
		close(fd);
	return state == READY && seen_before(&h->seen, w->name, status) ? NOT_READY : state;
}

static int collect(struct hotfolder *h, struct err *e)
{
	struct stat status;

	/* Held open by us, a folder that is removed does not say so. */
	h->gone = h->gone || fstat(h->dir, &status) < 0 || status.st_nlink == 0;
	if (take_events(h, e) < 0 || queue_retries(h, e) < 0)
		return -1;
	if (h->look_ns > 0 && clock_mono_ns() >= h->look_ns && !h->gone)
		return look_through(h, e);
	return 0;
}

int hotfolder_next(struct hotfolder *h, const char **name, struct stat *status, struct err *e)
{
	if (collect(h, e) < 0)
		return -1;
	while (h->head < h->tail) {
		struct waiting w = h->queue[h->head++];
		enum state state = look(h, &w, status);
		if (state == IS_OPEN) {
			if (push_retry(h, w, e) < 0)
				return -1;
			continue;
		}
		free(h->current);
		h->current = w.name;
		*name = w.name;
		if (state == READY)
			return 1;
	}
	if (h->gone)
		return err_code(e, EX_NOINPUT, "folder '%s' is gone", h->path);
	return 0;
}

void hotfolder_seen(struct hotfolder *h, const char *name, const struct stat *status)
{
	seen_before(&h->seen, name, status);
}

void hotfolder_forget(struct hotfolder *h, const char *name, const struct stat *status)
{
	seen_forget(&h->seen, name, status);
}

int hotfolder_fd(const struct hotfolder *h)
{
	return h->inotify;
}

int hotfolder_dir(const struct hotfolder *h)
{
	return h->dir;
}

int64_t hotfolder_wait_ms(const struct hotfolder *h)
{
	int64_t now = clock_mono_ns(), until = now + ALIVE_NS;

	if (h->look_ns > 0 && h->look_ns < until)
		until = h->look_ns;
	if (h->retry_count > 0 && h->retry_ns < until)
		until = h->retry_ns;
	return until > now ? (until - now) / 1000000 + 1 : 0;
}

/* --- opening and closing ----------------------------------------------------------------------- */

static bool is_network(int fd)
{
	static const uint32_t types[] = { 0x6969 /* NFS */,        0xff534d42 /* CIFS */,
					  0xfe534d42 /* SMB2 */,   0x517b /* SMB */,
					  0x65735546 /* FUSE */,   0x01021997 /* 9p */,
					  0x786f4256 /* vboxsf */, 0x00c36400 /* Ceph */ };
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return false;
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
		if ((uint32_t)fs.f_type == types[i])
			return true;
	return false;
}

static int open_parts(struct hotfolder *h, const char *path, struct err *e)
{
	h->path = strdup(path);
	if (!h->path)
		return no_memory(e);
	h->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (h->dir < 0)
		return err_code(e, EX_NOINPUT, "cannot open folder '%s': %s", path,
				strerror(errno));
	h->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	/* Watch first, look then: what comes between is told twice and taken once. */
	if (h->inotify < 0 || inotify_add_watch(h->inotify, path,
						IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO |
						    IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR) < 0)
		return err_code(e, EX_OSERR, "cannot watch folder '%s': %s", path, strerror(errno));
	h->network = is_network(h->dir);
	signal(SIGIO, SIG_IGN); /* a writer that meets our lease, which is gone at once */
	return look_through(h, e);
}

struct hotfolder *hotfolder_open(const char *path, struct err *e)
{
	struct hotfolder *h = calloc(1, sizeof *h);

	if (!h) {
		no_memory(e);
		return NULL;
	}
	h->inotify = h->dir = -1;
	if (open_parts(h, path, e) < 0)
		hotfolder_close(&h);
	return h;
}

void hotfolder_close(struct hotfolder **h)
{
	struct hotfolder *gone = *h;

	*h = NULL;
	if (!gone)
		return;
	while (gone->head < gone->tail)
		free(gone->queue[gone->head++].name);
	while (gone->retry_count > 0)
		free(gone->retry[--gone->retry_count].name);
	free(gone->retry);
	free(gone->queue);
	seen_free(&gone->seen);
	free(gone->current);
	free(gone->path);
	if (gone->inotify >= 0)
		close(gone->inotify);
	if (gone->dir >= 0)
		close(gone->dir);
	free(gone);
}
