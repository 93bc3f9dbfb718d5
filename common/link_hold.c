/* Who runs the link. A stage that waits for frames runs it in its own thread, so that a frame costs
 * one wake-up and not two. While the stage works, the link's thread does: it takes over once the stage
 * has been away for a moment, told by an alarm that is set at most once in that time and that nobody
 * takes back. An alarm for nothing, the stage being back, makes the next one later. When the stage comes
 * back it asks for the link and gets it at once.
 *
 * Whoever holds the link has the sockets and the core to himself; it passes from hand to hand under the
 * mailbox's lock, which is the fence that ZeroMQ asks for. While the link lies there and nobody holds it
 * the alarm is set. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/link_private.h"

/* Heartbeats and acknowledgements may be late by so much; once, after a time in which the stage never stayed away,
 * by both together. */
#define AWAY_NS 2000000
#define AWAY_MOST_NS 16000000
#define LOOK_NS 500000 /* a stage that never waits looks so often at what has come */

/* --- the alarm (lock of the mailbox) ------------------------------------------------------------ */

static void set_alarm(struct link *l, int64_t in_ns)
{
	const struct itimerspec at = { .it_value = { .tv_nsec = (long)in_ns } };

	l->hold.alarm_set = true;
	timerfd_settime(l->hold.alarm_fd, 0, &at, NULL);
}

static bool is_away(const struct link *l)
{
	return l->hold.by == HELD_BY_NOBODY && clock_mono_ns() - l->hold.left_at >= AWAY_NS;
}

int link_hold_open(struct link *l, struct err *e)
{
	l->hold.alarm_ns = AWAY_NS;
	l->hold.alarm_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	if (l->hold.alarm_fd >= 0)
		return 0;
	return err_code(e, EX_OSERR, "timerfd: %s", strerror(errno));
}

void link_hold_close(struct link *l)
{
	if (l->hold.alarm_fd >= 0)
		close(l->hold.alarm_fd);
	l->hold.alarm_fd = -1;
}

static void let_go(struct link *l)
{
	l->hold.by = HELD_BY_NOBODY;
	l->hold.left_at = clock_mono_ns();
	if (!l->hold.alarm_set)
		set_alarm(l, l->hold.alarm_ns);
}

/* --- the stage's thread ------------------------------------------------------------------------- */

static bool look(struct link *l, int fd, int64_t deadline)
{
	l->hold.looked_at = clock_mono_ns();
	return link_turn(l, fd, deadline);
}

/* What lies in the mailbox, or else what comes until then or for the stage. */
static bool lead(struct link *l, int fd, int64_t deadline)
{
	struct mailbox *m = l->box;
	bool readable = false, commands;

	l->hold.by = HELD_BY_STAGE;
	do {
		commands = m->commands.count > 0;
		pthread_mutex_unlock(&m->lock);
		if (commands)
			link_pass(l, clock_mono_ns());
		else
			readable = look(l, fd, deadline);
		pthread_mutex_lock(&m->lock);
	} while (m->stage_waits && !readable &&
		 (commands || deadline == INT64_MAX || clock_mono_ns() < deadline));
	let_go(l);
	return readable;
}

static int ms_until(int64_t at)
{
	if (at == INT64_MAX)
		return -1;
	int64_t left = at - clock_mono_ns(), ms = (left + 999999) / 1000000;
	return left <= 0 ? 0 : ms > INT32_MAX ? INT32_MAX : (int)ms;
}

/* The link's thread has it: until it lets go, or has something for us. */
static bool wait_for_link(struct link *l, int fd, int64_t deadline)
{
	struct mailbox *m = l->box;
	struct pollfd at[2] = { { .fd = m->stage_fd, .events = POLLIN },
				{ .fd = fd, .events = POLLIN } };
	uint64_t bell;

	l->hold.asked = m->at_bell = true;
	mailbox_ring(m);
	pthread_mutex_unlock(&m->lock);
	int n = poll(at, 2, ms_until(deadline));
	if (n > 0 && (at[0].revents & POLLIN) && read(m->stage_fd, &bell, sizeof bell) < 0) {
		/* Somebody was quicker; it was only a bell. */
	}
	pthread_mutex_lock(&m->lock);
	l->hold.asked = m->at_bell = false;
	return n > 0 && at[1].revents != 0;
}

bool link_sleep(struct link *l, int fd, int64_t deadline)
{
	struct mailbox *m = l->box;
	bool readable = false;

	m->stage_waits = m->asleep = true;
	if (l->hold.by != HELD_BY_NOBODY)
		readable = wait_for_link(l, fd, deadline);
	if (l->hold.by == HELD_BY_NOBODY && m->stage_waits && !readable)
		readable = lead(l, fd, deadline);
	m->stage_waits = m->asleep = false;
	m->moved_at = clock_mono_ns();
	return readable;
}

void link_ring(struct link *l)
{
	struct mailbox *m = l->box;

	if (m->commands.count == 0)
		return;
	if (l->hold.by != HELD_BY_NOBODY) {
		mailbox_ring(m);
		return;
	}
	l->hold.by = HELD_BY_STAGE;
	pthread_mutex_unlock(&m->lock);
	int64_t now = clock_mono_ns();
	link_pass(l, now);
	if (now - l->hold.looked_at >= LOOK_NS)
		look(l, -1, now);
	pthread_mutex_lock(&m->lock);
	let_go(l);
}

/* --- the link's thread -------------------------------------------------------------------------- */

/* Until the stage has been away for long enough. False: the end. */
static bool take_over(struct link *l)
{
	struct mailbox *m = l->box;
	uint64_t times;

	pthread_mutex_lock(&m->lock);
	while (!l->stop && !is_away(l)) {
		if (l->hold.by == HELD_BY_NOBODY && !l->hold.alarm_set)
			set_alarm(l, l->hold.alarm_ns);
		pthread_mutex_unlock(&m->lock);
		if (read(l->hold.alarm_fd, &times, sizeof times) < 0) {
			/* Interrupted: it looks again. */
		}
		pthread_mutex_lock(&m->lock);
		l->hold.alarm_set = false;
		if (l->hold.alarm_ns < AWAY_MOST_NS)
			l->hold.alarm_ns *= 2;
	}
	bool goes_on = !l->stop;
	if (goes_on) {
		l->hold.by = HELD_BY_THREAD;
		l->hold.alarm_ns = AWAY_NS;
	}
	pthread_mutex_unlock(&m->lock);
	return goes_on;
}

/* The stage is back, or it is the end. */
static bool give_back(struct link *l)
{
	struct mailbox *m = l->box;

	pthread_mutex_lock(&m->lock);
	bool gives = l->hold.asked || l->stop;
	if (gives) {
		let_go(l);
		if (m->at_bell)
			mailbox_ring_bell(m->stage_fd);
	}
	pthread_mutex_unlock(&m->lock);
	return gives;
}

void *link_thread(void *context)
{
	struct link *l = context;

	while (take_over(l)) {
		/* What the stage has left, and was not worth a bell. */
		link_pass(l, clock_mono_ns());
		do
			link_turn(l, -1, INT64_MAX);
		while (!give_back(l));
	}
	return NULL;
}

void link_hold_stop(struct link *l)
{
	pthread_mutex_lock(&l->box->lock);
	l->stop = true;
	set_alarm(l, 1);
	mailbox_ring_bell(l->box->link_fd);
	pthread_mutex_unlock(&l->box->lock);
}
