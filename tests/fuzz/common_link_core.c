/* Any sequence of events for a link core: peers that come, go, lie and repeat themselves, a stage that does
 * what stages do, time that jumps. No crash, no leak, and what the core keeps stays within what it has
 * granted. A byte says what happens, the ones after it the particulars; sessions that the core has opened can
 * be named by number, so that the way into them need not be guessed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/link_core.h"

#define MS INT64_C(1000000)
#define PEERS 8
#define FRAMES 256
#define WINDOW 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct script {
	const uint8_t *at, *end;
};

struct play {
	struct script in;
	struct link_core *core;
	int endpoints, endpoint[3];
	/* By peer: its session as it has heard of it, the last delivery it got in it, and gave. */
	uint64_t session[1024], got[1024], gave[1024];
	struct frame *inbox[FRAMES], *taken[FRAMES];
	int inbox_count, taken_count, up_most;
	bool pulls, pushes, closed, left;
	int64_t now;
	uint64_t seq;
};

static uint8_t byte(struct play *p)
{
	return p->in.at < p->in.end ? *p->in.at++ : 0;
}

/* Mostly small, sometimes as large as they get. */
static uint64_t number(struct play *p)
{
	uint8_t b = byte(p);

	return b < 250 ? b % 16 : UINT64_MAX - (255 - b);
}

/* --- what the core does ------------------------------------------------------------------------- */

static void act_send(void *context, int peer, const struct message *m)
{
	struct play *p = context;
	uint8_t header[WIRE_HEADER_MAX];
	struct err e;

	if (wire_encode(m, header, sizeof header, &e) < 0)
		abort(); /* nothing may be said that cannot be written */
	if (m->kind == MESSAGE_WELCOME) {
		p->session[peer] = m->session;
		p->got[peer] = p->gave[peer] = 0;
	}
	if (m->kind == MESSAGE_FRAME)
		p->got[peer] = m->link_seq;
}

static void act_peer(void *context, int peer)
{
	struct play *p = context;

	p->session[peer] = 0;
}

static void act_deliver(void *context, struct frame *f)
{
	struct play *p = context;

	if (p->inbox_count == FRAMES)
		abort();
	p->inbox[p->inbox_count++] = f;
}

static void act_acked(void *context, const char *source, uint64_t run, uint64_t seq)
{
	(void)context, (void)source, (void)run, (void)seq;
}

static void act_wanted(void *context, const struct wants *wants)
{
	(void)context, (void)wants;
}

static void act_buried(void *context, const struct frame *f, const char *reason)
{
	(void)context;
	if (f->status != FRAME_OK || !*reason)
		abort();
}

static void act_dropped(void *context, const struct frame *f, uint64_t last)
{
	struct frame *copy = frame_new();

	if (!copy || last < f->seq)
		abort();
	memcpy(copy->source, f->source, sizeof copy->source);
	copy->origin = f->origin;
	act_deliver(context, copy);
}

static void act_total(void *context, const struct message_total *total)
{
	(void)context, (void)total;
}

static void act_nothing(void *context)
{
	(void)context;
}

static void act_broken(void *context, int code, const char *text)
{
	(void)context;
	if (code == 0 || !*text)
		abort();
}

static void act_note(void *context, int severity, const char *text)
{
	(void)context, (void)severity, (void)text;
}

static const struct link_core_actions actions = {
	.send = act_send,
	.reset = act_peer,
	.forget = act_peer,
	.deliver = act_deliver,
	.acked = act_acked,
	.wanted = act_wanted,
	.buried = act_buried,
	.dropped = act_dropped,
	.total = act_total,
	.ended = act_nothing,
	.finished = act_nothing,
	.broken = act_broken,
	.note = act_note,
};

/* --- what others say ---------------------------------------------------------------------------- */

static struct frame *some_frame(struct play *p, uint64_t seq)
{
	struct frame *f = frame_new();
	uint8_t kind = byte(p);

	if (!f)
		abort();
	snprintf(f->source, sizeof f->source, "s%d", kind % 3);
	f->run = kind / 4 % 2;
	f->seq = seq;
	f->try = kind / 16 % 4;
	f->status = kind / 64 == 1 ? FRAME_ERROR : FRAME_OK;
	if (kind & 8)
		f->payload = buffer_new(1 + byte(p));
	return f;
}

