/* The first request to stop lets the stream come to its end, the second ends the process now. A
 * handler that rings the link's bell, rather than signalfd: it needs no signal mask, so threads that
 * the stage started earlier cannot get in its way. */
#include "common/link_private.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

/* Written by the handler in whatever thread it runs, read by ours: lock-free atomics. */
static atomic_int signal_count, signal_last, signal_bell = -1;

/* A signal to a whole group may reach a worker twice, straight and through its parent. */
#define SAME_REQUEST_NS 100000000

static _Atomic int64_t signal_at;

static void on_signal(int number)
{
	uint64_t one = 1;
	int saved = errno, bell = signal_bell;

	int64_t now = clock_mono_ns(), before = atomic_exchange(&signal_at, now);
	if (signal_count > 0 && now - before < SAME_REQUEST_NS)
		return;
	signal_last = number;
	if (++signal_count > 2)
		_exit(128 + number); /* the thread that should have done it is stuck */
	if (bell >= 0 && write(bell, &one, sizeof one) < 0) {
		/* The bell is full: it rings already. */
	}
	errno = saved;
}

void link_signals_open(int bell)
{
	struct sigaction act = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct sigaction was;

	signal_bell = bell;
	sigemptyset(&act.sa_mask);
	for (size_t i = 0; i < 2; i++) {
		int number = i ? SIGTERM : SIGINT;
		/* A shell starts background jobs with SIGINT ignored: that stays so. */
		if (sigaction(number, NULL, &was) == 0 && was.sa_handler != SIG_IGN)
			sigaction(number, &act, NULL);
	}
	signal(SIGPIPE, SIG_IGN);
}

/* The second request: leave nothing lying about, and die of the signal, so that the shell knows. */
static void quit_now(struct link *l)
{
	int number = signal_last;

	link_release_all(l);
	signal(number, SIG_DFL);
	raise(number);
	_exit(128 + number);
}

void link_on_signals(struct link *l, int64_t now)
{
	int count = signal_count;

	if (count == l->signals_seen)
		return;
	l->signals_seen = count;
	/* Nobody to drain with: nothing to wait for. */
	if (count > 1 || link_core_alone(l->core, now))
		quit_now(l);
	l->leaving = l->setup.leaves && signal_last == SIGTERM;
	pthread_mutex_lock(&l->box->lock);
	l->box->stopping = true;
	mailbox_wake_stage(l->box);
	pthread_mutex_unlock(&l->box->lock);
}

void link_signals_close(void)
{
	signal_bell = -1;
}
