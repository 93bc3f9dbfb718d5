/* Observers come, ask, grant room or lie about it, fall silent and vanish at any time. The invariants
 * of the world must hold as if they were not there; beyond that, no copy comes without room. */
#include "world.h"

#include <string.h>

/* From a stream of its own: a schedule is the same with observers and without. */
static uint64_t whim(struct world *w, uint64_t below)
{
	w->whims ^= w->whims << 13;
	w->whims ^= w->whims >> 7;
	w->whims ^= w->whims << 17;
	return w->whims % below;
}

bool observer_hears(struct world *w, const struct node *n, int peer, const struct message *m)
{
	struct observer *o = &w->node[n->number].observer;

	if (peer != o->peer)
		return false;
	if (m->kind == MESSAGE_WELCOME)
		o->session = m->session;
	if (m->kind != MESSAGE_FRAME)
		return true;
	if (++o->copies > o->upto || m->link_seq != o->copies || m->passed <= o->passed)
		fail(w, "node %d: a copy that the observer has no room for", n->number);
	o->passed = m->passed;
	return true;
}

bool observer_forgotten(struct node *n, int peer)
{
	if (peer != n->observer.peer)
		return false;
	n->observer = (struct observer){ .peer = -1 };
	return true;
}

static void greet(struct world *w, struct node *n)
{
	struct message m = { .kind = MESSAGE_HELLO };
	struct observer *o = &n->observer;

	o->peer = link_core_peer(n->core, n->bound, w->now);
	if (o->peer < 0)
		return;
	m.as.hello.version = whim(w, 20) ? WIRE_VERSION : 2;
	m.as.hello.role = ROLE_OBSERVER;
	m.as.hello.max_frame = 1000;
	m.as.hello.heartbeat_ms = 100;
	strcpy(m.as.hello.stage, "observer");
	m.as.hello.instance[0] = (uint8_t)whim(w, 256);
	link_core_message(n->core, o->peer, &m, w->now);
}

void observer_step(struct world *w, struct node *n)
{
	static const enum message_kind kinds[] = { MESSAGE_PING,    MESSAGE_ACK, MESSAGE_WORK,
						   MESSAGE_EOS_ACK, MESSAGE_EOS, MESSAGE_BYE };
	struct observer *o = &n->observer;
	struct message m = { .kind = MESSAGE_CREDIT, .session = o->session };

	if (n->bound < 0 || w->seed % 3 || whim(w, 8))
		return;
	if (o->peer < 0) {
		greet(w, n);
	} else if (whim(w, 30) == 0) {
		link_core_gone(n->core, o->peer, w->now);
	} else if (whim(w, 2)) {
		o->upto += whim(w, 4);
		m.upto = o->upto;
		link_core_message(n->core, o->peer, &m, w->now);
	} else {
		/* What it has no business to say. */
		m.kind = kinds[whim(w, 6)];
		m.as.ranges.count = m.kind == MESSAGE_ACK;
		m.as.ranges.range[0] = (struct message_range){ 1, 1000 };
		m.link_seq = 1 + whim(w, 5);
		m.as.eos.id = whim(w, 10);
		m.as.eos.end = m.kind == MESSAGE_EOS;
		link_core_message(n->core, o->peer, &m, w->now);
	}
}
