/* Sleeping until there is something to do. zmq_poll would ask the kernel about every socket twice, and
 * once more for each, every time: ten calls for a stage in the middle, where two do.
 *
 * A socket's descriptor (ZMQ_FD) becomes readable when ZeroMQ's thread has something for the socket,
 * and any use of the socket may take that away while messages lie there to be read. So a port is
 * looked into before sleeping if it was used since it was last read empty (stirred); only else its
 * descriptor can be trusted. A monitor is only ever read until it is empty.
 *
 * Whoever is woken for each message pays more for waking than for the message. While frames go out one after
 * the other, what comes back, acknowledgements and words on what was begun, wakes nobody by itself as long as
 * there is credit; and frames that come hot on each other's heels are fetched together, as network cards have
 * theirs fetched (interrupt moderation): once in two milliseconds at most, and long before the window is full. */
#include "common/link_socket.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

/* Frames of which two or more come in the quiet time are fetched together, an eighth of a window at most. */
#define QUIET_NS 2000000
#define HOT_NS (QUIET_NS / 2)
#define HOT_SHARE 8
#define FIXED 5 /* bell, stdin, stdout's reader, questions about keys, the stage's own */

static int descriptor(void *socket)
{
	int fd = -1;
	size_t size = sizeof fd;

	return socket && zmq_getsockopt(socket, ZMQ_FD, &fd, &size) == 0 ? fd : -1;
}

void link_quiet(struct port *p, int64_t now)
{
	if (p->down && p->quiet_until == 0 && now - p->sent_at < QUIET_NS)
		p->quiet_until = now + QUIET_NS;
	p->sent_at = now;
}

void link_came(struct port *p, int frames, int window, int64_t now)
{
	int64_t each = (now - p->came_at) / frames, quiet = each * (window / HOT_SHARE);

	p->came_at = now;
	if (each < HOT_NS)
		p->quiet_until = now + (quiet < QUIET_NS ? quiet : QUIET_NS);
}

/* Who need not be looked at now, and until when. */
static int64_t end_quiet(struct link *l, int64_t now)
{
	bool waits = link_core_waits(l->core); /* for downstream */
	int64_t next = INT64_MAX;

	for (int i = 0; i < l->ports; i++) {
		struct port *p = &l->port[i];
		if ((waits && p->down) || p->quiet_until <= now)
			p->quiet_until = 0;
		else if (p->quiet_until < next)
			next = p->quiet_until;
	}
	return next;
}

/* Look before sleeping: is there a port with something to read already? */
static bool look(struct link *l)
{
	bool found = false;

	for (int i = 0; i < l->ports; i++) {
		struct port *p = &l->port[i];
		int events = 0;
		size_t size = sizeof events;
		found = found || p->ready || p->reported;
		if (p->quiet_until)
			continue;
		if (p->stirred && p->socket &&
		    zmq_getsockopt(p->socket, ZMQ_EVENTS, &events, &size) == 0)
			p->ready = p->ready || (events & ZMQ_POLLIN);
		p->stirred = false;
		found = found || p->ready;
	}
	return found;
}

/* poll(2) to the nanosecond. INT64_MAX: for ever. */
static int sleep_for(struct pollfd *at, nfds_t count, int64_t ns)
{
	const struct timespec time = { ns / 1000000000, ns % 1000000000 };

	return ppoll(at, count, ns == INT64_MAX ? NULL : &time, NULL);
}

int link_wait(struct link *l, int64_t until, int fd, struct link_woken *woken)
{
	struct pollfd at[FIXED + 2 * LINK_PORTS_MAX];
	const struct pollfd fixed[FIXED] = {
		{ .fd = l->box->link_fd, .events = POLLIN },
		{ .fd = l->setup.in_fd, .events = POLLIN },
		{ .fd = l->setup.reader_fd }, /* POLLERR comes unasked */
		{ .fd = l->setup.curve ? descriptor(curve_socket(l->setup.curve)) : -1,
		  .events = POLLIN },
		{ .fd = fd, .events = POLLIN },
	};
	int64_t now = clock_mono_ns(), quiet = end_quiet(l, now);
	bool found = look(l);

	*woken = (struct link_woken){ 0 };
	/* There is something to do already, and the others had their turn just now. */
	if (found && now - l->polled_at < QUIET_NS)
		return 0;
	l->polled_at = now;
	memcpy(at, fixed, sizeof fixed);
	for (int i = 0; i < l->ports; i++) {
		const struct port *p = &l->port[i];
		at[FIXED + 2 * i] =
		    (struct pollfd){ p->quiet_until ? -1 : descriptor(p->socket), POLLIN, 0 };
		at[FIXED + 2 * i + 1] = (struct pollfd){ descriptor(p->monitor), POLLIN, 0 };
	}
	until = found ? now : quiet < until ? quiet : until;
	if (sleep_for(at, (nfds_t)(FIXED + 2 * l->ports),
		      until == INT64_MAX ? until
		      : until > now      ? until - now
					 : 0) < 0)
		return errno == EINTR ? 0 : -1;
	woken->bell = at[0].revents != 0;
	woken->lines = at[1].revents != 0;
	woken->stage = at[4].revents != 0;
	woken->deserted = (at[2].revents & (POLLERR | POLLNVAL)) != 0;
	for (int i = 0; i < l->ports; i++) {
		l->port[i].ready = l->port[i].ready || at[FIXED + 2 * i].revents != 0;
		l->port[i].reported = l->port[i].reported || at[FIXED + 2 * i + 1].revents != 0;
	}
	return 0;
}
