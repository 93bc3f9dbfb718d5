/* Observers: who only looks. One may sit at any bound address; it is answered how things stand, and
 * is sent copies of what passes as far as its credit goes. It is never in session as a sender or a
 * receiver is: nothing waits for it, nothing is kept for it, its death means nothing. */
#include "common/link_core_private.h"

#include <stdio.h>
#include <string.h>

#define OBSERVERS_MOST 8
#define CREDIT_MOST 16                       /* copies under way to one of them, and … */
#define CREDIT_BYTES_MOST ((size_t)16 << 20) /* … their bytes, one copy at least */

static int observers(const struct link_core *c)
{
	int n = 0;

	for (int i = 0; i < c->peer_count; i++)
		n += c->peer[i]->phase == PEER_OBSERVER;
	return n;
}

void observe_hello(struct link_core *c, int peer, const struct message *m)
{
	struct peer *p = c->peer[peer];
	struct message answer = { .kind = MESSAGE_WELCOME, .as.hello = c->config.self };

	if (observers(c) == OBSERVERS_MOST) {
		char text[FRAME_REASON_MAX];
		snprintf(text, sizeof text, "%d observers look at %s already", OBSERVERS_MOST,
			 c->config.self.stage);
		session_reject(c, peer, 0, CODE_BUSY, text);
		return;
	}
	p->hello = m->as.hello;
	p->phase = PEER_OBSERVER;
	p->heard = c->now;
	p->session = session_new(c);
	p->next_seq = 1;
	p->uncredited = 0;
	answer.as.hello.role = c->endpoint[p->endpoint].upstream ? ROLE_RECEIVER : ROLE_SENDER;
	core_say(c, peer, &answer);
}

void observe_message(struct link_core *c, int peer, const struct message *m)
{
	struct peer *p = c->peer[peer];

	p->heard = c->now;
	switch (m->kind) {
	case MESSAGE_PING:
		core_say_state(c, peer, MESSAGE_PONG);
		return;
	case MESSAGE_CREDIT:
		/* Its word that it has read what came. It is not believed further than that. */
		p->upto = p->next_seq - 1 + CREDIT_MOST;
		p->upto = m->upto < p->upto ? m->upto : p->upto;
		p->uncredited = 0;
		return;
	case MESSAGE_BYE:
		session_drop(c, peer);
		return;
	case MESSAGE_PONG:
		return;
	default:
		c->counts.ignored++;
	}
}

/* What this observer sees: at an address that takes frames those that come, elsewhere those that
 * go, or come, where none go. */
static bool sees(const struct link_core *c, const struct peer *p, bool incoming)
{
	const struct endpoint *e = &c->endpoint[p->endpoint];

	return incoming == (e->upstream || !c->config.pushes);
}

static void copy_to(struct link_core *c, int peer, struct message *m)
{
	struct peer *p = c->peer[peer];
	size_t bytes = m->has_payload ? (size_t)m->payload_size : 0;

	if (p->next_seq > p->upto || peer_suspect(c, p) ||
	    (p->uncredited && p->uncredited + bytes > CREDIT_BYTES_MOST) ||
	    bytes > p->hello.max_frame)
		return;
	p->uncredited += bytes;
	m->link_seq = p->next_seq++;
	core_say(c, peer, m);
}

void observe_frame(struct link_core *c, const struct message *m, bool incoming)
{
	struct message copy;

	if (observers(c) == 0)
		return;
	copy = *m;
	copy.passed = incoming ? c->counts.in : c->counts.out;
	for (int i = 0; i < c->peer_count; i++)
		if (c->peer[i]->phase == PEER_OBSERVER && sees(c, c->peer[i], incoming))
			copy_to(c, i, &copy);
}

void observe_over(struct link_core *c)
{
	for (int i = 0; i < c->peer_count; i++)
		if (c->peer[i]->phase == PEER_OBSERVER)
			core_bye(c, i, c->leaving ? CODE_LEAVING : CODE_DONE, "");
}
