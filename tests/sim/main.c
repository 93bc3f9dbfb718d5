/* link_sim: many small worlds, each from its seed. See world.h.
 *
 *   link_sim --seeds N [--from S]    run N of them, print the ones that break an invariant
 *   link_sim --seed S [-v [-v]]      run one and tell what happens */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

/* No world may take longer than this after the last misfortune (I7, I8). */
#define TIME_AFTER (60 * SECOND)

static void link_up(struct world *w)
{
	int first_worker = w->nodes - w->workers - w->sinks, first_sink = w->nodes - w->sinks;

	for (int i = 0; i < w->nodes; i++) {
		struct node *n = &w->node[i];
		n->number = i;
		n->role = i == 0 ? SOURCE : i < first_sink ? MIDDLE : SINK;
		n->work_ns = (int64_t)draw(w, 5 * MS) + MS / 10;
		if (chance(w, 100))
			n->work_ns *= 10;
		n->down_binds = i < first_worker || (i < first_sink && w->style != SINKS_BIND);
		n->up_binds = i >= first_sink && w->style == SINKS_BIND;
		if (i > 0 && i < first_worker)
			n->up[n->up_count++] = i - 1;
		if (i >= first_worker && i < first_sink)
			n->up[n->up_count++] = first_worker - 1;
	}
	for (int i = first_worker; i < first_sink; i++)
		for (int k = first_sink; k < w->nodes; k++) {
			if (w->style == SINKS_BIND)
				w->node[i].down[w->node[i].down_count++] = k;
			else
				w->node[k].up[w->node[k].up_count++] = i;
		}
}

static void set_up(struct world *w)
{
	w->workers = 1 + (int)draw(w, 4);
	w->style = (enum style)draw(w, 3);
	w->sinks = w->style != PIPE && chance(w, 200) ? 2 : 1;
	w->nodes = 1 + (int)draw(w, 2) + w->workers + w->sinks;
	w->frames = chance(w, 30) ? 0 : 1 + (int)draw(w, 40);
	w->first_drop = w->last_drop = w->poison = w->bad = -1;
	if (w->frames > 10 && chance(w, 200)) {
		w->first_drop = 2 + (int)draw(w, 4);
		w->last_drop = w->first_drop + (int)draw(w, 4);
	}
	if (w->frames && chance(w, 100))
		w->poison = (int)draw(w, (uint64_t)w->frames);
	if (w->frames && chance(w, 200))
		w->bad = (int)draw(w, (uint64_t)w->frames);
	if (w->poison >= w->first_drop && w->poison <= w->last_drop)
		w->poison = -1;
	if (w->bad >= w->first_drop && w->bad <= w->last_drop)
		w->bad = -1;
	w->p_duplicate = chance(w, 200) ? 50 : 0;
	w->p_reorder = chance(w, 100) ? 10 : 0;
	w->p_silent = chance(w, 300) ? 300 : 0;
	w->delay_ns = chance(w, 200) ? 50 * MS : 2 * MS;
	link_up(w);
	w->faults_until = SECOND;
	if (chance(w, 700)) {
		w->faults_until += (int64_t)draw(w, 4 * SECOND);
		schedule(w, SECOND + (int64_t)draw(w, 300 * MS), EV_FAULT, 0, -1, 0, 0);
	}
	/* In any order, but who comes when all is over has missed it: the source is not the first. */
	int64_t last = SECOND;
	for (int i = w->nodes - 1; i >= 0; i--) {
		int64_t at = SECOND + (int64_t)draw(w, chance(w, 100) ? SECOND : 20 * MS);
		if (i == 0 && at < last - 5 * MS)
			at = last - 5 * MS;
		last = at > last ? at : last;
		schedule(w, at, EV_RESTART, i, -1, 0, 0);
	}
}

/* --- misfortune --------------------------------------------------------------------------------- */

static bool may_die(const struct world *w, const struct node *n)
{
	int first_worker = w->nodes - w->workers - w->sinks;

	if (w->style != PIPE)
		return true;
	/* In the pipe form only workers are replaced. */
	return n->role == MIDDLE && n->number >= first_worker;
}

