/* ZeroMQ's sockets and message parts, for the files that know ZeroMQ. */
#ifndef COMMON_LINK_SOCKET_H
#define COMMON_LINK_SOCKET_H

#include <zmq.h>

#include "common/link_private.h"

void *context_new(void); /* ZeroMQ's, as the link needs it; NULL: no memory */

/* Socket and monitor of a port; a bound one's address is locked first. On -1 socket_close is still
 * due. */
int socket_open(struct link *l, struct port *p, struct err *e);
void socket_close(struct port *p);
void socket_linger(struct port *p, int ms);

/* What becomes of a socket's connections; of a pair, close both at once. monitor_event: the next
 * event that waits (and its value, if asked for), 0: none. */
void *monitor_open(void *context, void *socket);
int monitor_event(void *monitor, uint32_t *value);
void monitor_close(void *socket, void *monitor);

/* The parts of one message: the first few, and how many there were. Callers close them. */
struct parts {
	zmq_msg_t part[3];
	int count;
};
bool parts_receive(void *socket, struct parts *in); /* false: none there */

/* A payload part as a buffer; takes *part. NULL: no memory. */
struct buffer *payload_wrap(zmq_msg_t *part);

/* Send a message, all of it or nothing: to whom (a ROUTER's; or NULL), its header, its payload (or
 * NULL) as it lies in memory. 0, or -1 and errno; ENOMEM says nothing about who is there. */
int parts_send(void *socket, const struct route *to, const void *header, size_t size,
	       struct buffer *payload, struct backlog *backlog);

/* A connection's; NULL (no memory) counts nothing. */
struct backlog *backlog_new(void);
void backlog_drop(struct backlog **b); /* leaves NULL; takes NULL inside */

/* --- link_ports.c: the peer who sent a message to a bound address, a new one if need be; -1: too
 * many, or not let in. */
int link_peer_of(struct link *l, struct port *p, struct parts *in, int64_t now);

/* --- link_refusals.c: an event of the monitor that says that a greeting has failed. */
#define HANDSHAKE_FAILED                                                              \
	(ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | \
	 ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)
/* What it means to who connects, in words; true if it will be so again, false for a guess. */
bool refusal_words(const struct link *l, const struct port *p, int event, uint32_t value,
		   char *text, size_t size);
/* Say it, once for each reason. A connected port is closed, and to be opened again at its time. */
void link_on_refusal(struct link *l, struct port *p, int event, uint32_t value, int64_t now);
/* A connected port met nobody at all: say it, once it has lasted. Somebody was met. */
void link_on_retry(struct port *p, int64_t now);
void link_on_greeting(struct port *p);

#endif
