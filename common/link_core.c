/* Endpoints and events. See link_core.h for the ideas; link_session.c begins and ends sessions,
 * link_send.c is the half that faces downstream, link_receive.c the one that faces upstream,
 * link_totals.c and link_end.c end the stream, link_time.c keeps the timers. */
#include "common/link_core_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS 1000000
#define WARN_SPAN (10000 * (int64_t)MS) /* in so long … */
#define WARN_MOST 32                    /* … so many warnings that strangers can cause */

int64_t core_beat(const struct link_core *c)
{
	return (int64_t)c->config.self.heartbeat_ms * MS;
}

bool peer_live(const struct peer *p)
{
	return p->phase == PEER_UP;
}

bool peer_upstream(const struct link_core *c, const struct peer *p)
{
	return c->endpoint[p->endpoint].upstream;
}

bool peer_connects(const struct link_core *c, const struct peer *p)
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

void core_warn(struct link_core *c, const char *format, ...)
{
	char text[ERR_TEXT_MAX];
	va_list args;

	if (c->warned == 0 || c->now - c->warned_at >= WARN_SPAN) {
		c->warned = 0;
		c->warned_at = c->now;
	}
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	c->do_->note(c->context, ++c->warned <= WARN_MOST ? 0 : 2, text);
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
	/* Little, until the first frame has shown how large they are. */
	c->window = config->window > 0 ? config->window : WINDOW_LEAST;
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

/* When no number is free, somebody who has not got as far as a session gives way, the longest silent
 * one: strangers who connect and talk nonsense must not keep others out. -1: all are in session. */
static int evict(struct link_core *c)
{
	int oldest = -1;

	for (int i = 0; i < c->peer_count; i++) {
		const struct peer *p = c->peer[i];
		if (peer_connects(c, p) || (p->phase != PEER_NEW && p->phase != PEER_IGNORED))
			continue;
		if (oldest < 0 || p->heard < c->peer[oldest]->heard)
			oldest = i;
	}
	if (oldest >= 0)
		session_drop(c, oldest);
	return oldest;
}

static int peer_add(struct link_core *c, int endpoint)
{
	int i = 0;

	while (i < c->peer_count && c->peer[i]->phase != PEER_FREE)
		i++;
	if (i == PEERS_MAX)
		i = evict(c);
	if (i < 0)
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

int link_core_bind_status(struct link_core *c)
{
	int e = endpoint_add(c, false, false, false);

	if (e >= 0)
		c->endpoint[e].status = true;
	return e;
}

int link_core_peer(struct link_core *c, int endpoint, int64_t now)
{
	core_wake(c, now);
	return peer_add(c, endpoint);
}

/* --- events ----------------------------------------------------------------------------------- */

void link_core_connected(struct link_core *c, int peer, int64_t now)
{
	struct peer *p = peer_at(c, peer);

	core_wake(c, now);
	if (p && peer_connects(c, p) && (p->phase == PEER_NEW || p->phase == PEER_HELLO))
		session_ask(c, peer);
}

/* for_good: the process behind it has died, as far as can be told. */
static void transport_broke(struct link_core *c, int peer, bool for_good, int64_t now)
{
	struct peer *p = peer_at(c, peer);

	core_wake(c, now);
	if (!p || p->phase == PEER_CLOSED)
		return;
	if (peer_live(p))
		core_note(c, p->leaving || p->parted || c->done_at ? 1 : 0, "%s %s (%s) is gone",
			  peer_upstream(c, p) ? "upstream" : "downstream", p->hello.stage,
			  p->hello.worker);
	p->broke = for_good;
	/* Just awake: they broke off because of our silence, not because they died. */
	p->died = for_good && (c->woke_at == 0 || c->now - c->woke_at > 4 * core_beat(c));
	session_drop(c, peer);
	p->broke = p->died = false;
	send_dispatch(c);
	end_step(c);
}

void link_core_gone(struct link_core *c, int peer, int64_t now)
{
	transport_broke(c, peer, true, now);
}

void link_core_cut(struct link_core *c, int peer, int64_t now)
{
	transport_broke(c, peer, false, now);
}

/* Frames that nobody has begun, and how long the oldest that was begun is being worked on. To wait for
 * room downstream is not to work, and neither is to be stopped. */
static void look_at_held(const struct link_core *c, struct message_state *state)
{
	int64_t since = INT64_MAX;

	for (const struct delivery *d = c->held; d; d = d->next) {
		state->queued += !d->taken;
		if (d->taken_at && d->taken_at < since)
			since = d->taken_at;
	}
	if (c->config.pushes && !link_core_room(c, 1))
		return;
	since = since < c->hindered_at ? c->hindered_at : since;
	if (since < c->now)
		state->busy_ms = (uint64_t)((c->now - since) / MS);
}

/* Is no upstream there, or none that is not an orphan itself? */
static bool is_orphan(const struct link_core *c)
{
	if (!c->config.pulls || c->input_over || c->config.more_upstreams)
		return false;
	for (int i = 0; i < c->peer_count; i++)
		if (peer_live(c->peer[i]) && peer_upstream(c, c->peer[i]) && !c->peer[i]->idle_at)
			return false;
	return true;
}

static void state_of(const struct link_core *c, struct message_state *state)
{
	const char *word = over_here(c)                                ? "over"
			   : c->closing                                ? "draining"
			   : c->held || c->unacked || c->pending.count ? "busy"
			   : is_orphan(c)                              ? "orphan"
								       : "idle";
	int64_t alone = c->up_lonely && (!c->down_lonely || c->up_lonely < c->down_lonely)
			    ? c->up_lonely
			    : c->down_lonely;
	struct link_core_counts n;

	snprintf(state->state, sizeof state->state, "%s", word);
	link_core_count(c, &n);
	state->queued = (uint64_t)n.pending;
	look_at_held(c, state);
	state->unacked = (uint64_t)n.unacked;
	state->in = n.in;
	state->out = n.out;
	state->ignored = n.ignored;
	state->up = (uint64_t)n.up_peers;
	state->down = (uint64_t)n.down_peers;
	state->alone_ms = alone ? (uint64_t)((c->now - alone) / MS) : 0;
	state->resent = n.resent;
	state->duplicates = n.duplicates;
	state->malformed = n.malformed;
}

void core_say_state(struct link_core *c, int peer, enum message_kind kind)
{
	struct message m = { .kind = kind };

	state_of(c, &m.as.state);
	/* The end of a line may wait for its disk: its neighbours are not to take that for hanging. */
	if (!c->config.pushes && c->peer[peer]->phase != PEER_OBSERVER)
		m.as.state.busy_ms = 0;
	c->peer[peer]->pings += kind == MESSAGE_PING;
	core_say(c, peer, &m);
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
		if (up)
			note_state(c, p, m);
		else
			send_state(c, p, m);
		p->pongs += m->kind == MESSAGE_PONG;
		if (m->kind == MESSAGE_PING)
			core_say_state(c, peer, MESSAGE_PONG);
		return;
	case MESSAGE_BYE:
		session_on_bye(c, peer, m);
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
	session_reject(c, peer, m->session, CODE_SESSION, "");
}

void link_core_message(struct link_core *c, int peer, struct message *m, int64_t now)
{
	struct peer *p = peer_at(c, peer);

	core_wake(c, now);
	if (p && p->phase == PEER_IGNORED)
		p->heard = c->now;
	if (!p || p->phase == PEER_IGNORED || p->phase == PEER_CLOSED || c->broken)
		return;
	if (m->kind == MESSAGE_HELLO)
		session_on_hello(c, peer, m);
	else if (m->kind == MESSAGE_WELCOME)
		session_on_welcome(c, peer, m);
	else if (m->kind == MESSAGE_REJECT)
		session_on_reject(c, peer, m);
	else if (m->kind == MESSAGE_UNKNOWN)
		p->heard = m->session == p->session ? c->now : p->heard;
	else if (p->phase == PEER_UP && m->session == p->session)
		on_session_message(c, peer, m);
	else if (p->phase == PEER_OBSERVER && m->session == p->session)
		observe_message(c, peer, m);
	else
		on_stranger(c, peer, m);
	send_dispatch(c);
	end_step(c);
}

void link_core_malformed(struct link_core *c, int peer, const char *why, int64_t now)
{
	struct peer *p = peer_at(c, peer);

	core_wake(c, now);
	c->counts.malformed++;
	if (p && p->phase == PEER_IGNORED)
		p->heard = c->now;
	if (!p || p->phase == PEER_IGNORED || p->phase == PEER_CLOSED)
		return;
	if (p->malformed++ == 0) {
		core_warn(c, "a message cannot be used: %s", why);
		session_reject(c, peer, p->session, CODE_BAD, why);
	}
	if (p->malformed < LINK_CORE_MALFORMED_MAX)
		return;
	core_warn(c, "%d such messages from one peer: it is ignored from now on", p->malformed);
	session_over(c, peer);
	p->heard = c->now;
	p->phase = PEER_IGNORED;
	send_dispatch(c);
	end_step(c);
}

/* Whatever it was, an acknowledgement perhaps, the session has a hole that nothing later would show. */
void link_core_lost(struct link_core *c, int peer, int64_t now)
{
	struct peer *p = peer_at(c, peer);

	core_wake(c, now);
	core_warn(c, "no memory for a message");
	if (!p || !peer_live(p))
		return;
	session_restart(c, peer);
	send_dispatch(c);
	end_step(c);
}
