/* The link's decisions one by one: a core that sends, and peers whose messages are made up here. What
 * whole lines do under misfortune is tests/sim's matter. */
#include "tests/c/link_core_peers.h"

static void check_refusals(void)
{
	struct link_core *c = make(false, true);
	int e = link_core_bind(c, false), p[4];

	for (int i = 0; i < 4; i++)
		p[i] = link_core_peer(c, e, now);
	check(!hello(c, p[0], 99, ROLE_RECEIVER, "", 1000) && last()->kind == MESSAGE_REJECT &&
		  last()->code == CODE_VERSION && strstr(last()->as.text, "99"),
	      "another version is refused, and named");
	check(!hello(c, p[0], WIRE_VERSION, ROLE_SENDER, "", 1000) && last()->code == CODE_ROLE,
	      "two senders are refused");
	check(hello(c, p[1], WIRE_VERSION, ROLE_RECEIVER, "recipe-a", 1000) != 0, "a hello");
	check(!hello(c, p[2], WIRE_VERSION, ROLE_RECEIVER, "recipe-b", 1000) &&
		  last()->code == CODE_WANTS && strstr(last()->as.text, "recipe-a") &&
		  strstr(last()->as.text, "recipe-b"),
	      "other wants are refused, with both recipes");
	check(hello(c, p[3], WIRE_VERSION, ROLE_RECEIVER, "", 1000) != 0,
	      "who wants nothing in particular fits");
	credit(c, p[0], 12345, 9);
	check(last()->kind == MESSAGE_REJECT && last()->code == CODE_SESSION &&
		  last()->session == 12345,
	      "a session that is not known is told so");
	int before = said_count;
	credit(c, p[0], 12345, 10);
	check(said_count == before, "once, not for each message");
	link_core_free(&c);
}

static void check_frames(void)
{
	struct link_core *c = make(false, true);
	int e = link_core_bind(c, false), p = link_core_peer(c, e, now);
	uint64_t s = hello(c, p, WIRE_VERSION, ROLE_RECEIVER, "", 150);
	struct message nak = { .kind = MESSAGE_NAK, .session = s, .link_seq = 1, .code = CODE_BAD };
	struct message ack = { .kind = MESSAGE_ACK, .session = s };

	send(c, 0, 100);
	check(last()->kind != MESSAGE_FRAME, "nothing goes without credit");
	credit(c, p, s, 3);
	check(last()->kind == MESSAGE_FRAME && last()->link_seq == 1 && last_frame.seq == 0,
	      "with credit it goes");
	snprintf(nak.as.text, sizeof nak.as.text, "too strange");
	hear(c, p, &nak);
	check(last()->kind == MESSAGE_FRAME && last()->link_seq == 2 &&
		  last_frame.status == FRAME_ERROR && strstr(last_frame.reason, "too strange"),
	      "what the receiver cannot use becomes an error row with its reason");
	send(c, 1, 200);
	check(last()->kind == MESSAGE_FRAME && last()->link_seq == 3 && !last()->has_payload &&
		  last_frame.status == FRAME_ERROR && strstr(last_frame.reason, "150"),
	      "a frame above max_frame becomes an error row");
	ack.as.ranges.count = 1;
	ack.as.ranges.range[0] = (struct message_range){ 1, UINT64_MAX };
	hear(c, p, &ack);
	check(acked_count == 2, "a range that reaches too far means what there is");
	credit(c, p, s, 2);
	send(c, 2, 100);
	check(last()->kind == MESSAGE_FRAME && last()->link_seq == 3,
	      "credit never shrinks, nor grows");
	link_core_free(&c);
}

