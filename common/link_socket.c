/* Opening, monitoring, sending and receiving. */
#include "common/link_socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SMALL_PAYLOAD 16384
#define EVENTS (ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CONNECT_RETRIED)

static void set_int(void *socket, int option, int value)
{
	zmq_setsockopt(socket, option, &value, sizeof value);
}

static void socket_options(struct link *l, void *socket, bool router)
{
	int64_t largest = (int64_t)l->setup.core.self.max_frame;

	if (largest < WIRE_HEADER_MAX)
		largest = WIRE_HEADER_MAX;
	set_int(socket, ZMQ_SNDHWM, 0); /* credit is the bound */
	set_int(socket, ZMQ_RCVHWM, 0);
	set_int(socket, ZMQ_LINGER, 0);
	zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &largest, sizeof largest);
	set_int(socket, ZMQ_HANDSHAKE_IVL, 3000);
	set_int(socket, ZMQ_RECONNECT_IVL, 100);
	set_int(socket, ZMQ_RECONNECT_IVL_MAX, 5000);
	set_int(socket, ZMQ_TCP_KEEPALIVE, 1);
	set_int(socket, ZMQ_IPV6, 1);
	if (router)
		set_int(socket, ZMQ_ROUTER_MANDATORY, 1);
}

static void *open_monitor(struct link *l, void *socket, int number)
{
	static int serial;
	char at[64];

	snprintf(at, sizeof at, "inproc://monitor-%d-%d", number, ++serial);
	if (zmq_socket_monitor(socket, at, EVENTS) < 0)
		return NULL;
	void *monitor = zmq_socket(l->context, ZMQ_PAIR);
	if (monitor)
		set_int(monitor, ZMQ_LINGER, 0);
	if (!monitor || zmq_connect(monitor, at) < 0) {
		if (monitor)
			zmq_close(monitor);
		return NULL;
	}
	return monitor;
}

void socket_close(struct port *p)
{
	if (p->socket) {
		zmq_socket_monitor(p->socket, NULL, 0);
		zmq_close(p->socket);
	}
	if (p->monitor)
		zmq_close(p->monitor);
	p->socket = p->monitor = NULL;
}

int socket_open(struct link *l, struct port *p, struct err *e)
{
	bool bind = p->address->bind;

	p->socket = zmq_socket(l->context, bind ? ZMQ_ROUTER : ZMQ_DEALER);
	if (!p->socket)
		return err_code(e, EX_OSERR, "no socket: %s", zmq_strerror(errno));
	socket_options(l, p->socket, bind);
	p->monitor = open_monitor(l, p->socket, (int)(p - l->port));
	if (!p->monitor)
		return err_code(e, EX_OSERR, "no socket monitor: %s", zmq_strerror(errno));
	if (bind && address_lock(p->address, e) < 0)
		return -1;
	if ((bind ? zmq_bind : zmq_connect)(p->socket, p->address->url) < 0)
		return err_code(e, errno == EADDRINUSE ? EX_TEMPFAIL : EX_CANTCREAT, "%s '%s': %s",
				bind ? "cannot bind" : "cannot connect to", p->address->url,
				zmq_strerror(errno));
	return 0;
}

void socket_linger(struct port *p, int ms)
{
	if (p->socket)
		set_int(p->socket, ZMQ_LINGER, ms);
}

static void release_buffer(void *data, void *hint)
{
	struct buffer *b = hint;

	(void)data;
	buffer_unref(&b);
}

/* The payload goes out as it lies in memory; ZeroMQ holds a reference until it has been written. */
int payload_send(void *socket, struct buffer *b)
{
	zmq_msg_t part;

	if (zmq_msg_init_data(&part, b->data, b->size, release_buffer, buffer_ref(b)) < 0) {
		release_buffer(NULL, b);
		return -1;
	}
	if (zmq_msg_send(&part, socket, ZMQ_DONTWAIT) >= 0)
		return 0;
	zmq_msg_close(&part);
	return -1;
}

static void close_message(void *hint)
{
	zmq_msg_close(hint);
	free(hint);
}

/* The payload as a buffer. Large ones stay where ZeroMQ has read them to; small ones may lie
 * anywhere in its read buffer, so they are copied to where numbers can be read from. Takes *part. */
struct buffer *payload_wrap(zmq_msg_t *part)
{
	size_t size = zmq_msg_size(part);
	struct buffer *b = NULL;

	if (size < SMALL_PAYLOAD || (uintptr_t)zmq_msg_data(part) % 16 != 0) {
		b = buffer_new(size);
		if (b)
			memcpy(b->data, zmq_msg_data(part), size);
		zmq_msg_close(part);
		return b;
	}
	zmq_msg_t *kept = malloc(sizeof *kept);
	if (kept) {
		zmq_msg_init(kept);
		zmq_msg_move(kept, part);
		b = buffer_wrap(zmq_msg_data(kept), size, close_message, kept);
		if (!b)
			close_message(kept);
	}
	zmq_msg_close(part);
	return b;
}

bool parts_receive(void *socket, struct parts *in)
{
	int more = 1;

	in->count = 0;
	while (more) {
		zmq_msg_t extra, *part = in->count < 3 ? &in->part[in->count] : &extra;
		zmq_msg_init(part);
		if (zmq_msg_recv(part, socket, ZMQ_DONTWAIT) < 0) {
			zmq_msg_close(part);
			break;
		}
		more = zmq_msg_more(part);
		if (part == &extra)
			zmq_msg_close(part);
		in->count++;
	}
	return in->count > 0;
}
