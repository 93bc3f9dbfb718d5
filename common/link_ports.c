/* Addresses, their sockets and who is behind them; and what the core does with its peers. */
#include "common/link_socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

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
	if (address_is_exposed(a->url))
		log_warn("'%s': other users may write in that folder, and put themselves there: "
			 "chmod go-w, or take a folder of your own",
			 a->url);
	struct port *p = &l->port[l->ports];
	*p = (struct port){ .address = a, .own_address = own, .peer = -1 };
	p->fresh = own && address_is_fresh(a->url);
	/* The core hears of it only if it stands: a failed one leaves nothing behind. */
	if (socket_open(l, p, e) < 0)
		goto fail;
	p->down = !upstream;
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

int link_ports_open(struct link *l, struct err *e)
{
	const struct link_setup *s = &l->setup;

	for (size_t i = 0; i < s->in_count; i++)
		if (link_port_open(l, &s->in[i], true, false, e) < 0)
			return -1;
	for (size_t i = 0; i < s->out_count; i++)
		if (link_port_open(l, &s->out[i], false, false, e) < 0)
			return -1;
	for (size_t i = 0; i < s->status_count; i++)
		if (link_port_open(l, &s->status[i], false, false, e) < 0)
			return -1;
	return 0;
}

void link_ports_again(struct link *l, int64_t now)
{
	for (int i = 0; i < l->ports; i++) {
		struct port *p = &l->port[i];
		if (p->open_at == 0 || now < p->open_at)
			continue;
		p->open_at = 0;
		link_act_reset(l, p->peer);
	}
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

static ino_t inode_of(int fd)
{
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 ? st.st_ino : 0;
}

/* --- actions of the core ------------------------------------------------------------------------ */

static bool is_gone(const struct link *l, int peer)
{
	int i = 0;

	while (i < l->gone_count && l->gone[i].peer != peer)
		i++;
	return i < l->gone_count;
}

static void note_gone(struct link *l, int peer, bool no_memory)
{
	int i = 0;

	while (i < l->gone_count && l->gone[i].peer != peer)
		i++;
	if (i == (int)(sizeof l->gone / sizeof l->gone[0]))
		return;
	if (i == l->gone_count) {
		l->gone_count++;
		l->gone[i].no_memory = true;
	}
	l->gone[i].peer = peer;
	l->gone[i].no_memory &= no_memory;
}

/* ZeroMQ cannot close one connection of a socket; its descriptor can be shut down. */
static void shut(const struct route *r)
{
	if (r->inode && inode_of(r->fd) == r->inode)
		shutdown(r->fd, SHUT_RDWR);
}

/* Does so much lie there unread that it cannot be for want of time? Twice what may be unacknowledged. */
static bool is_too_much(const struct link *l, struct backlog *b, size_t size)
{
	size_t lies = b ? atomic_load(&b->bytes) : 0;

	return lies > 0 && lies + size > 2 * l->setup.core.retain_bytes;
}

/* A neighbour that does not read what it makes us send: its connection ends, and what waits for it. */
static void hang_up(struct link *l, const struct route *r)
{
	link_act_note(l, 0, "a neighbour does not read what it is sent: its connection ends");
	if (r)
		shut(r);
}

void link_act_send(void *context, int peer, const struct message *m)
{
	struct link *l = context;
	struct route *route = NULL;
	struct port *p = port_of_peer(l, peer, &route);
	uint8_t header[WIRE_HEADER_MAX];
	struct err e;

	if (!p || !p->socket || is_gone(l, peer))
		return;
	int n = wire_encode(m, header, sizeof header, &e);
	if (n < 0) {
		log_error("%s cannot be sent: %s", message_kind_name(m->kind), e.text);
		return;
	}
	struct buffer *payload =
	    m->kind == MESSAGE_FRAME && m->has_payload ? m->frame->payload : NULL;
	struct backlog *backlog = route ? route->backlog : p->backlog;
	p->stirred = true;
	if (payload && is_too_much(l, backlog, payload->size)) {
		hang_up(l, route);
		note_gone(l, peer, false);
	} else if (parts_send(p->socket, route, header, (size_t)n, payload, backlog) < 0) {
		int why = errno;
		if (why == EAGAIN)
			hang_up(l, route);
		note_gone(l, peer, why == ENOMEM);
	} else if (m->kind == MESSAGE_FRAME) {
		link_quiet(p, clock_mono_ns());
		(void)failpoint("sent");
	}
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
	p->open_at = 0;
	if (socket_open(l, p, &e) < 0)
		link_act_broken(l, e.code, e.text);
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

/* --- peers of bound addresses ------------------------------------------------------------------- */

/* Whose connection does this message come from? False: nobody who may be here. */
static bool identify(const struct link *l, const struct port *p, struct parts *in, struct route *r)
{
	zmq_msg_t *id = &in->part[0], *from = &in->part[in->count > 1 ? 1 : 0];

	*r = (struct route){ .peer = -1, .fd = -1, .size = (uint8_t)zmq_msg_size(id) };
	memcpy(r->id, zmq_msg_data(id), r->size);
	r->fd = zmq_msg_get(from, ZMQ_SRCFD);
	r->inode = inode_of(r->fd);
	if (!l->setup.curve || address_is_ipc(p->address->url))
		return true;
	const char *key = zmq_msg_gets(from, "User-Id");
	if (!key || strlen(key) >= KEY_SIZE || !curve_admits(l->setup.curve, key))
		return false;
	memcpy(r->key, key, strlen(key) + 1);
	return true;
}

/* A place for it: its own of before, if it was forgotten but is still connected (what waits for it is counted
 * there), a free one, or a new one. */
static struct route *place_for(struct port *p, const struct route *fresh)
{
	struct route *open = NULL;

	for (size_t i = 0; i < p->routes; i++) {
		struct route *r = &p->route[i];
		if (r->peer < 0 && r->size == fresh->size && memcmp(r->id, fresh->id, r->size) == 0)
			return r;
		if (r->peer < 0)
			open = r;
	}
	if (!open) {
		struct route *more = realloc(p->route, (p->routes + 1) * sizeof *more);
		if (!more)
			return NULL;
		p->route = more;
		open = &more[p->routes++];
		open->backlog = NULL;
	}
	backlog_drop(&open->backlog);
	open->backlog = backlog_new();
	return open;
}

int link_peer_of(struct link *l, struct port *p, struct parts *in, int64_t now)
{
	zmq_msg_t *id = &in->part[0];
	size_t size = zmq_msg_size(id);
	struct route fresh;

	if (size > LINK_ID_MAX)
		return -1;
	for (size_t i = 0; i < p->routes; i++) {
		struct route *r = &p->route[i];
		if (r->peer >= 0 && r->size == size && memcmp(r->id, zmq_msg_data(id), size) == 0)
			return r->peer;
	}
	if (!identify(l, p, in, &fresh))
		return -1;
	struct route *r = place_for(p, &fresh);
	if (!r)
		return -1;
	fresh.backlog = r->backlog;
	*r = fresh;
	r->peer = link_core_peer(l->core, p->endpoint, now);
	return r->peer;
}

/* --- a changed list of keys --------------------------------------------------------------------- */

/* Whoever it was has to greet again, and is refused. */
static void check_routes(struct link *l, struct port *p, int64_t now)
{
	for (size_t i = 0; i < p->routes; i++) {
		struct route *r = &p->route[i];
		if (r->peer < 0 || !*r->key || curve_admits(l->setup.curve, r->key))
			continue;
		log_warn("key '%s' is not in the list any more: its connection ends", r->key);
		shut(r);
		link_core_gone(l->core, r->peer, now);
	}
}

/* A connected one goes on if the other side is expected to have the same key as before. */
static void check_connected(struct link *l, struct port *p, int64_t now)
{
	char key[KEY_SIZE];
	struct err e;

	if (curve_expects(l->setup.curve, p->address->url, key, &e) < 0)
		*key = '\0';
	if (p->socket && strcmp(key, p->key) == 0)
		return;
	log_warn("the key for '%s' has changed", p->address->url);
	if (p->socket)
		link_core_gone(l->core, p->peer, now);
	else
		link_act_reset(l, p->peer);
}

void link_ports_check(struct link *l, int64_t now)
{
	for (int i = 0; i < l->ports; i++) {
		struct port *p = &l->port[i];
		p->said = 0;
		if (address_is_ipc(p->address->url))
			continue;
		if (p->address->bind)
			check_routes(l, p, now);
		else
			check_connected(l, p, now);
	}
}
