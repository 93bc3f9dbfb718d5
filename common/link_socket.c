/* Opening, monitoring, sending and receiving. */
#include "common/link_socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SMALL_PAYLOAD 16384
#define PAYLOAD_ALIGN 8 /* enough for any element; ZeroMQ's own header leaves no more */
#define EVENTS                                                                       \
	(ZMQ_EVENT_HANDSHAKE_SUCCEEDED | HANDSHAKE_FAILED | ZMQ_EVENT_DISCONNECTED | \
	 ZMQ_EVENT_CONNECT_RETRIED)
/* Credit is the bound for frames; this one is for a neighbour that sends, or makes us send, what it does not
 * read. More than the totals of all sources that there may be. */
#define MESSAGES_MOST 8192
#define CURVE_BYTES 64 /* what CURVE adds to a message, and more */

#define ZERO_COPY_RECV 10 /* a draft in zmq.h; a library that does not know it goes on as it did */

void *context_new(void)
{
	void *context = zmq_ctx_new();

	/* Else a header is left where it was read, in 18 KB that it keeps from being used for the next. */
	if (context)
		zmq_ctx_set(context, ZERO_COPY_RECV, 0);
	return context;
}

static void set_int(void *socket, int option, int value)
{
	zmq_setsockopt(socket, option, &value, sizeof value);
}

