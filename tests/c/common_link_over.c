/* The end, told from behind: what becomes of a stage that begins again after everything before it has
 * ended and gone. */
#include "tests/c/link_core_peers.h"

static void state(struct link_core *c, int peer, uint64_t session, const char *word)
{
	struct message m = { .kind = MESSAGE_PING, .session = session };

	snprintf(m.as.state.state, sizeof m.as.state.state, "%s", word);
	hear(c, peer, &m);
}

static void say_end(struct link_core *c, int peer, uint64_t session, enum message_kind kind)
{
	struct message m = { .kind = kind, .session = session, .code = CODE_DONE };

	if (kind != MESSAGE_BYE)
		m.as.eos = (struct message_eos){ .id = 1, .end = true };
	hear(c, peer, &m);
}

static bool was_said(int peer, enum message_kind kind, const char *word)
{
	for (int i = 0; i < said_count; i++)
		if (said_to[i] == peer && said[i].kind == kind &&
		    (!word || strcmp(said[i].as.state.state, word) == 0))
			return true;
	return false;
}

/* In the middle: nobody before it, and the stage after it has seen the end. */
static void check_middle(void)
{
	struct link_core *c = make(true, true);
	int in = link_core_bind(c, true), out = link_core_bind(c, false);
	int p = link_core_peer(c, out, now), up = link_core_peer(c, in, now);
	uint64_t s = hello(c, p, WIRE_VERSION, ROLE_RECEIVER, "", 1000);

	state(c, p, s, "draining");
	check(ended_count == 0, "who has no upstream yet waits for one");
	hello(c, up, WIRE_VERSION, ROLE_SENDER, "", 1000);
	state(c, p, s, "over");
	check(ended_count == 0, "nor does it end as long as one is there, whatever is said behind");
	link_core_gone(c, up, now += MS);
	check(ended_count == 1, "without one it has missed the end, and takes it from behind");
	link_core_close(c, now);
	check(last()->kind == MESSAGE_EOS && last()->as.eos.end && last()->as.eos.count == 0,
	      "it says so itself");
	check(finished_count == 0, "and waits for the answer");
	struct message m = { .kind = MESSAGE_EOS_ACK, .session = s };
	m.as.eos.id = last()->as.eos.id;
	hear(c, p, &m);
	link_core_tick(c, now += 1001 * MS); /* one that was lost might come back */
	check(finished_count == 1 && was_said(p, MESSAGE_BYE, NULL), "then it goes");
	link_core_free(&c);
}

/* An orphan before it is no upstream: both go, one after the other. */
static void check_chain(void)
{
	struct link_core *c = make(true, true);
	int in = link_core_bind(c, true), out = link_core_bind(c, false);
	int p = link_core_peer(c, out, now), up = link_core_peer(c, in, now);
	uint64_t s = hello(c, p, WIRE_VERSION, ROLE_RECEIVER, "", 1000);
	uint64_t u = hello(c, up, WIRE_VERSION, ROLE_SENDER, "", 1000);

	state(c, p, s, "over");
	state(c, up, u, "orphan");
	check(ended_count == 1, "an orphan brings nothing");
	link_core_close(c, now);
	struct message m = { .kind = MESSAGE_EOS_ACK, .session = s };
	m.as.eos.id = last()->as.eos.id;
	hear(c, p, &m);
	check(was_said(up, MESSAGE_PING, "over") && finished_count == 0,
	      "what was told from behind is passed on, and its end waited for");
	say_end(c, up, u, MESSAGE_EOS);
	check(was_said(up, MESSAGE_EOS_ACK, NULL), "which is heard");
	say_end(c, up, u, MESSAGE_BYE);
	check(finished_count == 1, "then it goes");
	link_core_free(&c);
}

/* At the end of the line: one of two workers was killed in the end, and begins again. */
static void check_sink(bool in_time)
{
	struct link_core *c = make(true, false);
	int e = link_core_bind(c, true);
	int a = link_core_peer(c, e, now), b = link_core_peer(c, e, now);
	uint64_t s = hello(c, a, WIRE_VERSION, ROLE_SENDER, "", 1000);

	hello(c, b, WIRE_VERSION, ROLE_SENDER, "", 1000);
	link_core_gone(c, b, now += MS);
	say_end(c, a, s, MESSAGE_EOS);
	for (int i = 0; i < 4; i++) { /* the lost one might have had more */
		state(c, a, s, "draining");
		link_core_tick(c, now += 250 * MS);
	}
	check(ended_count == 1, "the stream has ended");
	link_core_close(c, now);
	check(was_said(a, MESSAGE_EOS_ACK, NULL), "and the other one is told so");
	say_end(c, a, s, MESSAGE_BYE);
	check(finished_count == 1, "who was lost long ago is not waited for");
	link_core_free(&c);

	c = make(true, false);
	e = link_core_bind(c, true);
	a = link_core_peer(c, e, now), b = link_core_peer(c, e, now);
	s = hello(c, a, WIRE_VERSION, ROLE_SENDER, "", 1000);
	hello(c, b, WIRE_VERSION, ROLE_SENDER, "", 1000);
	say_end(c, a, s, MESSAGE_EOS);
	check(ended_count == 0, "as long as another may send there is no end");
	struct message m = { .kind = MESSAGE_EOS, .session = s };
	m.as.eos = (struct message_eos){ .id = 2, .end = true, .count = 1 };
	m.as.eos.total[0] = (struct message_total){ .source = "s", .run = 1, .ended = true };
	hear(c, a, &m);
	link_core_gone(c, b, now += MS);
	check(ended_count == 1, "when it is gone, and nothing can be missing, it has come");
	link_core_close(c, now);
	say_end(c, a, s, MESSAGE_BYE);
	check(finished_count == 0, "but whoever was lost just now may be on its way back");
	if (in_time) {
		int again = link_core_peer(c, e, now);
		generation++;
		uint64_t t = hello(c, again, WIRE_VERSION, ROLE_SENDER, "", 1000);
		check(was_said(again, MESSAGE_PING, "over"), "and is told at once");
		say_end(c, again, t, MESSAGE_EOS);
		check(was_said(again, MESSAGE_EOS_ACK, NULL), "its end is heard");
		say_end(c, again, t, MESSAGE_BYE);
	} else {
		link_core_tick(c, now += 1001 * MS);
	}
	check(finished_count == 1, "then nobody is waited for any more");
	link_core_free(&c);
}

int main(void)
{
	check_middle();
	check_chain();
	check_sink(true);
	check_sink(false);
	printf("%d checks, %d failed\n", checks, failures);
	return failures > 0;
}
