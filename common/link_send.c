/* The half of link_core that faces downstream: what we owe, to whom it goes, what comes back. */
#include "common/link_core_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Frames that wait for credit. A few keep the link busy while the stage makes the next; more would
 * only be late. */
#define PENDING_BYTES ((size_t)4 << 20)
#define PENDING_MOST 16

/* --- lists of parcels ------------------------------------------------------------------------- */

static void unlink_parcel(struct parcels *list, struct parcel *x)
{
	*(x->previous ? &x->previous->next : &list->first) = x->next;
	*(x->next ? &x->next->previous : &list->last) = x->previous;
	x->next = x->previous = NULL;
	list->count--;
}

/* After `at`; NULL: first. */
static void link_after(struct parcels *list, struct parcel *at, struct parcel *x)
{
	x->previous = at;
	x->next = at ? at->next : list->first;
	*(x->next ? &x->next->previous : &list->last) = x;
	*(at ? &at->next : &list->first) = x;
	list->count++;
}

static void make_pending(struct link_core *c, struct parcel *x)
{
	struct parcel *at = c->pending.last;

	while (at && at->order > x->order)
		at = at->previous;
	link_after(&c->pending, at, x);
}

static void parcel_free(struct link_core *c, struct parcel *x)
{
	c->retained_bytes -= x->bytes;
	frame_free(&x->frame);
	free(x);
}

static void free_all(struct link_core *c, struct parcels *list)
{
	while (list->first) {
		struct parcel *x = list->first;
		unlink_parcel(list, x);
		parcel_free(c, x);
	}
}

void send_free(struct link_core *c)
{
	free_all(c, &c->pending);
	for (int i = 0; i < c->peer_count; i++)
		free_all(c, &c->peer[i]->sent);
}

/* --- in ----------------------------------------------------------------------------------------- */

bool link_core_room(const struct link_core *c, int n)
{
	size_t most = PENDING_BYTES / (c->largest + 1);
	int pending = most < 2 ? 2 : most > PENDING_MOST ? PENDING_MOST : (int)most;
	int retained = c->pending.count + c->unacked;

	if (c->pending.count + n > pending || retained + n > c->config.retain_frames)
		return false;
	return retained == 0 ||
	       c->retained_bytes + (size_t)n * c->largest <= c->config.retain_bytes;
}

/* A header has 4096 bytes: a frame with more meta than fits becomes an error row with as much of it
 * as does. */
static void make_fit(struct link_core *c, struct frame *f)
{
	struct err why;

	if (wire_frame_bound(f) <= WIRE_HEADER_MAX)
		return;
	err_set(&why, "%d items of meta do not fit into the %d bytes of a header", f->meta_count,
		WIRE_HEADER_MAX);
	core_note(c, 0, "%s %llu: %s", f->source, (unsigned long long)f->seq, why.text);
	if (f->status == FRAME_OK)
		frame_fail(f, &why);
	while (f->meta_count > 0 && wire_frame_bound(f) > WIRE_HEADER_MAX)
		f->meta_count--;
}

/* Error rows carry no pixels: whoever reads them wants the reason. */
static void make_fail(struct link_core *c, struct parcel *x, enum frame_status status,
		      const char *reason)
{
	struct err why;

	err_set(&why, "%s", reason);
	frame_fail(x->frame, &why);
	x->frame->status = status;
	c->retained_bytes -= x->bytes;
	x->bytes = 0;
	make_fit(c, x->frame);
}

void send_parcel(struct link_core *c, struct frame *f, bool dropped, uint64_t last)
{
	struct parcel *x = calloc(1, sizeof *x);

	if (!x) {
		frame_free(&f);
		core_break(c, EX_TEMPFAIL, "no memory for the link");
		return;
	}
	make_fit(c, f);
	x->frame = f;
	x->origin = f->origin;
	x->bytes = f->payload ? f->payload->size : 0;
	x->dropped = dropped;
	x->last = last;
	x->order = ++c->order;
	c->retained_bytes += x->bytes;
	c->largest = x->bytes;
	if (!x->origin)
		totals_note_sent(c, f, dropped, last);
	make_pending(c, x);
}

