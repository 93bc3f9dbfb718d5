/* Misfortune, one row a kind: what the world may be given from the start, and what may strike a node at any
 * time. Each counts how often it has really happened, so that a kind that never does is seen. */
#include "world.h"

#include <stdio.h>
#include <string.h>

static bool is_worker(const struct world *w, const struct node *n)
{
	return n->number >= w->nodes - w->workers - w->sinks && n->number < w->nodes - w->sinks;
}

static bool may_die(const struct world *w, const struct node *n)
{
	/* In the pipe form only workers are replaced. */
	return n->alive && (w->style != PIPE || is_worker(w, n));
}

static bool kill_one(struct world *w, struct node *n)
{
	if (!may_die(w, n))
		return false;
	node_kill(w, n, "fault");
	return true;
}

static bool pause_one(struct world *w, struct node *n)
{
	if (!n->alive)
		return false;
	int64_t until = w->now + (int64_t)draw(w, SECOND);
	n->paused_until = until > n->paused_until ? until : n->paused_until;
	say(w, "%d.%d is stopped until %.3f", n->number, n->life, (double)n->paused_until / 1e6);
	return true;
}

static struct conn *standing(struct world *w)
{
	struct conn *c = w->conns ? &w->conn[draw(w, (uint64_t)w->conns)] : NULL;

	return c && c->open[0] && c->open[1] ? c : NULL;
}

static bool break_one(struct world *w, struct node *n)
{
	struct conn *c = standing(w);

	(void)n;
	if (!c || w->style == PIPE)
		return false;
	say(w, "the connection of %d and %d breaks", c->node[0], c->node[1]);
	for (int side = 0; side < 2; side++)
		schedule(w, w->now + (int64_t)draw(w, 20 * MS), EV_GONE, c->node[side],
			 c->life[side], (int)(c - w->conn), side);
	return true;
}

static bool part(struct world *w, bool both)
{
	struct conn *c = standing(w);
	int64_t until = w->now + (int64_t)draw(w, SECOND);
	int side = (int)draw(w, 2);

	if (!c)
		return false;
	c->held_until[side] = until;
	if (both)
		c->held_until[1 - side] = until;
	say(w, "nothing passes %s %d %s %d until %.3f", both ? "between" : "to", c->node[side],
	    both ? "and" : "from", c->node[1 - side], (double)until / 1e6);
	return true;
}

static bool part_both(struct world *w, struct node *n)
{
	(void)n;
	return part(w, true);
}

static bool part_one(struct world *w, struct node *n)
{
	(void)n;
	return part(w, false);
}

static bool fill_disk(struct world *w, struct node *n)
{
	(void)n;
	w->disk_full_until = w->now + (int64_t)draw(w, SECOND);
	say(w, "disk full until %.3f", (double)w->disk_full_until / 1e6);
	return true;
}

/* It lives and takes nothing out of its queue: those before it run out of credit. */
static bool starve(struct world *w, struct node *n)
{
	if (!n->alive || n->role == SOURCE)
		return false;
	n->starved_until = w->now + (int64_t)draw(w, SECOND);
	schedule(w, n->starved_until, EV_WAKE, n->number, n->life, 0, 0);
	say(w, "%d.%d takes nothing until %.3f", n->number, n->life,
	    (double)n->starved_until / 1e6);
	return true;
}

/* Its work on the frame it has or will have takes very long, or never ends; its link lives. */
static bool hang(struct world *w, struct node *n)
{
	if (!n->alive || n->role != MIDDLE || n->ended || n->hung_until > w->now)
		return false;
	bool ever = is_worker(w, n) && w->workers > 1 && !w->hung_for_ever && chance(w, 300);
	w->hung_for_ever = w->hung_for_ever || ever;
	n->hung_until = ever ? INT64_MAX : w->now + (int64_t)draw(w, 3 * SECOND);
	n->hung_for_ever = ever;
	say(w, "%d.%d hangs until %.3f", n->number, n->life, (double)n->hung_until / 1e6);
	return true;
}

