/* Sessions: how two processes find that they fit together, and how they lose each other. */
#include "common/link_core_private.h"

#include <stdio.h>
#include <string.h>

/* The session is over as far as we are concerned; the peer's slot stays. */
void session_over(struct link_core *c, int peer)
{
	struct peer *p = c->peer[peer];

	if (p->session && peer_upstream(c, p))
		receive_session_over(c, peer);
	p->session = 0;
	p->ack_count = 0;
	p->acked_at = 0;
	p->received = p->released = p->granted = 0;
	p->pings = p->pongs = p->last_ping = 0;
	p->next_seq = p->upto = p->told = p->confirmed = p->eos_id = 0;
	p->end_told = p->eos_owed = p->hung = p->over = false;
	send_requeue(c, p);
	p->leaving = false;
	if (p->phase == PEER_UP || p->phase == PEER_HELLO || p->phase == PEER_OBSERVER)
		p->phase = PEER_NEW;
}

void session_drop(struct link_core *c, int peer)
{
	struct peer *p = c->peer[peer];
	struct endpoint *e = &c->endpoint[p->endpoint];
	bool was_up = peer_live(p);
	bool in_order = p->parted || (p->leaving && !p->ended && !c->done_at);

	session_over(c, peer);
	if (was_up && e->upstream && !in_order && !e->connects)
		*(p->ended || c->done_at ? &e->lost_ended_at : &e->lost_at) = c->now;
	else if (was_up && e->upstream && !in_order && !(e->mortal && p->broke))
		e->lost_at = c->now;
	if (!e->connects) {
		p->phase = PEER_FREE;
		c->do_->forget(c->context, peer);
	} else if (e->mortal && p->broke) {
		p->phase = PEER_CLOSED;
		c->do_->forget(c->context, peer);
	} else {
		p->phase = PEER_NEW;
		c->do_->reset(c->context, peer);
	}
}

void session_ask(struct link_core *c, int peer)
{
	struct message m = { .kind = MESSAGE_HELLO, .as.hello = c->config.self };
	struct peer *p = c->peer[peer];

	m.as.hello.role = peer_upstream(c, p) ? ROLE_RECEIVER : ROLE_SENDER;
	p->phase = PEER_HELLO;
	p->hello_at = p->heard = c->now;
	core_say(c, peer, &m);
}

/* Something of this session is missing or it is not known over there: begin another. */
void session_restart(struct link_core *c, int peer)
{
	struct peer *p = c->peer[peer];
	struct message m = { .kind = MESSAGE_REJECT, .code = CODE_SESSION };

	if (peer_connects(c, p)) {
		session_over(c, peer);
		session_ask(c, peer);
		return;
	}
	core_say(c, peer, &m);
	session_over(c, peer);
}

static void session_begins(struct link_core *c, int peer)
{
	struct peer *p = c->peer[peer];
	struct endpoint *e = &c->endpoint[p->endpoint];

	p->phase = PEER_UP;
	p->ended = p->parted = false;
	p->idle_at = 0;
	p->next_seq = 1;
	e->lost_at = 0;
	e->seen = true;
	p->dispatched = c->now;
	core_note(c, 1, "%s %s (%s) is there", peer_upstream(c, p) ? "upstream" : "downstream",
		  p->hello.stage, p->hello.worker);
	if (!peer_upstream(c, p)) {
		send_up(c, peer);
		return;
	}
	receive_up(c, peer);
	over_greet(c, peer);
}

void session_reject(struct link_core *c, int peer, uint64_t session, enum message_code code,
		    const char *text)
{
	struct message m = { .kind = MESSAGE_REJECT, .session = session, .code = code };

	snprintf(m.as.text, sizeof m.as.text, "%s", text);
	c->peer[peer]->said = c->now;
	c->do_->send(c->context, peer, &m);
}

/* A connecter that begins anew leaves its former self behind: same process, other transport. */
static void forget_former(struct link_core *c, int peer)
{
	const struct peer *p = c->peer[peer];

	for (int i = 0; i < c->peer_count; i++) {
		const struct peer *other = c->peer[i];
		if (i != peer && other->phase == PEER_UP && other->endpoint == p->endpoint &&
		    memcmp(other->hello.instance, p->hello.instance, 16) == 0)
			session_drop(c, i);
	}
}

/* splitmix64: ids that differ between processes (by seed) and sessions (by count). */
uint64_t session_new(struct link_core *c)
{
	uint64_t z = c->config.seed + ++c->session_counter * 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	z ^= z >> 31;
	return z ? z : 1;
}

