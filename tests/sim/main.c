/* link_sim: many small worlds, each from its seed. See world.h.
 *
 *   link_sim --seeds N [--from S]    run N of them, print the ones that break an invariant
 *   link_sim --seed S [-v [-v]]      run one and tell what happens
 *   link_sim --only MISFORTUNE …     with no other kind of it (fault.c) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

/* No world may take longer than this after the last misfortune (I7, I8). */
#define TIME_AFTER (60 * SECOND)
/* After the source's end: so long whoever is left may still be told of it. */
#define TIME_TO_TELL (20 * SECOND)

static void link_up(struct world *w)
{
	int first_worker = w->nodes - w->workers - w->sinks, first_sink = w->nodes - w->sinks;

	for (int i = 0; i < w->nodes; i++) {
		struct node *n = &w->node[i];
		n->number = i;
		n->role = i == 0 ? SOURCE : i < first_sink ? MIDDLE : SINK;
		n->work_ns = (int64_t)draw(w, 5 * MS) + MS / 10;
		if (fault_given(w, FAULT_SLOW, 100)) {
			n->work_ns *= 10;
			fault_happened(w, FAULT_SLOW);
		}
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

/* Which frames are worth a thought. */
static void draw_frames(struct world *w)
{
	w->frames = chance(w, 30) ? 0 : 1 + (int)draw(w, 40);
	w->first_drop = w->last_drop = w->poison[0] = w->poison[1] = w->bad = -1;
	if (w->frames > 10 && fault_given(w, FAULT_DROP, 200)) {
		w->first_drop = 2 + (int)draw(w, 4);
		w->last_drop = w->first_drop + (int)draw(w, 4);
		fault_happened(w, FAULT_DROP);
	}
	bool one = fault_given(w, FAULT_POISON, 100), two = fault_given(w, FAULT_TWO_POISONS, 50);
	if (w->frames > 1 && (one || two)) {
		w->poison[0] = (int)draw(w, (uint64_t)w->frames);
		if (two) /* within one window */
			w->poison[1] = (w->poison[0] + 1 + (int)draw(w, 3)) % w->frames;
		if (w->poison[1] == w->poison[0])
			w->poison[1] = -1;
		fault_happened(w, two ? FAULT_TWO_POISONS : FAULT_POISON);
	}
	if (w->frames && fault_given(w, FAULT_BAD, 200)) {
		w->bad = (int)draw(w, (uint64_t)w->frames);
		fault_happened(w, FAULT_BAD);
	}
	for (int i = 0; i < 2; i++)
		if (w->poison[i] >= w->first_drop && w->poison[i] <= w->last_drop)
			w->poison[i] = -1;
	if (w->bad >= w->first_drop && w->bad <= w->last_drop)
		w->bad = -1;
}

static void draw_faults(struct world *w)
{
	w->p_duplicate = fault_given(w, FAULT_DUPLICATE, 200) ? 50 : 0;
	w->p_reorder = fault_given(w, FAULT_REORDER, 100) ? 10 : 0;
	w->p_silent = fault_given(w, FAULT_SILENT, 300) ? 300 : 0;
	w->p_memory = fault_given(w, FAULT_MEMORY, 100) ? 5 : 0;
	w->delay_ns = 2 * MS;
	if (fault_given(w, FAULT_DELAY, 200)) {
		w->delay_ns = 50 * MS;
		fault_happened(w, FAULT_DELAY);
	}
	w->faults_until = SECOND;
	bool strikes = w->only < 0 ? chance(w, 700) : true;
	if (!strikes)
		return;
	w->faults_until += (int64_t)draw(w, 4 * SECOND);
	schedule(w, SECOND + (int64_t)draw(w, 300 * MS), EV_FAULT, 0, -1, 0, 0);
}

static void set_up(struct world *w)
{
	w->workers = 1 + (int)draw(w, 4);
	w->style = (enum style)draw(w, 3);
	w->sinks = 1;
	if (w->style != PIPE && fault_given(w, FAULT_TWO_SINKS, 200)) {
		w->sinks = 2;
		fault_happened(w, FAULT_TWO_SINKS);
	}
	w->nodes = 1 + (int)draw(w, 2) + w->workers + w->sinks;
	draw_frames(w);
	draw_faults(w);
	link_up(w);
	/* In any order, but who comes when all is over has missed it: the source is not the first. */
	int64_t last = SECOND;
	for (int i = w->nodes - 1; i >= 0; i--) {
		bool late = fault_given(w, FAULT_LATE, 100);
		int64_t at = SECOND + (int64_t)draw(w, late ? SECOND : 20 * MS);
		if (late)
			fault_happened(w, FAULT_LATE);
		if (i == 0 && at < last - 5 * MS)
			at = last - 5 * MS;
		last = at > last ? at : last;
		schedule(w, at, EV_RESTART, i, -1, 0, 0);
	}
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
		if (n->life > 0)
			fault_happened(w, FAULT_RESTART);
		node_start(w, n);
		return;
	case EV_FAULT:
		fault_strike(w);
		return;
	case EV_WAKE:
		break;
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

	if (n->role == SOURCE || !n->alive || !w->source_done ||
	    w->now < w->source_done + TIME_TO_TELL)
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
		if (!w->node[i].exited &&
		    !(w->node[i].alive && w->node[i].idle_exit_ok &&
		      w->now >= w->source_done + TIME_TO_TELL) &&
		    !left_behind(w, &w->node[i]))
			return false;
	return true;
}

static bool is_poison(const struct world *w, int frame)
{
	return frame == w->poison[0] || frame == w->poison[1];
}

static void check_frame(struct world *w, int i)
{
	bool dropped = i >= w->first_drop && i <= w->last_drop;

	if (!dropped && !w->row[i])
		fail(w, "I1: frame %d has no row", i);
	else if (dropped && w->row[i])
		fail(w, "I1: frame %d was dropped and has a row", i);
	else if (!dropped && i != w->bad && w->statuses[i] == FRAME_ERROR)
		fail(w, "I9: frame %d failed for no reason", i);
	else if (is_poison(w, i) && i != w->bad && w->statuses[i] != FRAME_DEAD)
		fail(w, "poison frame %d is not a tombstone", i);
	else if (!is_poison(w, i) && w->statuses[i] == FRAME_DEAD && w->kills + w->hung < 3)
		fail(w, "frame %d is a tombstone after %d deaths", i, w->kills);
}

/* Did nothing of these happen, so that no connection ended but by death, and each death was told? */
static bool all_told(const struct world *w)
{
	static const enum fault hide[] = { FAULT_PAUSE,   FAULT_BREAK,   FAULT_PARTITION,
					   FAULT_ONE_WAY, FAULT_REORDER, FAULT_DELAY };

	for (size_t i = 0; i < sizeof hide / sizeof hide[0]; i++)
		if (w->happened[hide[i]])
			return false;
	return !w->p_silent && !w->p_memory;
}

/* Who is charged with what: never with more than happened; and if nothing but poison has killed, each
 * poisonous frame has killed three workers, and no neighbour was charged with it that was not begun with it. */
static void check_charges(struct world *w)
{
	int sum = 0, of_poison = 0;

	/* To wait for room, or for a disk, is not to hang. */
	if (w->hung && !w->happened[FAULT_HANG] && !w->happened[FAULT_STARVE])
		fail(w, "%d workers were taken for hung", w->hung);
	if (!all_told(w))
		return;
	for (int i = 0; i < w->frames; i++) {
		sum += w->tries[i];
		of_poison += is_poison(w, i) ? w->tries[i] : 0;
	}
	if (sum > (w->kills + w->hung) * w->at_once)
		fail(w, "%d tries are charged, but %d workers died and %d hung", sum, w->kills,
		     w->hung);
	if (w->kills != w->poisoned[0] + w->poisoned[1] || w->hung || w->happened[FAULT_LEAVE])
		return;
	for (int k = 0; k < 2; k++)
		if (w->poison[k] >= 0 && w->poison[k] != w->bad && w->poisoned[k] != 3 &&
		    (w->at_once == 1 || w->poisoned[k] > 3 || w->poisoned[k] == 0))
			fail(w, "poison frame %d killed %d workers", w->poison[k], w->poisoned[k]);
	if (sum != of_poison && w->at_once == 1)
		fail(w, "%d tries are charged to neighbours", sum - of_poison);
}

/* Nobody died, was taken for dead or cut off: then no frame is worked on twice, whoever was asked to leave. */
static void check_begun(struct world *w)
{
	static const enum fault again[] = { FAULT_KILL,      FAULT_PAUSE,   FAULT_BREAK,
					    FAULT_PARTITION, FAULT_ONE_WAY, FAULT_REORDER,
					    FAULT_HANG };

	for (size_t i = 0; i < sizeof again / sizeof again[0]; i++)
		if (w->happened[again[i]])
			return;
	if (w->kills || w->hung || w->p_memory)
		return;
	for (int i = 0; i < w->frames; i++)
		if (w->begun[i] > 1)
			fail(w, "frame %d was begun %d times, and nobody died", i, w->begun[i]);
}

static void check_end(struct world *w)
{
	for (int i = 0; i < w->frames; i++)
		check_frame(w, i);
	check_charges(w);
	check_begun(w);
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
			if (w->source_done && w->now < w->source_done + TIME_TO_TELL) {
				w->now = w->source_done + TIME_TO_TELL;
				continue;
			}
			fail(w, "I8: nothing happens any more");
			break;
		}
		w->now = e.at;
		if (all_out(w))
			break;
		if (w->now > w->faults_until + TIME_AFTER) {
			fail(w, "I8: not done in %lld s", (long long)(TIME_AFTER / SECOND));
			break;
		}
		struct node *n = &w->node[e.node];
		if (n->alive && n->hung_for_ever && w->source_done &&
		    w->now > w->source_done + 30 * SECOND)
			node_kill(w, n, "operator"); /* it slept through the end, too */
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
	uint64_t messages, steps, failed, frames, left;
	uint64_t happened[FAULTS], worlds[FAULTS];
};

static void run_seed(uint64_t seed, int only, int verbose, struct sums *sums)
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
	w.only = only;
	w.random = seed * 0x2545f4914f6cdd1du + 1;
	w.whims = seed * 0x9e3779b97f4a7c15u + 1;
	w.at_once = seed % 4 == 3 ? 4 : 1; /* not drawn: no other schedule shall change by it */
	w.verbose = verbose;
	run(&w);
	net_free(&w);
	for (int i = 0; i < w.nodes; i++) {
		sums->left += w.node[i].alive;
		node_free(&w.node[i]);
	}
	for (int f = 0; f < FAULTS; f++) {
		sums->happened[f] += w.happened[f];
		sums->worlds[f] += w.happened[f] > 0;
	}
	sums->messages += w.messages;
	sums->steps += w.steps;
	sums->frames += (uint64_t)w.frames;
	sums->failed += w.failed;
}