void link_core_send(struct link_core *c, struct frame *f, int64_t now)
{
	struct delivery *origin = f->origin;

	core_wake(c, now);
	if (origin)
		receive_worked(c, origin);
	send_parcel(c, f, false, 0);
	send_dispatch(c);
}

void link_core_drop(struct link_core *c, const char *source, uint64_t run, uint64_t first,
		    uint64_t last, const char *reason, int64_t now)
{
	struct frame *f = frame_new();

	core_wake(c, now);
	if (!f) {
		core_break(c, EX_TEMPFAIL, "no memory for the link");
		return;
	}
	snprintf(f->source, sizeof f->source, "%s", source);
	f->run = run;
	f->seq = first;
	f->status = FRAME_ERROR;
	err_clean(f->reason, sizeof f->reason, reason);
	send_parcel(c, f, true, last);
	send_dispatch(c);
}

/* --- out ---------------------------------------------------------------------------------------- */

static bool may_have(const struct link_core *c, const struct peer *p)
{
	return peer_live(p) && !peer_upstream(c, p) && !p->leaving && !p->hung &&
	       !peer_suspect(c, p) && p->upto >= p->next_seq;
}

/* Most free credit first, ties to the longest idle. A frame over which a worker may have died goes
 * to one that has nothing else, so that what happens next tells whether it was this frame. Not to
 * the one that is kept free for such. */
static struct peer *choose(const struct link_core *c, const struct parcel *x,
			   const struct peer *kept)
{
	struct peer *best = NULL;
	uint64_t most = 0;

	for (int i = 0; i < c->peer_count; i++) {
		struct peer *p = c->peer[i];
		if (!may_have(c, p) || p == kept)
			continue;
		if (p->sent.count > 0 && (x->alone || p->sent.first->alone))
			continue;
		uint64_t room = p->upto - p->next_seq + 1;
		if (room > most || (room == most && p->dispatched < best->dispatched)) {
			best = p;
			most = room;
		}
	}
	return best;
}

/* Who will soonest have nothing else: the next frame that must go alone is for him. */
static const struct peer *keep_free(const struct link_core *c)
{
	const struct peer *best = NULL;

	for (int i = 0; i < c->peer_count; i++) {
		const struct peer *p = c->peer[i];
		if (may_have(c, p) && (!best || p->sent.count < best->sent.count))
			best = p;
	}
	return best;
}

static void dispatch_one(struct link_core *c, struct peer *p, struct parcel *x)
{
	struct message m = { .kind = MESSAGE_FRAME };
	int peer = 0;

	while (c->peer[peer] != p)
		peer++;
	if (x->bytes > p->hello.max_frame) {
		char text[FRAME_REASON_MAX];
		snprintf(text, sizeof text, "frame of %zu bytes; %s takes %llu at most", x->bytes,
			 p->hello.stage, (unsigned long long)p->hello.max_frame);
		make_fail(c, x, FRAME_ERROR, text);
	}
	x->link_seq = p->next_seq++;
	p->dispatched = c->now;
	link_after(&p->sent, p->sent.last, x);
	c->unacked++;
	c->counts.out++;
	m.link_seq = x->link_seq;
	m.frame = x->frame;
	m.has_payload = x->frame->payload != NULL;
	m.payload_size = m.has_payload ? x->frame->payload->size : 0;
	m.dropped = x->dropped;
	m.last = x->last;
	core_say(c, peer, &m);
	observe_frame(c, &m, false);
	if (x->origin)
		receive_release(c, x->origin);
}

