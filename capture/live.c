#include "capture/live.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "capture/source.h"
#include "capture/spool.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "common/stage.h"

#define SYNC_MS 100
#define ROOM_MS 20          /* how often --on-full wait looks */
#define CALM_NS 10000000000 /* so long without a drop, and it is over */

enum on_full { DROP_OLDEST, DROP_NEWEST, WAIT, STOP };
static const char *const words[] = { "drop-oldest", "drop-newest", "wait", "stop" };

struct live {
	struct source *source;
	struct spool *spool;
	enum on_full on_full;
	pthread_t reader, syncer;
	bool has_reader, has_syncer;
	int ready_fd; /* rung by the reader */
	int stop_fd;  /* readable once the reader shall stop */
	atomic_bool stop, quit;
	atomic_bool ended; /* the reader has; then result and why are set */
	int result;
	struct err why;
	/* the reader's: a stretch of trouble */
	int64_t trouble_since, trouble_last;
	uint64_t dropped;
	/* the syncer's */
	bool told_sync;
};

/* --- options ------------------------------------------------------------------------------------ */

static int parse_on_full(const char *text, enum on_full *on_full)
{
	for (int i = 0; i < 4; i++)
		if (strcmp(text, words[i]) == 0) {
			*on_full = (enum on_full)i;
			return 0;
		}
	return -1;
}

int live_check(const struct source *s, struct err *e)
{
	const struct source_options *o = s->options;
	enum on_full on_full;

	if (o->spool && !s->kind->live)
		return err_code(
		    e, EX_USAGE,
		    "--spool: what comes from %s is safe where it lies; a spool is for a "
		    "stream ('-')",
		    s->options->watch ? "a folder" : "files");
	if (!o->spool && (o->on_full || o->spool_size != SPOOL_SIZE))
		return err_code(e, EX_USAGE, "%s goes with --spool",
				o->on_full ? "--on-full" : "--spool-size");
	if (o->on_full && parse_on_full(o->on_full, &on_full) < 0)
		return err_code(e, EX_USAGE,
				"--on-full: '%s' is none of drop-oldest, drop-newest, wait, stop",
				o->on_full);
	if (o->spool && o->run && strcmp(o->run, "new") != 0)
		return err_code(e, EX_USAGE, "--run: with --spool each start is a new run");
	return 0;
}

/* --- the reader --------------------------------------------------------------------------------- */

static void ring(int fd)
{
	uint64_t one = 1;

	while (write(fd, &one, sizeof one) < 0 && errno == EINTR)
		;
}

int live_wait(struct live *l, int fd, int64_t timeout_ms)
{
	struct pollfd at[2] = { { .fd = l->stop_fd, .events = POLLIN },
				{ .fd = fd, .events = POLLIN } };
	int n;

	do {
		n = poll(at, 2, timeout_ms > INT32_MAX ? INT32_MAX : (int)timeout_ms);
	} while (n < 0 && errno == EINTR);
	if (l->stop)
		return -1;
	return n > 0 && at[1].revents != 0;
}

bool live_stopping(struct live *l)
{
	return l->stop;
}

static void say_trouble(struct live *l, const struct err *why)
{
	int64_t now = clock_mono_ns();
	static const char *const what[] = { "the oldest pictures are dropped, and counted",
					    "new pictures are dropped, and counted",
					    "nothing is read until there is room",
					    "capture stops" };

	if (l->trouble_since == 0) {
		l->trouble_since = now;
		l->dropped = 0;
		log_warn("%s: %s", why->text, what[l->on_full]);
	}
	l->trouble_last = now;
}

static void say_calm(struct live *l)
{
	int64_t now = clock_mono_ns();

	if (l->trouble_since == 0 || now - l->trouble_last < CALM_NS)
		return;
	log_warn("there is room in the spool again, after %.1f s; %" PRIu64
		 " pictures were dropped",
		 (double)(l->trouble_last - l->trouble_since) / 1e9, l->dropped);
	l->trouble_since = 0;
}

/* There is no room for f. True: try again. */
static bool make_room(struct live *l, const struct frame *f, int trouble, struct err *why)
{
	enum spool_why reason = trouble == SPOOL_DISK    ? SPOOL_WHY_DISK
				: trouble == SPOOL_LARGE ? SPOOL_WHY_LARGE
							 : SPOOL_WHY_FULL;
	uint64_t dropped = 0;

	say_trouble(l, why);
	if (trouble != SPOOL_LARGE && l->on_full == WAIT && !l->quit) {
		struct pollfd none = { .fd = -1 };
		poll(&none, 1, ROOM_MS);
		return true;
	}
	if (trouble != SPOOL_LARGE && l->on_full == DROP_OLDEST &&
	    (dropped = spool_drop_oldest(l->spool, reason)) > 0) {
		l->dropped += dropped;
		return true;
	}
	spool_drop_this(l->spool, f, reason);
	l->dropped++;
	return false;
}

/* Into the spool, or counted. False: stop. */
static bool keep(struct live *l, struct picture *p)
{
	struct err why;
	int got;

	if (p->unread)
		frame_fail(p->frame, &p->why);
	while ((got = spool_put(l->spool, p->frame, p->unread ? NULL : p->bytes,
				p->unread ? 0 : p->size, &why)) != SPOOL_KEPT)
		if (!make_room(l, p->frame, got, &why))
			break;
	if (got == SPOOL_KEPT)
		say_calm(l);
	ring(l->ready_fd);
	frame_free(&p->frame);
	if (got == SPOOL_KEPT || got == SPOOL_LARGE || l->on_full != STOP)
		return true;
	err_code(&l->why, EX_TEMPFAIL, "%s; --on-full stop", why.text);
	l->result = -1;
	return false;
}