static void socket_options(struct link *l, void *socket, bool router)
{
	int64_t largest = (int64_t)l->setup.core.self.max_frame;

	if (largest < WIRE_HEADER_MAX)
		largest = WIRE_HEADER_MAX;
	largest += CURVE_BYTES;
	set_int(socket, ZMQ_SNDHWM, MESSAGES_MOST);
	set_int(socket, ZMQ_RCVHWM, MESSAGES_MOST);
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

void *monitor_open(void *context, void *socket)
{
	static int serial; /* one thread at a time has sockets */
	char at[64];

	snprintf(at, sizeof at, "inproc://monitor-%d", ++serial);
	if (zmq_socket_monitor(socket, at, EVENTS) < 0)
		return NULL;
	void *monitor = zmq_socket(context, ZMQ_PAIR);
	if (monitor)
		set_int(monitor, ZMQ_LINGER, 0);
	if (!monitor || zmq_connect(monitor, at) < 0) {
		if (monitor)
			zmq_close(monitor);
		return NULL;
	}
	return monitor;
}

int monitor_event(void *monitor, uint32_t *value)
{
	struct parts in;
	uint16_t event = 0;

	if (!parts_receive(monitor, &in))
		return 0;
	/* Two bytes, then four. */
	if (zmq_msg_size(&in.part[0]) >= 6) {
		memcpy(&event, zmq_msg_data(&in.part[0]), sizeof event);
		if (value)
			memcpy(value, (const char *)zmq_msg_data(&in.part[0]) + 2, sizeof *value);
	}
	for (int i = 0; i < in.count && i < 3; i++)
		zmq_msg_close(&in.part[i]);
	return event;
}

void monitor_close(void *socket, void *monitor)
{
	if (socket) {
		zmq_socket_monitor(socket, NULL, 0);
		zmq_close(socket);
	}
	if (monitor)
		zmq_close(monitor);
}

void socket_close(struct port *p)
{
	monitor_close(p->socket, p->monitor);
	p->socket = p->monitor = NULL;
	backlog_drop(&p->backlog);
}

/* Keys, before anything is bound or connected; or the reason why this address is not for us. */
static int protect(struct link *l, struct port *p, struct err *e)
{
	struct curve *curve = l->setup.curve;

	if (address_allow(p->address, curve != NULL, l->setup.insecure, e) < 0)
		return -1;
	if (!curve || address_is_ipc(p->address->url))
		return 0;
	if (p->address->bind && !curve_socket(curve) && curve_listen(curve, l->context, e) < 0)
		return -1;
	if (p->address->bind)
		return curve_serve(curve, p->socket, e);
	if (curve_expects(curve, p->address->url, p->key, e) < 0)
		return -1;
	return curve_call(curve, p->socket, p->key, e);
}

/* A name would be an address of this machine, but which? Its own often means 127.0.1.1. */
static const char *hint(bool bind)
{
	return bind && errno == ENODEV
		   ? ": to bind, give * or an address or interface of this machine, no name"
		   : "";
}

int socket_open(struct link *l, struct port *p, struct err *e)
{
	bool bind = p->address->bind;

	p->ready = p->reported = true;
	p->socket = zmq_socket(l->context, bind ? ZMQ_ROUTER : ZMQ_DEALER);
	if (!p->socket)
		return err_code(e, EX_OSERR, "no socket: %s", zmq_strerror(errno));
	socket_options(l, p->socket, bind);
	p->backlog = bind ? NULL : backlog_new();
	p->monitor = monitor_open(l->context, p->socket);
	if (!p->monitor)
		return err_code(e, EX_OSERR, "no socket monitor: %s", zmq_strerror(errno));
	if (protect(l, p, e) < 0)
		return -1;
	if (bind && address_lock(p->address, e) < 0)
		return -1;
	if ((bind ? zmq_bind : zmq_connect)(p->socket, p->address->url) < 0)
		return err_code(e, errno == EADDRINUSE ? EX_TEMPFAIL : EX_CANTCREAT,
				"%s '%s': %s%s", bind ? "cannot bind" : "cannot connect to",
				p->address->url, zmq_strerror(errno), hint(bind));
	return 0;
}

void socket_linger(struct port *p, int ms)
{
	if (p->socket)
		set_int(p->socket, ZMQ_LINGER, ms);
}

struct backlog *backlog_new(void)
{
	struct backlog *b = calloc(1, sizeof *b);

	if (b)
		atomic_init(&b->references, 1);
	return b;
}

void backlog_drop(struct backlog **b)
{
	if (*b && atomic_fetch_sub(&(*b)->references, 1) == 1)
		free(*b);
	*b = NULL;
}

/* A payload on its way. */
struct outgoing {
	struct buffer *buffer;
	struct backlog *backlog;
};

static void release_payload(void *data, void *hint)
{
	struct outgoing *out = hint;

	(void)data;
	if (out->backlog)
		atomic_fetch_sub(&out->backlog->bytes, out->buffer->size);
	backlog_drop(&out->backlog);
	buffer_unref(&out->buffer);
	free(out);
}

static int part_copy(zmq_msg_t *part, const void *bytes, size_t size)
{
	if (zmq_msg_init_size(part, size) < 0)
		return -1;
	memcpy(zmq_msg_data(part), bytes, size);
	return 0;
}

/* The payload goes out as it lies in memory; ZeroMQ holds a reference until it has been written. */
static int part_share(zmq_msg_t *part, struct buffer *b, struct backlog *backlog)
{
	struct outgoing *out = malloc(sizeof *out);

	if (!out)
		return -1;
	*out = (struct outgoing){ buffer_ref(b), backlog };
	if (backlog) {
		atomic_fetch_add(&backlog->references, 1);
		atomic_fetch_add(&backlog->bytes, b->size);
	}
	if (zmq_msg_init_data(part, b->data, b->size, release_payload, out) == 0)
		return 0;
	release_payload(NULL, out);
	return -1;
}

/* A ROUTER that has got an id and nothing after it would take the next message for its rest: parts
 * for which there is no memory are found out before the first is sent. */
int parts_send(void *socket, const struct route *to, const void *header, size_t size,
	       struct buffer *payload, struct backlog *backlog)
{
	zmq_msg_t part[3];
	int made = 0, sent = 0;

	if (to && part_copy(&part[made++], to->id, to->size) < 0)
		made = -1;
	else if (part_copy(&part[made++], header, size) < 0 ||
		 (payload && part_share(&part[made++], payload, backlog) < 0))
		made = -made;
	int whole = made > 0 ? made : 0, why = ENOMEM;
	for (; sent < whole; sent++)
		if (zmq_msg_send(&part[sent], socket,
				 (sent + 1 < whole ? ZMQ_SNDMORE : 0) | ZMQ_DONTWAIT) < 0) {
			why = errno;
			break;
		}
	for (int i = sent; i < (made > 0 ? made : -made - 1); i++)
		zmq_msg_close(&part[i]);
	errno = why;
	return whole > 0 && sent == whole ? 0 : -1;
}

static void close_message(void *message)
{
	zmq_msg_close(message);
}

/* The payload as a buffer. Large ones stay where ZeroMQ has read them to; small ones are copied to where numbers
 * can be read from: a library that copies nothing leaves them anywhere in what it read into. Takes *part. */
struct buffer *payload_wrap(zmq_msg_t *part)
{
	size_t size = zmq_msg_size(part);
	struct buffer *b = NULL;

	if (size < SMALL_PAYLOAD || (uintptr_t)zmq_msg_data(part) % PAYLOAD_ALIGN != 0) {
		b = buffer_new(size);
		if (b)
			memcpy(b->data, zmq_msg_data(part), size);
		zmq_msg_close(part);
		return b;
	}
	b = buffer_wrap(sizeof *part, close_message);
	if (b) {
		zmq_msg_t *kept = buffer_room(b);
		zmq_msg_init(kept);
		zmq_msg_move(kept, part);
		b->data = zmq_msg_data(kept);
		b->size = size;
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
