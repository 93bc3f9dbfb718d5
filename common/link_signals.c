/* The first request to stop lets the stream come to its end, the second ends the process now. A
 * handler that rings the link's bell, rather than signalfd: it needs no signal mask, so threads that
 * the stage started earlier cannot get in its way. SIGHUP means to read again what may have changed:
 * keys, and what stage_on_hangup was told of; or else nothing, so that a supervisor may send it to
 * all. The hang-up of a terminal is a request to stop. */
#include "common/link_private.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "common/log.h"
#include "common/workers.h"

/* Written by the handler in whatever thread it runs, read by ours: lock-free atomics. */
static atomic_int signal_count, signal_last, signal_bell = -1, hangup_count;
static atomic_bool hangup_caught, hangup_ignored, had_terminal;

/* A signal to a whole group may reach a worker twice, straight and through its parent. */
#define SAME_REQUEST_NS 100000000

#define QUIT_NS 2000000000 /* for the stage to end in order, when it was not drained in time */

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

bool link_on_terminal(void)
{
	int fd = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* SIGHUP from the kernel: the terminal is gone (which nohup told us to ignore). From a shell that
 * passes that on: it looks like anybody's, but the terminal that was there is there no more. From
 * anybody else: read again what there is. */
static void on_hangup(int number, siginfo_t *info, void *machine)
{
	uint64_t one = 1;
	int saved = errno, bell = signal_bell;

	(void)machine;
	if (info->si_code > 0 || (had_terminal && !link_on_terminal())) {
		if (!hangup_ignored)
			on_signal(number);
		return;
	}
	hangup_count++;
	if (bell >= 0 && write(bell, &one, sizeof one) < 0) {
		/* The bell is full: it rings already. */
	}
	errno = saved;
}

void link_catch_hangups(void)
{
	struct sigaction act = { .sa_sigaction = on_hangup, .sa_flags = SA_RESTART | SA_SIGINFO };
	struct sigaction was;

	if (hangup_caught)
		return;
	hangup_caught = true;
	sigemptyset(&act.sa_mask);
	had_terminal = link_on_terminal();
	hangup_ignored = sigaction(SIGHUP, NULL, &was) == 0 && was.sa_handler == SIG_IGN;
	sigaction(SIGHUP, &act, NULL);
}

void link_signals_open(int bell)
{
	struct sigaction act = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct sigaction was;

	signal_bell = bell;
	link_catch_hangups();
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

/* Keys here, whatever the stage has (stage_on_hangup) in its own thread. */
static void read_again(struct link *l, int64_t now)
{
	struct err e;

	link_report_reload(true);
	if (l->setup.curve) {
		if (curve_reload(l->setup.curve, &e) < 0)
			log_error("%s: the list of keys stays as it was", e.text);
		else
			link_ports_check(l, now);
	}
	pthread_mutex_lock(&l->box->lock);
	l->box->hung_up = true;
	mailbox_wake_stage(l->box);
	pthread_mutex_unlock(&l->box->lock);
	link_report_reload(false);
}

void link_on_signals(struct link *l, int64_t now)
{
	int count = signal_count, hangups = hangup_count;

	if (hangups != l->hangups_seen) {
		l->hangups_seen = hangups;
		read_again(l, now);
	}
	if (count == l->signals_seen)
		return;
	l->signals_seen = count;
	/* Nobody to drain with: nothing to wait for. */
	if (count > 1 || link_core_alone(l->core, now))
		quit_now(l);
	l->leaving = (l->setup.leaves || workers_orphaned()) && signal_last == SIGTERM;
	if (signal_last == SIGTERM && l->setup.drain_ns)
		l->drain_at = now + l->setup.drain_ns;
	pthread_mutex_lock(&l->box->lock);
	l->box->stopping = true;
	mailbox_wake_stage(l->box);
	pthread_mutex_unlock(&l->box->lock);
}

int64_t link_drain_next(const struct link *l)
{
	return l->quit_at ? l->quit_at : l->drain_at ? l->drain_at : INT64_MAX;
}

/* A supervisor kills what has not gone by itself, and never learns why it did not. So we end first:
 * in order if the stage still can, at once if it is stuck in its work. */
void link_drain_tick(struct link *l, int64_t now)
{
	struct link_core_counts n;
	char text[ERR_TEXT_MAX];

	if (now < link_drain_next(l))
		return;
	if (l->quit_at) {
		/* What the stage's thread would have said. */
		pthread_mutex_lock(&l->box->lock);
		log_error("%s; its work hangs", l->box->why.text);
		pthread_mutex_unlock(&l->box->lock);
		for (int i = 0; i < l->ports; i++)
			address_release(l->port[i].address);
		_exit(EX_TEMPFAIL);
	}
	l->quit_at = now + QUIT_NS;
	link_core_count(l->core, &n);
	snprintf(text, sizeof text,
		 "asked to stop, but not drained within %g s: %d frames received and %d sent are "
		 "not acknowledged, and will be sent again",
		 (double)l->setup.drain_ns / 1e9, n.held, n.unacked + n.pending);
	link_act_broken(l, EX_TEMPFAIL, text);
}

void link_signals_close(void)
{
	signal_bell = -1;
}
