/* Sleeping until there is something to do. zmq_poll would ask the kernel about every socket twice, and
 * once more for each, every time: ten calls for a stage in the middle, where two do.
 *
 * A socket's descriptor (ZMQ_FD) becomes readable when ZeroMQ's thread has something for the socket,
 * and any use of the socket may take that away while messages lie there to be read. So a port is
 * looked into before sleeping if it was used since it was last read empty (stirred); only else its
 * descriptor can be trusted. A monitor is only ever read until it is empty. */
#include "common/link_socket.h"

#include <errno.h>
#include <poll.h>

#define FIXED 4 /* bell, stdin, stdout's reader, questions about keys */

static int descriptor(void *socket)
{
	int fd = -1;
	size_t size = sizeof fd;

	return socket && zmq_getsockopt(socket, ZMQ_FD, &fd, &size) == 0 ? fd : -1;
}

/* Look before sleeping: is there a port with something to read already? */
static bool look(struct link *l)
{
	bool found = false;

	for (int i = 0; i < l->ports; i++) {
		struct port *p = &l->port[i];
		int events = 0;
		size_t size = sizeof events;
		if (p->stirred && p->socket &&
		    zmq_getsockopt(p->socket, ZMQ_EVENTS, &events, &size) == 0)
			p->ready = p->ready || (events & ZMQ_POLLIN);
		p->stirred = false;
		found = found || p->ready || p->reported;
	}
	return found;
}

int link_wait(struct link *l, long timeout_ms, struct link_woken *woken)
{
	struct pollfd at[FIXED + 2 * LINK_PORTS_MAX] = {
		{ .fd = l->box->link_fd, .events = POLLIN },
		{ .fd = l->setup.in_fd, .events = POLLIN },
		{ .fd = l->setup.reader_fd }, /* POLLERR comes unasked */
		{ .fd = l->setup.curve ? descriptor(curve_socket(l->setup.curve)) : -1,
		  .events = POLLIN },
	};
	bool found = look(l);

	for (int i = 0; i < l->ports; i++) {
		at[FIXED + 2 * i] = (struct pollfd){ descriptor(l->port[i].socket), POLLIN, 0 };
		at[FIXED + 2 * i + 1] =
		    (struct pollfd){ descriptor(l->port[i].monitor), POLLIN, 0 };
	}
	*woken = (struct link_woken){ 0 };
	if (poll(at, (nfds_t)(FIXED + 2 * l->ports), found ? 0 : (int)timeout_ms) < 0)
		return errno == EINTR ? 0 : -1;
	woken->bell = at[0].revents != 0;
	woken->lines = at[1].revents != 0;
	woken->deserted = (at[2].revents & (POLLERR | POLLNVAL)) != 0;
	for (int i = 0; i < l->ports; i++) {
		l->port[i].ready = l->port[i].ready || at[FIXED + 2 * i].revents != 0;
		l->port[i].reported = l->port[i].reported || at[FIXED + 2 * i + 1].revents != 0;
	}
	return 0;
}
