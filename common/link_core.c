/* Peers, sessions and time. See link_core.h for the ideas; link_send.c is the half that faces
 * downstream, link_receive.c the one that faces upstream, link_end.c ends the stream. */
#include "common/link_core_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS 1000000

static int64_t beat(const struct link_core *c)
{
	return (int64_t)c->config.self.heartbeat_ms * MS;
}

static void fill_state(const struct link_core *c, struct message_state *state);

/* A peer may beat more slowly than we do; it is judged by its own word, within reason. */
static int64_t beat_of(const struct link_core *c, const struct peer *p)
{
	int64_t theirs = (int64_t)p->hello.heartbeat_ms * MS;
	int64_t most = (int64_t)60000 * MS;

	return theirs > most ? most : theirs > beat(c) ? theirs : beat(c);
}

bool peer_live(const struct peer *p)
{
	return p->phase == PEER_UP;
}

bool peer_suspect(const struct link_core *c, const struct peer *p)
{
	return c->now - p->heard > 2 * beat_of(c, p);
}

bool peer_upstream(const struct link_core *c, const struct peer *p)
{
	return c->endpoint[p->endpoint].upstream;
}

static bool peer_connects(const struct link_core *c, const struct peer *p)
{
	return c->endpoint[p->endpoint].connects;
}

static struct peer *peer_at(struct link_core *c, int peer)
{
	if (peer < 0 || peer >= c->peer_count || c->peer[peer]->phase == PEER_FREE)
		return NULL;
	return c->peer[peer];
}

void core_say(struct link_core *c, int peer, struct message *m)
{
	struct peer *p = c->peer[peer];

	m->session = p->session;
	p->said = c->now;
	c->do_->send(c->context, peer, m);
}

