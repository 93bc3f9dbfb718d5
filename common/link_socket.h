/* ZeroMQ's sockets and message parts, for link.c and link_ports.c. */
#ifndef COMMON_LINK_SOCKET_H
#define COMMON_LINK_SOCKET_H

#include <zmq.h>

#include "common/link_private.h"

/* Socket and monitor of a port; a bound one's address is locked first. On -1 socket_close is still
 * due. */
int socket_open(struct link *l, struct port *p, struct err *e);
void socket_close(struct port *p);
void socket_linger(struct port *p, int ms);

/* The parts of one message: the first few, and how many there were. Callers close them. */
struct parts {
	zmq_msg_t part[3];
	int count;
};
bool parts_receive(void *socket, struct parts *in); /* false: none there */

/* A payload part as a buffer; takes *part. NULL: no memory. */
struct buffer *payload_wrap(zmq_msg_t *part);

/* Send b as the last part, as it lies in memory. */
int payload_send(void *socket, struct buffer *b);

#endif
