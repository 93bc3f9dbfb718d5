/* Addresses and their files. A fresh address is DIR/andon-XXXXXX/s beside a file "lock", which its
 * owner holds locked for as long as it lives: who can take the lock knows that the owner is dead,
 * and may remove what SIGKILL left behind. */
#include "common/address.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define PREFIX "andon-"
#define PREFIX_LENGTH (sizeof PREFIX - 1)
#define SOCKET_NAME "s"
#define PATH_MOST (sizeof((struct sockaddr_un *)0)->sun_path)
#define YOUNG_S 10 /* a directory may be between its making and its locking */

static const char *path_of(const char *url)
{
	return strncmp(url, "ipc://", 6) == 0 ? url + 6 : NULL;
}

/* "HOST:PORT", the port a number, or '*' (any that is free) for who binds. */
static bool host_and_port(const char *text, bool bind)
{
	const char *colon = strrchr(text, ':');
	char *end;

	if (!colon || colon == text)
		return false;
	if (bind && strcmp(colon + 1, "*") == 0)
		return true;
	long port = strtol(colon + 1, &end, 10);
	return colon[1] >= '0' && colon[1] <= '9' && *end == '\0' && port >= 1 && port <= 65535;
}

int address_parse(struct address *a, const char *text, bool binds, struct err *e)
{
	const char *url = text;
	char clean[ADDRESS_MAX];

	*a = (struct address){ .bind = binds, .lock = -1 };
	err_clean(clean, sizeof clean, text);
	if (strncmp(url, "bind:", 5) == 0) {
		a->bind = true;
		url += 5;
	} else if (strncmp(url, "connect:", 8) == 0) {
		a->bind = false;
		url += 8;
	}
	if (strlen(url) >= sizeof a->url || strcmp(clean, text) != 0)
		return err_code(e, EX_USAGE, "address '%.60s…' is too long or not text", clean);
	const char *path = path_of(url);
	if (path ? !*path : strncmp(url, "tcp://", 6) != 0 || !host_and_port(url + 6, a->bind))
		return err_code(e, EX_USAGE,
				"address '%s' is neither ipc://PATH nor tcp://HOST:PORT", clean);
	if (path && (*path == '*' || *path == '@'))
		return err_code(e, EX_USAGE, "address '%s': a path is needed", clean);
	if (path && strlen(path) >= PATH_MOST)
		return err_code(e, EX_USAGE, "address '%s': a path has %zu bytes at most", clean,
				PATH_MOST - 1);
	snprintf(a->url, sizeof a->url, "%s", url);
	return 0;
}

int address_number(struct address *a, int number, struct err *e)
{
	char *colon = strrchr(a->url, ':'), *end = NULL;
	size_t used = address_is_ipc(a->url) ? strlen(a->url) : (size_t)(colon - a->url);
	long port = address_is_ipc(a->url) ? 0 : strtol(colon + 1, &end, 10) + number - 1;
	char was[ADDRESS_MAX];

	memcpy(was, a->url, sizeof was);
	if (end && (*end || end == colon + 1 || port > 65535))
		return err_code(e, EX_USAGE, "'%s': no %d ports from there", was, number);
	int n = snprintf(a->url + used, sizeof a->url - used, end ? ":%ld" : ".%ld",
			 end ? port : (long)number);
	if (n < 0 || (size_t)n >= sizeof a->url - used)
		return err_code(e, EX_USAGE, "'%s' is too long for a number behind it", was);
	return 0;
}

/* --- who can be there --------------------------------------------------------------------------- */

bool address_is_ipc(const char *url)
{
	return path_of(url) != NULL;
}

void address_host(const char *url, char host[ADDRESS_MAX])
{
	const char *start = url + strlen("tcp://"), *end = strrchr(url, ':');

	if (*start == '[' && end > start + 1 && end[-1] == ']') {
		start++;
		end--;
	}
	snprintf(host, ADDRESS_MAX, "%.*s", (int)(end - start), start);
}