static void say_hello(struct play *p, struct message *m)
{
	uint8_t b = byte(p);

	m->session = m->kind == MESSAGE_WELCOME ? 1 + number(p) : 0;
	m->as.hello.version = b & 1 ? WIRE_VERSION : 2 + b % 4;
	m->as.hello.version = b < 240 ? WIRE_VERSION : m->as.hello.version;
	m->as.hello.role = (enum message_role)(b / 2 % 3);
	m->as.hello.max_frame = b & 8 ? 1 << 20 : number(p);
	m->as.hello.heartbeat_ms = b & 16 ? 100 : (uint32_t)(1 + number(p));
	m->as.hello.instance[0] = b / 32 % 4;
	snprintf(m->as.hello.stage, sizeof m->as.hello.stage, "peer");
	if (b % 32 == 31)
		snprintf(m->as.hello.wants.recipe, sizeof m->as.hello.wants.recipe, "r%d",
			 byte(p) % 2);
}

static void say_ranges(struct play *p, struct message *m)
{
	m->as.ranges.count = m->kind == MESSAGE_ACK ? 1 + byte(p) % 4 : byte(p) % 3;
	for (int i = 0; i < m->as.ranges.count; i++) {
		uint64_t first = number(p), more = number(p);
		m->as.ranges.range[i] =
		    (struct message_range){ first,
					    first + more < first ? UINT64_MAX : first + more };
	}
}

static void say_eos(struct play *p, struct message *m)
{
	uint8_t b = byte(p);

	m->as.eos.id = number(p);
	m->as.eos.more = b == 255;
	m->as.eos.end = b & 1;
	m->as.eos.count = m->kind == MESSAGE_EOS ? b / 2 % 4 : 0;
	for (int i = 0; i < m->as.eos.count; i++) {
		struct message_total *t = &m->as.eos.total[i];
		snprintf(t->source, sizeof t->source, "s%d", byte(p) % 3);
		t->run = byte(p) % 2;
		t->ended = byte(p) & 1;
		t->first = number(p) >> 1;
		t->emitted = number(p) >> 1;
	}
}

/* The message of a well-formed header; what the wire would refuse cannot come. */
static void say(struct play *p, int peer, uint64_t session)
{
	struct message m = { .kind = (enum message_kind)(1 + byte(p) % MESSAGE_BYE) };
	uint8_t header[WIRE_HEADER_MAX];
	struct message back;
	struct err e;

	m.session = session;
	m.link_seq = 1 + (number(p) & UINT64_MAX >> 1);
	m.first = byte(p) % 8;
	m.upto = number(p);
	m.code = (enum message_code)(1 + byte(p) % CODE_LEAVING);
	if (m.kind == MESSAGE_HELLO || m.kind == MESSAGE_WELCOME)
		say_hello(p, &m);
	else if (m.kind == MESSAGE_ACK || m.kind == MESSAGE_BYE)
		say_ranges(p, &m);
	else if (m.kind == MESSAGE_EOS || m.kind == MESSAGE_EOS_ACK)
		say_eos(p, &m);
	else if (m.kind == MESSAGE_PING || m.kind == MESSAGE_PONG)
		m.as.state.busy_ms = number(p) * 100;
	if ((m.kind == MESSAGE_PING || m.kind == MESSAGE_PONG) && byte(p) & 1)
		strcpy(m.as.state.state, "orphan");
	if (m.kind == MESSAGE_FRAME) {
		m.frame = some_frame(p, byte(p) % 32);
		m.dropped = m.frame->status != FRAME_OK && !m.frame->payload && byte(p) & 1;
		m.last = m.dropped ? m.frame->seq + byte(p) % 4 : 0;
		if (m.dropped)
			m.frame->status = FRAME_OK; /* the wire's word stands in m.dropped */
		m.has_payload = m.frame->payload != NULL;
		m.payload_size = m.has_payload ? m.frame->payload->size : 0;
	}
	int n = wire_encode(&m, header, sizeof header, &e);
	struct buffer *payload = m.frame ? buffer_ref(m.frame->payload) : NULL;
	message_clear(&m);
	if (n >= 0 && wire_decode(header, (size_t)n, &back, &e) == 0) {
		if (back.kind == MESSAGE_FRAME && back.has_payload)
			back.frame->payload = buffer_ref(payload);
		link_core_message(p->core, peer, &back, p->now);
		message_clear(&back);
	}
	buffer_unref(&payload);
}