static void *read_all(void *context)
{
	struct live *l = context;
	struct picture p;
	int got;

	while ((got = source_take(l->source, &p, &l->why)) == 1)
		if (!keep(l, &p))
			break;
	if (got <= 0)
		l->result = got;
	l->ended = true;
	ring(l->ready_fd);
	return NULL;
}

/* --- syncing ------------------------------------------------------------------------------------ */

static void *sync_all(void *context)
{
	struct live *l = context;
	struct pollfd none = { .fd = -1 };
	struct err why;

	while (!l->quit) {
		poll(&none, 1, SYNC_MS);
		if (spool_sync(l->spool, &why) < 0 && !l->told_sync) {
			log_warn("%s: pictures may be lost if the power goes", why.text);
			l->told_sync = true;
		}
	}
	return NULL;
}

/* --- the stage ---------------------------------------------------------------------------------- */

/* What is known of earlier runs, before their pictures go and when they have ended. */
static void tell_totals(struct live *l)
{
	struct spool_total t;

	while (spool_total(l->spool, &t) == 1)
		if (t.emitted > 0)
			stage_resume(l->source->stage, t.source, t.run, t.emitted, t.dropped,
				     t.ended);
}

static void stop_reading(struct live *l)
{
	if (l->stop)
		return;
	l->stop = true;
	ring(l->stop_fd);
	uint64_t waiting = spool_waiting(l->spool);
	if (waiting > 0)
		log_info("%" PRIu64 " pictures in the spool still go", waiting);
}

/* Until the reader rings. Once asked to stop, the stage does not wait any more, but the reader may
 * still be busy with its last picture. */
static void wait_for_reader(struct live *l)
{
	struct pollfd at = { .fd = l->ready_fd, .events = POLLIN };
	uint64_t bell;

	if (stage_wait(l->source->stage, l->ready_fd, -1) < 0) {
		stop_reading(l);
		poll(&at, 1, ROOM_MS);
	}
	if (read(l->ready_fd, &bell, sizeof bell) < 0) {
		/* It was only a bell. */
	}
}

static void fill(struct picture *p, const struct spool_item *item)
{
	p->frame = item->frame;
	p->bytes = item->bytes;
	p->size = item->size;
	p->began_ns = clock_real_ns();
	p->unread = item->unread;
	if (!item->unread)
		return;
	err_set(&p->why, "%s", item->frame->reason);
	item->frame->status = FRAME_OK;
	item->frame->reason[0] = 0;
}

int live_next(struct live *l, struct picture *p, struct err *e)
{
	struct spool_item item;

	for (;;) {
		bool ended = l->ended; /* before looking: what it put last is seen */
		if (stage_stopping(l->source->stage))
			stop_reading(l);
		tell_totals(l);
		int got = spool_take(l->spool, &item, e);
		if (got < 0)
			return -1;
		if (got == 1 && item.frame) {
			fill(p, &item);
			(void)failpoint("spool-send");
			return 1;
		}
		if (got == 1) {
			if (stage_drop(l->source->stage, item.source, item.run, item.first,
				       item.last, item.reason) < 0)
				return 0;
			continue;
		}
		if (ended && got == 0)
			break;
		wait_for_reader(l);
	}
	if (l->result < 0)
		*e = l->why;
	return l->result;
}

void live_acked(struct live *l, uint64_t run, uint64_t seq)
{
	if (spool_acked(l->spool, run, seq))
		ring(l->ready_fd);
	tell_totals(l);
}

/* --- beginning and end -------------------------------------------------------------------------- */

int live_open(struct source *s, struct err *e)
{
	const struct source_options *o = s->options;
	struct live *l = calloc(1, sizeof *l);

	if (!l)
		return err_code(e, EX_TEMPFAIL, "no memory for the spool");
	l->source = s;
	if (o->on_full)
		parse_on_full(o->on_full, &l->on_full);
	l->ready_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	l->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->ready_fd < 0 || l->stop_fd < 0)
		err_code(e, EX_OSERR, "eventfd: %s", strerror(errno));
	else
		l->spool = spool_open(o->spool, s->name, (uint64_t)o->spool_size, e);
	if (!l->spool) {
		live_close(&l, false);
		return -1;
	}
	s->run = spool_run(l->spool);
	s->live = l;
	stage_patient(s->stage); /* the camera goes on, and there is room for what it gives */
	l->has_syncer = pthread_create(&l->syncer, NULL, sync_all, l) == 0;
	l->has_reader = l->has_syncer && pthread_create(&l->reader, NULL, read_all, l) == 0;
	if (l->has_reader)
		return 0;
	live_close(&s->live, false);
	return err_code(e, EX_OSERR, "no thread for the spool");
}

void live_close(struct live **live, bool told)
{
	struct live *l = *live;

	if (!l)
		return;
	l->stop = l->quit = true;
	if (l->stop_fd >= 0)
		ring(l->stop_fd);
	if (l->has_reader)
		pthread_join(l->reader, NULL);
	if (l->has_syncer)
		pthread_join(l->syncer, NULL);
	spool_close(&l->spool, told);
	if (l->ready_fd >= 0)
		close(l->ready_fd);
	if (l->stop_fd >= 0)
		close(l->stop_fd);
	free(l);
	*live = NULL;
}
