/* The way out of the queue: what goes on is noted as taken, and stays until it is acknowledged. */
#include "capture/spool_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Note that it is under way. 0, or -1: no memory. */
static int note_taken(struct spool *s, struct seg *seg, uint64_t seq, uint64_t offset,
		      uint64_t bytes)
{
	if (s->taken_count == s->taken_capacity) {
		size_t capacity = s->taken_capacity ? 2 * s->taken_capacity : 64;
		struct taken *more = realloc(s->taken, capacity * sizeof *more);
		if (!more)
			return -1;
		s->taken = more;
		s->taken_capacity = capacity;
	}
	s->taken[s->taken_count++] = (struct taken){ seg, seg->run->facts.run, seq, offset, bytes };
	s->taken_bytes += bytes;
	seg->taken++;
	return 0;
}

static void give_drop(struct spool *s, const struct run *run, uint64_t first, uint64_t last,
		      const char *reason, struct spool_item *item)
{
	snprintf(s->source, sizeof s->source, "%s", run->facts.source);
	snprintf(s->reason, sizeof s->reason, "%s", reason);
	*item = (struct spool_item){ .source = s->source,
				     .reason = s->reason,
				     .run = run->facts.run,
				     .first = first,
				     .last = last };
}

/* Pictures up to `next` should have come by now and are not there. The segment that begins before them
 * stays until that is acknowledged: it is the evidence. */
static int take_missing(struct spool *s, struct seg *seg, uint64_t next, struct spool_item *item)
{
	struct run *run = seg->run;
	struct seg *before = seg;

	while (before->begin > run->expected && before->previous && before->previous->run == run)
		before = before->previous;
	bool counted = run == s->current && run->expected < run->facts.lost_end;

	if (note_taken(s, before, run->expected, 0, 0) < 0)
		return -1;
	give_drop(s, run, run->expected, next - 1,
		  spool_why_text(run->expected < run->facts.lost_end ? run->facts.lost_why
								     : SPOOL_WHY_LOST),
		  item);
	before->dropped += next - run->expected;
	run->dropped += counted ? 0 : next - run->expected;
	run->expected = next;
	return 1;
}

static int read_payload(struct spool *s, const struct taken *t, struct record *r,
			struct spool_item *item)
{
	if (r->size.payload > s->buffer_size) {
		uint8_t *more = malloc(r->size.payload);
		if (!more)
			return -1;
		free(s->buffer);
		s->buffer = more;
		s->buffer_size = r->size.payload;
	}
	item->frame = r->frame;
	item->bytes = s->buffer;
	item->size = r->size.payload;
	item->unread = r->frame->status != FRAME_OK;
	r->frame = NULL;
	if (segment_payload(t->seg->fd, t->offset, r, s->buffer) == 0)
		return 1;
	frame_free(&item->frame);
	pthread_mutex_lock(&s->lock);
	t->seg->dropped++;
	t->seg->run->dropped++;
	give_drop(s, t->seg->run, r->seq, r->seq, spool_why_text(SPOOL_WHY_DAMAGED), item);
	pthread_mutex_unlock(&s->lock);
	return 1;
}

/* Take the record where the segment is to be read (lock held): 1, 0 look again, -1 no memory. */
static int take_record(struct spool *s, struct seg *seg, struct record *r, struct spool_item *item)
{
	uint64_t offset = seg->read;
	struct run *run = seg->run;

	if (spool_look(seg, offset, r) < 0) {
		seg->read = segment_seek(seg->fd, offset, seg->end);
		return 0;
	}
	if (r->seq > run->expected) {
		frame_free(&r->frame);
		return take_missing(s, seg, r->seq, item);
	}
	bool known = r->settled || r->last < run->expected;
	if (!known && note_taken(s, seg, r->seq, offset, r->bytes) < 0) {
		frame_free(&r->frame);
		return -1;
	}
	seg->read += r->bytes;
	seg->waiting -= !r->dropped && !r->settled && seg->waiting > 0;
	run->expected = r->last < run->expected ? run->expected : r->last + 1;
	if (known) {
		frame_free(&r->frame);
		return 0;
	}
	if (!r->dropped)
		return 1;
	give_drop(s, run, r->seq, r->last, r->frame->reason, item);
	frame_free(&r->frame);
	return 1;
}

/* The next item (lock held): 1, 0 none, -1 no memory. A picture's frame is still in *r. */
static int take_next(struct spool *s, struct record *r, struct spool_item *item)
{
	int got;

	for (struct seg *seg = s->first; seg; seg = seg->next) {
		struct run *run = seg->run;
		while (seg->read < seg->end)
			if ((got = take_record(s, seg, r, item)) != 0)
				return got;
		seg->waiting = 0;
		if (seg == run->last && run->expected < run->emitted)
			return take_missing(s, seg, run->emitted, item);
	}
	spool_clean(s);
	return 0;
}

int spool_take(struct spool *s, struct spool_item *item, struct err *e)
{
	struct record r = { 0 };
	struct taken t = { 0 };

	memset(item, 0, sizeof *item);
	pthread_mutex_lock(&s->lock);
	s->held_back = s->taken_bytes > s->limit / 2;
	int got = s->held_back ? 2 : take_next(s, &r, item);
	if (got == 1)
		t = s->taken[s->taken_count - 1];
	pthread_mutex_unlock(&s->lock);
	if (got == 1 && r.frame)
		got = read_payload(s, &t, &r, item);
	frame_free(&r.frame);
	return got < 0 ? err_code(e, EX_TEMPFAIL, "no memory for the spool") : got;
}

bool spool_acked(struct spool *s, uint64_t run, uint64_t seq)
{
	size_t i = 0;
	bool freed = false;

	pthread_mutex_lock(&s->lock);
	while (i < s->taken_count && (s->taken[i].run != run || s->taken[i].seq != seq))
		i++;
	if (i < s->taken_count) {
		struct taken t = s->taken[i];
		memmove(s->taken + i, s->taken + i + 1,
			(s->taken_count - i - 1) * sizeof *s->taken);
		s->taken_count--;
		s->taken_bytes -= t.bytes;
		freed = s->held_back && s->taken_bytes <= s->limit / 2;
		t.seg->taken--;
		if (t.offset)
			segment_settle(t.seg->fd, t.offset);
		else if (t.run == s->current->facts.run)
			spool_lost_settled(s);
		spool_clean(s);
	}
	pthread_mutex_unlock(&s->lock);
	return freed;
}

uint64_t spool_waiting(struct spool *s)
{
	uint64_t sum = 0;

	pthread_mutex_lock(&s->lock);
	for (const struct seg *seg = s->first; seg; seg = seg->next)
		sum += seg->waiting;
	pthread_mutex_unlock(&s->lock);
	return sum;
}

int spool_total(struct spool *s, struct spool_total *total)
{
	struct run *run = s->runs;
	int found = 0;

	pthread_mutex_lock(&s->lock);
	while (run != s->current && (run->last ? run->told : run->told_end))
		run = run->next;
	if (run != s->current) {
		bool ended = !run->last;
		*total = (struct spool_total){ .run = run->facts.run,
					       .emitted = run->emitted,
					       .dropped = run->dropped - (ended ? 0 : run->resent),
					       .ended = ended };
		if (total->dropped > total->emitted) /* no honest spool */
			total->dropped = total->emitted;
		memcpy(total->source, run->facts.source, sizeof total->source);
		run->told = true;
		run->told_end = ended;
		found = 1;
	}
	pthread_mutex_unlock(&s->lock);
	return found;
}