/* What an honest peer might say now. */
static void say_fit(struct play *p, int peer)
{
	static const enum message_kind kinds[] = { MESSAGE_CREDIT, MESSAGE_WORK,    MESSAGE_ACK,
						   MESSAGE_PING,   MESSAGE_EOS_ACK, MESSAGE_FRAME,
						   MESSAGE_FRAME,  MESSAGE_EOS };
	uint8_t b = byte(p);
	struct message m = { .kind = kinds[b % 8], .session = p->session[peer] };

	m.link_seq = p->got[peer] ? p->got[peer] - b / 8 % 2 : 0;
	m.upto = p->got[peer] + 4;
	if (m.kind == MESSAGE_ACK) {
		m.as.ranges.count = 1;
		m.as.ranges.range[0] = (struct message_range){ 1 + b / 16, p->got[peer] };
	} else if (m.kind == MESSAGE_PING) {
		m.as.state.busy_ms = b & 128 ? 400 : 0;
	} else if (m.kind == MESSAGE_EOS_ACK) {
		m.as.eos.id = b / 8;
	} else if (m.kind == MESSAGE_EOS) {
		m.as.eos.id = b / 16;
		m.as.eos.end = b & 8;
	} else if (m.kind == MESSAGE_FRAME) {
		m.link_seq = ++p->gave[peer];
		m.frame = some_frame(p, b / 8);
	}
	link_core_message(p->core, peer, &m, p->now);
	message_clear(&m);
}

static void greet(struct play *p)
{
	uint8_t b = byte(p);
	int peer = link_core_peer(p->core, p->endpoint[b % p->endpoints], p->now);
	struct message m = { .kind = MESSAGE_HELLO };

	m.as.hello.version = WIRE_VERSION;
	m.as.hello.role = (enum message_role)(b / 4 % 3);
	m.as.hello.max_frame = 1 << 20;
	m.as.hello.heartbeat_ms = 100;
	m.as.hello.instance[0] = b / 16;
	snprintf(m.as.hello.stage, sizeof m.as.hello.stage, "peer");
	if (peer >= 0)
		link_core_message(p->core, peer, &m, p->now);
}

/* --- the stage ---------------------------------------------------------------------------------- */

static void stage_takes(struct play *p)
{
	if (p->inbox_count == 0 || p->taken_count == FRAMES)
		return;
	struct frame *f = p->inbox[0];
	memmove(p->inbox, p->inbox + 1, (size_t)--p->inbox_count * sizeof p->inbox[0]);
	link_core_take(p->core, f->origin, p->now);
	p->taken[p->taken_count++] = f;
}

static void stage_gives(struct play *p)
{
	if (p->taken_count == 0) {
		bool makes = !p->pulls && !p->closed && link_core_room(p->core, 1);
		if (makes)
			link_core_send(p->core, some_frame(p, p->seq++), p->now);
		return;
	}
	int i = byte(p) % p->taken_count;
	struct frame *f = p->taken[i];
	p->taken[i] = p->taken[--p->taken_count];
	if (p->pushes) {
		link_core_send(p->core, f, p->now);
		return;
	}
	struct delivery *d = f->origin;
	frame_free(&f);
	link_core_done(p->core, d, p->now);
}

static void stage_ends(struct play *p)
{
	if (p->pulls && !p->left && byte(p) & 1) {
		while (p->inbox_count)
			frame_free(&p->inbox[--p->inbox_count]);
		link_core_leave(p->core, p->now);
		p->left = true;
	} else if (p->inbox_count == 0 && p->taken_count == 0) {
		p->closed = true;
		link_core_close(p->core, p->now);
	}
}

