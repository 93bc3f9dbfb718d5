#include "common/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int folder_sync(const char *path)
{
	char *copy = strdup(path); /* dirname writes into it */
	int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	int result = fd < 0 ? -1 : fsync(fd);
	int saved = errno;

	if (result < 0 && fd >= 0 && (saved == EINVAL || saved == ENOTSUP))
		result = 0;
	if (fd >= 0)
		close(fd);
	free(copy);
	errno = saved;
	return result;
}

int file_write(int fd, const void *bytes, size_t size)
{
	const char *next = bytes;

	while (size > 0) {
		ssize_t n = write(fd, next, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		next += n;
		size -= (size_t)n;
	}
	return 0;
}
