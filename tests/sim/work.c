/* The stage of a node: a source that makes frames, a worker that computes, a sink that stores them in rows that
 * all sinks share. */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct frame *make(const struct world *w, int seq)
{
	struct frame *f = frame_new();

	if (!f)
		abort();
	snprintf(f->source, sizeof f->source, "s");
	f->run = 1;
	f->seq = (uint64_t)seq;
	if (seq == w->bad)
		f->status = FRAME_ERROR;
	else
		f->payload = buffer_new(PAYLOAD);
	if (f->payload)
		memcpy(f->payload->data, &f->seq, sizeof f->seq);
	return f;
}

static void source_step(struct world *w, struct node *n)
{
	while (n->emitted < w->frames && link_core_room(n->core, 1)) {
		if (n->emitted == w->first_drop) {
			link_core_drop(n->core, "s", 1, (uint64_t)w->first_drop,
				       (uint64_t)w->last_drop, "full", w->now);
			n->emitted = w->last_drop + 1;
			continue;
		}
		if (n->emitted == 0)
			link_core_announce(n->core, "s", 1, (uint64_t)w->frames);
		link_core_send(n->core, make(w, n->emitted++), w->now);
		if (chance(w, 300)) {
			if (!n->working)
				schedule(w, w->now + n->work_ns, EV_STAGE, n->number, n->life, 0,
					 0);
			n->working = true;
			return;
		}
	}
}

static bool is_worker(const struct world *w, const struct node *n)
{
	return n->number >= w->nodes - w->workers - w->sinks && n->number < w->nodes - w->sinks;
}

static struct frame *take(struct world *w, struct node *n)
{
	struct frame *f = n->inbox[0];

	memmove(n->inbox, n->inbox + 1, (size_t)--n->inbox_count * sizeof *n->inbox);
	link_core_take(n->core, f->origin, w->now);
	if (is_worker(w, n) && f->seq < (uint64_t)w->frames)
		w->begun[f->seq]++;
	return f;
}

/* Asked to stop while the stream goes on: what it has not begun goes back. */
void node_leave(struct world *w, struct node *n)
{
	say(w, "%d.%d is asked to leave", n->number, n->life);
	n->leaving = true;
	while (n->inbox_count)
		frame_free(&n->inbox[--n->inbox_count]);
	link_core_leave(n->core, w->now);
	node_after(w, n);
}

/* The result of a frame: whoever computes it, and however often, it is the same (I9). */
static uint64_t result_of(uint64_t seq)
{
	return (seq + 1) * 0x9e3779b97f4a7c15u;
}

static void compute(struct frame *f)
{
	struct buffer *result = buffer_new(PAYLOAD);
	uint64_t seq;

	if (!result)
		abort();
	memcpy(&seq, f->payload->data, sizeof seq);
	seq = result_of(seq);
	memset(result->data, 0, PAYLOAD);
	memcpy(result->data, &seq, sizeof seq);
	buffer_unref(&f->payload);
	f->payload = result;
}

static bool is_result(const struct frame *f)
{
	uint64_t value;

	if (!f->payload)
		return false;
	memcpy(&value, f->payload->data, sizeof value);
	return value == result_of(f->seq);
}

/* What it works on is finished, if there is room. */
void node_stage(struct world *w, struct node *n)
{
	n->working = false;
	if (n->role != MIDDLE || n->held_count == 0)
		return;
	if (n->hung_until > w->now) {
		n->working = true;
		if (!n->hung_for_ever)
			schedule(w, n->hung_until, EV_STAGE, n->number, n->life, 0, 0);
		return;
	}
	bool worker = is_worker(w, n);
	for (int k = 0; worker && k < 2; k++)
		if ((int)n->held[0]->seq == w->poison[k] && n->held[0]->status == FRAME_OK) {
			w->poisoned[k]++;
			node_kill(w, n, "poison");
			return;
		}
	if (worker && n->held[0]->status == FRAME_OK)
		compute(n->held[0]);
	n->committed = true; /* ready to be sent */
}

/* Several may be begun at once, which are then done one by one. */
static void middle_step(struct world *w, struct node *n)
{
	if (n->held_count && n->committed && link_core_room(n->core, 1)) {
		link_core_send(n->core, n->held[0], w->now);
		memmove(n->held, n->held + 1, (size_t)--n->held_count * sizeof *n->held);
		n->committed = false;
	}
	if (n->held_count == 0 && !n->working)
		while (n->held_count < w->at_once && n->inbox_count)
			n->held[n->held_count++] = take(w, n);
	if (n->held_count && !n->working && !n->committed) {
		n->working = true;
		schedule(w, w->now + 1 + (int64_t)draw(w, (uint64_t)(n->work_ns / w->at_once)),
			 EV_STAGE, n->number, n->life, 0, 0);
	}
}

/* COMMIT, and some time later the acknowledgements: a kill may come in between. */
void node_commit(struct world *w, struct node *n)
{
	if (!n->committed) {
		if (w->now < w->disk_full_until) {
			schedule(w, w->now + 50 * MS, EV_COMMIT, n->number, n->life, 0, 0);
			return;
		}
		for (int i = 0; i < n->held_count; i++) {
			const struct frame *f = n->held[i];
			if ((int)f->seq == w->first_drop) {
				w->drop_stored = true;
				continue;
			}
			if (f->seq >= (uint64_t)w->frames) {
				fail(w, "I1: a row for a frame that was never sent");
				continue;
			}
			if (w->row[f->seq]++ == 0) {
				w->rows++;
				w->statuses[f->seq] = (int)f->status;
				w->tries[f->seq] = f->try;
				if (f->status == FRAME_OK && !is_result(f))
					fail(w, "I9: frame %d has another result", (int)f->seq);
			}
		}
		n->committed = true;
		schedule(w, w->now + (int64_t)draw(w, MS), EV_COMMIT, n->number, n->life, 0, 0);
		return;
	}
	while (n->held_count) {
		struct frame *f = n->held[--n->held_count];
		struct delivery *d = f->origin;
		frame_free(&f);
		link_core_done(n->core, d, w->now);
	}
	n->committed = n->working = false;
}

static void sink_step(struct world *w, struct node *n)
{
	if (n->working)
		return;
	while (n->inbox_count && n->held_count < 8)
		n->held[n->held_count++] = take(w, n);
	if (n->held_count == 0)
		return;
	n->working = true;
	schedule(w, w->now + 1 + (int64_t)draw(w, (uint64_t)n->work_ns), EV_COMMIT, n->number,
		 n->life, 0, 0);
}

void node_work(struct world *w, struct node *n)
{
	if (n->starved_until > w->now)
		return;
	if (n->role == SOURCE)
		source_step(w, n);
	else if (n->role == MIDDLE)
		middle_step(w, n);
	else
		sink_step(w, n);
	bool over = n->role == SOURCE ? n->emitted >= w->frames
				      : n->ended && !n->inbox_count && !n->held_count;
	if (over && !n->closing) {
		n->closing = true;
		link_core_close(n->core, w->now);
	}
}
