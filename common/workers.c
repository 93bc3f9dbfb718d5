/* A parent and its workers. The parent has no thread and no socket: it copies lines, waits for
 * children, and forks again what was killed. The frames that a killed worker had go to the others;
 * its successor prints an address of its own. */
#include "common/workers.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/frame.h"
#include "common/log.h"

#define RESTARTS_MOST 8 /* in a row, each sooner than STEADY_NS after its start */
#define STEADY_NS 5000000000
#define END_NS 5000000000 /* from the end of one to that of all */

/* In a worker: its parent, and where it says that it has seen the end of the stream. */
static pid_t parent;
static volatile bool *seat;

struct worker {
	pid_t pid; /* 0: not there */
	int pipe;  /* its addresses go in here, -1: none (any more) */
	int64_t started;
};

struct team {
	struct worker *worker;
	int count, living;
	int in_fd;
	bool in_over;
	char *lines; /* all that came on in_fd: a successor needs them too */
	size_t lines_size;
	int signals; /* where SIGCHLD, SIGINT and SIGTERM arrive */
	sigset_t mask, old_mask;
	int hasty;       /* restarts in a row */
	bool *seats;     /* shared with the workers */
	bool well;       /* somebody ended well */
	bool over;       /* somebody reached the end of the stream … */
	int64_t over_at; /* … and then; 0: all have been told */
	int stopping;    /* the signal that asked us to, 0: none */
	int code;        /* the first failure */
	int last_signal; /* that ended a worker we did not replace */
};

/* Write all of it; a worker that is gone needs nothing. */
static void feed(struct worker *w, const char *bytes, size_t size)
{
	while (w->pipe >= 0 && size > 0) {
		ssize_t n = write(w->pipe, bytes, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			close(w->pipe);
			w->pipe = -1;
			return;
		}
		bytes += n;
		size -= (size_t)n;
	}
}

static void hang_up(struct worker *w)
{
	if (w->pipe >= 0)
		close(w->pipe);
	w->pipe = -1;
}

/* A worker whose parent is killed would go on, unseen, beside those of the next one: the kernel asks it
 * to stop then, as a supervisor would. */
static void live_with_parent(void)
{
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (workers_orphaned())
		_exit(EX_TEMPFAIL);
}

static void become_worker(struct team *t, int number, int *ends, int *in_fd)
{
	seat = &t->seats[number];
	*seat = false;
	live_with_parent();
	for (int i = 0; i < t->count; i++)
		hang_up(&t->worker[i]);
	close(t->signals);
	if (ends[1] >= 0)
		close(ends[1]);
	if (t->in_fd >= 0) {
		*in_fd = ends[0];
		/* The parent alone reads the real one. */
		close(t->in_fd);
	}
	sigprocmask(SIG_SETMASK, &t->old_mask, NULL);
	signal(SIGPIPE, SIG_DFL);
	free(t->lines);
	free(t->worker);
}

/* 1 in the child, 0 in the parent, -1 if it cannot be done. */
static int start(struct team *t, int number, int *in_fd)
{
	struct worker *w = &t->worker[number];
	int ends[2] = { -1, -1 };

	if (t->in_fd >= 0 && pipe(ends) < 0)
		return -1;
	pid_t pid = fork();
	if (pid == 0) {
		become_worker(t, number, ends, in_fd);
		return 1;
	}
	if (ends[0] >= 0)
		close(ends[0]);
	if (pid < 0) {
		if (ends[1] >= 0)
			close(ends[1]);
		return -1;
	}
	*w = (struct worker){ .pid = pid, .pipe = ends[1], .started = clock_mono_ns() };
	t->living++;
	feed(w, t->lines, t->lines_size);
	if (t->in_over)
		hang_up(w);
	return 0;
}

static void read_lines(struct team *t)
{
	char bytes[4096];
	ssize_t n = read(t->in_fd, bytes, sizeof bytes);

	if (n < 0 && errno == EINTR)
		return;
	if (n <= 0) {
		t->in_over = true;
		for (int i = 0; i < t->count; i++)
			hang_up(&t->worker[i]);
		return;
	}
	char *more = realloc(t->lines, t->lines_size + (size_t)n);
	if (more) {
		memcpy(more + t->lines_size, bytes, (size_t)n);
		t->lines = more;
		t->lines_size += (size_t)n;
	}
	for (int i = 0; i < t->count; i++)
		feed(&t->worker[i], bytes, (size_t)n);
}

static void pass_on(struct team *t, int number)
{
	for (int i = 0; i < t->count; i++)
		if (t->worker[i].pid > 0)
			kill(t->worker[i].pid, number);
}