void core_note(struct link_core *c, int severity, const char *format, ...)
{
	char text[ERR_TEXT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	c->do_->note(c->context, severity, text);
}

void core_break(struct link_core *c, int code, const char *format, ...)
{
	char text[WIRE_TEXT_MAX];
	va_list args;

	if (c->broken)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	c->broken = true;
	c->do_->broken(c->context, code, text);
}

void core_bye(struct link_core *c, int peer, enum message_code code, const char *text)
{
	struct message m = { .kind = MESSAGE_BYE, .code = code };

	snprintf(m.as.ranges.text, sizeof m.as.ranges.text, "%s", text);
	core_say(c, peer, &m);
}

/* --- life and death of peers ------------------------------------------------------------------ */

struct link_core *link_core_new(const struct link_core_config *config,
				const struct link_core_actions *actions, void *context)
{
	struct link_core *c = calloc(1, sizeof *c);

	if (!c)
		return NULL;
	c->config = *config;
	c->config.self.version = WIRE_VERSION;
	if (c->config.self.heartbeat_ms == 0)
		c->config.self.heartbeat_ms = 1000;
	if (c->config.retain_frames < 1)
		c->config.retain_frames = 1;
	c->do_ = actions;
	c->context = context;
	c->window = config->window > 0 ? config->window : 8;
	c->input_over = !config->pulls;
	return c;
}

void link_core_free(struct link_core **core)
{
	struct link_core *c = *core;

	if (!c)
		return;
	send_free(c);
	while (c->held) {
		struct delivery *d = c->held;
		c->held = d->next;
		free(d);
	}
	for (int i = 0; i < c->peer_count; i++)
		free(c->peer[i]);
	free(c->peer);
	free(c->endpoint);
	free(c->total);
	free(c);
	*core = NULL;
}

static int endpoint_add(struct link_core *c, bool upstream, bool connects, bool mortal)
{
	struct endpoint *more =
	    realloc(c->endpoint, ((size_t)c->endpoint_count + 1) * sizeof *more);

	if (!more)
		return -1;
	c->endpoint = more;
	more[c->endpoint_count] = (struct endpoint){
		.upstream = upstream, .connects = connects, .mortal = mortal, .peer = -1
	};
	return c->endpoint_count++;
}

static int peer_add(struct link_core *c, int endpoint)
{
	int i = 0;

	while (i < c->peer_count && c->peer[i]->phase != PEER_FREE)
		i++;
	if (i == PEERS_MAX)
		return -1;
	if (i == c->peer_count) {
		struct peer **more = realloc(c->peer, ((size_t)i + 1) * sizeof *more);
		if (!more)
			return -1;
		c->peer = more;
		more[i] = malloc(sizeof **more);
		if (!more[i])
			return -1;
		c->peer_count++;
	}
	*c->peer[i] = (struct peer){
		.phase = PEER_NEW, .endpoint = endpoint, .heard = c->now, .said = c->now
	};
	return i;
}

int link_core_connect(struct link_core *c, bool upstream, bool mortal, int *peer)
{
	int e = endpoint_add(c, upstream, true, mortal);

	if (e < 0)
		return -1;
	*peer = peer_add(c, e);
	if (*peer < 0) {
		c->endpoint_count--;
		return -1;
	}
	c->endpoint[e].peer = *peer;
	return e;
}

int link_core_bind(struct link_core *c, bool upstream)
{
	return endpoint_add(c, upstream, false, false);
}

int link_core_peer(struct link_core *c, int endpoint, int64_t now)
{
	c->now = now;
	return peer_add(c, endpoint);
}

/* The session is over as far as we are concerned; the peer's slot stays. */
void session_over(struct link_core *c, int peer)
{
	struct peer *p = c->peer[peer];

	if (p->session && peer_upstream(c, p))
		receive_session_over(c, peer);
	p->session = 0;
	p->leaving = false;
	p->ack_count = 0;
	p->received = p->released = p->granted = 0;
	p->next_seq = p->upto = p->told = p->confirmed = 0;
	p->end_told = p->eos_owed = false;
	send_requeue(c, p);
	if (p->phase == PEER_UP || p->phase == PEER_HELLO)
		p->phase = PEER_NEW;
}

static void peer_drop(struct link_core *c, int peer)
{
	struct peer *p = c->peer[peer];
	struct endpoint *e = &c->endpoint[p->endpoint];
	bool was_up = peer_live(p), in_order = p->leaving || p->parted;

	session_over(c, peer);
	if (!e->connects) {
		if (was_up && e->upstream && !in_order)
			*(p->ended || c->done_at ? &e->lost_ended_at : &e->lost_at) = c->now;
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

static void say_hello(struct link_core *c, int peer)
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
		say_hello(c, peer);
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
	if (peer_upstream(c, p))
		receive_up(c, peer);
	else
		send_up(c, peer);
}

static void reject(struct link_core *c, int peer, uint64_t session, enum message_code code,
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
			peer_drop(c, i);
	}
}

/* splitmix64: ids that differ between processes (by seed) and sessions (by count). */
static uint64_t new_session(struct link_core *c)
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
	if (hello->role != right) {
		snprintf(text, size, "%s and %s both %s frames here", c->config.self.stage,
			 hello->stage, right == ROLE_SENDER ? "receive" : "send");
		return CODE_ROLE;
	}
	if (right == ROLE_RECEIVER && send_wants(c, hello, text, size) < 0)
		return CODE_WANTS;
	return CODE_NONE;
}

static void on_hello(struct link_core *c, int peer, const struct message *m)
{
	struct peer *p = c->peer[peer];
	struct message answer = { .kind = MESSAGE_WELCOME, .as.hello = c->config.self };
	char text[WIRE_TEXT_MAX] = "";

	if (peer_connects(c, p)) {
		reject(c, peer, 0, CODE_ROLE, "both sides of this address connect, neither binds");
		return;
	}
	session_over(c, peer);
	enum message_code code = refusal(c, p, &m->as.hello, text, sizeof text);
	if (code != CODE_NONE) {
		core_note(c, 0, "refused %s (%s): %s", m->as.hello.stage, m->as.hello.worker, text);
		reject(c, peer, 0, code, text);
		return;
	}
	if (c->finished || (c->leaving && c->closing)) {
		reject(c, peer, 0, CODE_BUSY, "this stage is ending");
		return;
	}
	p->hello = m->as.hello;
	forget_former(c, peer);
	p->session = new_session(c);
	answer.as.hello.role = peer_upstream(c, p) ? ROLE_RECEIVER : ROLE_SENDER;
	core_say(c, peer, &answer);
	session_begins(c, peer);
}

static void on_welcome(struct link_core *c, int peer, const struct message *m)
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

static void on_reject(struct link_core *c, int peer, const struct message *m)
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
			say_hello(c, peer);
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

