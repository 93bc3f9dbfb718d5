/* The half of link_core that faces upstream: what we were given, what of it is durable, how much
 * more there is room for. */
#include "common/link_core_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW_BUDGET ((size_t)64 << 20)
#define WINDOW_MOST 64
#define ACK_EVERY_NS 1000000

static struct peer *session_of(const struct link_core *c, const struct delivery *d)
{
	struct peer *p = c->peer[d->peer];

	return p->session == d->session && peer_live(p) ? p : NULL;
}

void receive_up(struct link_core *c, int peer)
{
	c->peer[peer]->told_unknown = 0;
	receive_flush(c, peer);
}

void receive_session_over(struct link_core *c, int peer)
{
	for (struct delivery *d = c->held; d; d = d->next) {
		if (d->peer != peer || d->session != c->peer[peer]->session)
			continue;
		c->stale_count++;
		d->stranded = !d->released;
		c->stranded_count += d->stranded;
	}
}

/* --- acknowledgements --------------------------------------------------------------------------- */

static void flush_acks(struct link_core *c, int peer)
{
	struct peer *p = c->peer[peer];

	if (p->ack_count == 0)
		return;
	struct message m = { .kind = MESSAGE_ACK };
	m.as.ranges.count = p->ack_count;
	memcpy(m.as.ranges.range, p->ack, (size_t)p->ack_count * sizeof p->ack[0]);
	p->ack_count = 0;
	p->acked_at = c->now;
	core_say(c, peer, &m);
}

static void ack_seq(struct link_core *c, int peer, uint64_t seq)
{
	struct peer *p = c->peer[peer];

	for (int i = 0; i < p->ack_count; i++) {
		struct message_range *r = &p->ack[i];
		if (seq == r->last + 1)
			r->last = seq;
		else if (seq + 1 == r->first)
			r->first = seq;
		else
			continue;
		return;
	}
	if (p->ack_count == ACK_RANGES_MAX)
		flush_acks(c, peer);
	p->ack[p->ack_count++] = (struct message_range){ seq, seq };
}

void receive_release(struct link_core *c, struct delivery *d)
{
	struct peer *p = session_of(c, d);

	if (!d->released && p)
		p->released++;
	c->stranded_count -= d->stranded;
	d->stranded = false;
	d->released = true;
}

static void worked(struct link_core *c, struct delivery *d)
{
	c->working_count -= d->taken_at != 0;
	d->taken_at = 0;
}

void receive_ack(struct link_core *c, struct delivery *d)
{
	worked(c, d);
	receive_release(c, d);
	if (session_of(c, d))
		ack_seq(c, d->peer, d->link_seq);
	else if (c->stale_count > 0)
		c->stale_count--;
	*(d->previous ? &d->previous->next : &c->held) = d->next;
	if (d->next)
		d->next->previous = d->previous;
	c->held_count--;
	free(d);
}

/* Credit goes out before half of what is granted has been used up, but not for each frame: with a
 * wide window that would be a message per frame. What is left in the queue of sessions that are over
 * still takes room: else each new session would add a window to it. */
static void flush_credit(struct link_core *c, int peer)
{
	struct peer *p = c->peer[peer];
	int window = c->window - c->stranded_count;

	if (p->leaving || c->leaving || window <= 0)
		return;
	uint64_t upto = p->released + (uint64_t)window;
	if (upto <= p->granted)
		return;
	if (p->granted && upto - p->granted < (uint64_t)(window + 3) / 4)
		return;
	struct message m = { .kind = MESSAGE_CREDIT, .upto = upto };
	p->granted = upto;
	core_say(c, peer, &m);
}

void receive_flush(struct link_core *c, int peer)
{
	flush_acks(c, peer);
	flush_credit(c, peer);
}

int64_t receive_acks_due(const struct peer *p)
{
	return p->ack_count ? p->acked_at + ACK_EVERY_NS : INT64_MAX;
}

/* One acknowledgement goes at once. Of those that come hot on each other's heels nobody needs each: a
 * message costs both sides more than the frame's own header does. */
void receive_flush_gently(struct link_core *c, int peer)
{
	if (c->now >= receive_acks_due(c->peer[peer]) || c->leaving || c->closing)
		flush_acks(c, peer);
	flush_credit(c, peer);
}

/* --- frames ------------------------------------------------------------------------------------- */

