/* A node: a life with a link_core in it. */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW 4
#define RETAIN 16
#define RETAIN_BYTES (10 * PAYLOAD)
#define WORK_TIMEOUT (300 * MS)

struct context {
	struct world *world;
	struct node *node;
};
static struct context contexts[NODES_MAX];

/* --- actions ------------------------------------------------------------------------------------ */

static void act_send(void *context, int peer, const struct message *m)
{
	struct context *x = context;

	if (observer_hears(x->world, x->node, peer, m))
		return;
	if (x->world->verbose > 1)
		say(x->world, "%d.%d -> peer %d: %s %llu %llu", x->node->number, x->node->life,
		    peer, message_kind_name(m->kind), (unsigned long long)m->link_seq,
		    m->kind == MESSAGE_FRAME ? (unsigned long long)m->frame->seq
		    : m->kind == MESSAGE_EOS || m->kind == MESSAGE_EOS_ACK
			? (unsigned long long)(m->as.eos.id * 10 + m->as.eos.end)
			: (unsigned long long)m->upto);
	net_send(x->world, x->node, peer, m);
}

static void act_reset(void *context, int peer)
{
	struct context *x = context;

	net_close(x->world, x->node, peer);
	schedule(x->world, x->world->now + 1 * MS, EV_CONNECT, x->node->number, x->node->life, peer,
		 0);
}

static void act_forget(void *context, int peer)
{
	struct context *x = context;

	if (observer_forgotten(x->node, peer))
		return;
	net_close(x->world, x->node, peer);
}

static void act_deliver(void *context, struct frame *f)
{
	struct context *x = context;
	struct node *n = x->node;

	if (n->inbox_count == FRAMES_MAX * 4)
		fail(x->world, "node %d: more frames than were granted", n->number);
	else
		n->inbox[n->inbox_count++] = f;
}

static void act_acked(void *context, const char *source, uint64_t run, uint64_t seq)
{
	struct context *x = context;
	struct world *w = x->world;

	(void)source, (void)run;
	if ((int)seq == w->first_drop ? !w->drop_stored
				      : seq >= (uint64_t)w->frames || !w->row[seq])
		fail(w, "I4: frame %llu acknowledged, but there is no row",
		     (unsigned long long)seq);
	else
		w->acked[seq] = true;
}

static void act_wanted(void *context, const struct wants *wants)
{
	(void)context, (void)wants;
}

static void act_buried(void *context, const struct frame *f, const char *reason)
{
	struct context *x = context;

	(void)reason;
	if (f->status != FRAME_OK || !f->payload)
		fail(x->world, "frame %d is buried without its payload", (int)f->seq);
}

/* Like any other frame: it waits to be stored, and is acknowledged then. */
static void act_dropped(void *context, const struct frame *f, uint64_t last)
{
	struct context *x = context;
	struct frame *copy = frame_new();

	if ((int)f->seq != x->world->first_drop || (int)last != x->world->last_drop)
		fail(x->world, "a drop record that nobody sent");
	if (!copy)
		abort();
	*copy = *f;
	act_deliver(context, copy);
}

static void act_total(void *context, const struct message_total *total)
{
	(void)context, (void)total;
}

/* I3: when a sink is told that all is over, the books must balance. */
static void act_ended(void *context)
{
	struct context *x = context;
	struct world *w = x->world;
	int dropped = w->drop_stored ? w->last_drop - w->first_drop + 1 : 0;

	x->node->ended = true;
	if (x->node->role != SINK)
		return;
	w->books_seen = true;
	if (w->rows + dropped != w->frames)
		fail(w, "I3: end of stream with %d rows and %d drops of %d", w->rows, dropped,
		     w->frames);
}

static void act_finished(void *context)
{
	struct context *x = context;

	x->node->finished = true;
}

static void act_broken(void *context, int code, const char *text)
{
	struct context *x = context;

	say(x->world, "%d.%d broken: %d %s", x->node->number, x->node->life, code, text);
	x->node->code = code;
}

static void act_note(void *context, int severity, const char *text)
{
	struct context *x = context;

	(void)severity;
	say(x->world, "%d.%d %s", x->node->number, x->node->life, text);
}

static const struct link_core_actions actions = {
	act_send,    act_reset, act_forget, act_deliver,  act_acked,  act_wanted, act_buried,
	act_dropped, act_total, act_ended,  act_finished, act_broken, act_note,
};

/* --- life --------------------------------------------------------------------------------------- */

static void connect_to(struct world *w, struct node *n, int target, bool upstream)
{
	int peer;

	if (link_core_connect(n->core, upstream, w->style == PIPE, &peer) < 0)
		abort();
	n->target[peer] = target;
	n->target_life[peer] = w->node[target].life;
	schedule(w, w->now + 1 + (int64_t)draw(w, 5 * MS), EV_CONNECT, n->number, n->life, peer, 0);
}