static void on_bye(struct link_core *c, int peer, const struct message *m)
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
			c->endpoint[p->endpoint].lost_ended_at = 0;
		}
	} else {
		send_bye(c, peer, m);
	}
}

/* --- events ----------------------------------------------------------------------------------- */

/* A process that was stopped or starved finds everybody silent: that was it, not they. It shows by
 * a timer that is long overdue. */
static void wake_up(struct link_core *c, int64_t now)
{
	int64_t gap = now - c->now;

	if (gap > 2 * beat(c) && link_core_next(c) < now - 2 * beat(c)) {
		c->woke_at = now;
		for (int i = 0; i < c->peer_count; i++) {
			c->peer[i]->heard += gap;
			c->peer[i]->hello_at += gap;
		}
	}
	if (gap > 0)
		c->now = now;
}

void link_core_connected(struct link_core *c, int peer, int64_t now)
{
	struct peer *p = peer_at(c, peer);

	wake_up(c, now);
	if (p && peer_connects(c, p) && (p->phase == PEER_NEW || p->phase == PEER_HELLO))
		say_hello(c, peer);
}

void link_core_gone(struct link_core *c, int peer, int64_t now)
{
	struct peer *p = peer_at(c, peer);

	wake_up(c, now);
	if (!p || p->phase == PEER_CLOSED)
		return;
	if (peer_live(p))
		core_note(c, p->leaving || p->parted || c->done_at ? 1 : 0, "%s %s (%s) is gone",
			  peer_upstream(c, p) ? "upstream" : "downstream", p->hello.stage,
			  p->hello.worker);
	p->broke = true;
	/* Just awake: they broke off because of our silence, not because they died. */
	p->died = c->woke_at == 0 || c->now - c->woke_at > 4 * beat(c);
	peer_drop(c, peer);
	p->broke = p->died = false;
	send_dispatch(c);
	end_step(c);
}

static void fill_state(const struct link_core *c, struct message_state *state)
{
	const char *word = c->closing ? "draining"
			   : c->held  ? "busy"
			   : c->config.pulls && c->up_lonely && !c->config.more_upstreams ? "orphan"
											  : "idle";

	snprintf(state->state, sizeof state->state, "%s", word);
	state->queued = (uint64_t)c->pending.count;
	state->unacked = (uint64_t)c->unacked;
	state->in = c->counts.in;
	state->out = c->counts.out;
	state->ignored = c->counts.ignored;
}

/* An upstream that has lost its own may never come to an end: see endpoint_over. */
static void note_state(const struct link_core *c, struct peer *p, const struct message *m)
{
	if (strcmp(m->as.state.state, "orphan") != 0)
		p->idle_at = 0;
	else if (p->idle_at == 0)
		p->idle_at = c->now;
}

/* Messages that need a session and are of it. */
static void on_session_message(struct link_core *c, int peer, struct message *m)
{
	struct peer *p = c->peer[peer];
	bool up = peer_upstream(c, p);
	struct message answer = { .kind = MESSAGE_PONG };

	p->heard = c->now;
	switch (m->kind) {
	case MESSAGE_FRAME:
	case MESSAGE_EOS:
		if (!up)
			c->counts.ignored++;
		else if (m->kind == MESSAGE_EOS)
			end_eos(c, peer, m);
		else
			receive_frame(c, peer, m);
		return;
	case MESSAGE_CREDIT:
	case MESSAGE_WORK:
	case MESSAGE_ACK:
	case MESSAGE_NAK:
		if (up)
			c->counts.ignored++;
		else
			send_message(c, peer, m);
		return;
	case MESSAGE_EOS_ACK:
		if (up)
			c->counts.ignored++;
		else
			end_eos_ack(c, p, m);
		return;
	case MESSAGE_PING:
	case MESSAGE_PONG:
		note_state(c, p, m);
		fill_state(c, &answer.as.state);
		if (m->kind == MESSAGE_PING)
			core_say(c, peer, &answer);
		return;
	case MESSAGE_BYE:
		on_bye(c, peer, m);
		return;
	default:
		return;
	}
}

/* Another session's message, or one before any session: say so once per session. */
static void on_stranger(struct link_core *c, int peer, const struct message *m)
{
	struct peer *p = c->peer[peer];

	c->counts.ignored++;
	if (m->kind == MESSAGE_BYE || m->session == 0 || m->session == p->told_unknown)
		return;
	p->told_unknown = m->session;
	reject(c, peer, m->session, CODE_SESSION, "");
}

