/* What there is no room for. A drop is written where the dropped pictures were, in place, so that it
 * needs no room and what it says is on the disk in the same moment: there is no instant at which
 * they are neither in the spool nor counted. Drops that touch become one. */
#include "capture/spool_private.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

/* --- the oldest --------------------------------------------------------------------------------- */

/* What of a segment may be dropped: everything from `at` on. */
struct rest {
	uint64_t at, first, last;
	uint64_t pictures;
	uint64_t dropped; /* in drops that are there already */
	bool any;
};

static void look_at_rest(const struct seg *seg, struct rest *rest)
{
	uint64_t at = seg->read > seg->floor ? seg->read : seg->floor;
	struct record r;

	*rest = (struct rest){ .at = at };
	while (at < seg->end) {
		if (spool_look(seg, at, &r) < 0) { /* what is damaged goes with the others */
			at = segment_seek(seg->fd, at, seg->end);
			continue;
		}
		uint64_t count = r.last - r.seq + 1;
		rest->first = rest->any ? rest->first : r.seq;
		rest->any = true;
		rest->last = r.last;
		rest->pictures += !r.dropped;
		rest->dropped += r.dropped ? count : 0;
		at += r.bytes;
		frame_free(&r.frame);
	}
}

static bool continues(const struct seg *seg, uint64_t first, enum spool_why why)
{
	return seg->tail && seg->tail >= seg->read && seg->tail_last + 1 == first &&
	       seg->tail_why == why;
}

static int write_tail(struct seg *seg, uint64_t at, uint64_t first, uint64_t last,
		      enum spool_why why)
{
	const struct segment_facts *facts = &seg->run->facts;

	if (segment_write_drop(seg->fd, at, facts->source, facts->run, first, last,
			       spool_why_text(why)) < 0)
		return -1;
	seg->tail = at;
	seg->tail_first = first;
	seg->tail_last = last;
	seg->tail_why = why;
	seg->dirty = true;
	return 0;
}

static void cut(struct spool *s, struct seg *seg, uint64_t end)
{
	if (ftruncate(seg->fd, (off_t)end) < 0)
		log_debug("cannot cut a file of the spool: %s", strerror(errno));
	s->used -= seg->end - end;
	seg->end = end;
	seg->dirty = true;
}

/* An empty segment stays, and what came before it will go first: that it once held more would be
 * forgotten with that. */
static void begin_later(struct seg *seg, uint64_t seq)
{
	struct segment_facts read, *facts = &seg->run->facts;

	seg->begin = seq;
	if (seg != seg->run->last) {
		facts = &read;
		if (segment_facts(seg->fd, facts, NULL) < 0)
			return;
	}
	facts->begin = seq;
	if (segment_note(seg->fd, facts) < 0)
		log_debug("cannot note a drop: %s", strerror(errno));
}

/* Into the drop with which the segment before ends, and out of this one. A kill in between leaves
 * both, and then what is in this one is known to be dropped already. */
static bool join(struct spool *s, struct seg *seg, const struct rest *rest, enum spool_why why)
{
	struct seg *before = seg->previous;

	if (!before || before->run != seg->run || !continues(before, rest->first, why) ||
	    write_tail(before, before->tail, before->tail_first, rest->last, why) < 0)
		return false;
	before->dropped += rest->last - rest->first + 1;
	if (seg != seg->run->last && seg->taken == 0) {
		spool_remove(s, seg);
		return true;
	}
	cut(s, seg, rest->at);
	seg->tail = 0;
	begin_later(seg, rest->last + 1);
	return true;
}

static bool drop_rest(struct spool *s, struct seg *seg, const struct rest *rest, enum spool_why why)
{
	bool whole = rest->at == SEGMENT_BLOCK;

	seg->waiting -= rest->pictures < seg->waiting ? rest->pictures : seg->waiting;
	seg->dropped -= rest->dropped < seg->dropped ? rest->dropped : seg->dropped;
	if (whole && join(s, seg, rest, why))
		return true;
	if (write_tail(seg, rest->at, rest->first, rest->last, why) < 0)
		return false;
	cut(s, seg, rest->at + SEGMENT_BLOCK);
	seg->dropped += rest->last - rest->first + 1;
	return true;
}

uint64_t spool_drop_oldest(struct spool *s, enum spool_why why)
{
	struct rest rest;
	uint64_t count = 0;

	pthread_mutex_lock(&s->lock);
	for (struct seg *seg = s->first; seg && count == 0; seg = seg->next) {
		if (seg->waiting == 0)
			continue;
		look_at_rest(seg, &rest);
		if (rest.pictures == 0)
			continue;
		struct run *run = seg->run;
		count = rest.last - rest.first + 1 - rest.dropped;
		if (!drop_rest(s, seg, &rest, why))
			count = 0;
		run->dropped += count;
		break;
	}
	pthread_mutex_unlock(&s->lock);
	return count;
}

/* --- the newest --------------------------------------------------------------------------------- */

/* A record of a drop at the end of the queue, or in the one that stands there. */
static int add_tail(struct spool *s, uint64_t first, uint64_t last, enum spool_why why)
{
	struct seg *seg = s->last;

	if (continues(seg, first, why)) {
		if (write_tail(seg, seg->tail, seg->tail_first, last, why) < 0)
			return -1;
	} else {
		if (write_tail(seg, seg->end, first, last, why) < 0) {
			int saved = errno;
			if (ftruncate(seg->fd, (off_t)seg->end) < 0)
				log_debug("cannot cut a file of the spool: %s", strerror(errno));
			errno = saved;
			return -1;
		}
		seg->end += SEGMENT_BLOCK;
		s->used += SEGMENT_BLOCK;
	}
	seg->dropped += last - first + 1;
	return 0;
}

static void note_lost(struct spool *s)
{
	struct run *run = s->current;

	if (segment_note(run->last->fd, &run->facts) < 0)
		log_debug("cannot note a drop: %s", strerror(errno));
	run->last->dirty = true;
}

int spool_add_lost(struct spool *s)
{
	struct run *run = s->current;
	struct segment_facts *facts = &run->facts;

	if (facts->lost_end == 0 || run->expected >= facts->lost_end)
		return 0;
	uint64_t first = run->expected > facts->lost_first ? run->expected : facts->lost_first;
	if (add_tail(s, first, facts->lost_end - 1, (enum spool_why)facts->lost_why) < 0)
		return -1;
	facts->lost_first = facts->lost_end = 0;
	note_lost(s);
	return 0;
}

void spool_lost_settled(struct spool *s)
{
	struct run *run = s->current;

	if (run->facts.lost_end == 0 || run->expected <= run->facts.lost_first)
		return;
	run->facts.lost_first = run->expected;
	if (run->expected >= run->facts.lost_end)
		run->facts.lost_first = run->facts.lost_end = 0;
	note_lost(s);
}

void spool_drop_this(struct spool *s, const struct frame *f, enum spool_why why)
{
	struct run *run = s->current;
	struct segment_facts *facts = &run->facts;

	pthread_mutex_lock(&s->lock);
	run->emitted = f->seq + 1;
	run->dropped++;
	if (spool_add_lost(s) < 0 || add_tail(s, f->seq, f->seq, why) < 0) {
		if (facts->lost_end != f->seq || facts->lost_end == 0)
			facts->lost_first = f->seq;
		facts->lost_end = f->seq + 1;
		facts->lost_why = why;
		note_lost(s);
	}
	pthread_mutex_unlock(&s->lock);
}