static void check_retention(void)
{
	struct link_core *c = make(false, true);
	int e = link_core_bind(c, false), p = link_core_peer(c, e, now), n = 0;
	uint64_t s = hello(c, p, WIRE_VERSION, ROLE_RECEIVER, "", 1000);
	struct link_core_counts counts;

	credit(c, p, s, 100);
	while (link_core_room(c, 1) && n < 100)
		send(c, (uint64_t)n++, 10);
	check(n == 8, "at most retain_frames are kept, whatever the credit");
	link_core_gone(c, p, now += MS);
	link_core_count(c, &counts);
	check(counts.pending == 8 && counts.unacked == 0 && counts.resent == 8 && forgotten == 1,
	      "a dead receiver's frames wait for another");
	p = link_core_peer(c, e, now);
	s = hello(c, p, WIRE_VERSION, ROLE_RECEIVER, "", 1000);
	said_count = 0;
	credit(c, p, s, 100);
	bool in_order = said_count == 8;
	for (int i = 0; i < said_count; i++)
		in_order = in_order && said[i].kind == MESSAGE_FRAME &&
			   said[i].link_seq == (uint64_t)i + 1;
	check(in_order && last_frame.seq == 7, "they go again, lowest first");
	link_core_free(&c);
	c = make(false, true);
	for (n = 0; link_core_room(c, 1) && n < 100; n++)
		send(c, (uint64_t)n, 400);
	check(n == 2, "nor more than retain_bytes");
	link_core_free(&c);
}

static void check_nonsense(void)
{
	struct link_core *c = make(true, false);
	int e = link_core_bind(c, true), p = link_core_peer(c, e, now);

	link_core_malformed(c, p, "gibberish", now);
	check(last()->kind == MESSAGE_REJECT && last()->code == CODE_BAD &&
		  strstr(last()->as.text, "gibberish"),
	      "the first nonsense is answered");
	for (int i = 1; i < LINK_CORE_MALFORMED_MAX; i++)
		link_core_malformed(c, p, "gibberish", now);
	said_count = 0;
	check(!hello(c, p, WIRE_VERSION, ROLE_SENDER, "", 1000) && said_count == 0,
	      "after sixteen the peer is ignored");
	forgotten = 0;
	link_core_tick(c, now += 401 * MS);
	check(forgotten == 1, "and forgotten when it has been silent for four beats");
	link_core_free(&c);
}

/* Strangers by the thousand, who go on talking. */
static void check_crowd(void)
{
	struct link_core *c = make(true, false);
	int e = link_core_bind(c, true), first = link_core_peer(c, e, now), p = first;

	check(hello(c, first, WIRE_VERSION, ROLE_SENDER, "", 1000) != 0, "the first comes in");
	for (int i = 0; i < 3000 && p >= 0; i++) {
		p = link_core_peer(c, e, now);
		for (int k = 0; p >= 0 && k < LINK_CORE_MALFORMED_MAX; k++)
			link_core_malformed(c, p, "gibberish", now);
	}
	check(p >= 0 && p != first, "a crowd of strangers always finds a number");
	p = link_core_peer(c, e, now);
	check(p >= 0 && hello(c, p, WIRE_VERSION, ROLE_SENDER, "", 1000) != 0,
	      "and keeps nobody out");
	link_core_free(&c);
}

static void check_lost(void)
{
	struct link_core *c = make(true, false);
	int e = link_core_bind(c, true), p = link_core_peer(c, e, now);
	uint64_t s = hello(c, p, WIRE_VERSION, ROLE_SENDER, "", 1000);

	link_core_lost(c, p, now += MS);
	check(last()->kind == MESSAGE_REJECT && last()->code == CODE_SESSION &&
		  last()->session == s,
	      "a message lost for want of memory ends its session: all of it comes again");
	link_core_free(&c);
}

/* Two upstreams; one has broken off while its frame is worked on, and the stage is asked to leave. */
static void check_leave(void)
{
	struct link_core *c = make(true, true);
	int e = link_core_bind(c, true), a = link_core_peer(c, e, now),
	    b = link_core_peer(c, e, now);
	uint64_t from_a = hello(c, a, WIRE_VERSION, ROLE_SENDER, "", 1000);
	uint64_t from_b = hello(c, b, WIRE_VERSION, ROLE_SENDER, "", 1000);

	link_core_flush(c, now);
	give(c, a, from_a, 1, 1);
	link_core_take(c, delivered->origin, now += MS);
	struct frame *working = delivered;
	delivered = NULL;
	link_core_gone(c, a, now += MS);
	for (uint64_t i = 1; i <= 3; i++)
		give(c, b, from_b, i, 10 + i);
	a = link_core_peer(c, e, now);
	from_a = hello(c, a, WIRE_VERSION, ROLE_SENDER, "", 1000);
	link_core_flush(c, now);
	link_core_leave(c, now += MS);
	said_count = 0;
	give(c, a, from_a, 1, 1);
	check(said_count == 1 && last()->kind == MESSAGE_WORK && last()->session == from_a,
	      "the frame that is worked on is taken for what it is when it comes again");
	frame_free(&working);
	frame_free(&delivered);
	link_core_free(&c);
}