void link_core_message(struct link_core *c, int peer, struct message *m, int64_t now)
{
	struct peer *p = peer_at(c, peer);

	wake_up(c, now);
	if (!p || p->phase == PEER_IGNORED || p->phase == PEER_CLOSED || c->broken)
		return;
	if (m->kind == MESSAGE_HELLO)
		on_hello(c, peer, m);
	else if (m->kind == MESSAGE_WELCOME)
		on_welcome(c, peer, m);
	else if (m->kind == MESSAGE_REJECT)
		on_reject(c, peer, m);
	else if (m->kind == MESSAGE_UNKNOWN)
		p->heard = m->session == p->session ? c->now : p->heard;
	else if (p->phase == PEER_UP && m->session == p->session)
		on_session_message(c, peer, m);
	else
		on_stranger(c, peer, m);
	send_dispatch(c);
	end_step(c);
}

void link_core_malformed(struct link_core *c, int peer, const char *why, int64_t now)
{
	struct peer *p = peer_at(c, peer);

	wake_up(c, now);
	c->counts.malformed++;
	if (!p || p->phase == PEER_IGNORED || p->phase == PEER_CLOSED)
		return;
	if (p->malformed++ == 0) {
		core_note(c, 0, "a message cannot be used: %s", why);
		reject(c, peer, p->session, CODE_BAD, why);
	}
	if (p->malformed < LINK_CORE_MALFORMED_MAX)
		return;
	core_note(c, 0, "%d such messages from one peer: it is ignored from now on", p->malformed);
	session_over(c, peer);
	p->phase = PEER_IGNORED;
	send_dispatch(c);
	end_step(c);
}

/* --- time ------------------------------------------------------------------------------------- */

/* When has this peer to be looked after next? */
static int64_t peer_due(const struct link_core *c, const struct peer *p)
{
	int64_t ping = p->said + beat(c), dead = p->heard + 4 * beat_of(c, p),
		suspect = p->heard + 2 * beat_of(c, p) + 1;

	switch (p->phase) {
	case PEER_UP:
		if (suspect > c->now && suspect < dead)
			dead = suspect;
		return ping < dead ? ping : dead;
	case PEER_HELLO:
		return p->hello_at + 2 * beat(c);
	case PEER_NEW:
		return peer_connects(c, p) ? INT64_MAX : p->heard + 4 * beat(c);
	default:
		return INT64_MAX;
	}
}

static void peer_tick(struct link_core *c, int peer)
{
	struct peer *p = c->peer[peer];
	struct message ping = { .kind = MESSAGE_PING };

	switch (p->phase) {
	case PEER_UP:
		if (c->now - p->heard >= 4 * beat_of(c, p)) {
			core_note(c, 0, "%s (%s) is silent: taken for dead", p->hello.stage,
				  p->hello.worker);
			c->counts.dead++;
			peer_drop(c, peer);
		} else if (c->now - p->said >= beat(c)) {
			fill_state(c, &ping.as.state);
			core_say(c, peer, &ping);
		}
		return;
	case PEER_HELLO:
		/* No answer: whoever is there may have lost it, or its queue holds it still. */
		if (c->now - p->hello_at >= 2 * beat(c)) {
			session_over(c, peer);
			p->phase = PEER_NEW;
			c->do_->reset(c->context, peer);
		}
		return;
	case PEER_NEW:
		if (!peer_connects(c, p) && c->now - p->heard >= 4 * beat(c))
			peer_drop(c, peer);
		return;
	default:
		return;
	}
}

void link_core_tick(struct link_core *c, int64_t now)
{
	wake_up(c, now);
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
	struct message ping = { .kind = MESSAGE_PING };

	wake_up(c, now);
	for (int i = 0; i < c->peer_count; i++)
		if (peer_live(c->peer[i]) && c->peer[i]->endpoint == endpoint) {
			fill_state(c, &ping.as.state);
			core_say(c, i, &ping);
		}
}

void link_core_flush(struct link_core *c, int64_t now)
{
	wake_up(c, now);
	for (int i = 0; i < c->peer_count; i++)
		if (peer_live(c->peer[i]) && peer_upstream(c, c->peer[i]))
			receive_flush(c, i);
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
