/* The queue and the way into it; spool_take.c is the way out. */
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