static void cut_one(struct world *w)
{
	struct conn *c = w->conns ? &w->conn[draw(w, (uint64_t)w->conns)] : NULL;

	if (!c || !c->open[0] || !c->open[1])
		return;
	w->cuts++;
	if (chance(w, 500) || w->style == PIPE) {
		c->held_until = w->now + (int64_t)draw(w, SECOND);
		say(w, "nothing passes between %d and %d until %.3f", c->node[0], c->node[1],
		    (double)c->held_until / 1e6);
		return;
	}
	say(w, "the connection of %d and %d breaks", c->node[0], c->node[1]);
	for (int side = 0; side < 2; side++)
		schedule(w, w->now + (int64_t)draw(w, 20 * MS), EV_GONE, c->node[side],
			 c->life[side], (int)(c - w->conn), side);
}

static void misfortune(struct world *w)
{
	struct node *n = &w->node[draw(w, (uint64_t)w->nodes)];
	int kind = (int)draw(w, 10);

	if (kind < 5 && n->alive && may_die(w, n)) {
		node_kill(w, n, "fault");
	} else if (kind < 7 && n->alive) {
		n->paused_until = w->now + (int64_t)draw(w, SECOND);
		w->pauses++;
		say(w, "%d.%d is stopped until %.3f", n->number, n->life,
		    (double)n->paused_until / 1e6);
	} else if (kind < 9) {
		cut_one(w);
	} else {
		w->disk_full_until = w->now + (int64_t)draw(w, SECOND);
		say(w, "disk full until %.3f", (double)w->disk_full_until / 1e6);
	}
	int64_t next = w->now + 1 + (int64_t)draw(w, chance(w, 300) ? 20 * MS : 500 * MS);
	if (next < w->faults_until)
		schedule(w, next, EV_FAULT, 0, -1, 0, 0);
}

/* --- the run ------------------------------------------------------------------------------------ */

static void on_gone(struct world *w, int number, int side)
{
	struct conn *c = &w->conn[number];
	struct node *n = &w->node[c->node[side]];

	if (!c->open[side])
		return;
	c->open[side] = false;
	if (c->peer[side] < 0 || n->conn_of[c->peer[side]] != number)
		return;
	n->conn_of[c->peer[side]] = -1;
	link_core_gone(n->core, c->peer[side], w->now);
	node_after(w, n);
}

/* Did everything before this node end before it came to life? Then nobody can tell it so. */
static bool too_late(const struct world *w, const struct node *n)
{
	bool late = n->role != SOURCE;

	if (n->up_binds)
		return late && w->source_done;
	for (int i = 0; i < n->up_count; i++)
		late = late && w->node[n->up[i]].exited;
	return late;
}

static void on_event(struct world *w, const struct event *e)
{
	struct node *n = &w->node[e->node];

	switch (e->kind) {
	case EV_MESSAGE:
		net_message(w, e->a, e->b);
		return;
	case EV_CONNECT:
		net_connect(w, n, e->a);
		return;
	case EV_CONNECTED:
		net_connected(w, e->a);
		return;
	case EV_GONE:
		on_gone(w, e->a, e->b);
		return;
	case EV_TIMER:
		if (n->timer_at > w->now)
			return;
		n->timer_at = INT64_MAX;
		link_core_tick(n->core, w->now);
		break;
	case EV_STAGE:
		node_stage(w, n);
		break;
	case EV_COMMIT:
		node_commit(w, n);
		break;
	case EV_RESTART:
		if (n->alive || n->exited)
			return;
		n->idle_exit_ok = too_late(w, n);
		w->restarts++;
		node_start(w, n);
		return;
	case EV_FAULT:
		misfortune(w);
		return;
	case EV_NO_MORE:
		link_core_no_more(n->core, w->now);
		break;
	}
	node_after(w, n);
}

/* A stage that was away (killed, stopped, cut off) while all before it came to its end and left: it
 * gives up after --orphan-timeout. Of the sinks one must have come to the end, or have died after it
 * had confirmed the end. */
static bool left_behind(const struct world *w, const struct node *n)
{
	int sinks_out = 0;

	if (n->role == SOURCE || !n->alive || !w->source_done)
		return false;
	for (int i = w->nodes - w->sinks; i < w->nodes; i++)
		sinks_out += w->node[i].exited || w->node[i].life;
	if (n->role == SINK && !n->life && !sinks_out)
		return false;
	for (int i = 0; i < n->up_count; i++)
		if (!w->node[n->up[i]].exited && !left_behind(w, &w->node[n->up[i]]))
			return false;
	for (int i = 1; n->up_binds && i < w->nodes - w->sinks; i++)
		if (!w->node[i].exited && !left_behind(w, &w->node[i]))
			return false;
	return true;
}

