/* The end of the stream: who has ended, who has been told, who must wait for whom. */
#include "common/link_core_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- in from upstream --------------------------------------------------------------------------- */

void end_eos(struct link_core *c, int peer, const struct message *m)
{
	struct peer *p = c->peer[peer];
	const struct message_eos *eos = &m->as.eos;

	for (int i = 0; i < eos->count; i++)
		totals_merge(c, &eos->total[i]);
	if (eos->more || eos->id < p->eos_id)
		return;
	p->eos_id = eos->id;
	p->eos_need = c->version;
	p->eos_owed = true;
	if (eos->end) {
		p->ended = true;
		c->ended_at = c->now;
		c->endpoint[p->endpoint].ended = true;
	}
}

static void lonely(const struct link_core *c, int64_t *since, bool alone)
{
	if (!alone)
		*since = 0;
	else if (*since == 0)
		*since = c->now;
}

/* Long enough without anything before it, and as long after the end of another: an upstream that
 * died and came back when its own upstream had ended and gone would never say so. */
static bool is_leftover(const struct link_core *c, int64_t idle_at)
{
	int64_t since = idle_at > c->ended_at ? idle_at : c->ended_at;

	return idle_at && c->ended_at && c->now - since >= c->config.grace_ns;
}

static bool endpoint_over(struct link_core *c, int e)
{
	struct endpoint *at = &c->endpoint[e];

	if (at->connects) {
		const struct peer *p = c->peer[at->peer];
		lonely(c, &at->idle_at, !peer_live(p));
		if (p->phase == PEER_CLOSED || p->ended)
			return true;
		if (!peer_live(p) && at->seen && c->ended_at && totals_all_ended(c))
			return true;
		return is_leftover(c, peer_live(p) ? p->idle_at : at->idle_at);
	}
	for (int i = 0; i < c->peer_count; i++) {
		const struct peer *p = c->peer[i];
		if (p->phase == PEER_UP && p->endpoint == e && !p->ended && !p->leaving &&
		    !is_leftover(c, p->idle_at))
			return false;
	}
	return at->ended && (at->lost_at == 0 || totals_all_ended(c) ||
			     c->now - at->lost_at >= c->config.grace_ns);
}

static void look_at_input(struct link_core *c)
{
	int open = 0, known = 0;

	if (c->input_over || c->config.more_upstreams)
		return;
	for (int e = 0; e < c->endpoint_count; e++)
		if (c->endpoint[e].upstream) {
			known++;
			open += !endpoint_over(c, e);
		}
	bool behind = over_behind(c);
	if (open > 0 && !behind)
		return;
	if (behind) {
		core_note(c, 1, "the stream has ended, says the stage downstream");
		c->settled = true;
	} else if (!c->ended_at && !totals_all_ended(c)) {
		core_break(c, EX_TEMPFAIL, "%s",
			   known ? "the stage upstream is gone before the end of its stream"
				 : "the stage upstream ended without giving its address");
		return;
	}
	c->input_over = true;
	c->do_->ended(c->context);
}

void link_core_no_more(struct link_core *c, int64_t now)
{
	core_wake(c, now);
	c->config.more_upstreams = false;
	end_step(c);
}

void link_core_deserted(struct link_core *c, int64_t now)
{
	core_wake(c, now);
	c->deserted = true;
	end_step(c);
}

/* --- out to downstream -------------------------------------------------------------------------- */

static bool is_receiver(const struct link_core *c, const struct peer *p)
{
	return peer_live(p) && !peer_upstream(c, p) && !p->leaving;
}

bool link_core_waits(const struct link_core *c)
{
	return c->closing || c->leaving || c->pending.count > 0 || c->down_lonely ||
	       !link_core_room(c, 1);
}

/* At the end nobody waits for one that is hung. */
static int receivers(const struct link_core *c)
{
	int n = 0;

	for (int i = 0; i < c->peer_count; i++)
		n += is_receiver(c, c->peer[i]) && !(c->ending && c->peer[i]->hung);
	return n;
}

/* All rows that are newer than what this session was told, in as many messages as it takes. */
static void tell(struct link_core *c, int peer)
{
	struct peer *p = c->peer[peer];
	struct message m = { .kind = MESSAGE_EOS, .as.eos = { .id = c->version } };
	struct message_eos *eos = &m.as.eos;

	for (int i = 0; i < c->total_count; i++) {
		if (c->total[i].version <= p->told)
			continue;
		if (eos->count == WIRE_TOTALS_MAX) {
			eos->more = true;
			core_say(c, peer, &m);
			eos->count = 0;
		}
		eos->total[eos->count++] = c->total[i].is;
	}
	eos->more = false;
	eos->end = c->ending;
	p->told = c->version;
	core_say(c, peer, &m);
}