/* A frame that must go alone and finds nobody free is overtaken by the ones behind it. */
void send_dispatch(struct link_core *c)
{
	const struct peer *kept = NULL;
	struct parcel *next;

	for (struct parcel *x = c->pending.first; x; x = next) {
		struct peer *p = choose(c, x, kept);
		next = x->next;
		if (p) {
			unlink_parcel(&c->pending, x);
			dispatch_one(c, p, x);
		} else if (!x->alone || !(kept = kept ? kept : keep_free(c))) {
			return;
		}
	}
}

/* --- back --------------------------------------------------------------------------------------- */

static void settle(struct link_core *c, struct peer *p, struct parcel *x)
{
	unlink_parcel(&p->sent, x);
	c->unacked--;
	c->counts.acked++;
	if (x->origin)
		receive_ack(c, x->origin);
	else
		c->do_->acked(c->context, x->frame->source, x->frame->run, x->frame->seq);
	parcel_free(c, x);
}

static void take_back(struct link_core *c, struct peer *p, struct parcel *x)
{
	unlink_parcel(&p->sent, x);
	c->unacked--;
	c->counts.resent++;
	make_pending(c, x);
}

static uint64_t instance_of(const struct peer *p)
{
	uint64_t id;

	memcpy(&id, p->hello.instance, sizeof id);
	return id ? id : 1; /* 0 is nobody */
}

static void suspect(const struct peer *p, struct parcel *x)
{
	x->alone = true;
	x->charged = false;
	x->blamed = instance_of(p);
}

/* One that kills or halts every worker that tries it must not do so for ever. */
static void blame(struct link_core *c, const struct peer *p, struct parcel *x)
{
	char reason[FRAME_REASON_MAX];
	struct frame *f = x->frame;

	suspect(p, x);
	x->charged = true;
	f->try += f->try < INT32_MAX;
	x->deaths++;
	if (c->config.max_tries <= 0 || x->deaths < c->config.max_tries || f->status != FRAME_OK)
		return;
	snprintf(reason, sizeof reason, "%d workers died or hung over this frame: no more try it",
		 x->deaths);
	core_note(c, 0, "%s %llu: %s", f->source, (unsigned long long)f->seq, reason);
	c->do_->buried(c->context, f, reason);
	make_fail(c, x, FRAME_DEAD, reason);
	x->alone = false;
	c->counts.tombstones++;
}

/* What this peer had begun, by its word, and not finished. */
static struct parcel *blame_begun(struct link_core *c, struct peer *p)
{
	struct parcel *x = p->sent.first;

	while (x && x->link_seq < p->working_first)
		x = x->next;
	for (; x && x->link_seq <= p->working; x = x->next)
		blame(c, p, x);
	return x;
}

/* Who may have been the end of this peer: what it had begun, or the one after, which it may have
 * begun without our hearing of it: that one is not counted, but goes alone from now on. A frame that
 * was alone there is counted in any case; not with one that leaves, whom it may never have reached. Nothing is said of a peer that never says what it begins,
 * a sink. */
static void blame_suspects(struct link_core *c, struct peer *p)
{
	struct parcel *x = p->sent.first;

	if (!p->died || !x)
		return;
	if (x->alone && !p->leaving)
		blame(c, p, x);
	else if (p->working && (x = blame_begun(c, p)) && !p->leaving)
		suspect(p, x);
}

static void acquit(const struct parcels *list, uint64_t instance)
{
	for (struct parcel *x = list->first; x; x = x->next) {
		if (x->blamed != instance || x->frame->status == FRAME_DEAD)
			continue;
		x->blamed = 0;
		x->deaths -= x->charged;
		x->frame->try -= x->charged;
		x->charged = false;
		x->alone = x->deaths > 0;
	}
}

/* All that a peer had goes to the others. */
void send_requeue(struct link_core *c, struct peer *p)
{
	blame_suspects(c, p);
	while (p->sent.last)
		take_back(c, p, p->sent.last);
	p->working = p->working_first = 0;
}

/* It lives, but its work does not end: its frames go to others as if it had died of what it has begun,
 * and it gets nothing new until it says that it is through with it. What it still acknowledges of
 * what was taken back means nothing. */