/* Pipe form: the address of who has just started is printed, and read by all of the next stage. */
static void announce_address(struct world *w, struct node *n)
{
	for (int i = 0; i < w->nodes; i++) {
		struct node *other = &w->node[i];
		for (int k = 0; k < other->up_count; k++)
			if (other->up[k] == n->number && other->alive)
				connect_to(w, other, n->number, true);
	}
}

void node_start(struct world *w, struct node *n)
{
	struct link_core_config config = {
		.pulls = n->role != SOURCE,
		.pushes = n->role != SINK,
		.more_upstreams = n->role != SOURCE && w->style == PIPE,
		.seed = draw(w, 0) + w->random,
		.window = WINDOW,
		.retain_bytes = RETAIN_BYTES,
		.retain_frames = RETAIN,
		.max_tries = 3,
		.work_ns = WORK_TIMEOUT,
		.orphan_ns = 120 * SECOND,
		.grace_ns = 5 * SECOND,
	};
	uint64_t id = draw(w, 0) ^ w->random;

	snprintf(config.self.stage, sizeof config.self.stage, "%s",
		 n->role == SOURCE ? "source"
		 : n->role == SINK ? "sink"
				   : "middle");
	snprintf(config.self.worker, sizeof config.self.worker, "sim/%d.%d", n->number, n->life);
	memcpy(config.self.instance, &w->random, 8);
	memcpy(config.self.instance + 8, &id, 8);
	config.self.max_frame = 1000;
	config.self.heartbeat_ms = 100;
	contexts[n->number] = (struct context){ w, n };
	n->core = link_core_new(&config, &actions, &contexts[n->number]);
	n->alive = true;
	n->observer = (struct observer){ .peer = -1 };
	n->timer_at = INT64_MAX;
	n->bound = -1;
	n->inbox_count = n->held_count = n->emitted = n->code = 0;
	n->working = n->committed = n->ended = n->closing = n->finished = false;
	n->leaving = n->hung_for_ever = false;
	n->starved_until = n->hung_until = n->paused_until = 0;
	n->up_peers_most = 0;
	n->hung_seen = 0;
	memset(n->conn_of, -1, sizeof n->conn_of);
	say(w, "%d.%d starts", n->number, n->life);
	if (n->up_binds)
		n->bound = link_core_bind(n->core, true);
	if (n->down_binds)
		n->bound = link_core_bind(n->core, false);
	/* In the pipe form a line stays readable for a process that starts later. */
	for (int i = 0; i < n->up_count; i++)
		if (w->style != PIPE || w->node[n->up[i]].alive)
			connect_to(w, n, n->up[i], true);
	for (int i = 0; i < n->down_count; i++)
		connect_to(w, n, n->down[i], false);
	if (w->style == PIPE && n->down_binds)
		announce_address(w, n);
	bool all = n->up_count > 0;
	for (int i = 0; i < n->up_count; i++)
		all = all && w->node[n->up[i]].exited;
	if (w->style == PIPE && all)
		schedule(w, w->now + 1, EV_NO_MORE, n->number, n->life, 0, 0);
	node_after(w, n);
}

void node_free(struct node *n)
{
	while (n->inbox_count)
		frame_free(&n->inbox[--n->inbox_count]);
	while (n->held_count)
		frame_free(&n->held[--n->held_count]);
	link_core_free(&n->core);
}

static void out_of_the_world(struct world *w, struct node *n, bool all_said)
{
	net_died(w, n, all_said);
	node_free(n);
	n->alive = false;
	n->life++;
}

/* All who could still print an address for node n have gone. */
static void tell_no_more(struct world *w, const struct node *gone)
{
	for (int i = 0; i < w->nodes; i++) {
		struct node *n = &w->node[i];
		bool fed_by = false, all = true;
		for (int k = 0; k < n->up_count; k++) {
			fed_by = fed_by || n->up[k] == gone->number;
			all = all && w->node[n->up[k]].exited;
		}
		if (w->style == PIPE && fed_by && all && n->alive)
			schedule(w, w->now + (int64_t)draw(w, 5 * MS), EV_NO_MORE, i, n->life, 0,
				 0);
	}
}

void node_kill(struct world *w, struct node *n, const char *why)
{
	if (!n->alive)
		return;
	say(w, "%d.%d is killed (%s)", n->number, n->life, why);
	w->kills++;
	w->sink_deaths += n->role == SINK;
	n->deaths++;
	w->hung_for_ever = w->hung_for_ever && !n->hung_for_ever;
	/* What crashes lets its link say its last word (common/stage_start.c). */
	out_of_the_world(w, n, strcmp(why, "poison") == 0);
	if (w->style == PIPE && w->workers_over) {
		/* Its parent does not replace it when the stream is over. */
		n->exited = true;
		tell_no_more(w, n);
		return;
	}
	schedule(w, w->now + 20 * MS + (int64_t)draw(w, chance(w, 200) ? 3000 * MS : 300 * MS),
		 EV_RESTART, n->number, -1, 0, 0);
}