void end_eos_ack(struct link_core *c, struct peer *p, const struct message *m)
{
	uint64_t id = m->as.eos.id;

	if (id > p->told || id <= p->confirmed)
		return;
	p->confirmed = id;
	if (id > c->confirmed)
		c->confirmed = id;
}

/* Has every downstream that lives, and one at least, confirmed this version? */
static bool confirmed(const struct link_core *c, uint64_t version)
{
	if (c->confirmed < version)
		return false;
	for (int i = 0; i < c->peer_count; i++)
		if (is_receiver(c, c->peer[i]) && !c->peer[i]->hung &&
		    c->peer[i]->confirmed < version)
			return false;
	return true;
}

/* Our own end: said once nothing is owed any more. */
static void begin_end(struct link_core *c)
{
	if (!c->closing || c->ending || c->leaving || c->pending.count || c->unacked)
		return;
	for (int i = 0; i < c->total_count; i++)
		if (c->total[i].own && !c->total[i].is.ended) {
			c->total[i].is.ended = true;
			c->total[i].version = ++c->version;
		}
	c->ending = true;
	c->end_version = ++c->version;
}

/* Nobody is there to hear the end: everything is durable, so wait only for one that may return. */
static bool nobody_to_tell(const struct link_core *c)
{
	return c->ending && c->down_lonely &&
	       (c->deserted || c->now - c->down_lonely >= c->config.grace_ns);
}

static bool output_done(struct link_core *c)
{
	if (!c->config.pushes)
		return c->closing;
	if (c->leaving)
		return c->closing && c->pending.count == 0 && c->unacked == 0;
	if (c->ending && confirmed(c, c->end_version))
		return true;
	if (!nobody_to_tell(c))
		return false;
	core_note(c, 0, "every frame is stored, but nobody downstream is left to hear the end");
	return true;
}

/* --- closing ------------------------------------------------------------------------------------ */

static void answer_upstream(struct link_core *c)
{
	for (int i = 0; i < c->peer_count; i++) {
		struct peer *p = c->peer[i];
		if (!p->eos_owed || !peer_live(p) || !peer_upstream(c, p))
			continue;
		bool last = p->ended && c->input_over && !c->leaving;
		if (last ? !c->done_at : c->config.pushes && !confirmed(c, p->eos_need))
			continue;
		struct message m = { .kind = MESSAGE_EOS_ACK, .as.eos.id = p->eos_id };
		p->eos_owed = false;
		receive_flush(c, i);
		core_say(c, i, &m);
	}
}

static void say_bye(struct link_core *c)
{
	if (c->said_bye)
		return;
	c->said_bye = true;
	for (int i = 0; i < c->peer_count; i++)
		if (peer_live(c->peer[i]) && !peer_upstream(c, c->peer[i]))
			core_bye(c, i, c->leaving ? CODE_LEAVING : CODE_DONE, "");
}

/* May we go, or is there an upstream that has not heard of our acknowledgement yet? */
static bool upstreams_content(struct link_core *c)
{
	int64_t waited = c->now - c->done_at;

	if (waited >= 3 * c->config.grace_ns)
		return true;
	if (c->leaving)
		return receive_heard(c);
	for (int i = 0; i < c->peer_count; i++) {
		const struct peer *p = c->peer[i];
		if (p->phase == PEER_FREE || !peer_upstream(c, p) || p->parted)
			continue;
		if (peer_live(p) && !p->leaving)
			return false;
		/* Connected, ended and lost, or leaving: it, or who takes its place, may be on the way
		 * back to hear it. */
		if (c->endpoint[p->endpoint].ended && p->phase != PEER_CLOSED &&
		    p->phase != PEER_IGNORED && c->endpoint[p->endpoint].connects &&
		    waited < c->config.grace_ns)
			return false;
	}
	/* Or lost: if the source knows of the end, we stay only to tell that to whoever takes the place
	 * of one that was lost just now. */
	for (int e = 0; e < c->endpoint_count; e++) {
		const struct endpoint *at = &c->endpoint[e];
		int64_t lost = at->lost_at > at->lost_ended_at ? at->lost_at : at->lost_ended_at;
		if (at->upstream && lost &&
		    c->now - (c->settled ? lost : c->done_at) < c->config.grace_ns)
			return false;
	}
	return true;
}

void link_core_close(struct link_core *c, int64_t now)
{
	core_wake(c, now);
	c->closing = true;
	end_step(c);
}

/* --- loneliness --------------------------------------------------------------------------------- */

/* All upstreams have said that all is stored and gone, and this stage still works on a frame: it was
 * taken for hung, and others have done its work. Four beats to come to its end, then it is over. */