/* What the stage has begun and not finished of this session, up to d. */
static void say_work(struct link_core *c, struct delivery *d)
{
	uint64_t first = d->link_seq;

	if (!session_of(c, d))
		return;
	for (const struct delivery *o = c->working_count > 1 ? c->held : NULL; o; o = o->next)
		if (o->taken_at && o->peer == d->peer && o->session == d->session &&
		    o->link_seq < first)
			first = o->link_seq;
	struct message m = { .kind = MESSAGE_WORK,
			     .link_seq = d->link_seq,
			     .first = first < d->link_seq ? first : 0 };
	core_say(c, d->peer, &m);
}

/* The same part again, from a sender who began anew, while we still have it: it is the same
 * delivery, answered to the new session. */
static bool adopt(struct link_core *c, int peer, const struct message *m)
{
	const struct frame *f = m->frame;
	struct peer *p = c->peer[peer];

	for (struct delivery *d = c->stale_count ? c->held : NULL; d; d = d->next) {
		if (d->run != f->run || d->seq != f->seq || strcmp(d->source, f->source) != 0 ||
		    session_of(c, d))
			continue;
		d->peer = peer;
		d->session = p->session;
		d->link_seq = m->link_seq;
		p->released += d->released;
		c->stranded_count -= d->stranded;
		d->stranded = false;
		c->stale_count--;
		if (d->taken_at)
			say_work(c, d);
		return true;
	}
	return false;
}

static struct delivery *hold(struct link_core *c, int peer, const struct message *m)
{
	struct delivery *d = calloc(1, sizeof *d);

	if (!d)
		return NULL;
	d->peer = peer;
	d->session = c->peer[peer]->session;
	d->link_seq = m->link_seq;
	memcpy(d->source, m->frame->source, sizeof d->source);
	d->run = m->frame->run;
	d->seq = m->frame->seq;
	d->next = c->held;
	if (c->held)
		c->held->previous = d;
	c->held = d;
	c->held_count++;
	return d;
}

/* The window follows the size of the frames that come, unless the stage has set it. All upstreams share
 * the budget. */
static void adapt_window(struct link_core *c, size_t size)
{
	size_t window, ups = 0;

	if (c->config.window > 0 || size == 0)
		return;
	for (int i = 0; i < c->peer_count; i++)
		ups += peer_live(c->peer[i]) && peer_upstream(c, c->peer[i]);
	window = WINDOW_BUDGET / (size + 1) / (ups ? ups : 1);
	c->window = window < WINDOW_LEAST  ? WINDOW_LEAST
		    : window > WINDOW_MOST ? WINDOW_MOST
					   : (int)window;
}

/* Is this delivery the next of its session? One that came before is ignored; if one is missing the
 * session is worth nothing: whatever was lost comes again in the next. */
static bool in_sequence(struct link_core *c, int peer, uint64_t link_seq)
{
	struct peer *p = c->peer[peer];

	if (link_seq == p->received + 1 && link_seq <= p->granted) {
		p->received = link_seq;
		return true;
	}
	if (link_seq <= p->received) {
		c->counts.duplicates++;
		return false;
	}
	core_note(c, 1, "delivery %llu came after %llu (room up to %llu): session begins again",
		  (unsigned long long)link_seq, (unsigned long long)p->received,
		  (unsigned long long)p->granted);
	session_restart(c, peer);
	return false;
}

static void take_in(struct link_core *c, int peer, struct message *m)
{
	struct delivery *d = hold(c, peer, m);
	struct frame *f = m->frame;

	if (!d) {
		core_break(c, EX_TEMPFAIL, "no memory for the link");
		return;
	}
	f->origin = d;
	m->frame = NULL;
	if (m->dropped && !c->config.pushes) {
		d->taken = true;
		receive_release(c, d);
		c->do_->dropped(c->context, f, m->last);
		frame_free(&f);
	} else if (c->config.pushes && (m->dropped || f->status != FRAME_OK)) {
		d->taken = true;
		send_parcel(c, f, m->dropped, m->last);
	} else {
		c->do_->deliver(c->context, f);
	}
}

/* It was on its way when we said that we leave. The session stays: what was begun is owed still. */
static void refuse(struct link_core *c, int peer, uint64_t link_seq)
{
	struct message m = { .kind = MESSAGE_BYE, .code = CODE_LEAVING };

	m.as.ranges.count = 1;
	m.as.ranges.range[0] = (struct message_range){ link_seq, link_seq };
	core_say(c, peer, &m);
}

