/* Connections: in order and loss-free as long as they stand, as TCP is; what is on its way when one
 * breaks is partly lost, and one side, or both, may not be told. Duplicates and swaps are worse than
 * TCP does; the link must bear them all the same. */
#include "world.h"

#include <stdlib.h>
#include <string.h>

static struct letter *copy(const struct message *m)
{
	struct letter *x = malloc(sizeof *x);

	if (!x)
		abort();
	x->next = NULL;
	x->m = *m;
	if (m->frame) {
		const struct frame *f = m->frame;
		struct frame *g = x->m.frame = frame_new();
		if (!g)
			abort();
		memcpy(g->source, f->source, sizeof g->source);
		memcpy(g->reason, f->reason, sizeof g->reason);
		g->run = f->run;
		g->seq = f->seq;
		g->try = f->try;
		g->status = f->status;
		g->payload = buffer_ref(f->payload);
	}
	return x;
}

static void put(struct world *w, int number, int side, const struct message *m)
{
	struct conn *c = &w->conn[number];
	struct letter *x = copy(m), *last = c->last[side];
	int64_t at = w->now + (int64_t)draw(w, (uint64_t)w->delay_ns) + 1;

	if (at < c->held_until[side])
		at = c->held_until[side];
	if (at < c->ready[side])
		at = c->ready[side];
	c->ready[side] = at;
	/* Not the end of the stream: that it comes after what it ends is the transport's word. */
	bool end = m->kind == MESSAGE_EOS || (last && last->m.kind == MESSAGE_EOS);
	if (last && !end && w->now < w->faults_until && chance(w, w->p_reorder)) {
		/* Overtakes the one before: swap what the two letters say. */
		fault_happened(w, FAULT_REORDER);
		struct message swapped = last->m;
		last->m = x->m;
		x->m = swapped;
	}
	if (last)
		last->next = x;
	else
		c->first[side] = x;
	c->last[side] = x;
	w->messages++;
	schedule(w, at, EV_MESSAGE, c->node[side], -1, number, side);
}

void net_send(struct world *w, struct node *n, int peer, const struct message *m)
{
	int number = n->conn_of[peer];

	if (number < 0)
		return;
	struct conn *c = &w->conn[number];
	int side = c->node[0] == n->number ? 0 : 1;
	if (!c->open[side] || c->life[side] != n->life || !c->open[1 - side])
		return;
	put(w, number, 1 - side, m);
	if (w->now < w->faults_until && chance(w, w->p_duplicate)) {
		fault_happened(w, FAULT_DUPLICATE);
		put(w, number, 1 - side, m);
	}
}

void net_connect(struct world *w, struct node *n, int peer)
{
	struct node *to = &w->node[n->target[peer]];

	if (!to->alive || w->conns == CONNS_MAX ||
	    (w->style == PIPE && n->target_life[peer] != to->life)) {
		if (w->style == PIPE && w->conns < CONNS_MAX && peer >= 0) {
			/* Refused: in the pipe form that is final. */
			link_core_gone(n->core, peer, w->now);
			node_after(w, n);
			return;
		}
		schedule(w, w->now + 100 * MS, EV_CONNECT, n->number, n->life, peer, 0);
		return;
	}
	struct conn *c = &w->conn[w->conns];
	*c = (struct conn){ .node = { n->number, to->number },
			    .life = { n->life, to->life },
			    .peer = { peer, -1 },
			    .endpoint = to->bound,
			    .since = w->now,
			    .open = { true, true } };
	n->conn_of[peer] = w->conns;
	schedule(w, w->now + (int64_t)draw(w, (uint64_t)w->delay_ns) + 1, EV_CONNECTED, n->number,
		 n->life, w->conns++, 0);
}

void net_connected(struct world *w, int number)
{
	struct conn *c = &w->conn[number];
	struct node *n = &w->node[c->node[0]];

	if (n->conn_of[c->peer[0]] != number || !c->open[0])
		return;
	link_core_connected(n->core, c->peer[0], w->now);
	node_after(w, n);
}

static void drop_letters(struct conn *c, int side, int keep)
{
	struct letter **at = &c->first[side];

	c->last[side] = NULL;
	for (; *at && keep > 0; keep--) {
		c->last[side] = *at;
		at = &(*at)->next;
	}
	while (*at) {
		struct letter *x = *at;
		*at = x->next;
		frame_free(&x->m.frame);
		free(x);
	}
}

static int count(const struct letter *x)
{
	int n = 0;

	for (; x; x = x->next)
		n++;
	return n;
}

/* One side is gone: what it had sent arrives up to some point, then the other hears of it, perhaps. */
static void broken(struct world *w, int number, int side, bool all_said)
{
	struct conn *c = &w->conn[number];
	int other = 1 - side;

	c->open[side] = false;
	drop_letters(c, side, 0);
	if (!all_said)
		drop_letters(c, other, (int)draw(w, (uint64_t)count(c->first[other]) + 1));
	if (!c->open[other])
		return;
	if (chance(w, w->p_silent))
		fault_happened(w, FAULT_SILENT);
	else
		schedule(w, c->ready[other] + (int64_t)draw(w, (uint64_t)w->delay_ns) + 1, EV_GONE,
			 c->node[other], c->life[other], number, other);
}

void net_close(struct world *w, struct node *n, int peer)
{
	int number = n->conn_of[peer];

	n->conn_of[peer] = -1;
	if (number >= 0 && w->conn[number].node[0] == n->number && w->conn[number].open[0])
		broken(w, number, 0, false);
	else if (number >= 0 && w->conn[number].node[1] == n->number)
		w->conn[number].peer[1] = -1; /* the routing id may come again */
}

void net_died(struct world *w, struct node *n, bool all_said)
{
	for (int i = 0; i < w->conns; i++)
		for (int side = 0; side < 2; side++)
			if (w->conn[i].node[side] == n->number &&
			    w->conn[i].life[side] == n->life && w->conn[i].open[side])
				broken(w, i, side, all_said);
}

/* The first letter on its way to this side arrives. */
void net_message(struct world *w, int number, int side)
{
	struct conn *c = &w->conn[number];
	struct letter *x = c->first[side];
	struct node *n = &w->node[c->node[side]];

	if (!x)
		return;
	c->first[side] = x->next;
	if (!x->next)
		c->last[side] = NULL;
	if (n->alive && n->life == c->life[side] && c->open[side]) {
		if (side == 1 && c->peer[1] < 0) {
			c->peer[1] = link_core_peer(n->core, c->endpoint, w->now);
			if (c->peer[1] >= 0)
				n->conn_of[c->peer[1]] = number;
		}
		if (c->peer[side] >= 0 && w->now < w->faults_until && chance(w, w->p_memory)) {
			fault_happened(w, FAULT_MEMORY);
			link_core_lost(n->core, c->peer[side], w->now);
		} else if (c->peer[side] >= 0) {
			link_core_message(n->core, c->peer[side], &x->m, w->now);
		}
		node_after(w, n);
	}
	frame_free(&x->m.frame);
	free(x);
}

void net_free(struct world *w)
{
	for (int i = 0; i < w->conns; i++)
		for (int side = 0; side < 2; side++)
			drop_letters(&w->conn[i], side, 0);
}