static bool is_loopback(const struct sockaddr *a)
{
	const struct sockaddr_in *four = (const void *)a;
	const struct sockaddr_in6 *six = (const void *)a;

	if (a->sa_family == AF_INET)
		return ntohl(four->sin_addr.s_addr) >> 24 == 127;
	if (a->sa_family != AF_INET6)
		return false;
	if (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
		return six->sin6_addr.s6_addr[12] == 127;
	return IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
}

bool address_is_loopback(const char *url)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list, *at;
	char host[ADDRESS_MAX];
	bool all = true;

	address_host(url, host);
	if (if_nametoindex(host) != 0 || getaddrinfo(host, NULL, &hints, &list) != 0)
		return false;
	for (at = list; at; at = at->ai_next)
		all = all && is_loopback(at->ai_addr);
	freeaddrinfo(list);
	return all;
}

int address_allow(struct address *a, bool keys, bool insecure, struct err *e)
{
	a->allowed =
	    a->allowed || address_is_ipc(a->url) || keys || insecure || address_is_loopback(a->url);
	if (a->allowed)
		return 0;
	return err_code(e, EX_USAGE,
			"address '%s' is not on this machine alone, and plain tcp lets everybody "
			"read and write there: give --keys DIR, or --insecure if nobody else is "
			"on that network",
			a->url);
}

bool address_is_exposed(const char *url)
{
	const char *path = path_of(url);
	const char *slash = path ? strrchr(path, '/') : NULL;
	char dir[PATH_MOST + 1] = ".";
	struct stat st;

	if (!path)
		return false;
	if (slash)
		snprintf(dir, sizeof dir, "%.*s", slash == path ? 1 : (int)(slash - path), path);
	return stat(dir, &st) == 0 && (st.st_mode & 022) != 0;
}

/* --- locks -------------------------------------------------------------------------------------- */

/* The lock file's descriptor with the lock held; -1: another has it (errno EWOULDBLOCK), or another
 * reason. Whoever removes the file does so while it holds the lock, so what we locked may have been
 * removed meanwhile: look again. */
static int lock_file(const char *path, bool make)
{
	struct stat held, there;

	for (;;) {
		int fd = open(path, (make ? O_CREAT : 0) | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0)
			return -1;
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			int why = errno;
			close(fd);
			errno = why;
			return -1;
		}
		if (fstat(fd, &held) == 0 && stat(path, &there) == 0 &&
		    held.st_ino == there.st_ino && held.st_dev == there.st_dev)
			return fd;
		close(fd);
		if (!make)
			return -1;
	}
}

static void lock_path(char *out, size_t size, const char *path, bool fresh)
{
	const char *slash = strrchr(path, '/');

	if (fresh && slash)
		snprintf(out, size, "%.*s/lock", (int)(slash - path), path);
	else
		snprintf(out, size, "%s.lock", path);
}

/* libzmq removes whatever lies where it binds: a socket that a predecessor left, or somebody's file. */
static int check_place(const char *path, struct err *e)
{
	struct stat st;

	if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return err_code(e, EX_CANTCREAT,
				"'%s' is there already, and no socket: it is left as it is", path);
	return 0;
}