/* Why this hello cannot become a session, CODE_NONE if it can. */
static enum message_code refusal(struct link_core *c, const struct peer *p,
				 const struct message_hello *hello, char *text, size_t size)
{
	enum message_role right = peer_upstream(c, p) ? ROLE_SENDER : ROLE_RECEIVER;

	if (hello->version != WIRE_VERSION) {
		snprintf(text, size, "%s speaks version %d of the protocol, %s version %u",
			 c->config.self.stage, WIRE_VERSION, hello->stage, hello->version);
		return CODE_VERSION;
	}
	if (c->endpoint[p->endpoint].status) {
		snprintf(text, size, "this address of %s is for observers alone",
			 c->config.self.stage);
		return CODE_ROLE;
	}
	if (hello->role == ROLE_OBSERVER) {
		snprintf(text, size, "%s only observes", hello->stage);
		return CODE_ROLE;
	}
	if (hello->role != right) {
		snprintf(text, size, "%s and %s both %s frames here", c->config.self.stage,
			 hello->stage, right == ROLE_SENDER ? "receive" : "send");
		return CODE_ROLE;
	}
	if (right == ROLE_RECEIVER && wants_agree_on(c, hello, text, size) < 0)
		return CODE_WANTS;
	return CODE_NONE;
}

void session_on_hello(struct link_core *c, int peer, const struct message *m)
{
	struct peer *p = c->peer[peer];
	struct message answer = { .kind = MESSAGE_WELCOME, .as.hello = c->config.self };
	char text[WIRE_TEXT_MAX] = "";

	if (peer_connects(c, p)) {
		session_reject(c, peer, 0, CODE_ROLE,
			       "both sides of this address connect, neither binds");
		return;
	}
	session_over(c, peer);
	if (m->as.hello.role == ROLE_OBSERVER && m->as.hello.version == WIRE_VERSION) {
		observe_hello(c, peer, m);
		return;
	}
	enum message_code code = refusal(c, p, &m->as.hello, text, sizeof text);
	if (code != CODE_NONE) {
		core_note(c, 0, "refused %s (%s): %s", m->as.hello.stage, m->as.hello.worker, text);
		session_reject(c, peer, 0, code, text);
		return;
	}
	/* Who takes frames from us is still needed as long as we owe some. */
	if (c->finished || (c->leaving && c->closing && (peer_upstream(c, p) || c->done_at))) {
		session_reject(c, peer, 0, CODE_BUSY, "this stage is ending");
		return;
	}
	p->hello = m->as.hello;
	forget_former(c, peer);
	p->session = session_new(c);
	answer.as.hello.role = peer_upstream(c, p) ? ROLE_RECEIVER : ROLE_SENDER;
	core_say(c, peer, &answer);
	session_begins(c, peer);
}

void session_on_welcome(struct link_core *c, int peer, const struct message *m)
{
	struct peer *p = c->peer[peer];
	char text[WIRE_TEXT_MAX] = "";

	if (!peer_connects(c, p) || m->session == p->session || m->session == 0 ||
	    (p->phase != PEER_HELLO && p->phase != PEER_UP)) {
		c->counts.ignored++;
		return;
	}
	session_over(c, peer);
	p->hello = m->as.hello;
	p->session = m->session;
	enum message_code code = refusal(c, p, &m->as.hello, text, sizeof text);
	if (code != CODE_NONE) {
		core_note(c, 0, "refused %s (%s): %s", m->as.hello.stage, m->as.hello.worker, text);
		core_bye(c, peer, code, text);
		p->session = 0;
		p->phase = PEER_CLOSED;
		return;
	}
	session_begins(c, peer);
}

void session_on_reject(struct link_core *c, int peer, const struct message *m)
{
	struct peer *p = c->peer[peer];

	if (!peer_connects(c, p) && m->code != CODE_SESSION) {
		c->counts.ignored++;
		return;
	}
	switch (m->code) {
	case CODE_SESSION:
		if (m->session == 0 || m->session != p->session) {
			c->counts.ignored++;
			return;
		}
		session_over(c, peer);
		if (peer_connects(c, p))
			session_ask(c, peer);
		return;
	case CODE_BUSY: /* said again when the wait for WELCOME is over */
		core_note(c, 1, "%s", m->as.text);
		return;
	default:
		if (p->phase != PEER_HELLO)
			c->counts.ignored++;
		else
			core_break(c, EX_DATAERR, "refused: %s",
				   m->as.text[0] ? m->as.text : "no reason given");
	}
}

void session_on_bye(struct link_core *c, int peer, const struct message *m)
{
	struct peer *p = c->peer[peer];

	if (m->code == CODE_WANTS || m->code == CODE_VERSION || m->code == CODE_ROLE) {
		core_break(c, EX_DATAERR, "refused: %s", m->as.ranges.text);
		return;
	}
	if (peer_upstream(c, p)) {
		p->leaving = p->leaving || m->code == CODE_LEAVING;
		if (m->code == CODE_DONE) {
			/* The source has heard of the end: that settles it for all. */
			p->parted = true;
			c->settled = true;
		}
	} else {
		send_bye(c, peer, m);
	}
}