/* A frame is on its way to a stage that is asked to leave: it goes back, what was begun is acknowledged
 * all the same, and the stage stays until that was heard. */
static void check_last_word(void)
{
	struct link_core *c = make(true, false);
	int e = link_core_bind(c, true), p = link_core_peer(c, e, now);
	uint64_t s = hello(c, p, WIRE_VERSION, ROLE_SENDER, "", 1000);
	struct message pong = { .kind = MESSAGE_PONG, .session = s };

	link_core_flush(c, now);
	give(c, p, s, 1, 1);
	link_core_take(c, delivered->origin, now += MS);
	link_core_leave(c, now += MS);
	said_count = 0;
	give(c, p, s, 2, 2);
	check(said_count == 1 && last()->kind == MESSAGE_BYE && last()->as.ranges.count == 1 &&
		  last()->as.ranges.range[0].first == 2 && last()->as.ranges.range[0].last == 2,
	      "what was on its way to one who leaves goes back");
	link_core_done(c, delivered->origin, now += MS);
	said_count = 0;
	link_core_close(c, now += MS);
	check(said_count == 2 && said[0].kind == MESSAGE_ACK && last()->kind == MESSAGE_PING &&
		  last()->session == s && finished_count == 0,
	      "what it had begun is acknowledged, and it asks whether that was heard");
	hear(c, p, &pong);
	check(finished_count == 1, "then it goes");
	frame_free(&delivered);
	link_core_free(&c);
}

/* What is granted to one who has not yet shown how large his frames are, and to several. */
static void check_window(void)
{
	fixed_window = 0;
	struct link_core *c = make(true, false);
	int e = link_core_bind(c, true), p[8];

	for (int i = 0; i < 8; i++)
		p[i] = link_core_peer(c, e, now);
	uint64_t s = hello(c, p[0], WIRE_VERSION, ROLE_SENDER, "", 1000);
	link_core_flush(c, now);
	check(last()->kind == MESSAGE_CREDIT && last()->upto == 2, "little at first");
	for (int i = 1; i < 8; i++)
		hello(c, p[i], WIRE_VERSION, ROLE_SENDER, "", 1000);
	struct message m = { .kind = MESSAGE_FRAME, .session = s, .link_seq = 1 };
	m.frame = frame_new();
	snprintf(m.frame->source, sizeof m.frame->source, "s");
	m.frame->payload = buffer_new(1 << 20);
	hear(c, p[0], &m);
	link_core_flush(c, now);
	check(last()->kind == MESSAGE_CREDIT && last()->upto == 7,
	      "of frames of 1 MiB the eighth part of 64 MiB to each of eight");
	frame_free(&delivered);
	link_core_free(&c);
	fixed_window = 8;
}

static void check_time(void)
{
	struct link_core *c = make(true, false);
	int e = link_core_bind(c, true), p = link_core_peer(c, e, now);
	struct link_core_counts counts;

	hello(c, p, WIRE_VERSION, ROLE_SENDER, "", 1000);
	for (int i = 0; i < 39; i++)
		link_core_tick(c, now += 10 * MS);
	link_core_count(c, &counts);
	check(counts.up_peers == 1 && last()->kind == MESSAGE_PING, "silence is asked about");
	link_core_tick(c, now += 20 * MS);
	link_core_count(c, &counts);
	check(counts.up_peers == 0 && counts.dead == 1, "four beats of it are death");
	link_core_tick(c, now += 4990 * MS);
	check(broken_code == 0, "an orphan waits");
	link_core_tick(c, now += 20 * MS);
	check(broken_code == EX_TEMPFAIL, "and gives up with 75");
	link_core_free(&c);

	c = make(true, false);
	e = link_core_bind(c, true), p = link_core_peer(c, e, now);
	hello(c, p, WIRE_VERSION, ROLE_SENDER, "", 1000);
	link_core_tick(c, now += 3000 * MS);
	link_core_count(c, &counts);
	check(counts.up_peers == 1, "who has slept itself takes nobody for dead");
	link_core_free(&c);
}

