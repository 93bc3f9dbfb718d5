/* Who is to blame: frames over which receivers die or hang. A core that sends, and receivers whose messages
 * are made up here. */
#include "tests/c/link_core_peers.h"

/* One upstream sends a frame; the stage passes it on at once. */
static void relay(struct link_core *c, int peer, uint64_t session, uint64_t seq, int tries)
{
	struct message m = { .kind = MESSAGE_FRAME, .session = session, .link_seq = seq + 1 };

	m.frame = frame_new();
	snprintf(m.frame->source, sizeof m.frame->source, "s");
	m.frame->seq = seq;
	m.frame->payload = buffer_new(8);
	m.frame->try = tries;
	hear(c, peer, &m);
	link_core_take(c, delivered->origin, now += MS);
	link_core_send(c, delivered, now += MS);
	delivered = NULL;
}

/* A receiver that takes all there is, begins with the newest and dies of it. */
static void die_of_it(struct link_core *c, int peer)
{
	uint64_t s = hello(c, peer, WIRE_VERSION, ROLE_RECEIVER, "", 1000);
	struct message work = { .kind = MESSAGE_WORK, .session = s };

	generation++;
	credit(c, peer, s, 9);
	work.link_seq = last()->kind == MESSAGE_FRAME ? last()->link_seq : 1;
	hear(c, peer, &work);
	link_core_gone(c, peer, now += MS);
}

static void check_tries(void)
{
	struct link_core *c = make(true, true);
	int e = link_core_bind(c, true), up = link_core_peer(c, e, now);
	int down = link_core_bind(c, false), p = link_core_peer(c, down, now);
	uint64_t s = hello(c, up, WIRE_VERSION, ROLE_SENDER, "", 1000);
	uint64_t to = hello(c, p, WIRE_VERSION, ROLE_RECEIVER, "", 1000);
	struct message ack = { .kind = MESSAGE_ACK, .session = to };

	credit(c, p, to, 9);
	relay(c, up, s, 0, 0);
	relay(c, up, s, 1, 2);
	check(last()->kind == MESSAGE_FRAME && last_frame.seq == 1 && last_frame.try == 2,
	      "deaths on the link before stay counted, and nobody here is careful because of them");
	ack.as.ranges.count = 1;
	ack.as.ranges.range[0] = (struct message_range){ 1, 2 };
	hear(c, p, &ack);
	link_core_gone(c, p, now += MS);
	relay(c, up, s, 2, 2);
	for (int i = 0; i < 3; i++) {
		die_of_it(c, link_core_peer(c, down, now));
		check(last_frame.try == 2 + i, "each try names the deaths so far");
	}
	p = link_core_peer(c, down, now);
	credit(c, p, hello(c, p, WIRE_VERSION, ROLE_RECEIVER, "", 1000), 9);
	check(last_frame.seq == 2 && last_frame.status == FRAME_DEAD && last_frame.try == 5,
	      "the tombstone tells of all five");
	check(buried_count == 1 && buried_whole,
	      "before that the frame was shown, whole, to whoever keeps such");
	link_core_free(&c);
}

static uint64_t receiver(struct link_core *c, int *peer, uint64_t room)
{
	*peer = link_core_peer(c, 0, now);
	generation++;
	uint64_t s = hello(c, *peer, WIRE_VERSION, ROLE_RECEIVER, "", 1000);
	said_count = 0;
	credit(c, *peer, s, room);
	return s;
}

static void work(struct link_core *c, int peer, uint64_t session, uint64_t first, uint64_t seq)
{
	struct message m = { .kind = MESSAGE_WORK, .session = session, .link_seq = seq };

	m.first = first < seq ? first : 0;
	hear(c, peer, &m);
}

static void ack(struct link_core *c, int peer, uint64_t session, uint64_t first, uint64_t final)
{
	struct message m = { .kind = MESSAGE_ACK, .session = session, .as.ranges.count = 1 };

	m.as.ranges.range[0] = (struct message_range){ first, final };
	hear(c, peer, &m);
}

static void busy(struct link_core *c, int peer, uint64_t session, uint64_t ms)
{
	struct message m = { .kind = MESSAGE_PING, .session = session, .as.state.busy_ms = ms };

	hear(c, peer, &m);
}

/* How often did workers die until all is settled, if frames a and b kill whoever begins them? One worker at a
 * time, which says what it begins and works in order. */
static int deaths_of_line(uint64_t a, uint64_t b, int *dead, int *tried)
{
	struct link_core *c = make(false, true);
	struct link_core_counts counts = { .pending = 1 };
	int deaths = 0, p;

	link_core_bind(c, false);
	for (uint64_t i = 0; i < 6; i++)
		send(c, i, 10);
	*dead = *tried = 0;
	for (int life = 0; life < 20 && counts.pending; life++) {
		uint64_t s = receiver(c, &p, 4), next = 1;
		while (next <= (uint64_t)said_count && said[next - 1].kind == MESSAGE_FRAME) {
			int seq = frames_said[next - 1];
			bool ok = statuses_said[next - 1] == FRAME_OK;
			if (ok)
				work(c, p, s, next, next);
			if (ok && (seq == (int)a || seq == (int)b)) {
				deaths++;
				link_core_gone(c, p, now += MS);
				p = -1;
				break;
			}
			*dead += !ok;
			*tried += ok && tries_said[next - 1] > 0;
			ack(c, p, s, next, next);
			credit(c, p, s, 4 + next++);
		}
		link_core_count(c, &counts);
		if (p >= 0)
			break;
	}
	link_core_count(c, &counts);
	check(counts.pending == 0 && counts.unacked == 0, "all is settled in the end");
	link_core_free(&c);
	return deaths;
}

