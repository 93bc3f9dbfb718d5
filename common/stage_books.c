/* The books: what a source says of its runs beyond the frames, and what a sink hears of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/stage_private.h"

static int tell(struct stage *s, enum command_kind kind, const struct command_note *note)
{
	struct command command = { .kind = kind };
	int result = -1;

	if (stage_started(s) < 0)
		return -1;
	command.as.note = malloc(sizeof *note);
	if (!command.as.note)
		return -1;
	*command.as.note = *note;
	pthread_mutex_lock(&s->box.lock);
	if (!s->box.broken)
		result = mailbox_command(&s->box, &command);
	link_ring(s->link);
	pthread_mutex_unlock(&s->box.lock);
	if (result < 0)
		free(command.as.note);
	return result;
}

int stage_announce(struct stage *s, const char *source, uint64_t run, uint64_t total)
{
	struct command_note note = { .run = run, .first = total };

	snprintf(note.source, sizeof note.source, "%s", source);
	return tell(s, COMMAND_ANNOUNCE, &note);
}

int stage_drop(struct stage *s, const char *source, uint64_t run, uint64_t first, uint64_t last,
	       const char *reason)
{
	struct command_note note = { .run = run, .first = first, .last = last };

	snprintf(note.source, sizeof note.source, "%s", source);
	snprintf(note.reason, sizeof note.reason, "%s", reason);
	return tell(s, COMMAND_DROP, &note);
}

int stage_resume(struct stage *s, const char *source, uint64_t run, uint64_t emitted,
		 uint64_t dropped, bool ended)
{
	struct command_note note = {
		.run = run, .first = emitted, .last = dropped, .ended = ended
	};

	snprintf(note.source, sizeof note.source, "%s", source);
	return tell(s, COMMAND_RESUME, &note);
}

/* A copy of a ring; NULL inside if it is empty. */
static int copy_ring(struct stage *s, const struct ring *r, void **copy)
{
	size_t count = 0;

	free(*copy);
	*copy = NULL;
	if (!s->opened)
		return 0;
	pthread_mutex_lock(&s->box.lock);
	if (r->count && (*copy = malloc(r->count * r->item)))
		for (; count < r->count; count++)
			memcpy((char *)*copy + count * r->item,
			       r->data + (r->head + count) % r->capacity * r->item, r->item);
	pthread_mutex_unlock(&s->box.lock);
	return (int)count;
}

int stage_totals(struct stage *s, const struct stage_total **totals)
{
	void *copy = s->totals;
	int count = copy_ring(s, &s->box.totals, &copy);

	*totals = s->totals = copy;
	return count;
}

int stage_drops(struct stage *s, const struct stage_dropped **drops)
{
	void *copy = s->drops;
	int count = copy_ring(s, &s->box.drops, &copy);

	*drops = s->drops = copy;
	return count;
}

int stage_drops_done(struct stage *s, int count)
{
	struct command command = { .kind = COMMAND_DONE };
	struct stage_dropped d;
	int result = 0;

	pthread_mutex_lock(&s->box.lock);
	for (int i = 0; i < count && ring_get(&s->box.drops, &d); i++) {
		command.as.delivery = d.origin;
		if (mailbox_command(&s->box, &command) < 0)
			result = -1; /* it comes again, and is known */
	}
	link_ring(s->link);
	pthread_mutex_unlock(&s->box.lock);
	return result;
}
