/* What all stages share, on the stage's own thread. The link, whoever runs it, is on the other side of the
 * mailbox. */
#include "common/stage_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "common/workers.h"

#define SECOND 1000000000

int stage_broken(struct stage *s, const struct err *why)
{
	if (!s->said)
		log_error("%s", why->text);
	s->said = true;
	s->code = why->code;
	return -1;
}

int stage_started(struct stage *s)
{
	struct err e;

	if (s->said) /* the link may stand and its address be unknown */
		return -1;
	if (s->link)
		return 0;
	return stage_start(s, &e) < 0 ? stage_broken(s, &e) : 0;
}

/* --- frames ------------------------------------------------------------------------------------- */

/* Tell the source what has become durable, and whoever asked of a SIGHUP (lock held, and let go
 * meanwhile). */
static void deliver_news(struct stage *s)
{
	struct acked a;

	if (s->box.hung_up && s->hangup) {
		s->box.hung_up = false;
		pthread_mutex_unlock(&s->box.lock);
		s->hangup(s->hangup_context);
		pthread_mutex_lock(&s->box.lock);
	}
	while (ring_get(&s->box.acked, &a)) {
		pthread_mutex_unlock(&s->box.lock);
		s->acked(s->acked_context, a.source, a.run, a.seq);
		pthread_mutex_lock(&s->box.lock);
	}
}

static int64_t deadline_in(int64_t timeout_ms)
{
	if (timeout_ms < 0 || timeout_ms > INT64_MAX / 2000000)
		return INT64_MAX;
	return clock_mono_ns() + timeout_ms * 1000000;
}

/* Take a frame from the mailbox (lock held). The link must know of it, or it might give the delivery
 * back to others while the stage works on it. */
static bool take(struct stage *s, struct frame **f)
{
	struct command command = { .kind = COMMAND_TAKE };

	if (!ring_get(&s->box.frames, f))
		return false;
	(void)failpoint("before-work");
	command.as.delivery = (*f)->origin;
	if (mailbox_command(&s->box, &command) < 0) {
		frame_free(f); /* not acknowledged: whoever takes our place gets it */
		mailbox_broke(&s->box, EX_TEMPFAIL, "no memory for the link");
		return false;
	}
	s->frames_in++;
	return true;
}

/* The stage goes to work: now the link must have what was left for it. What a worker takes, and has
 * sent and finished before. That a sink takes a frame is told with the last one that lies there. */
static void pass_on(struct stage *s)
{
	if (s->spec->pushes || s->box.urgent || s->box.frames.count == 0)
		link_ring(s->link);
}

int stage_poll(struct stage *s, struct frame **f, int64_t timeout_ms)
{
	int64_t deadline = deadline_in(timeout_ms);
	int result = 2;
	bool looked = false; /* what has come is only seen by looking */

	*f = NULL;
	if (stage_started(s) < 0)
		return -1;
	pthread_mutex_lock(&s->box.lock);
	for (;;) {
		deliver_news(s);
		if (take(s, f))
			result = 1;
		else if (s->box.broken)
			result = -1;
		else if (s->box.ended)
			result = 0;
		else if (!looked || deadline == INT64_MAX || clock_mono_ns() < deadline) {
			looked = true;
			link_sleep(s->link, -1, deadline);
			continue;
		}
		break;
	}
	pass_on(s);
	pthread_mutex_unlock(&s->box.lock);
	if (result < 0)
		return stage_broken(s, &s->box.why);
	if (result == 1 && s->spec->pushes)
		frame_timed(*f, stage_name(s), clock_real_ns(), 0);
	return result;
}

int stage_next(struct stage *s, struct frame **f)
{
	return stage_poll(s, f, -1);
}

/* The work is done: how long did it take? */
static void end_timing(const struct stage *s, struct frame *f)
{
	struct frame_time *t = f->time_count > 0 ? &f->time[f->time_count - 1] : NULL;

	if (f->origin && t && t->duration_ns == 0 &&
	    strncmp(t->stage, stage_name(s), sizeof t->stage - 1) == 0)
		t->duration_ns = clock_real_ns() - t->start_ns;
}

int stage_send(struct stage *s, struct frame **f)
{
	struct command command = { .kind = COMMAND_SEND, .as.frame = *f };
	int result = -1;

	if (stage_started(s) < 0) {
		frame_free(f);
		return -1;
	}
	end_timing(s, *f);
	s->failed += (*f)->status != FRAME_OK;
	pthread_mutex_lock(&s->box.lock);
	s->box.waits_for_room = true;
	for (;;) {
		deliver_news(s);
		if (s->box.broken || s->box.room > 0)
			break;
		link_sleep(s->link, -1, INT64_MAX);
	}
	s->box.waits_for_room = false;
	if (!s->box.broken && mailbox_command(&s->box, &command) == 0) {
		s->box.room--;
		s->frames_out++;
		/* A worker comes back for the next frame, and rings then. */
		if (!s->spec->pulls)
			link_ring(s->link);
		*f = NULL;
		result = 0;
	} else {
		mailbox_broke(&s->box, EX_TEMPFAIL, "no memory for frames");
	}
	pthread_mutex_unlock(&s->box.lock);
	if (result < 0) {
		frame_free(f);
		return stage_broken(s, &s->box.why);
	}
	return 0;
}

int stage_fail(struct stage *s, struct frame **f, const struct err *why)
{
	/* No row says of a part what is only this machine's trouble at the moment. */
	if (err_is_of_system(why)) {
		frame_free(f);
		return stage_broken(s, why);
	}
	frame_fail(*f, why);
	return stage_send(s, f);
}