static bool ask_to_leave(struct world *w, struct node *n)
{
	/* Not at the end: where all leave before they have passed it on, nobody hears of it. */
	if (w->style == PIPE || !n->alive || n->role != MIDDLE || n->leaving || n->ended ||
	    w->node[0].closing)
		return false;
	node_leave(w, n);
	return true;
}

/* One who talks nonsense until he is ignored, and stays connected. */
static bool stranger(struct world *w, struct node *n)
{
	if (!n->alive || n->bound < 0)
		return false;
	int peer = link_core_peer(n->core, n->bound, w->now);
	int times = (int)draw(w, 2 * LINK_CORE_MALFORMED_MAX);
	for (int i = 0; peer >= 0 && i <= times; i++)
		link_core_malformed(n->core, peer, "nonsense", w->now);
	node_after(w, n);
	return peer >= 0;
}

static const struct {
	const char *name;
	bool (*strike)(struct world *w, struct node *n); /* NULL: of the whole world */
	int weight;                                      /* how often, among those that strike */
} faults[FAULTS] = {
	[FAULT_KILL] = { "kill", kill_one, 10 },
	[FAULT_RESTART] = { "restart", NULL, 0 },
	[FAULT_PAUSE] = { "pause", pause_one, 4 },
	[FAULT_BREAK] = { "break", break_one, 3 },
	[FAULT_PARTITION] = { "partition", part_both, 2 },
	[FAULT_ONE_WAY] = { "one-way", part_one, 2 },
	[FAULT_DISK_FULL] = { "disk-full", fill_disk, 2 },
	[FAULT_STARVE] = { "starve", starve, 2 },
	[FAULT_HANG] = { "hang", hang, 4 },
	[FAULT_LEAVE] = { "leave", ask_to_leave, 2 },
	[FAULT_STRANGER] = { "stranger", stranger, 1 },
	[FAULT_DELAY] = { "delay", NULL, 0 },
	[FAULT_DUPLICATE] = { "duplicate", NULL, 0 },
	[FAULT_REORDER] = { "reorder", NULL, 0 },
	[FAULT_SILENT] = { "silent-death", NULL, 0 },
	[FAULT_MEMORY] = { "memory", NULL, 0 },
	[FAULT_SLOW] = { "slow", NULL, 0 },
	[FAULT_POISON] = { "poison", NULL, 0 },
	[FAULT_TWO_POISONS] = { "two-poisons", NULL, 0 },
	[FAULT_TWO_SINKS] = { "two-sinks", NULL, 0 },
	[FAULT_BAD] = { "bad-frame", NULL, 0 },
	[FAULT_DROP] = { "drop", NULL, 0 },
	[FAULT_LATE] = { "late-start", NULL, 0 },
};

const char *fault_name(enum fault f)
{
	return faults[f].name;
}

int fault_of(const char *name)
{
	for (int f = 0; f < FAULTS; f++)
		if (strcmp(faults[f].name, name) == 0)
			return f;
	return -1;
}

bool fault_given(struct world *w, enum fault f, int per_thousand)
{
	return w->only < 0 ? chance(w, per_thousand) : w->only == (int)f;
}

void fault_happened(struct world *w, enum fault f)
{
	w->happened[f]++;
}

static enum fault draw_fault(struct world *w)
{
	int sum = 0;

	if (w->only >= 0) /* death without a word shows only with deaths */
		return w->only == FAULT_SILENT ? FAULT_KILL : (enum fault)w->only;
	for (int f = 0; f < FAULTS; f++)
		sum += faults[f].weight;
	int at = (int)draw(w, (uint64_t)sum), f = 0;
	while (at >= faults[f].weight)
		at -= faults[f++].weight;
	return (enum fault)f;
}

void fault_strike(struct world *w)
{
	enum fault f = draw_fault(w);
	struct node *n = &w->node[draw(w, (uint64_t)w->nodes)];

	if (faults[f].strike && faults[f].strike(w, n))
		fault_happened(w, f);
	int64_t next = w->now + 1 + (int64_t)draw(w, chance(w, 300) ? 20 * MS : 500 * MS);
	if (next < w->faults_until)
		schedule(w, next, EV_FAULT, 0, -1, 0, 0);
}
