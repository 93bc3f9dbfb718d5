/* What is known of every (source, run). Each change has a version; downstreams are told what is
 * newer than what they were told last, and confirm a version. */
#include "common/link_core_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int total_find(const struct link_core *c, const char *source, uint64_t run)
{
	for (int k = 0; k < c->total_count; k++) {
		int i = (c->last_total + k) % c->total_count;
		const struct message_total *t = &c->total[i].is;
		if (t->run == run && strcmp(t->source, source) == 0)
			return i;
	}
	return -1;
}

/* The row of (source, run), made if need be; NULL: no memory, or a peer that invents sources. */
static struct total *total_of(struct link_core *c, const char *source, uint64_t run)
{
	int i = total_find(c, source, run);

	if (i >= 0) {
		c->last_total = i;
		return &c->total[i];
	}
	if (c->total_count == c->total_capacity) {
		int capacity = c->total_capacity ? 2 * c->total_capacity : 16;
		struct total *more = realloc(c->total, (size_t)capacity * sizeof *more);
		if (!more || capacity > TOTALS_MAX) {
			c->total = more ? more : c->total;
			core_break(c, EX_TEMPFAIL, "more than %d sources", c->total_count);
			return NULL;
		}
		c->total = more;
		c->total_capacity = capacity;
	}
	struct total *t = &c->total[c->total_count++];
	*t = (struct total){ .is.run = run };
	snprintf(t->is.source, sizeof t->is.source, "%s", source);
	return t;
}

bool totals_cover(const struct link_core *c, const char *source, uint64_t run, uint64_t seq)
{
	int i = c->total_count ? total_find(c, source, run) : -1;
	const struct message_total *t = i >= 0 ? &c->total[i].is : NULL;

	return t && t->ended && seq >= t->first && seq - t->first < t->emitted;
}

/* What a source emits, it counts here. */
void totals_note_sent(struct link_core *c, const struct frame *f, bool dropped, uint64_t last)
{
	struct total *t = total_of(c, f->source, f->run);
	uint64_t end = dropped ? last : f->seq;

	if (!t)
		return;
	if (!t->own || t->is.emitted == 0) {
		t->own = true;
		t->is.first = f->seq;
	}
	if (f->seq < t->is.first) {
		t->is.emitted += t->is.first - f->seq;
		t->is.first = f->seq;
	}
	if (end - t->is.first + 1 > t->is.emitted)
		t->is.emitted = end - t->is.first + 1;
	if (dropped)
		t->is.dropped += last - f->seq + 1;
}

void link_core_announce(struct link_core *c, const char *source, uint64_t run, uint64_t total)
{
	struct total *t = total_of(c, source, run);

	if (!t)
		return;
	t->own = true;
	t->is.expected = total;
	t->version = ++c->version;
	end_step(c);
}

void link_core_resume(struct link_core *c, const char *source, uint64_t run, uint64_t emitted,
		      uint64_t dropped, bool ended, int64_t now)
{
	struct total *t = total_of(c, source, run);

	core_wake(c, now);
	if (!t || t->is.ended)
		return;
	t->own = true;
	t->is.first = 0;
	t->is.emitted = emitted;
	t->is.dropped = dropped;
	if (!ended)
		return;
	t->is.ended = true;
	t->version = ++c->version;
	end_step(c);
}

static bool same(const struct message_total *a, const struct message_total *b)
{
	return a->ended == b->ended && a->first == b->first && a->emitted == b->emitted &&
	       a->dropped == b->dropped && a->dead == b->dead && a->expected == b->expected;
}

/* A later session's word replaces an earlier one's, but what has ended stays ended. */
void totals_merge(struct link_core *c, const struct message_total *said)
{
	struct total *t = total_of(c, said->source, said->run);

	if (!t || (t->is.ended && !said->ended))
		return;
	if (t->version && same(&t->is, said))
		return;
	t->is = *said;
	t->version = ++c->version;
	c->do_->total(c->context, said);
}

/* Is every source that we have heard of at its end, and so all of it durable? Then nothing is
 * missed for the lack of an upstream that has died. */
bool totals_all_ended(const struct link_core *c)
{
	for (int i = 0; i < c->total_count; i++)
		if (!c->total[i].is.ended)
			return false;
	return c->total_count > 0;
}