static void check_neighbours(void)
{
	int dead, tried;

	check(deaths_of_line(2, 2, &dead, &tried) == 3 && dead == 1 && tried == 0,
	      "a poisonous frame kills three, becomes one tombstone, and no neighbour is charged");
	check(deaths_of_line(2, 3, &dead, &tried) == 6 && dead == 2 && tried == 0,
	      "two beside each other kill three each");
	check(deaths_of_line(0, 3, &dead, &tried) == 6 && dead == 2 && tried == 0,
	      "two in one window kill three each");
}

/* A receiver that works on several at once names all of them. */
static void check_batch(void)
{
	struct link_core *c = make(false, true);
	int p;

	link_core_bind(c, false);
	for (uint64_t i = 0; i < 6; i++)
		send(c, i, 10);
	uint64_t s = receiver(c, &p, 6);
	work(c, p, s, 2, 4);
	link_core_gone(c, p, now += MS);
	receiver(c, &p, 6);
	check(said_count == 1 && frames_said[0] == 0, "the first was finished and is not charged");
	link_core_free(&c);
}

/* A frame that must go alone waits for a worker to be free; those behind it do not, as long as there is
 * another worker. */
static void check_overtaking(void)
{
	struct link_core *c = make(false, true);
	int p[3];
	uint64_t s[3];

	link_core_bind(c, false);
	send(c, 0, 10);
	s[0] = receiver(c, &p[0], 4);
	work(c, p[0], s[0], 1, 1);
	s[1] = receiver(c, &p[1], 4);
	s[2] = receiver(c, &p[2], 4);
	send(c, 1, 10);
	send(c, 2, 10);
	link_core_gone(c, p[0], now += MS);
	said_count = 0;
	send(c, 3, 10);
	send(c, 4, 10);
	bool all_to_one = said_count == 2 && said_to[0] == said_to[1] && frames_said[0] == 3;
	check(all_to_one,
	      "others overtake the one that must go alone, by the worker that is not kept for it");
	int kept = said_to[0] == p[1] ? 2 : 1;
	said_count = 0;
	ack(c, p[kept], s[kept], 1, 1);
	check(said_count == 1 && said_to[0] == p[kept] && frames_said[0] == 0,
	      "which then gets it");
	said_count = 0;
	send(c, 5, 10);
	check(said_count == 1 && said_to[0] != p[kept], "and nothing else");
	link_core_free(&c);
}

static void check_hung(void)
{
	work_ns = 100 * MS;
	struct link_core *c = make(false, true);
	struct link_core_counts counts;
	int p, q;

	link_core_bind(c, false);
	for (uint64_t i = 0; i < 3; i++)
		send(c, i, 10);
	uint64_t s = receiver(c, &p, 4);
	work(c, p, s, 1, 1);
	busy(c, p, s, 99);
	link_core_count(c, &counts);
	check(counts.unacked == 3 && counts.hung == 0, "busy for less than --work-timeout is fine");
	busy(c, p, s, 100);
	link_core_count(c, &counts);
	check(counts.unacked == 0 && counts.pending == 3 && counts.hung == 1,
	      "for longer is hung: its frames are for others");
	uint64_t t = receiver(c, &q, 4);
	check(said_count == 1 && said_to[0] == q && frames_said[0] == 0 && tries_said[0] == 1,
	      "the one it hung over goes alone, and that is counted");
	ack(c, q, t, 1, 1);
	said_count = 0;
	for (uint64_t i = 3; i < 6; i++)
		send(c, i, 10);
	bool elsewhere = said_count > 0;
	for (int i = 0; i < said_count; i++)
		elsewhere = elsewhere && said_to[i] == q;
	check(elsewhere, "the one that is hung gets nothing new");
	ack(c, p, s, 1, 3);
	link_core_count(c, &counts);
	check(counts.acked == 1, "and what it says of what was taken from it means nothing");
	said_count = 0;
	busy(c, p, s, 3);
	bool given = false;
	for (int i = 0; i < said_count; i++)
		given = given || (said[i].kind == MESSAGE_FRAME && said_to[i] == p);
	check(given, "until it answers");
	link_core_free(&c);
}

/* At the end nobody waits for one that is hung. */
static void check_hung_end(void)
{
	struct link_core *c = make(false, true);
	struct message eos_ack = { .kind = MESSAGE_EOS_ACK };
	int p, q;

	link_core_bind(c, false);
	send(c, 0, 10);
	uint64_t s = receiver(c, &p, 4);
	work(c, p, s, 1, 1);
	busy(c, p, s, 1000);
	uint64_t t = receiver(c, &q, 4);
	ack(c, q, t, 1, 1);
	said_count = 0;
	link_core_close(c, now += MS);
	int told = 0;
	for (int i = 0; i < said_count; i++)
		told += said[i].kind == MESSAGE_EOS;
	check(told == 2, "all are told of the end");
	eos_ack.session = t;
	for (int i = 0; i < said_count; i++)
		if (said[i].kind == MESSAGE_EOS)
			eos_ack.as.eos.id = said[i].as.eos.id;
	hear(c, q, &eos_ack);
	check(finished_count == 1, "the one that is hung is not waited for");
	link_core_free(&c);
}

int main(void)
{
	check_tries();
	check_neighbours();
	check_batch();
	check_overtaking();
	check_hung();
	check_hung_end();
	frame_free(&delivered);
	buffer_pool_drain();
	printf("%d checks, %d failed\n", checks, failures);
	return failures > 0;
}
