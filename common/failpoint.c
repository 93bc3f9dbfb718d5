/* One failpoint for each process, said by the environment. */
#include "common/failpoint.h"

#ifdef FAILPOINTS

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool happen(const char *action)
{
	if (strcmp(action, "kill") == 0)
		kill(getpid(), SIGKILL);
	else if (strcmp(action, "exit") == 0)
		_exit(70);
	else if (strcmp(action, "pause") == 0)
		kill(getpid(), SIGSTOP);
	else if (strcmp(action, "error") == 0) {
		errno = EIO;
		return true;
	} else
		abort(); /* a test that names what is not there must not pass */
	return false;
}

bool failpoint(const char *name)
{
	static atomic_long passed;
	const char *wish = getenv("FAILPOINT");
	size_t length = strlen(name);
	char *action;

	if (!wish || strncmp(wish, name, length) != 0 || wish[length] != ':')
		return false;
	long count = strtol(wish + length + 1, &action, 10);
	if (*action != ':')
		abort();
	return atomic_fetch_add(&passed, 1) + 1 == count && happen(action + 1);
}

#endif
