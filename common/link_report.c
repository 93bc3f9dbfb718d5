/* What the service manager hears: that the stage is ready, how far it is, that it still moves, and
 * that it ends. This thread would go on saying that all is well while the stage's own hangs over a
 * picture; so WATCHDOG=1 is said only if the stage's thread waits for us, or has been here since it
 * was last said. A frame may take as long as the watchdog is set to, less a quarter.
 *
 * Of the workers of -j N the service manager hears all, and cannot tell that one of them hangs. That
 * one ends itself after the same time, and its parent replaces it. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

#include "common/link_private.h"
#include "common/log.h"
#include "common/notify.h"

#define STATUS_EVERY_NS 5000000000

/* Quarters: the ping that comes late by one still comes in time. */
static int64_t ping_every(void)
{
	return notify_watchdog_ns() / 4;
}

static bool stage_moves(struct link *l)
{
	pthread_mutex_lock(&l->box->lock);
	bool moves = l->box->asleep || l->box->moved_at > l->report.pinged_at;
	pthread_mutex_unlock(&l->box->lock);
	return moves;
}

static void end_hung(struct link *l)
{
	log_error("hung: no progress within the watchdog's time");
	link_release_all(l);
	raise(SIGKILL); /* of anything less the parent would think that it was meant to be */
}

static void ping(struct link *l, int64_t now)
{
	if (ping_every() == 0 || now < l->report.ping_at)
		return;
	l->report.ping_at = now + ping_every();
	if (stage_moves(l) && notify_say("WATCHDOG=1"))
		l->report.pinged_at = now;
	else if (l->setup.replaced && now - l->report.pinged_at >= notify_watchdog_ns())
		end_hung(l);
}

static void status(struct link *l, int64_t now)
{
	struct link_core_counts n;
	char text[256];

	if (now < l->report.status_at)
		return;
	l->report.status_at = now + STATUS_EVERY_NS;
	link_core_count(l->core, &n);
	if (n.in + n.out == l->report.frames && n.up_peers + n.down_peers == l->report.peers)
		return;
	l->report.frames = n.in + n.out;
	l->report.peers = n.up_peers + n.down_peers;
	snprintf(text, sizeof text,
		 "STATUS=%" PRIu64 " frames in, %" PRIu64
		 " out, %d under way; %d upstream, %d downstream",
		 n.in, n.out, n.held > n.unacked ? n.held : n.unacked, n.up_peers, n.down_peers);
	notify_say(text);
}

void link_report_reload(bool begins)
{
	char text[64];

	snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, clock_mono_ns() / 1000);
	notify_say(begins ? text : "READY=1");
}

void link_report_end(struct link *l)
{
	if (!l->report.stopping)
		l->report.stopping = notify_say("STOPPING=1");
}

void link_report(struct link *l, int64_t now)
{
	if (!notify_wanted())
		return;
	if (!l->report.ready)
		l->report.ready = notify_say("READY=1");
	if (l->signals_seen > 0)
		link_report_end(l);
	ping(l, now);
	status(l, now);
}

int64_t link_report_next(const struct link *l)
{
	return ping_every() ? l->report.ping_at : INT64_MAX;
}