static bool all_out(const struct world *w)
{
	for (int i = 0; i < w->nodes; i++)
		if (!w->node[i].exited && !(w->node[i].alive && w->node[i].idle_exit_ok) &&
		    !left_behind(w, &w->node[i]))
			return false;
	return true;
}

static void check_end(struct world *w)
{
	for (int i = 0; i < w->frames; i++) {
		bool dropped = i >= w->first_drop && i <= w->last_drop;
		if (!dropped && !w->row[i])
			fail(w, "I1: frame %d has no row", i);
		else if (dropped && w->row[i])
			fail(w, "I1: frame %d was dropped and has a row", i);
		else if (!dropped && i != w->poison && i != w->bad && w->statuses[i] == FRAME_ERROR)
			fail(w, "I9: frame %d failed for no reason", i);
		else if (i == w->poison && i != w->bad && w->statuses[i] != FRAME_DEAD)
			fail(w, "poison frame %d is not a tombstone", i);
		else if (i != w->poison && w->statuses[i] == FRAME_DEAD && w->kills < 3)
			fail(w, "frame %d is a tombstone after %d deaths", i, w->kills);
	}
	if (w->first_drop >= 0 && !w->drop_stored)
		fail(w, "I1: a drop was not stored");
	/* A sink that was killed after it had confirmed the end need not see it again. */
	if (!w->books_seen && !w->sink_deaths && w->frames)
		fail(w, "I3: no sink has seen the end");
}

static void run(struct world *w)
{
	struct event e;

	w->now = SECOND;
	set_up(w);
	while (!w->failed && !all_out(w)) {
		if (!next_event(w, &e)) {
			fail(w, "I8: nothing happens any more");
			break;
		}
		w->now = e.at;
		if (w->now > w->faults_until + TIME_AFTER) {
			fail(w, "I8: not done in %lld s", (long long)(TIME_AFTER / SECOND));
			break;
		}
		struct node *n = &w->node[e.node];
		if (e.life >= 0 && (!n->alive || n->life != e.life))
			continue;
		if (n->paused_until > w->now && n->alive && e.kind != EV_FAULT) {
			schedule(w, n->paused_until, e.kind, e.node, e.life, e.a, e.b);
			continue;
		}
		on_event(w, &e);
	}
	if (!w->failed)
		check_end(w);
}

struct sums {
	uint64_t kills, pauses, cuts, messages, steps, failed, frames;
};

static void run_seed(uint64_t seed, int verbose, struct sums *sums)
{
	static struct world w;
	static struct conn conns[CONNS_MAX];
	struct event *heap = w.heap;
	int capacity = w.heap_capacity;

	memset(&w, 0, sizeof w);
	w.heap = heap;
	w.heap_capacity = capacity;
	w.conn = conns;
	w.seed = seed;
	w.random = seed * 0x2545f4914f6cdd1du + 1;
	w.whims = seed * 0x9e3779b97f4a7c15u + 1;
	w.verbose = verbose;
	run(&w);
	net_free(&w);
	for (int i = 0; i < w.nodes; i++)
		node_free(&w.node[i]);
	sums->kills += (uint64_t)w.kills;
	sums->pauses += (uint64_t)w.pauses;
	sums->cuts += (uint64_t)w.cuts;
	sums->messages += w.messages;
	sums->steps += w.steps;
	sums->frames += (uint64_t)w.frames;
	sums->failed += w.failed;
}

int main(int argc, char **argv)
{
	uint64_t seeds = 1000, from = 1;
	int verbose = 0;
	struct sums sums = { 0 };

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc)
			seeds = strtoull(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--from") == 0 && i + 1 < argc)
			from = strtoull(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
			from = strtoull(argv[++i], NULL, 10), seeds = 1;
		else if (strcmp(argv[i], "-v") == 0)
			verbose++;
		else {
			fprintf(stderr, "link_sim [--seeds N] [--from S] | --seed S [-v [-v]]\n");
			return 64;
		}
	}
	uint64_t ran = 0;
	for (; ran < seeds && sums.failed < 20; ran++)
		run_seed(from + ran, verbose, &sums);
	printf("%llu schedules: %llu frames, %llu messages, %llu kills, %llu pauses, %llu cuts: "
	       "%llu broke an invariant\n",
	       (unsigned long long)ran, (unsigned long long)sums.frames,
	       (unsigned long long)sums.messages, (unsigned long long)sums.kills,
	       (unsigned long long)sums.pauses, (unsigned long long)sums.cuts,
	       (unsigned long long)sums.failed);
	return sums.failed > 0;
}
