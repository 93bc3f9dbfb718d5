/* The queue. */
#include "capture/spool_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

const char *spool_why_text(uint64_t why)
{
	static const char *const text[] = {
		[SPOOL_WHY_FULL] = "spool full",
		[SPOOL_WHY_DISK] = "the spool's disk is full or broken",
		[SPOOL_WHY_LARGE] = "larger than the whole spool",
		[SPOOL_WHY_LOST] = "lost before it was whole in the spool",
		[SPOOL_WHY_DAMAGED] = "damaged in the spool",
	};

	return why < sizeof text / sizeof text[0] ? text[why] : text[SPOOL_WHY_LOST];
}

void spool_name(char name[SPOOL_NAME], uint64_t run, uint64_t index)
{
	snprintf(name, SPOOL_NAME, "%020" PRIu64 "-%010" PRIu64 ".spool", run, index);
}

uint64_t spool_run(const struct spool *s)
{
	return s->current->facts.run;
}

/* --- segments ----------------------------------------------------------------------------------- */

struct seg *spool_append(struct spool *s, struct run *run, int fd,
			 const struct segment_facts *facts)
{
	struct seg *seg = calloc(1, sizeof *seg);

	if (!seg)
		return NULL;
	*seg = (struct seg){ .run = run,
			     .fd = fd,
			     .index = facts->index,
			     .begin = facts->begin,
			     .end = SEGMENT_BLOCK,
			     .read = SEGMENT_BLOCK,
			     .previous = s->last };
	*(s->last ? &s->last->next : &s->first) = seg;
	s->last = run->last = seg;
	s->used += seg->end;
	return seg;
}

int spool_rotate(struct spool *s)
{
	struct run *run = s->current;
	struct segment_facts facts = run->facts;
	char name[SPOOL_NAME];
	int fd;

	facts.index = run->last ? run->last->index + 1 : 0;
	facts.begin = run->emitted;
	spool_name(name, facts.run, facts.index);
	fd = segment_create(s->dir, name, &facts);
	if (fd < 0)
		return -1;
	if (!spool_append(s, run, fd, &facts)) {
		close(fd);
		unlinkat(s->dir, name, 0);
		errno = ENOMEM;
		return -1;
	}
	run->facts = facts;
	s->last->dirty = s->dir_dirty = true;
	return 0;
}

void spool_remove(struct spool *s, struct seg *seg)
{
	char name[SPOOL_NAME];

	*(seg->previous ? &seg->previous->next : &s->first) = seg->next;
	*(seg->next ? &seg->next->previous : &s->last) = seg->previous;
	if (seg->run->last == seg)
		seg->run->last = NULL;
	s->used -= seg->end;
	spool_name(name, seg->run->facts.run, seg->index);
	unlinkat(s->dir, name, 0);
	close(seg->fd);
	free(seg);
}

/* An earlier run is over: its last file stays, without records, until its end was told. */
static void close_run(struct spool *s, struct seg *seg)
{
	struct run *run = seg->run;

	run->facts.begin = run->emitted;
	run->facts.gone = run->dropped;
	run->facts.gone_index = seg->index + 1;
	run->facts.lost_first = run->facts.lost_end = 0;
	run->facts.state = SEGMENT_CLOSED;
	if (segment_note(seg->fd, &run->facts) < 0 || ftruncate(seg->fd, SEGMENT_BLOCK) < 0)
		log_debug("cannot close a file of the spool: %s", strerror(errno));
	*(seg->previous ? &seg->previous->next : &s->first) = seg->next;
	*(seg->next ? &seg->next->previous : &s->last) = seg->previous;
	s->used -= seg->end;
	run->last = NULL;
	close(seg->fd);
	free(seg);
}

/* In order, so that what is missing between two records is known to be missing. */
void spool_clean(struct spool *s)
{
	struct seg *seg;

	while ((seg = s->first) && seg != s->current->last && seg->read == seg->end &&
	       seg->taken == 0) {
		struct run *run = seg->run;
		uint64_t next = seg == run->last ? run->emitted : seg->next->begin;
		if (run->expected < next)
			return; /* pictures are missing there: that is still to be taken */
		if (seg == run->last) {
			close_run(s, seg);
			continue;
		}
		if (seg->dropped > 0) {
			run->facts.gone += seg->dropped;
			run->facts.gone_index = seg->index + 1;
			if (segment_note(run->last->fd, &run->facts) < 0)
				log_debug("cannot note drops: %s", strerror(errno));
		}
		spool_remove(s, seg);
	}
}