/* A worker ended: is another needed in its place? */
static bool to_be_replaced(struct team *t, const struct worker *w, int status)
{
	if (WIFEXITED(status)) {
		int code = WEXITSTATUS(status);
		t->well = t->well || code == 0;
		/* Not one that was asked to leave alone. */
		if (code == 0 && !t->over && t->seats[w - t->worker]) {
			t->over = true;
			t->over_at = clock_mono_ns();
		}
		if (code != 0 && t->code == 0)
			t->code = code;
		return false;
	}
	/* Asked to leave before it could hear that: its part of the work goes to others all the same. */
	if (WTERMSIG(status) == SIGTERM && !t->stopping)
		return false;
	t->last_signal = WTERMSIG(status);
	if (t->stopping || t->over)
		return false;
	t->hasty = clock_mono_ns() - w->started < STEADY_NS ? t->hasty + 1 : 0;
	log_warn("worker %d was ended by signal %d%s", (int)w->pid, WTERMSIG(status),
		 t->hasty > RESTARTS_MOST ? "" : ": another takes its place");
	if (t->hasty <= RESTARTS_MOST)
		return true;
	if (t->code == 0)
		t->code = EX_SOFTWARE;
	return false;
}

/* 1 in a new child. */
static int reap(struct team *t, int *in_fd, int *number)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (int i = 0; i < t->count; i++) {
			struct worker *w = &t->worker[i];
			if (w->pid != pid)
				continue;
			bool again = to_be_replaced(t, w, status);
			hang_up(w);
			w->pid = 0;
			t->living--;
			if (!again)
				continue;
			*number = i + 1;
			int started = start(t, i, in_fd);
			if (started > 0)
				return 1;
			if (started < 0)
				log_error("cannot start a worker: %s", strerror(errno));
		}
	return 0;
}

/* A worker's own reason (a bad model, say) counts even if others went on; that a neighbour was gone
 * counts only if nobody reached the end. */
static int verdict(const struct team *t)
{
	if (t->stopping && !t->well && t->last_signal)
		return 128 + t->last_signal;
	if (t->code && !(t->well && t->code == EX_TEMPFAIL))
		return t->code;
	return t->well ? 0 : t->last_signal ? EX_SOFTWARE : t->code;
}

static void on_signal(struct team *t)
{
	struct signalfd_siginfo info;

	if (read(t->signals, &info, sizeof info) != sizeof info)
		return;
	if (info.ssi_signo == SIGCHLD)
		return;
	/* From somebody, a request to read things again; from the kernel, the end of the terminal. */
	if (info.ssi_signo != SIGHUP || info.ssi_code > 0)
		t->stopping = (int)info.ssi_signo;
	/* From the terminal the whole group has it already; twice would mean "now". */
	if (info.ssi_code <= 0)
		pass_on(t, (int)info.ssi_signo);
}

/* One that came too late for the end, or slept through it, cannot know that it has been: whoever is not
 * through some seconds after another is asked to stop. */
static int end_all(struct team *t)
{
	int64_t left = t->over_at ? t->over_at + END_NS - clock_mono_ns() : INT64_MAX;

	if (left == INT64_MAX)
		return -1;
	if (left > 0)
		return (int)(left / 1000000) + 1;
	t->over_at = 0;
	pass_on(t, SIGTERM);
	return -1;
}

/* 1 in a new child; the parent ends here. */
static int look_after(struct team *t, int *in_fd, int *number)
{
	while (t->living > 0) {
		struct pollfd at[2] = { { .fd = t->signals, .events = POLLIN },
					{ .fd = t->in_over ? -1 : t->in_fd, .events = POLLIN } };
		if (poll(at, 2, end_all(t)) < 0 && errno != EINTR)
			break;
		if (at[0].revents)
			on_signal(t);
		if (at[1].revents)
			read_lines(t);
		if (reap(t, in_fd, number) > 0)
			return 1;
	}
	exit(verdict(t));
}

void workers_ended(void)
{
	if (seat)
		*seat = true;
}

bool workers_orphaned(void)
{
	return seat && getppid() != parent;
}

int workers_fork(int n, int *in_fd)
{
	struct team t = { .count = n, .in_fd = *in_fd };
	int number;

	t.worker = calloc((size_t)n, sizeof *t.worker);
	t.seats = mmap(NULL, (size_t)n * sizeof *t.seats, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!t.worker || t.seats == MAP_FAILED) {
		log_error("no memory for %d workers", n);
		exit(EX_TEMPFAIL);
	}
	parent = getpid();
	for (int i = 0; i < n; i++)
		t.worker[i].pipe = -1;
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&t.mask);
	sigaddset(&t.mask, SIGCHLD);
	sigaddset(&t.mask, SIGINT);
	sigaddset(&t.mask, SIGTERM);
	sigaddset(&t.mask, SIGHUP);
	sigprocmask(SIG_BLOCK, &t.mask, &t.old_mask);
	t.signals = signalfd(-1, &t.mask, SFD_CLOEXEC);
	if (t.signals < 0) {
		log_error("cannot look after workers: signalfd: %s", strerror(errno));
		exit(EX_OSERR);
	}
	for (number = 1; number <= n; number++) {
		int started = start(&t, number - 1, in_fd);
		if (started > 0)
			return number;
		if (started < 0) {
			log_error("cannot start a worker: %s", strerror(errno));
			pass_on(&t, SIGTERM);
			exit(EX_OSERR);
		}
	}
	look_after(&t, in_fd, &number);
	return number;
}
