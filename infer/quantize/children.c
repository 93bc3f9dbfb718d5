/* The stages before infer, started by itself: they find each other as in any pipeline, each printing
 * its address for the next one. */
#include "infer/quantize/parts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NAP_MS 20
#define PATIENCE_MS 1000 /* before a child in whose end we do not believe is asked to stop */

static const char *const names[2] = { "capture", "preprocess" };

/* The program of this name beside the one that runs. */
static int beside(const char *name, char *path, size_t size, struct err *e)
{
	char self[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
	char *slash;

	if (length <= 0)
		return err_code(e, EX_OSERR, "cannot find the own program: %s", strerror(errno));
	self[length] = 0;
	slash = strrchr(self, '/');
	if (!slash || snprintf(path, size, "%.*s/%s", (int)(slash - self), self, name) >= (int)size)
		return err_code(e, EX_OSERR, "the path of '%s' is too long", name);
	if (access(path, X_OK) < 0)
		return err_code(e, EX_NOINPUT, "cannot run '%s': %s", path, strerror(errno));
	return 0;
}

/* In the child. It must not outlive us. */
static void become(const char *path, char **arguments, int in, int out, pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(EX_TEMPFAIL);
	if ((in < 0 || dup2(in, STDIN_FILENO) >= 0) && dup2(out, STDOUT_FILENO) >= 0)
		execv(path, arguments);
	_exit(EX_OSERR);
}

/* It prints one once it knows that it has work; if it ends without, it has said why. */
static bool gives_address(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		;
	return p.revents & POLLIN;
}

/* Both ends of its pipe are closed on exec; in is closed here. *out is where its output is read. */
static int start(pid_t *pid, const char *name, char **arguments, int in, int *out, struct err *e)
{
	char path[PATH_MAX];
	pid_t self = getpid();
	int ends[2];

	if (beside(name, path, sizeof path, e) < 0)
		return -1;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_code(e, EX_OSERR, "no pipe: %s", strerror(errno));
	*pid = fork();
	if (*pid == 0)
		become(path, arguments, in, ends[1], self);
	close(ends[1]);
	*out = ends[0];
	if (*pid < 0) {
		*pid = 0;
		return err_code(e, EX_OSERR, "cannot start '%s': %s", name, strerror(errno));
	}
	return gives_address(*out) ? 0 : err_set(e, "'%s' does not begin", name);
}

int children_start(struct children *c, const char **what, size_t count, struct err *e)
{
	char **arguments = calloc(count + 3, sizeof *arguments);
	char *alone[] = { (char *)names[1], NULL };
	int pictures = -1, tensors = -1, result = -1;

	if (!arguments)
		return err_code(e, EX_OSERR, "memory is short");
	arguments[0] = (char *)names[0];
	arguments[1] = (char *)"--";
	for (size_t i = 0; i < count; i++)
		arguments[i + 2] = (char *)what[i];
	if (start(&c->pid[0], names[0], arguments, -1, &pictures, e) == 0 &&
	    start(&c->pid[1], names[1], alone, pictures, &tensors, e) == 0) {
		result = dup2(tensors, STDIN_FILENO) < 0
			     ? err_code(e, EX_OSERR, "no pipe: %s", strerror(errno))
			     : 0;
	}
	if (pictures >= 0)
		close(pictures);
	if (tensors >= 0)
		close(tensors);
	free(arguments);
	return result;
}

/* Its wait status, 0 if there was no such child. In a hurry, it is first asked to stop, then made. */
static int wait_for(pid_t pid, bool hurry)
{
	const struct timespec nap = { 0, NAP_MS * 1000000 };
	int status = 0;

	if (pid <= 0)
		return 0;
	for (int waited = 0; waitpid(pid, &status, hurry ? WNOHANG : 0) == 0; waited += NAP_MS) {
		if (waited == PATIENCE_MS)
			kill(pid, SIGTERM);
		else if (waited == 4 * PATIENCE_MS)
			kill(pid, SIGKILL);
		nanosleep(&nap, NULL);
	}
	return status;
}

int children_end(struct children *c, bool hurry, struct err *e)
{
	int result = 0;

	for (int i = 0; i < 2; i++) {
		int status = wait_for(c->pid[i], hurry);

		c->pid[i] = 0;
		if (result < 0 || status == 0)
			continue;
		if (WIFEXITED(status)) /* it has said why */
			result = err_code(e, WEXITSTATUS(status), "%s", "");
		else if (!hurry)
			result = err_code(e, EX_TEMPFAIL, "'%s' was ended by signal %d", names[i],
					  WTERMSIG(status));
	}
	return result;
}
