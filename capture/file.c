/* Read a file whole, whatever it is that bears the name. read(2) and not mmap(2): a mapped file
 * that is cut while it is decoded kills the process. */
#include "capture/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture/image/decode.h"

static const char *kind_of(mode_t mode)
{
	if (S_ISDIR(mode))
		return "a folder";
	if (S_ISFIFO(mode))
		return "a pipe";
	if (S_ISSOCK(mode))
		return "a socket";
	return "a device";
}

static int reserve(struct file_bytes *file, size_t size, struct err *e)
{
	uint8_t *more;

	if (size <= file->capacity)
		return 0;
	more = malloc(size);
	if (!more)
		return err_memory(e, size, "a file");
	free(file->data);
	file->data = more;
	file->capacity = size;
	return 0;
}

static int failed(const char *to, struct err *e)
{
	return err_code(e, err_of_errno(errno, EX_DATAERR), "cannot %s: %s", to, strerror(errno));
}

static int read_all(int fd, struct file_bytes *file, struct err *e)
{
	size_t size = (size_t)file->stat.st_size;

	file->size = 0;
	while (file->size < size) {
		ssize_t n = read(fd, file->data + file->size, size - file->size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return failed("read", e);
		if (n == 0)
			return err_set(e, "the file shrank while it was read");
		file->size += (size_t)n;
	}
	return 0;
}

static int read_open(int fd, struct file_bytes *file, struct err *e)
{
	if (fstat(fd, &file->stat) < 0)
		return failed("read", e);
	if (!S_ISREG(file->stat.st_mode))
		return err_set(e, "not a file but %s", kind_of(file->stat.st_mode));
	if (file->stat.st_size > (off_t)IMAGE_BYTES_MAX)
		return err_set(e, "a file of %lld bytes is too large",
			       (long long)file->stat.st_size);
	if (reserve(file, (size_t)file->stat.st_size, e) < 0)
		return -1;
	return read_all(fd, file, e);
}

int file_read(const char *path, struct file_bytes *file, struct err *e)
{
	/* O_NONBLOCK: opening a pipe that nobody writes to must not wait. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), result;

	if (fd < 0)
		return failed("open", e);
	result = read_open(fd, file, e);
	close(fd);
	return result;
}

void file_free(struct file_bytes *file)
{
	free(file->data);
	memset(file, 0, sizeof *file);
}
