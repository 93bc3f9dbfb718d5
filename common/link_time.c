/* Time: who has been silent for too long, what is due next. The clock is the caller's. */
#include "common/link_core_private.h"

#define MS 1000000

/* A peer may beat more slowly than we do; it is judged by its own word, within reason. */
static int64_t beat_of(const struct link_core *c, const struct peer *p)
{
	int64_t theirs = (int64_t)p->hello.heartbeat_ms * MS;
	int64_t most = (int64_t)60000 * MS;

	return theirs > most ? most : theirs > core_beat(c) ? theirs : core_beat(c);
}

bool peer_suspect(const struct link_core *c, const struct peer *p)
{
	return c->now - p->heard > 2 * beat_of(c, p);
}

/* A process that was stopped or starved finds everybody silent: that was it, not they. It shows by
 * a timer that is long overdue. */
void core_wake(struct link_core *c, int64_t now)
{
	int64_t gap = now - c->now;

	if (gap > 2 * core_beat(c) && link_core_next(c) < now - 2 * core_beat(c)) {
		c->woke_at = c->hindered_at = now;
		for (int i = 0; i < c->peer_count; i++) {
			c->peer[i]->heard += gap;
			c->peer[i]->hello_at += gap;
		}
	}
	if (gap > 0 && c->config.pushes && !link_core_room(c, 1))
		c->hindered_at = now;
	if (gap > 0)
		c->now = now;
}

/* When has this peer to be looked after next? */
static int64_t peer_due(const struct link_core *c, const struct peer *p)
{
	int64_t ping = p->said + core_beat(c), dead = p->heard + 4 * beat_of(c, p),
		suspect = p->heard + 2 * beat_of(c, p) + 1, acks = receive_acks_due(p);

	switch (p->phase) {
	case PEER_UP:
		if (suspect > c->now && suspect < dead)
			dead = suspect;
		ping = acks < ping ? acks : ping;
		return ping < dead ? ping : dead;
	case PEER_OBSERVER:
		return p->heard + 4 * beat_of(c, p);
	case PEER_HELLO:
		return p->hello_at + 2 * core_beat(c);
	case PEER_NEW:
	case PEER_IGNORED:
		return peer_connects(c, p) ? INT64_MAX : p->heard + 4 * core_beat(c);
	default:
		return INT64_MAX;
	}
}

static void peer_tick(struct link_core *c, int peer)
{
	struct peer *p = c->peer[peer];

	switch (p->phase) {
	case PEER_UP:
		if (c->now - p->heard >= 4 * beat_of(c, p)) {
			core_note(c, 0, "%s (%s) is silent: taken for dead", p->hello.stage,
				  p->hello.worker);
			c->counts.dead++;
			session_drop(c, peer);
		} else if (c->now - p->said >= core_beat(c)) {
			core_say_state(c, peer, MESSAGE_PING);
		}
		return;
	case PEER_OBSERVER:
		if (c->now - p->heard >= 4 * beat_of(c, p))
			session_drop(c, peer);
		return;
	case PEER_HELLO:
		/* No answer: whoever is there may have lost it, or its queue holds it still. */
		if (c->now - p->hello_at >= 2 * core_beat(c)) {
			session_over(c, peer);
			p->phase = PEER_NEW;
			c->do_->reset(c->context, peer);
		}
		return;
	case PEER_NEW:
	case PEER_IGNORED: /* once it is silent its number is free: it may be gone unseen */
		if (!peer_connects(c, p) && c->now - p->heard >= 4 * core_beat(c))
			session_drop(c, peer);
		return;
	default:
		return;
	}
}

void link_core_tick(struct link_core *c, int64_t now)
{
	core_wake(c, now);
	for (int i = 0; i < c->peer_count; i++)
		peer_tick(c, i);
	send_dispatch(c);
	end_step(c);
}

int64_t link_core_next(const struct link_core *c)
{
	int64_t next = end_next(c);

	for (int i = 0; i < c->peer_count; i++) {
		int64_t due = peer_due(c, c->peer[i]);
		next = due < next ? due : next;
	}
	return next;
}

void link_core_probe(struct link_core *c, int endpoint, int64_t now)
{

	core_wake(c, now);
	for (int i = 0; i < c->peer_count; i++)
		if (c->peer[i]->endpoint == endpoint &&
		    (peer_live(c->peer[i]) || c->peer[i]->phase == PEER_OBSERVER))
			core_say_state(c, i, MESSAGE_PING);
}

void link_core_flush(struct link_core *c, int64_t now)
{
	core_wake(c, now);
	for (int i = 0; i < c->peer_count; i++)
		if (peer_live(c->peer[i]) && peer_upstream(c, c->peer[i]))
			receive_flush_gently(c, i);
}

void link_core_count(const struct link_core *c, struct link_core_counts *counts)
{
	*counts = c->counts;
	counts->held = c->held_count;
	counts->pending = c->pending.count;
	counts->unacked = c->unacked;
	counts->retained_bytes = c->retained_bytes;
	for (int i = 0; i < c->peer_count; i++)
		if (peer_live(c->peer[i])) {
			counts->up_peers += peer_upstream(c, c->peer[i]);
			counts->down_peers += !peer_upstream(c, c->peer[i]);
		}
}