static void look_back(struct link_core *c)
{
	int parted = 0, others = 0;

	for (int i = 0; i < c->peer_count; i++) {
		const struct peer *p = c->peer[i];
		if (!peer_upstream(c, p))
			continue;
		parted += p->parted;
		others += !p->parted &&
			  (peer_live(p) || (peer_connects(c, p) && p->phase != PEER_CLOSED));
	}
	lonely(c, &c->settled_at, c->config.pushes && c->working_count && parted && !others);
	if (c->settled_at && c->now - c->settled_at >= 4 * core_beat(c))
		core_break(c, EX_TEMPFAIL,
			   "the stream ended without waiting for this stage, which "
			   "works on one frame for too long");
}

static void look_around(struct link_core *c)
{
	int ups = 0;

	for (int i = 0; i < c->peer_count; i++)
		ups += peer_live(c->peer[i]) && peer_upstream(c, c->peer[i]);
	lonely(c, &c->up_lonely, c->config.pulls && !c->input_over && ups == 0);
	lonely(c, &c->down_lonely, c->config.pushes && receivers(c) == 0);
	if (c->done_at)
		return;
	int64_t limit = c->config.orphan_ns;
	if (limit && c->up_lonely && c->now - c->up_lonely >= limit)
		core_break(c, EX_TEMPFAIL, "no stage upstream for %lld s",
			   (long long)(limit / 1000000000));
	else if (c->down_lonely && !c->ending && c->deserted)
		core_break(c, EX_TEMPFAIL, "the stage downstream is gone, and no other can come");
	else if (limit && c->down_lonely && !c->ending && c->now - c->down_lonely >= limit)
		core_break(c, EX_TEMPFAIL, "no stage downstream for %lld s",
			   (long long)(limit / 1000000000));
}

static bool seen(const struct link_core *c, bool upstream)
{
	for (int e = 0; e < c->endpoint_count; e++)
		if (c->endpoint[e].upstream == upstream && c->endpoint[e].seen)
			return true;
	return false;
}

bool link_core_alone(const struct link_core *c, int64_t now)
{
	const int64_t second = 1000000000;

	if (c->finished || c->done_at)
		return false;
	return (c->up_lonely && (!seen(c, true) || now - c->up_lonely >= second)) ||
	       (c->down_lonely && (!seen(c, false) || now - c->down_lonely >= second));
}

void end_step(struct link_core *c)
{
	if (c->finished || c->broken)
		return;
	look_around(c);
	look_back(c);
	look_at_input(c);
	begin_end(c);
	for (int i = 0; i < c->peer_count; i++)
		if (is_receiver(c, c->peer[i]) && c->peer[i]->told < c->version)
			tell(c, i);
	if (!c->done_at && output_done(c))
		c->done_at = c->now;
	answer_upstream(c);
	if (!c->done_at)
		return;
	over_tell(c);
	if (!upstreams_content(c))
		return;
	/* Not before: as long as a source may come back and send all again, everybody after it stays,
	 * since all that they know of its end is in their memory. */
	say_bye(c);
	observe_over(c);
	link_core_flush(c, c->now); /* it is closing: all of it */
	c->finished = true;
	c->do_->finished(c->context);
}

int64_t end_next(const struct link_core *c)
{
	int64_t next = INT64_MAX;
	int64_t grace = c->config.grace_ns, limit = c->config.orphan_ns;
	int64_t due[] = {
		c->up_lonely && limit ? c->up_lonely + limit : INT64_MAX,
		c->down_lonely && limit ? c->down_lonely + limit : INT64_MAX,
		c->down_lonely && c->ending ? c->down_lonely + grace : INT64_MAX,
		c->ended_at && !c->input_over ? c->ended_at + grace : INT64_MAX,
		c->settled_at ? c->settled_at + 4 * core_beat(c) : INT64_MAX,
		c->done_at ? c->done_at + grace : INT64_MAX,
		c->done_at ? c->done_at + 3 * grace : INT64_MAX,
	};

	if (c->finished || c->broken)
		return INT64_MAX;
	for (size_t i = 0; i < sizeof due / sizeof due[0]; i++)
		if (due[i] > c->now && due[i] < next)
			next = due[i];
	for (int e = 0; e < c->endpoint_count; e++) {
		int64_t at = c->endpoint[e].lost_at + grace;
		if (c->endpoint[e].lost_at && at > c->now && at < next)
			next = at;
		at = c->endpoint[e].lost_ended_at + grace;
		if (c->endpoint[e].lost_ended_at && at > c->now && at < next)
			next = at;
		at = c->endpoint[e].idle_at + grace;
		if (c->endpoint[e].idle_at && !c->input_over && at > c->now && at < next)
			next = at;
	}
	return next;
}