/* --- the play ----------------------------------------------------------------------------------- */

static void act(struct play *p)
{
	uint8_t what = byte(p);
	int peer = byte(p) % PEERS;
	struct message bad = { .kind = MESSAGE_FRAME };

	p->now += what / 16 * MS;
	switch (what % 16) {
	case 0:
		link_core_peer(p->core, p->endpoint[byte(p) % p->endpoints], p->now);
		return;
	case 1:
		link_core_connected(p->core, peer, p->now);
		return;
	case 2:
		if (byte(p) & 3)
			link_core_gone(p->core, peer, p->now);
		else
			link_core_cut(p->core, peer, p->now);
		return;
	case 3:
		link_core_malformed(p->core, peer, "nonsense", p->now);
		return;
	case 4:
		bad.session = p->session[peer];
		bad.link_seq = 1 + byte(p) % 16;
		link_core_bad_frame(p->core, peer, &bad, "nonsense", p->now);
		return;
	case 5:
		link_core_lost(p->core, peer, p->now);
		return;
	case 6:
		p->now += byte(p) * 10 * MS;
		link_core_tick(p->core, p->now);
		return;
	case 7:
		stage_takes(p);
		return;
	case 8:
		stage_gives(p);
		return;
	case 9:
		if (byte(p) % 8 == 0)
			stage_ends(p);
		else if (!p->pulls && !p->closed)
			link_core_drop(p->core, "s0", 0, p->seq, p->seq + byte(p) % 4, "lost",
				       p->now);
		return;
	case 10:
		say(p, peer, byte(p));
		return;
	case 11:
		greet(p);
		return;
	case 12:
	case 13:
		say(p, peer, p->session[peer]);
		return;
	default:
		say_fit(p, peer);
	}
}

static void check(struct play *p)
{
	struct link_core_counts c;

	link_core_flush(p->core, p->now);
	link_core_count(p->core, &c);
	p->up_most = c.up_peers > p->up_most ? c.up_peers : p->up_most;
	if (p->inbox_count > WINDOW * (p->up_most + 1))
		abort();
	if (c.pending < 0 || c.unacked < 0 || c.held < p->inbox_count + p->taken_count)
		abort();
	if (link_core_next(p->core) < p->now - 3600 * 1000 * MS)
		abort();
}

static void open_core(struct play *p)
{
	uint8_t kind = byte(p);
	int peer;
	struct link_core_config config = {
		.pulls = kind % 3 != 0,
		.pushes = kind % 3 != 2,
		.more_upstreams = kind & 64,
		.seed = 1,
		.window = WINDOW,
		.retain_bytes = 2000,
		.retain_frames = 16,
		.max_tries = 3,
		.work_ns = kind & 128 ? 300 * MS : 0,
		.orphan_ns = 60000 * MS,
		.grace_ns = 5000 * MS,
	};

	snprintf(config.self.stage, sizeof config.self.stage, "core");
	config.self.max_frame = 1 << 20;
	config.self.heartbeat_ms = 100;
	p->pulls = config.pulls;
	p->pushes = config.pushes;
	p->core = link_core_new(&config, &actions, p);
	if (!p->core)
		abort();
	if (p->pulls && kind & 8)
		link_core_connect(p->core, true, kind & 32, &peer);
	else if (p->pulls)
		p->endpoint[p->endpoints++] = link_core_bind(p->core, true);
	if (p->pushes && kind & 16)
		link_core_connect(p->core, false, kind & 32, &peer);
	else if (p->pushes)
		p->endpoint[p->endpoints++] = link_core_bind(p->core, false);
	p->endpoint[p->endpoints++] = link_core_bind_status(p->core);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct play p;

	memset(&p, 0, sizeof p);
	p.in = (struct script){ data, data + size };
	p.now = 1000 * MS;
	open_core(&p);
	while (p.in.at < p.in.end) {
		act(&p);
		check(&p);
	}
	link_core_free(&p.core);
	while (p.inbox_count)
		frame_free(&p.inbox[--p.inbox_count]);
	while (p.taken_count)
		frame_free(&p.taken[--p.taken_count]);
	return 0;
}