static void print_table(const struct sums *sums)
{
	printf("%-14s %12s %12s\n", "misfortune", "times", "schedules");
	for (int f = 0; f < FAULTS; f++)
		printf("%-14s %12llu %12llu\n", fault_name((enum fault)f),
		       (unsigned long long)sums->happened[f], (unsigned long long)sums->worlds[f]);
}

int main(int argc, char **argv)
{
	uint64_t seeds = 1000, from = 1, ran = 0;
	int verbose = 0, only = -1;
	struct sums sums = { 0 };

	for (int i = 1; i < argc; i++) {
		bool more = i + 1 < argc;
		if (strcmp(argv[i], "--seeds") == 0 && more)
			seeds = strtoull(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--from") == 0 && more)
			from = strtoull(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--seed") == 0 && more)
			from = strtoull(argv[++i], NULL, 10), seeds = 1;
		else if (strcmp(argv[i], "-v") == 0)
			verbose++;
		else if (strcmp(argv[i], "--only") == 0 && more && fault_of(argv[i + 1]) >= 0)
			only = fault_of(argv[++i]);
		else {
			fprintf(stderr, "link_sim [--only MISFORTUNE] [--seeds N] [--from S] | "
					"--seed S [-v [-v]]\n");
			return 64;
		}
	}
	for (; ran < seeds && sums.failed < 20; ran++)
		run_seed(from + ran, only, verbose, &sums);
	print_table(&sums);
	printf("%llu stages began again after the end, with nobody there to tell them\n",
	       (unsigned long long)sums.left);
	printf("%llu schedules: %llu frames, %llu messages, %llu steps: %llu broke an invariant\n",
	       (unsigned long long)ran, (unsigned long long)sums.frames,
	       (unsigned long long)sums.messages, (unsigned long long)sums.steps,
	       (unsigned long long)sums.failed);
	return sums.failed > 0;
}