static void hang(struct link_core *c, struct peer *p, uint64_t busy_ms)
{
	core_note(c, 0, "%s (%s) works on one frame for %llu ms: its frames go to others",
		  p->hello.stage, p->hello.worker, (unsigned long long)busy_ms);
	p->hung = true;
	c->counts.hung++;
	if (p->working)
		blame_begun(c, p);
	for (struct parcel *x = p->sent.first; x; x = x->next)
		x->blamed = 0; /* it did not only seem so */
	while (p->sent.last)
		take_back(c, p, p->sent.last);
}

void send_state(struct link_core *c, struct peer *p, const struct message *m)
{
	uint64_t busy_ms = m->as.state.busy_ms;
	bool over = c->config.work_ns > 0 && busy_ms >= (uint64_t)c->config.work_ns / 1000000;

	if (over && !p->hung)
		hang(c, p, busy_ms);
	else if (p->hung && !over)
		core_note(c, 0, "%s (%s) has come to its end with it", p->hello.stage,
			  p->hello.worker);
	p->hung = over;
	p->over = strcmp(m->as.state.state, "over") == 0;
}

void send_up(struct link_core *c, int peer)
{
	struct peer *p = c->peer[peer];

	p->confirmed = p->told = 0;
	/* It was only cut off, not dead: no frame is to blame. */
	acquit(&c->pending, instance_of(p));
	for (int i = 0; i < c->peer_count; i++)
		acquit(&c->peer[i]->sent, instance_of(p));
}

static struct parcel *find_sent(const struct peer *p, uint64_t link_seq)
{
	struct parcel *x = p->sent.first;

	while (x && x->link_seq < link_seq)
		x = x->next;
	return x && x->link_seq == link_seq ? x : NULL;
}

/* What the ranges name is settled, or taken back. Ranges are somebody's word: what they name beyond
 * what we sent means nothing. */
static void each_in_ranges(struct link_core *c, struct peer *p, const struct message *m,
			   void (*act)(struct link_core *, struct peer *, struct parcel *))
{
	for (int i = 0; i < m->as.ranges.count; i++) {
		const struct message_range *r = &m->as.ranges.range[i];
		struct parcel *next, *x = p->sent.first;
		for (; x && x->link_seq <= r->last; x = next) {
			next = x->next;
			if (x->link_seq >= r->first)
				act(c, p, x);
		}
	}
}

/* A frame that the receiver cannot use, now or ever, becomes an error row. One that is an error row
 * already and is refused again cannot be delivered at all. */
static void on_nak(struct link_core *c, struct peer *p, const struct message *m)
{
	struct parcel *x = find_sent(p, m->link_seq);

	if (!x)
		return;
	if (m->code != CODE_BUSY) {
		if (x->frame->status != FRAME_OK) {
			core_break(c, EX_DATAERR, "%s refuses an error row: %s", p->hello.stage,
				   m->as.text);
			return;
		}
		make_fail(c, x, FRAME_ERROR, m->as.text[0] ? m->as.text : "refused downstream");
	}
	take_back(c, p, x);
}

void send_message(struct link_core *c, int peer, const struct message *m)
{
	struct peer *p = c->peer[peer];

	switch (m->kind) {
	case MESSAGE_CREDIT:
		if (m->upto > p->upto)
			p->upto = m->upto;
		return;
	case MESSAGE_WORK:
		p->working = m->link_seq; /* the ones before the first are finished */
		p->working_first = m->first && m->first < m->link_seq ? m->first : m->link_seq;
		return;
	case MESSAGE_ACK:
		each_in_ranges(c, p, m, settle);
		return;
	case MESSAGE_NAK:
		on_nak(c, p, m);
		return;
	default:
		return;
	}
}

/* A receiver goes: what it has not started is free for others, the rest it will still answer. */
void send_bye(struct link_core *c, int peer, const struct message *m)
{
	struct peer *p = c->peer[peer];

	p->leaving = true;
	each_in_ranges(c, p, m, take_back);
}