/* --- putting ------------------------------------------------------------------------------------ */

/* A place for a record of so many bytes: SPOOL_KEPT and *to; else *e. */
static int place(struct spool *s, uint64_t bytes, struct seg **to, struct err *e)
{
	if (bytes + 3 * SEGMENT_BLOCK > s->limit) {
		err_set(e, "a picture of %" PRIu64 " MB is larger than the whole spool",
			bytes >> 20);
		return SPOOL_LARGE;
	}
	if ((s->last->end >= s->part && spool_rotate(s) < 0) || spool_add_lost(s) < 0) {
		err_set(e, "cannot write to the spool: %s", strerror(errno));
		return SPOOL_DISK;
	}
	spool_clean(s);
	if (s->used + bytes + SEGMENT_BLOCK > s->limit) {
		err_set(e, "the spool is full (%" PRIu64 " MB)", s->limit >> 20);
		return SPOOL_FULL;
	}
	*to = s->last;
	return SPOOL_KEPT;
}

int spool_put(struct spool *s, const struct frame *f, const void *bytes, size_t size, struct err *e)
{
	const void *payload = size > 0 ? bytes : NULL;
	uint8_t head[ENVELOPE_MOST];
	struct seg *seg;
	int n = envelope_write(f, payload, size, false, 0, head, e), result;

	if (n < 0)
		return SPOOL_DISK;
	uint64_t total = segment_bytes((size_t)n, size);
	pthread_mutex_lock(&s->lock);
	result = place(s, total, &seg, e);
	pthread_mutex_unlock(&s->lock);
	if (result != SPOOL_KEPT)
		return result;
	/* Nobody else touches what is behind the end of the last segment. */
	int wrote = segment_write(seg->fd, seg->end, head, (size_t)n, payload, size);
	if (wrote < 0) {
		err_set(e, "cannot write to the spool: %s", strerror(errno));
		if (ftruncate(seg->fd, (off_t)seg->end) < 0)
			log_debug("cannot cut a file of the spool: %s", strerror(errno));
		return SPOOL_DISK;
	}
	pthread_mutex_lock(&s->lock);
	seg->end += total;
	seg->waiting++;
	seg->tail = 0;
	seg->dirty = true;
	s->used += total;
	s->current->emitted = f->seq + 1;
	pthread_mutex_unlock(&s->lock);
	return SPOOL_KEPT;
}

/* Its record at offset, if it is of this run: 0, or -1. */
int spool_look(const struct seg *seg, uint64_t offset, struct record *r)
{
	const struct segment_facts *facts = &seg->run->facts;

	if (segment_look(seg->fd, offset, seg->end, r) < 0)
		return -1;
	if (r->frame->run == facts->run && strcmp(r->frame->source, facts->source) == 0)
		return 0;
	frame_free(&r->frame);
	return -1;
}

/* --- taking ------------------------------------------------------------------------------------- */

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

/* --- syncing ------------------------------------------------------------------------------------ */

int spool_sync(struct spool *s, struct err *e)
{
	int failed = 0;

	for (;;) {
		pthread_mutex_lock(&s->lock);
		struct seg *seg = s->first;
		while (seg && !seg->dirty)
			seg = seg->next;
		int fd = seg ? dup(seg->fd) : -1; /* it may be removed meanwhile */
		bool dir = s->dir_dirty;
		if (seg)
			seg->dirty = false;
		else
			s->dir_dirty = false;
		pthread_mutex_unlock(&s->lock);
		if (!seg && dir && fsync(s->dir) < 0)
			failed = errno;
		if (!seg)
			break;
		if (fd < 0 || fdatasync(fd) < 0)
			failed = errno;
		if (fd >= 0)
			close(fd);
	}
	return failed ? err_code(e, EX_IOERR, "cannot sync the spool: %s", strerror(failed)) : 0;
}
