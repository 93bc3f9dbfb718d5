/* Addresses, their sockets and who is behind them; and what the core does with its peers. */
#include "common/link_socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/failpoint.h"
#include "common/log.h"

/* What the core knows an address as; for a connected one the peer there. */
static int core_endpoint(struct link *l, struct port *p, bool upstream)
{
	const struct link_setup *s = &l->setup;

	for (size_t i = 0; i < s->status_count; i++)
		if (p->address == &s->status[i])
			return link_core_bind_status(l->core);
	return p->address->bind ? link_core_bind(l->core, upstream)
				: link_core_connect(l->core, upstream, p->fresh, &p->peer);
}

int link_port_open(struct link *l, struct address *a, bool upstream, bool own, struct err *e)
{
	for (int i = 0; i < l->ports; i++)
		if (l->port[i].socket && strcmp(l->port[i].address->url, a->url) == 0)
			return err_code(e, EX_USAGE, "address '%s' is given twice", a->url);
	if (l->ports == LINK_PORTS_MAX)
		return err_code(e, EX_USAGE, "more than %d addresses", LINK_PORTS_MAX);
	struct port *p = &l->port[l->ports];
	*p = (struct port){ .address = a, .own_address = own, .peer = -1 };
	p->fresh = own && address_is_fresh(a->url);
	/* The core hears of it only if it stands: a failed one leaves nothing behind. */
	if (socket_open(l, p, e) < 0)
		goto fail;
	p->endpoint = core_endpoint(l, p, upstream);
	if (p->endpoint < 0) {
		err_code(e, EX_TEMPFAIL, "no memory for '%s'", a->url);
		goto fail;
	}
	l->ports++;
	return 0;
fail:
	socket_close(p);
	address_release(a);
	return -1;
}

static struct port *port_of_peer(struct link *l, int peer, struct route **route)
{
	for (int i = 0; i < l->ports; i++) {
		struct port *p = &l->port[i];
		if (p->peer == peer && !p->address->bind)
			return p;
		for (size_t r = 0; r < p->routes; r++)
			if (p->route[r].peer == peer) {
				*route = &p->route[r];
				return p;
			}
	}
	return NULL;
}

/* --- actions of the core ------------------------------------------------------------------------ */

static void note_gone(struct link *l, int peer)
{
	for (int i = 0; i < l->gone_count; i++)
		if (l->gone[i] == peer)
			return;
	if (l->gone_count < (int)(sizeof l->gone / sizeof l->gone[0]))
		l->gone[l->gone_count++] = peer;
}

void link_act_send(void *context, int peer, const struct message *m)
{
	struct link *l = context;
	struct route *route = NULL;
	struct port *p = port_of_peer(l, peer, &route);
	uint8_t header[WIRE_HEADER_MAX];
	struct err e;

	if (!p || !p->socket)
		return;
	int n = wire_encode(m, header, sizeof header, &e);
	if (n < 0) {
		log_error("%s cannot be sent: %s", message_kind_name(m->kind), e.text);
		return;
	}
	struct buffer *payload =
	    m->kind == MESSAGE_FRAME && m->has_payload ? m->frame->payload : NULL;
	if ((route &&
	     zmq_send(p->socket, route->id, route->size, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0) ||
	    zmq_send(p->socket, header, (size_t)n, (payload ? ZMQ_SNDMORE : 0) | ZMQ_DONTWAIT) <
		0 ||
	    (payload && payload_send(p->socket, payload) < 0))
		note_gone(l, peer);
	else if (m->kind == MESSAGE_FRAME)
		(void)failpoint("sent");
}

void link_act_reset(void *context, int peer)
{
	struct link *l = context;
	struct route *route = NULL;
	struct port *p = port_of_peer(l, peer, &route);
	struct err e;

	if (!p || route)
		return;
	socket_close(p);
	if (socket_open(l, p, &e) < 0)
		log_error("%s", e.text);
}

void link_act_forget(void *context, int peer)
{
	struct link *l = context;
	struct route *route = NULL;
	struct port *p = port_of_peer(l, peer, &route);

	if (route) {
		route->peer = -1;
		return;
	}
	if (!p)
		return;
	socket_close(p);
	address_sweep_one(p->address->url);
}

int link_peer_of(struct link *l, struct port *p, const void *id, size_t size, int64_t now)
{
	struct route *open = NULL;

	if (size > LINK_ID_MAX)
		return -1;
	for (size_t i = 0; i < p->routes; i++) {
		struct route *r = &p->route[i];
		if (r->peer < 0)
			open = r;
		else if (r->size == size && memcmp(r->id, id, size) == 0)
			return r->peer;
	}
	if (!open) {
		struct route *more = realloc(p->route, (p->routes + 1) * sizeof *more);
		if (!more)
			return -1;
		p->route = more;
		open = &more[p->routes++];
		open->peer = -1;
	}
	open->peer = link_core_peer(l->core, p->endpoint, now);
	open->size = (uint8_t)size;
	memcpy(open->id, id, size);
	return open->peer;
}
