/* The end, told from behind. Whoever begins again in the middle of a line after its upstream has ended
 * and gone would wait for another one. The stage after it knows better, as long as it is there: it
 * has been told of the end, and would take nothing more. So it says "over" in its PING and PONG, and
 * stays a while for one that it has lost in that moment. */
#include "common/link_core_private.h"

/* Everything before us has ended and knows that we know, so that no source will send all again; or
 * it has had time enough to come back. */
bool over_here(const struct link_core *c)
{
	return c->config.pulls && c->input_over && !c->leaving && c->done_at &&
	       (c->settled || c->now - c->done_at >= c->config.grace_ns);
}

static bool has_upstream(const struct link_core *c)
{
	for (int i = 0; i < c->peer_count; i++)
		if (peer_live(c->peer[i]) && peer_upstream(c, c->peer[i]) && !c->peer[i]->idle_at)
			return true;
	return false;
}

bool over_behind(const struct link_core *c)
{
	if (!c->config.pushes || has_upstream(c))
		return false;
	/* One is enough: it means all that there was, and others may never have heard of anything. */
	for (int i = 0; i < c->peer_count; i++)
		if (peer_live(c->peer[i]) && !peer_upstream(c, c->peer[i]) && c->peer[i]->over)
			return true;
	return false;
}

static bool wants_to_know(const struct link_core *c, const struct peer *p)
{
	return peer_live(p) && peer_upstream(c, p) && !p->ended && !p->leaving && !p->parted;
}

void over_greet(struct link_core *c, int peer)
{
	if (over_here(c) && wants_to_know(c, c->peer[peer]))
		core_say_state(c, peer, MESSAGE_PING);
}

void over_tell(struct link_core *c)
{
	if (c->said_over || !over_here(c))
		return;
	c->said_over = true;
	for (int i = 0; i < c->peer_count; i++)
		over_greet(c, i);
}