/* A lock is empty, and will be removed; what holds something is somebody's file. */
static int check_lock(struct address *a, const char *lock, struct err *e)
{
	struct stat st;

	if (fstat(a->lock, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0)
		return 0;
	close(a->lock);
	a->lock = -1;
	return err_code(e, EX_CANTCREAT, "'%s' is there already, and no lock: it is left as it is",
			lock);
}

int address_lock(struct address *a, struct err *e)
{
	const char *path = path_of(a->url);
	char lock[PATH_MOST + 8];

	if (!path || !a->bind || a->lock >= 0)
		return 0;
	if (check_place(path, e) < 0)
		return -1;
	lock_path(lock, sizeof lock, path, a->fresh);
	a->lock = lock_file(lock, true);
	if (a->lock >= 0)
		return check_lock(a, lock, e);
	if (errno == EWOULDBLOCK)
		return err_code(e, EX_TEMPFAIL, "address '%s' is in use by another process",
				a->url);
	return err_code(e, EX_CANTCREAT, "%s: %s", lock, strerror(errno));
}

void address_release(struct address *a)
{
	const char *path = path_of(a->url);
	char lock[PATH_MOST + 8];

	if (a->lock < 0 || !path)
		return;
	unlink(path);
	lock_path(lock, sizeof lock, path, a->fresh);
	unlink(lock);
	if (a->fresh) {
		*strrchr(lock, '/') = '\0';
		rmdir(lock);
	}
	close(a->lock);
	a->lock = -1;
}

/* --- fresh addresses ---------------------------------------------------------------------------- */

static const char *base_directory(void)
{
	const char *names[] = { "XDG_RUNTIME_DIR", "TMPDIR" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		const char *dir = getenv(names[i]);
		if (dir && *dir == '/' && strlen(dir) < PATH_MOST - 24 &&
		    access(dir, W_OK | X_OK) == 0)
			return dir;
	}
	return "/tmp";
}

int address_fresh(struct address *a, struct err *e)
{
	char dir[PATH_MOST];

	*a = (struct address){ .bind = true, .fresh = true, .lock = -1 };
	snprintf(dir, sizeof dir, "%s/" PREFIX "XXXXXX", base_directory());
	if (!mkdtemp(dir))
		return err_code(e, EX_CANTCREAT, "%s: %s", dir, strerror(errno));
	snprintf(a->url, sizeof a->url, "ipc://%s/" SOCKET_NAME, dir);
	if (address_lock(a, e) < 0) {
		rmdir(dir);
		return -1;
	}
	return 0;
}

bool address_is_fresh(const char *url)
{
	const char *path = path_of(url);
	size_t n = path ? strlen(path) : 0;

	if (n < PREFIX_LENGTH + 9 || strcmp(path + n - 2, "/" SOCKET_NAME) != 0)
		return false;
	return strncmp(path + n - 2 - 6 - PREFIX_LENGTH, PREFIX, PREFIX_LENGTH) == 0 &&
	       path[n - 2 - 6 - PREFIX_LENGTH - 1] == '/';
}

void address_sweep_one(const char *url)
{
	struct address a = { .bind = true, .fresh = true, .lock = -1 };
	char lock[PATH_MOST + 8];

	if (!address_is_fresh(url) || strlen(url) >= sizeof a.url)
		return;
	snprintf(a.url, sizeof a.url, "%s", url);
	lock_path(lock, sizeof lock, path_of(url), true);
	a.lock = lock_file(lock, false);
	address_release(&a);
}

void address_sweep(void)
{
	const char *base = base_directory();
	DIR *dir = opendir(base);
	struct dirent *entry;
	struct stat st;

	while (dir && (entry = readdir(dir))) {
		char path[PATH_MOST + 300], url[PATH_MOST + 310];
		if (strncmp(entry->d_name, PREFIX, PREFIX_LENGTH) != 0 ||
		    strlen(entry->d_name) != PREFIX_LENGTH + 6)
			continue;
		snprintf(path, sizeof path, "%s/%s", base, entry->d_name);
		if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
		    time(NULL) - st.st_mtime < YOUNG_S)
			continue;
		snprintf(url, sizeof url, "ipc://%s/" SOCKET_NAME, path);
		address_sweep_one(url);
	}
	if (dir)
		closedir(dir);
}

bool address_is_dead(const char *url)
{
	const char *path = path_of(url);
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	if (!path || strlen(path) >= sizeof at.sun_path)
		return false;
	memcpy(at.sun_path, path, strlen(path) + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	int result = connect(fd, (struct sockaddr *)&at, sizeof at);
	bool dead = result < 0 && (errno == ECONNREFUSED || errno == ENOENT);
	close(fd);
	return dead;
}
