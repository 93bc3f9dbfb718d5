/* What link_core decides and the stage must know: into the mailbox. */
#include "common/link_private.h"

#include <stdio.h>
#include <string.h>

#include "common/failpoint.h"
#include "common/log.h"

void link_act_deliver(void *context, struct frame *f)
{
	struct link *l = context;

	(void)failpoint("received");
	pthread_mutex_lock(&l->box->lock);
	if (ring_put(&l->box->frames, &f) < 0) {
		/* It stays unacknowledged: whoever takes our place gets it. */
		frame_free(&f);
		mailbox_broke(l->box, EX_TEMPFAIL, "no memory for frames");
	}
	mailbox_wake_stage(l->box);
	pthread_mutex_unlock(&l->box->lock);
}

void link_act_acked(void *context, const char *source, uint64_t run, uint64_t seq)
{
	struct link *l = context;
	struct acked a = { .run = run, .seq = seq };

	if (!l->box->keep_acked)
		return;
	snprintf(a.source, sizeof a.source, "%s", source);
	pthread_mutex_lock(&l->box->lock);
	if (ring_put(&l->box->acked, &a) < 0)
		mailbox_broke(l->box, EX_TEMPFAIL, "no memory for the link");
	mailbox_wake_stage(l->box);
	pthread_mutex_unlock(&l->box->lock);
}

void link_act_wanted(void *context, const struct wants *wants)
{
	struct link *l = context;

	pthread_mutex_lock(&l->box->lock);
	l->box->wanted = true;
	l->box->wants = *wants;
	mailbox_wake_stage(l->box);
	pthread_mutex_unlock(&l->box->lock);
}

void link_act_buried(void *context, const struct frame *f, const char *reason)
{
	struct link *l = context;

	if (l->setup.buried)
		l->setup.buried(l->setup.buried_context, f, reason);
}

void link_act_dropped(void *context, const struct frame *f, uint64_t last)
{
	struct link *l = context;
	struct stage_dropped d = { .run = f->run, .first = f->seq, .last = last };

	memcpy(d.source, f->source, sizeof d.source);
	memcpy(d.reason, f->reason, sizeof d.reason);
	d.origin = f->origin;
	pthread_mutex_lock(&l->box->lock);
	if (ring_put(&l->box->drops, &d) < 0)
		mailbox_broke(l->box, EX_TEMPFAIL, "no memory for the link");
	mailbox_wake_stage(l->box);
	pthread_mutex_unlock(&l->box->lock);
}

void link_act_total(void *context, const struct message_total *total)
{
	struct link *l = context;
	struct ring *r = &l->box->totals;
	struct stage_total t = { .run = total->run,
				 .ended = total->ended,
				 .first = total->first,
				 .emitted = total->emitted,
				 .dropped = total->dropped,
				 .expected = total->expected };

	memcpy(t.source, total->source, sizeof t.source);
	pthread_mutex_lock(&l->box->lock);
	size_t i = 0;
	struct stage_total *row = (struct stage_total *)(void *)r->data;
	while (i < r->count && (row[i].run != t.run || strcmp(row[i].source, t.source) != 0))
		i++;
	if (i < r->count)
		row[i] = t;
	else if (ring_put(r, &t) < 0)
		mailbox_broke(l->box, EX_TEMPFAIL, "no memory for the link");
	mailbox_wake_stage(l->box);
	pthread_mutex_unlock(&l->box->lock);
}

void link_act_ended(void *context)
{
	struct link *l = context;

	pthread_mutex_lock(&l->box->lock);
	l->box->ended = true;
	mailbox_wake_stage(l->box);
	pthread_mutex_unlock(&l->box->lock);
}

void link_act_finished(void *context)
{
	struct link *l = context;

	pthread_mutex_lock(&l->box->lock);
	l->box->finished = true;
	mailbox_wake_stage(l->box);
	pthread_mutex_unlock(&l->box->lock);
}

void link_act_broken(void *context, int code, const char *text)
{
	struct link *l = context;

	pthread_mutex_lock(&l->box->lock);
	mailbox_broke(l->box, code, text);
	pthread_mutex_unlock(&l->box->lock);
}

void link_act_note(void *context, int severity, const char *text)
{
	(void)context;
	if (severity <= 0)
		log_warn("%s", text);
	else if (severity == 1)
		log_info("%s", text);
	else
		log_debug("%s", text);
}