int stage_done(struct stage *s, struct frame **f)
{
	struct command command = { .kind = COMMAND_DONE, .as.delivery = (*f)->origin };

	frame_free(f);
	if (stage_started(s) < 0)
		return -1;
	pthread_mutex_lock(&s->box.lock);
	if (mailbox_command(&s->box, &command) < 0)
		mailbox_broke(&s->box, EX_TEMPFAIL, "no memory for the link");
	bool broke = s->box.broken;
	pthread_mutex_unlock(&s->box.lock);
	return broke ? stage_broken(s, &s->box.why) : 0;
}

int stage_wanted(struct stage *s, struct wants *wants, struct err *e)
{
	int result;

	if (stage_start(s, e) < 0)
		return -1;
	pthread_mutex_lock(&s->box.lock);
	while (!s->box.wanted && !s->box.broken && !s->box.stopping)
		link_sleep(s->link, -1, INT64_MAX);
	result = s->box.wanted ? 1 : s->box.broken ? -1 : 0;
	if (result == 1)
		*wants = s->box.wants;
	if (result < 0) {
		*e = s->box.why;
		s->code = e->code;
		s->said = true; /* by the caller */
	}
	pthread_mutex_unlock(&s->box.lock);
	return result;
}

/* --- waiting, and the news -------------------------------------------------------------------------- */

int stage_wait(struct stage *s, int fd, int64_t timeout_ms)
{
	int64_t deadline = deadline_in(timeout_ms);
	int result = 0;

	if (stage_started(s) < 0)
		return -1;
	pthread_mutex_lock(&s->box.lock);
	for (;;) {
		deliver_news(s);
		if (s->box.stopping || s->box.broken) {
			result = -1;
			break;
		}
		if (link_sleep(s->link, fd, deadline)) {
			result = 1;
			break;
		}
		if (deadline != INT64_MAX && clock_mono_ns() >= deadline)
			break;
	}
	deliver_news(s);
	bool broke = s->box.broken;
	pthread_mutex_unlock(&s->box.lock);
	return broke ? stage_broken(s, &s->box.why) : result;
}

bool stage_stopping(const struct stage *s)
{
	struct mailbox *box = (struct mailbox *)&s->box;

	if (!s->link)
		return false;
	pthread_mutex_lock(&box->lock);
	bool stopping = box->stopping || box->broken;
	pthread_mutex_unlock(&box->lock);
	return stopping;
}

void stage_on_ack(struct stage *s,
		  void (*acked)(void *context, const char *source, uint64_t run, uint64_t seq),
		  void *context)
{
	s->acked = acked;
	s->acked_context = context;
	if (s->opened) {
		pthread_mutex_lock(&s->box.lock);
		s->box.keep_acked = acked != NULL;
		pthread_mutex_unlock(&s->box.lock);
	}
}

void stage_on_hangup(struct stage *s, void (*hangup)(void *context), void *context)
{
	s->hangup = hangup;
	s->hangup_context = context;
	link_catch_hangups();
}

/* --- the end ------------------------------------------------------------------------------------ */

/* Bring the stream to its end, or leave it where it is if we gave up before its end. */
static void finish(struct stage *s, int code)
{
	uint64_t one = 1;
	struct err e;

	/* A source that had nothing still says so; a stage that never began to pull only printed something. */
	if (!s->link && !s->said && code == 0 && !s->spec->pulls && stage_start(s, &e) < 0)
		stage_broken(s, &e);
	if (!s->link || s->said)
		return;
	pthread_mutex_lock(&s->box.lock);
	if (!s->spec->pulls || s->box.ended) {
		s->box.close_asked = true;
		if (write(s->box.link_fd, &one, sizeof one) < 0) {
			/* The bell is full: it rings already. */
		}
		for (;;) {
			/* It lets go of the lock: look only afterwards, or a last bell is missed. */
			deliver_news(s);
			if (s->box.finished || s->box.broken)
				break;
			link_sleep(s->link, -1, INT64_MAX);
		}
	}
	bool broke = s->box.broken && !s->box.finished;
	bool ended = s->box.finished && !s->box.stopping;
	pthread_mutex_unlock(&s->box.lock);
	if (ended)
		workers_ended();
	if (broke)
		stage_broken(s, &s->box.why);
}

static void say_statistics(const struct stage *s, const struct link_core_counts *n)
{
	double seconds = (double)(clock_mono_ns() - s->started_at) / SECOND;
	uint64_t frames = s->frames_in > s->frames_out ? s->frames_in : s->frames_out;

	log_info("%" PRIu64 " frames in, %" PRIu64 " out, %" PRIu64 " failed, %" PRIu64
		 " sent again, %.2f s, %.1f frames/s",
		 s->frames_in, s->frames_out, s->failed, n->resent, seconds,
		 seconds > 0 ? (double)frames / seconds : 0.0);
	log_debug("%" PRIu64 " duplicates, %" PRIu64 " ignored, %" PRIu64
		  " malformed messages, %" PRIu64 " silent peers",
		  n->duplicates, n->ignored, n->malformed, n->dead);
}

int stage_close(struct stage **stage, int code)
{
	struct stage *s = *stage;
	struct link_core_counts counts = { 0 };

	if (!s)
		return code;
	finish(s, code);
	link_close(&s->link, &counts);
	curve_close(&s->curve);
	say_statistics(s, &counts);
	if (s->opened)
		mailbox_close(&s->box);
	if (s->out_address && s->out.count == 0)
		address_release(&s->out_address[0]);
	code = code ? code : s->code;
	if (fflush(stdout) != 0 && code == 0) {
		log_error("standard output: %s", strerror(errno));
		code = EX_IOERR;
	}
	option_free(s->shared);
	free(s->shared);
	free(s->in_address);
	free(s->out_address);
	free(s->status_address);
	free(s->totals);
	free(s->drops);
	letters_close(&s->letters);
	free(s);
	*stage = NULL;
	return code;
}
