/* The new file: it has no name while it is made, so that nothing of it is left if we are ended. Where
 * the file system has no nameless files, one with a name of its own beside the right one. */
#include "infer/quantize/parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int refuse(const struct output *o, int code, struct err *e)
{
	return err_code(e, code, "cannot write '%s': %s", o->name, strerror(errno));
}

static int open_nameless(const char *name)
{
	const char *slash = strrchr(name, '/');
	char *folder = slash ? strndup(name, slash == name ? 1 : (size_t)(slash - name)) : NULL;
	int fd = open(folder ? folder : ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);

	free(folder);
	return fd;
}

int output_open(struct output *o, const char *name, struct err *e)
{
	struct stat st;
	mode_t mask = umask(0);

	umask(mask);
	o->name = name;
	if (stat(name, &st) == 0 && !S_ISREG(st.st_mode))
		return err_code(e, EX_CANTCREAT, "'%s' is there and no file", name);
	o->fd = open_nameless(name);
	if (o->fd >= 0) {
		snprintf(o->path, sizeof o->path, "/proc/self/fd/%d", o->fd);
		return 0;
	}
	if (snprintf(o->path, sizeof o->path, "%s.XXXXXX", name) >= (int)sizeof o->path)
		return err_code(e, EX_USAGE, "-o: the name is too long");
	o->fd = mkostemp(o->path, O_CLOEXEC);
	o->named = o->fd >= 0;
	return o->fd < 0 || fchmod(o->fd, 0666 & ~mask) < 0 ? refuse(o, EX_CANTCREAT, e) : 0;
}

int output_write(struct output *o, const uint8_t *bytes, size_t size, struct err *e)
{
	while (size > 0) {
		ssize_t n = write(o->fd, bytes, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return refuse(o, EX_IOERR, e);
		bytes += n;
		size -= (size_t)n;
	}
	return fsync(o->fd) < 0 ? refuse(o, EX_IOERR, e) : 0;
}

/* rename replaces what is there, linkat does not. */
static int give_name(struct output *o)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof path, "%s.%ld", o->name, (long)getpid()) >= (int)sizeof path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (linkat(AT_FDCWD, o->path, AT_FDCWD, path, AT_SYMLINK_FOLLOW) < 0)
		return -1;
	memcpy(o->path, path, sizeof path);
	o->named = true;
	return 0;
}

int output_finish(struct output *o, struct err *e)
{
	if ((!o->named && give_name(o) < 0) || rename(o->path, o->name) < 0)
		return refuse(o, EX_CANTCREAT, e);
	o->named = false;
	return 0;
}

void output_close(struct output *o)
{
	if (o->named)
		unlink(o->path);
	if (o->fd >= 0)
		close(o->fd);
	o->named = false;
	o->fd = -1;
}