/* Who only looks: told how things stand, shown what passes as far as its credit goes, waited for by
 * nobody. */
static void check_observers(void)
{
	struct link_core *c = make(false, true);
	int out = link_core_bind(c, false), status = link_core_bind_status(c);
	int p = link_core_peer(c, out, now), looker = link_core_peer(c, out, now);
	uint64_t o = hello(c, looker, WIRE_VERSION, ROLE_OBSERVER, "", 1000);
	struct message m = { .kind = MESSAGE_PING, .session = o };
	struct link_core_counts counts;

	check(o && last()->as.hello.role == ROLE_SENDER, "an observer is welcome");
	link_core_count(c, &counts);
	check(counts.down_peers == 0, "and no neighbour");
	credit(c, looker, o, 3);
	send(c, 0, 8);
	hear(c, looker, &m);
	check(last()->kind == MESSAGE_PONG && last()->as.state.queued == 1 &&
		  last()->as.state.alone_ms > 0 && last()->as.state.out == 0,
	      "it asks how things are, and is given nothing that nobody has taken");
	uint64_t s = hello(c, p, WIRE_VERSION, ROLE_RECEIVER, "", 1000);
	credit(c, p, s, 9);
	check(last()->kind == MESSAGE_FRAME && last()->session == o && last()->link_seq == 1 &&
		  said[said_count - 2].kind == MESSAGE_FRAME && said[said_count - 2].session == s,
	      "what goes downstream is shown to it");
	for (uint64_t i = 1; i < 5; i++)
		send(c, i, 8);
	link_core_count(c, &counts);
	check(counts.out == 5 && counts.unacked == 5 && last()->session == s,
	      "without credit it is sent no more, and nothing waits");
	credit(c, looker, o, UINT64_MAX);
	send(c, 5, 8);
	check(last()->session == o && last()->passed == 6 && last()->link_seq == 4,
	      "but told how much it has missed");
	check(hello(c, link_core_peer(c, status, now), WIRE_VERSION, ROLE_OBSERVER, "", 9) != 0 &&
		  !hello(c, link_core_peer(c, status, now), WIRE_VERSION, ROLE_RECEIVER, "", 9) &&
		  last()->code == CODE_ROLE,
	      "an address of its own is for observers alone");
	forgotten = 0;
	link_core_gone(c, looker, now += MS);
	link_core_count(c, &counts);
	check(forgotten == 1 && counts.resent == 0 && counts.unacked == 6,
	      "when it dies nothing is sent again");
	for (int i = 0; i < 7; i++)
		o = hello(c, link_core_peer(c, out, now), WIRE_VERSION, ROLE_OBSERVER, "", 9);
	check(o && !hello(c, link_core_peer(c, out, now), WIRE_VERSION, ROLE_OBSERVER, "", 9) &&
		  last()->code == CODE_BUSY,
	      "eight of them, not more");
	for (int i = 0; i < 5; i++)
		link_core_tick(c, now += 90 * MS);
	check(forgotten >= 8, "who says nothing for four beats is forgotten");
	link_core_free(&c);
}

int main(void)
{
	check_refusals();
	check_frames();
	check_retention();
	check_nonsense();
	check_crowd();
	check_lost();
	check_leave();
	check_last_word();
	check_window();
	check_time();
	check_observers();
	frame_free(&delivered);
	buffer_pool_drain();
	printf("%d checks, %d failed\n", checks, failures);
	return failures > 0;
}
