/* LD_PRELOAD: makes calls of a program fail, the n-th or from the n-th on.
 *
 *   SHIM_CALL=alloc|write|sync|send|open  which: any allocation; write, pwrite, writev, ftruncate and fallocate of files, pipes
 *                                     and sockets (eventfds are let alone: no kernel fails those); fsync and fdatasync; send; open
 *   SHIM_NTH=N                        the first that fails, from 1
 *   SHIM_TIMES=N                      how many fail then; 1; 0: all
 *   SHIM_ERRNO=N                      with this errno; 0: a short write, half of it
 *   SHIM_WHILE=FILE                   they fail only while there is this file
 *   SHIM_COUNT=FILE                   at the end, a line "alloc N write N sync N send N open N": what was called
 *   SHIM_TOLD=FILE                    a line for the first call that failed: who called, innermost first
 *
 * Standard error is let alone, so that a program can say what happened. */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum call { ALLOC, WRITE, SYNC, SEND, OPEN, CALLS };
static const char *const names[] = { "alloc", "write", "sync", "send", "open" };

static atomic_long counts[CALLS];
static int chosen = -1, error_number;
static long first, times = 1;
static const char *only_while, *told_path, *count_path;
static atomic_bool told;
static _Thread_local bool inside;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static long number_of(const char *name, long otherwise)
{
	const char *text = getenv(name);

	return text ? strtol(text, NULL, 10) : otherwise;
}

__attribute__((constructor)) static void begin(void)
{
	const char *call = getenv("SHIM_CALL");

	first = number_of("SHIM_NTH", 1);
	times = number_of("SHIM_TIMES", 1);
	error_number = (int)number_of("SHIM_ERRNO", ENOMEM);
	only_while = getenv("SHIM_WHILE");
	told_path = getenv("SHIM_TOLD");
	count_path = getenv("SHIM_COUNT");
	for (int i = 0; call && i < CALLS; i++)
		if (strcmp(call, names[i]) == 0)
			chosen = i;
}

static void put(const char *path, const char *text)
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND, 0666);

	if (fd < 0)
		return;
	syscall(SYS_write, fd, text, strlen(text));
	syscall(SYS_close, fd);
}

__attribute__((destructor)) static void end(void)
{
	char line[200];

	if (!count_path)
		return;
	snprintf(line, sizeof line, "alloc %ld write %ld sync %ld send %ld open %ld\n",
		 counts[ALLOC], counts[WRITE], counts[SYNC], counts[SEND], counts[OPEN]);
	put(count_path, line);
}

static void tell(enum call call, long n)
{
	void *frame[24];
	char line[4096];
	int used = snprintf(line, sizeof line, "%s %ld:", names[call], n);
	int depth = backtrace(frame, 24);

	for (int i = 3; i < depth && used < (int)sizeof line - 200; i++) {
		Dl_info where = { 0 };
		dladdr(frame[i], &where);
		const char *file = where.dli_fname ? strrchr(where.dli_fname, '/') : NULL;
		used += snprintf(line + used, sizeof line - 100 - (size_t)used, " %s+0x%lx",
				 file ? file + 1 : "?",
				 (unsigned long)((char *)frame[i] - (char *)where.dli_fbase));
	}
	line[used] = '\n';
	line[used + 1] = 0;
	put(told_path, line);
}

/* Shall this one fail? */
static bool fails(enum call call)
{
	if (inside)
		return false;
	long n = atomic_fetch_add(&counts[call], 1) + 1;
	if ((int)call != chosen || n < first || (times > 0 && n >= first + times))
		return false;
	if (only_while && syscall(SYS_faccessat, AT_FDCWD, only_while, F_OK) != 0)
		return false;
	if (told_path && !atomic_exchange(&told, true)) {
		inside = true;
		tell(call, n);
		inside = false;
	}
	errno = error_number;
	return true;
}

/* --- allocations ------------------------------------------------------------------------------- */

static bool no_memory(void)
{
	if (!fails(ALLOC))
		return false;
	errno = ENOMEM;
	return true;
}

void *malloc(size_t size)
{
	return no_memory() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return no_memory() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	return no_memory() ? NULL : __libc_realloc(p, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return no_memory() ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **p, size_t alignment, size_t size)
{
	void *got = no_memory() ? NULL : __libc_memalign(alignment, size);

	if (!got)
		return ENOMEM;
	*p = got;
	return 0;
}

void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
	if ((flags & MAP_ANONYMOUS) && no_memory())
		return MAP_FAILED;
	return (void *)syscall(SYS_mmap, at, size, protection, flags, fd, offset);
}

/* --- writing ------------------------------------------------------------------------------------ */

static bool is_file(int fd)
{
	struct stat is;
	int saved = errno;
	bool yes = fd != STDERR_FILENO && fstat(fd, &is) == 0 &&
		   (S_ISREG(is.st_mode) || S_ISFIFO(is.st_mode) || S_ISSOCK(is.st_mode));

	errno = saved;
	return yes;
}

/* How much of it to do; 0: none, errno is set. */
static size_t share(enum call call, size_t size)
{
	if (!fails(call))
		return size;
	if (error_number != 0)
		return 0;
	return size - size / 2;
}

ssize_t write(int fd, const void *data, size_t size)
{
	size_t some = size && is_file(fd) ? share(WRITE, size) : size;

	return some || !size ? syscall(SYS_write, fd, data, some) : -1;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
	size_t some = size && is_file(fd) ? share(WRITE, size) : size;

	return some || !size ? syscall(SYS_pwrite64, fd, data, some, at) : -1;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off_t at)
{
	return pwrite(fd, data, size, at);
}

ssize_t writev(int fd, const struct iovec *part, int count)
{
	if (count > 0 && is_file(fd) && fails(WRITE)) {
		if (error_number != 0)
			return -1;
		count = 1;
	}
	return syscall(SYS_writev, fd, part, count);
}

int ftruncate(int fd, off_t size)
{
	return error_number != 0 && is_file(fd) && fails(WRITE)
		   ? -1
		   : (int)syscall(SYS_ftruncate, fd, size);
}

int ftruncate64(int fd, off_t size)
{
	return ftruncate(fd, size);
}

int fallocate(int fd, int mode, off_t at, off_t size)
{
	return error_number != 0 && is_file(fd) && fails(WRITE)
		   ? -1
		   : (int)syscall(SYS_fallocate, fd, mode, at, size);
}

int fsync(int fd)
{
	return fails(SYNC) ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	return fails(SYNC) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to,
	       socklen_t to_size)
{
	size_t some = size ? share(SEND, size) : 0;

	return some || !size ? syscall(SYS_sendto, fd, data, some, flags, to, to_size) : -1;
}

ssize_t send(int fd, const void *data, size_t size, int flags)
{
	return sendto(fd, data, size, flags, NULL, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	return error_number != 0 && fails(SEND) ? -1 : syscall(SYS_sendmsg, fd, message, flags);
}

/* --- opening ------------------------------------------------------------------------------------ */

int openat(int at, const char *path, int flags, ...)
{
	va_list rest;

	va_start(rest, flags);
	int mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, int) : 0;
	va_end(rest);
	return fails(OPEN) ? -1 : (int)syscall(SYS_openat, at, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
	va_list rest;

	va_start(rest, flags);
	int mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, int) : 0;
	va_end(rest);
	return openat(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	va_list rest;

	va_start(rest, flags);
	int mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, int) : 0;
	va_end(rest);
	return openat(AT_FDCWD, path, flags, mode);
}