/* Who goes in order leaves nobody behind who was with him long enough to be told, and could hear it. */
static void check_left(struct world *w, const struct node *n)
{
	static const enum fault hide[] = { FAULT_PAUSE,   FAULT_BREAK,  FAULT_PARTITION,
					   FAULT_ONE_WAY, FAULT_STARVE, FAULT_HANG,
					   FAULT_LEAVE,   FAULT_MEMORY, FAULT_SILENT };

	for (size_t i = 0; i < sizeof hide / sizeof hide[0]; i++)
		if (w->happened[hide[i]])
			return;
	for (int i = 0; i < w->conns; i++) {
		const struct conn *c = &w->conn[i];
		int side = c->node[0] == n->number ? 0 : 1;
		const struct node *other = &w->node[c->node[1 - side]];
		if (c->node[side] != n->number || c->life[side] != n->life || !c->open[0] ||
		    !c->open[1] || c->since > w->now - 2 * SECOND || other->number > n->number)
			continue;
		if (other->role == MIDDLE && !other->ended)
			fail(w, "I7: node %d goes and has not told %d of the end", n->number,
			     other->number);
	}
}

/* What was sent last still leaves. */
static void linger(struct world *w, const struct node *n)
{
	for (int i = 0; i < w->conns; i++)
		for (int side = 0; side < 2; side++) {
			struct conn *c = &w->conn[i];
			if (c->node[side] != n->number || c->life[side] != n->life ||
			    !c->open[side])
				continue;
			c->open[side] = false;
			schedule(w, c->ready[1 - side] + 1 + (int64_t)draw(w, MS), EV_GONE,
				 c->node[1 - side], c->life[1 - side], i, 1 - side);
		}
}

static void leave(struct world *w, struct node *n, int code)
{
	say(w, "%d.%d exits %d", n->number, n->life, code);
	if (code == 0 && !n->leaving)
		check_left(w, n);
	/* Who was asked to leave while the stream went on is started again. */
	bool again = n->leaving && !w->source_done;
	n->exited = !again;
	n->code = code;
	if (n->role == SOURCE)
		w->source_done = w->now;
	if (n->role == MIDDLE && n->number >= w->nodes - w->workers - w->sinks && code == 0 &&
	    !again)
		w->workers_over = true;
	if (again)
		schedule(w, w->now + 20 * MS + (int64_t)draw(w, 300 * MS), EV_RESTART, n->number,
			 -1, 0, 0);
	if (n->leaving)
		net_died(w, n, false); /* it has asked whether all was heard */
	else
		linger(w, n);
	node_free(n);
	n->alive = false;
	n->life++;
	tell_no_more(w, n);
	/* A worker that slept through the end of the stream ends by itself, with 75; so does a sink all
	 * of whose workers were killed in that moment. */
	bool slept = w->style == PIPE && w->source_done && code == EX_TEMPFAIL &&
		     (n->role == MIDDLE || !w->workers_over);
	/* And one that the stream has ended without, because its work does not end or it slept. */
	slept = slept || (w->source_done && n->role == MIDDLE && code == EX_TEMPFAIL &&
			  (n->hung_until || n->starved_until || n->paused_until));
	if (code != 0 && !n->idle_exit_ok && !slept)
		fail(w, "I7: node %d (role %d) exits %d", n->number, n->role, code);
}

/* --- after each event ---------------------------------------------------------------------------- */

static void check_bounds(struct world *w, struct node *n)
{
	int peers = n->up_peers_most;
	struct link_core_counts c;

	link_core_count(n->core, &c);
	w->hung += (int)(c.hung - n->hung_seen);
	n->hung_seen = c.hung;
	n->up_peers_most = c.up_peers > peers ? c.up_peers : peers;
	/* I5: what is kept; a re-sent backlog may exceed the source's own limit, never the line's. */
	if (n->role == SOURCE &&
	    (c.pending + c.unacked > RETAIN + 1 || c.retained_bytes > RETAIN_BYTES + PAYLOAD))
		fail(w, "I5: %d frames, %zu bytes kept", c.pending + c.unacked, c.retained_bytes);
	if (n->role == MIDDLE && c.retained_bytes > RETAIN_BYTES + PAYLOAD)
		fail(w, "I5: node %d keeps %zu bytes", n->number, c.retained_bytes);
	if (n->inbox_count > (WINDOW + (w->first_drop >= 0)) * n->up_peers_most)
		fail(w, "I5: %d frames wait for node %d, of %d peers", n->inbox_count, n->number,
		     n->up_peers_most);
}

void node_after(struct world *w, struct node *n)
{
	w->steps++;
	if (!n->alive || n->paused_until > w->now)
		return;
	node_work(w, n);
	observer_step(w, n);
	link_core_flush(n->core, w->now);
	check_bounds(w, n);
	if (n->code || n->finished) {
		leave(w, n, n->finished ? 0 : n->code);
		return;
	}
	int64_t next = link_core_next(n->core);
	if (next != INT64_MAX && next != n->timer_at) {
		n->timer_at = next;
		schedule(w, next, EV_TIMER, n->number, n->life, 0, 0);
	}
}