void receive_frame(struct link_core *c, int peer, struct message *m)
{
	struct peer *p = c->peer[peer];
	const struct frame *f = m->frame;

	if (!in_sequence(c, peer, m->link_seq))
		return;
	c->counts.in++;
	observe_frame(c, m, true);
	adapt_window(c, f->payload ? f->payload->size : 0);
	if (totals_cover(c, f->source, f->run, f->seq)) {
		c->counts.duplicates++;
		p->released++;
		ack_seq(c, peer, m->link_seq);
		return;
	}
	if (adopt(c, peer, m)) {
		c->counts.duplicates++;
		return;
	}
	if (c->leaving) {
		refuse(c, peer, m->link_seq);
		return;
	}
	if (c->input_over) {
		/* The stage takes no more; whoever starts next in our place will. */
		core_bye(c, peer, CODE_LEAVING, "this stage is ending");
		session_over(c, peer);
		return;
	}
	take_in(c, peer, m);
}

void link_core_bad_frame(struct link_core *c, int peer, const struct message *m, const char *why,
			 int64_t now)
{
	struct message nak = { .kind = MESSAGE_NAK, .link_seq = m->link_seq, .code = CODE_BAD };
	struct peer *p = peer >= 0 && peer < c->peer_count ? c->peer[peer] : NULL;

	core_wake(c, now);
	if (!p || !peer_live(p) || m->session != p->session || !peer_upstream(c, p)) {
		link_core_malformed(c, peer, why, now);
		return;
	}
	if (!in_sequence(c, peer, m->link_seq))
		return;
	c->counts.malformed++;
	p->heard = c->now;
	p->released++;
	snprintf(nak.as.text, sizeof nak.as.text, "%s", why);
	core_say(c, peer, &nak);
}

/* --- the stage ---------------------------------------------------------------------------------- */

int link_core_window(const struct link_core *c)
{
	return c->window;
}

void link_core_take(struct link_core *c, struct delivery *d, int64_t now)
{
	core_wake(c, now);
	d->taken = true;
	d->taken_at = c->now;
	c->working_count++;
	if (!c->config.pushes) {
		receive_release(c, d);
		return;
	}
	say_work(c, d);
}

void receive_worked(struct link_core *c, struct delivery *d)
{
	worked(c, d);
	receive_release(c, d);
}

void link_core_done(struct link_core *c, struct delivery *d, int64_t now)
{
	core_wake(c, now);
	receive_ack(c, d);
	end_step(c);
}

/* The deliveries of one peer that nobody has begun, as ranges; they are forgotten. */
static void hand_back(struct link_core *c, int peer, struct message *m)
{
	struct delivery *next;

	for (struct delivery *d = c->held; d; d = next) {
		next = d->next;
		if (d->peer != peer || d->taken || m->as.ranges.count == WIRE_RANGES_MAX)
			continue;
		if (session_of(c, d)) {
			m->as.ranges.range[m->as.ranges.count++] =
			    (struct message_range){ d->link_seq, d->link_seq };
			c->stale_count++;
		}
		d->session = 0; /* not to be acknowledged */
		receive_ack(c, d);
	}
}

void link_core_leave(struct link_core *c, int64_t now)
{
	core_wake(c, now);
	if (c->leaving || c->input_over)
		return;
	c->leaving = true;
	for (int i = 0; i < c->peer_count; i++) {
		struct message m = { .kind = MESSAGE_BYE, .code = CODE_LEAVING };
		if (!peer_live(c->peer[i]) || !peer_upstream(c, c->peer[i]))
			continue;
		do {
			m.as.ranges.count = 0;
			hand_back(c, i, &m);
			core_say(c, i, &m);
		} while (m.as.ranges.count == WIRE_RANGES_MAX);
	}
	c->input_over = true;
	c->do_->ended(c->context);
}

/* What the upstreams have not heard of us when our sockets close goes to others, as if we had died. So we
 * ask first: the answer to a PING says that all before it was heard. */
bool receive_heard(struct link_core *c)
{
	bool heard = true;

	for (int i = 0; i < c->peer_count; i++) {
		struct peer *p = c->peer[i];
		if (!peer_live(p) || !peer_upstream(c, p) || p->parted)
			continue;
		if (p->last_ping == 0) {
			receive_flush(c, i);
			core_say_state(c, i, MESSAGE_PING);
			p->last_ping = p->pings;
		}
		heard = heard && p->pongs >= p->last_ping;
	}
	return heard;
}
