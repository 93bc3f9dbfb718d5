#include "common/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/log.h"

#define WATCHDOG_LEAST_US 1000
#define WATCHDOG_MOST_US ((int64_t)1 << 50)

static struct sockaddr_un ear;
static socklen_t ear_size; /* 0: nobody listens */
static int ear_fd = -1;
static int64_t watchdog_ns;

/* A variable of the environment as a positive number; 0: it is none. */
static int64_t number(const char *name)
{
	const char *text = getenv(name);
	char *end = NULL;

	if (!text)
		return 0;
	errno = 0;
	long long n = strtoll(text, &end, 10);
	if (errno == 0 && n > 0 && *end == '\0')
		return n;
	log_warn("%s is '%s', which is no number above 0: left aside", name, text);
	return 0;
}

/* Is the watchdog meant for this process? */
static int64_t watchdog(void)
{
	int64_t us = number("WATCHDOG_USEC"),
		pid = getenv("WATCHDOG_PID") ? number("WATCHDOG_PID") : 0;

	if (us == 0 || (getenv("WATCHDOG_PID") && pid != getpid()))
		return 0;
	us = us < WATCHDOG_LEAST_US ? WATCHDOG_LEAST_US : us;
	return (us > WATCHDOG_MOST_US ? WATCHDOG_MOST_US : us) * 1000;
}

static int find_ear(const char *name)
{
	const struct timeval patience = { .tv_usec = 100000 };
	size_t length = strlen(name);

	if ((name[0] != '/' && name[0] != '@') || length < 2 || length >= sizeof ear.sun_path) {
		log_warn("NOTIFY_SOCKET is '%s', which is neither a path nor @name: left aside",
			 name);
		return -1;
	}
	ear.sun_family = AF_UNIX;
	memcpy(ear.sun_path, name, length + 1);
	if (name[0] == '@')
		ear.sun_path[0] = '\0';
	ear_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (ear_fd < 0) {
		log_warn("no socket for NOTIFY_SOCKET: %s", strerror(errno));
		return -1;
	}
	/* It reads quickly or is stuck itself; then the frames come first. */
	setsockopt(ear_fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	ear_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (name[0] == '/'));
	return 0;
}

void notify_open(void)
{
	static const char *const names[] = { "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID" };
	const char *name = getenv(names[0]);

	if (!name || !*name)
		return;
	if (find_ear(name) == 0)
		watchdog_ns = watchdog();
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		unsetenv(names[i]);
}

bool notify_wanted(void)
{
	return ear_size > 0;
}

int64_t notify_watchdog_ns(void)
{
	return watchdog_ns;
}

bool notify_say(const char *lines)
{
	size_t size = strlen(lines);

	if (!ear_size)
		return true;
	return sendto(ear_fd, lines, size, MSG_NOSIGNAL, (const struct sockaddr *)&ear, ear_size) ==
	       (ssize_t)size;
}
