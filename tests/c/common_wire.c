/* Headers of every kind there and back, their prefixes and flipped bits, what the encoder refuses,
 * payloads that disagree, and what a header costs. With --seeds DIR: writes one file per good
 * header, for the fuzzer. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/wire.h"

static int failures, checks;

#define CHECK(condition, ...)                                                  \
	do {                                                                   \
		checks++;                                                      \
		if (!(condition)) {                                            \
			failures++;                                            \
			printf("%s:%d: %s: ", __FILE__, __LINE__, #condition); \
			printf(__VA_ARGS__);                                   \
			putchar('\n');                                         \
		}                                                              \
	} while (0)

/* --- round trips ------------------------------------------------------------------------------ */

static uint64_t state = 88172645463325252u;

static uint64_t next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* Numbers of all lengths, the ends of their ranges often. */
static uint64_t number(uint64_t least, uint64_t most)
{
	uint64_t n = next() >> (next() % 64);

	if (next() % 8 == 0)
		return next() % 2 ? least : most;
	return n < least || n > most ? least + (most - least ? n % (most - least) : 0) : n;
}

static void text(char *out, size_t most, size_t least)
{
	static const char *const pieces[] = { "a",
					      "B",
					      "0",
					      " ",
					      "/",
					      "|",
					      "\xc3\xa4",
					      "\xe6\xbc\xa2",
					      "\xf0\x9f\x8d\xba",
					      "long-piece-of-text" };
	size_t n = least + next() % (most - least), used = 0;

	if (next() % 4 == 0)
		n = most - 1;
	while (used < n) {
		const char *piece = pieces[next() % 10];
		if (used + strlen(piece) > n)
			piece = "x";
		memcpy(out + used, piece, strlen(piece));
		used += strlen(piece);
	}
	out[used] = '\0';
}

static void make_frame(struct message *m)
{
	struct frame *f = m->frame = frame_new();
	struct err e;
	size_t bytes;

	text(f->source, sizeof f->source, 1);
	f->run = number(0, INT64_MAX);
	f->seq = number(0, INT64_MAX);
	f->try = (int)number(0, INT32_MAX);
	f->status = (enum frame_status)(next() % 3);
	m->dropped = next() % 8 == 0;
	if (m->dropped)
		f->status = FRAME_ERROR;
	m->last = m->dropped ? number(f->seq, INT64_MAX) : 0;
	if (f->status != FRAME_OK)
		text(f->reason, sizeof f->reason, 0);
	f->kind = (enum frame_kind)(next() % 3);
	f->dtype = (enum dtype[]){ DTYPE_NONE, DTYPE_F32, DTYPE_U8, DTYPE_F64 }[next() % 4];
	f->rank = (int)(next() % (FRAME_RANK_MAX + 1));
	for (int i = 0; i < f->rank; i++)
		f->shape[i] = (int64_t)(next() % 6);
	if (!m->dropped && (f->status == FRAME_OK || next() % 2)) {
		m->has_payload = true;
		m->payload_size = f->dtype && frame_bytes(f, &bytes, &e) == 0 ? bytes : next() % 99;
	}
	f->captured_ns = (int64_t)next();
	f->time_count = (int)(next() % (FRAME_TIMES_MAX + 1));
	for (int i = 0; i < f->time_count; i++) {
		text(f->time[i].stage, sizeof f->time[i].stage, 0);
		f->time[i].start_ns = (int64_t)next();
		f->time[i].duration_ns = (int64_t)number(0, INT64_MAX);
	}
	f->meta_count = (int)(next() % 12);
	for (int i = 0; i < f->meta_count; i++) {
		struct meta_item *item = &f->meta[i];
		snprintf(item->key, sizeof item->key, "%d-%s", i,
			 "key of a meta item" + next() % 18);
		item->kind = (enum meta_kind)(next() % 3);
		if (item->kind == META_TEXT)
			text(item->as.text, next() % 2 ? 32 : sizeof item->as.text, 0);
		else if (item->kind == META_INT)
			item->as.integer = (int64_t)next();
		else
			item->as.real = (double)(int64_t)next() / 1e9;
	}
}

static void make_hello(struct message_hello *h)
{
	h->version = WIRE_VERSION;
	h->role = (enum message_role)(next() % 3);
	text(h->stage, sizeof h->stage, 1);
	text(h->worker, sizeof h->worker, 0);
	for (size_t i = 0; i < sizeof h->instance; i++)
		h->instance[i] = (uint8_t)next();
	h->max_frame = number(0, UINT64_MAX);
	h->heartbeat_ms = (uint32_t)number(1, UINT32_MAX);
	if (next() % 2)
		return;
	text(h->wants.recipe, sizeof h->wants.recipe, 0);
	h->wants.samples = next() % 2;
	h->wants.dtype = next() % 2 ? DTYPE_U8 : DTYPE_NONE;
	h->wants.rank = (int)(next() % (FRAME_RANK_MAX + 1));
	for (int i = 0; i < h->wants.rank; i++)
		h->wants.shape[i] = (int64_t)(next() % 300) - 1;
}

static void make_eos(struct message_eos *eos)
{
	eos->id = number(0, UINT64_MAX);
	eos->more = next() % 2;
	eos->end = next() % 2;
	eos->count = (int)(next() % (WIRE_TOTALS_MAX + 1));
	for (int i = 0; i < eos->count; i++) {
		struct message_total *t = &eos->total[i];
		text(t->source, sizeof t->source, 1);
		t->run = number(0, INT64_MAX);
		t->ended = next() % 2;
		t->first = number(0, INT64_MAX);
		t->emitted = number(0, INT64_MAX);
		t->dropped = number(0, INT64_MAX);
		t->dead = number(0, INT64_MAX);
		t->expected = number(0, INT64_MAX);
	}
}

static void make_ranges(struct message *m)
{
	m->as.ranges.count = (int)(next() % WIRE_RANGES_MAX) + (m->kind == MESSAGE_ACK);
	for (int i = 0; i < m->as.ranges.count; i++) {
		m->as.ranges.range[i].first = number(1, UINT64_MAX);
		m->as.ranges.range[i].last = number(m->as.ranges.range[i].first, UINT64_MAX);
	}
}

static void make(struct message *m, enum message_kind kind)
{
	memset(m, 0, sizeof *m);
	m->kind = kind;
	if (kind != MESSAGE_HELLO)
		m->session = number(1, UINT64_MAX);
	if (kind == MESSAGE_FRAME || kind == MESSAGE_WORK || kind == MESSAGE_NAK)
		m->link_seq = number(1, UINT64_MAX);
	if (kind == MESSAGE_WORK)
		m->first = number(0, UINT64_MAX);
	if (kind == MESSAGE_REJECT || kind == MESSAGE_NAK || kind == MESSAGE_BYE)
		m->code = (enum message_code)number(CODE_VERSION, CODE_LEAVING);
	if (kind == MESSAGE_HELLO || kind == MESSAGE_WELCOME)
		make_hello(&m->as.hello);
	if (kind == MESSAGE_CREDIT)
		m->upto = number(0, UINT64_MAX);
	if (kind == MESSAGE_FRAME)
		make_frame(m);
	if (kind == MESSAGE_REJECT || kind == MESSAGE_NAK)
		text(m->as.text, sizeof m->as.text, 0);
	if (kind == MESSAGE_ACK || kind == MESSAGE_BYE)
		make_ranges(m);
	if (kind == MESSAGE_BYE)
		text(m->as.ranges.text, sizeof m->as.ranges.text, 0);
	if (kind == MESSAGE_EOS)
		make_eos(&m->as.eos);
	if (kind == MESSAGE_EOS_ACK)
		m->as.eos.id = number(0, UINT64_MAX);
	if (kind == MESSAGE_PING || kind == MESSAGE_PONG) {
		struct message_state *s = &m->as.state;
		text(s->state, sizeof s->state, 0);
		s->queued = number(0, UINT64_MAX);
		s->unacked = number(0, UINT64_MAX);
		s->in = number(0, UINT64_MAX);
		s->out = number(0, UINT64_MAX);
		s->ignored = number(0, UINT64_MAX);
		s->busy_ms = number(0, UINT64_MAX);
		s->up = number(0, UINT64_MAX);
		s->down = number(0, UINT64_MAX);
		s->alone_ms = number(0, UINT64_MAX);
		s->resent = number(0, UINT64_MAX);
		s->duplicates = number(0, UINT64_MAX);
		s->malformed = number(0, UINT64_MAX);
	}
}

static bool same_item(const struct meta_item *a, const struct meta_item *b)
{
	if (strcmp(a->key, b->key) != 0 || a->kind != b->kind)
		return false;
	return a->kind == META_TEXT ? strcmp(a->as.text, b->as.text) == 0
				    : memcmp(&a->as, &b->as, sizeof a->as.integer) == 0;
}

/* What lies behind the last item of meta is nobody's. */
static bool same_frames(const struct frame *a, const struct frame *b)
{
	if (memcmp(a, b, offsetof(struct frame, meta)) != 0 || a->origin != b->origin)
		return false;
	for (int i = 0; i < a->meta_count; i++)
		if (!same_item(&a->meta[i], &b->meta[i]))
			return false;
	return true;
}

static bool same(const struct message *a, const struct message *b)
{
	return a->kind == b->kind && a->session == b->session && a->link_seq == b->link_seq &&
	       a->first == b->first && a->upto == b->upto && a->code == b->code &&
	       a->has_payload == b->has_payload && a->payload_size == b->payload_size &&
	       a->dropped == b->dropped && a->last == b->last && a->passed == b->passed &&
	       memcmp(&a->as, &b->as, sizeof a->as) == 0 &&
	       (a->kind != MESSAGE_FRAME || same_frames(a->frame, b->frame));
}

/* What is true of any bytes: no crash, and what is accepted can be said again. */
static void mangle(const uint8_t *good, size_t size)
{
	uint8_t *copy = malloc(size);
	struct message m;
	struct err e;

	for (size_t cut = 0; cut < size; cut++) {
		uint8_t *part = malloc(cut ? cut : 1);
		memcpy(part, good, cut);
		CHECK(wire_decode(part, cut, &m, &e) < 0, "%zu of %zu bytes accepted", cut, size);
		free(part);
	}
	for (int i = 0; i < 64; i++) {
		memcpy(copy, good, size);
		copy[next() % size] ^= (uint8_t)(1u << (next() % 8));
		if (wire_decode(copy, size, &m, &e) == 0)
			message_clear(&m);
	}
	free(copy);
}

static void check_round_trip(enum message_kind kind, bool hard)
{
	struct message m, back;
	uint8_t bytes[WIRE_HEADER_MAX], again[WIRE_HEADER_MAX];
	struct err e = { 0 };

	make(&m, kind);
	int n = wire_encode(&m, bytes, sizeof bytes, &e);
	if (kind == MESSAGE_FRAME) {
		size_t bound = wire_frame_bound(m.frame);
		CHECK(n < 0 ? bound > sizeof bytes : bound >= (size_t)n, "bound %zu for %d", bound,
		      n);
		if (n < 0) {
			message_clear(&m);
			return;
		}
	}
	CHECK(n > 0, "%s: %s", message_kind_name(kind), e.text);
	CHECK(wire_encode(&m, again, (size_t)n - 1, &e) < 0 && strstr(e.text, "would take"),
	      "fits one byte less");
	int result = n > 0 ? wire_decode(bytes, (size_t)n, &back, &e) : -1;
	CHECK(result == 0, "%s: %s", message_kind_name(kind), e.text);
	if (result == 0) {
		CHECK(same(&m, &back), "%s changed on the way", message_kind_name(kind));
		CHECK(wire_encode(&back, again, sizeof again, &e) == n &&
			  memcmp(bytes, again, (size_t)n) == 0,
		      "%s: other bytes the second time", message_kind_name(kind));
		message_clear(&back);
		if (hard)
			mangle(bytes, (size_t)n);
	}
	message_clear(&m);
}

static void check_encoder(void)
{
	struct message m;
	uint8_t out[WIRE_HEADER_MAX];
	struct err e = { 0 };

	make(&m, MESSAGE_PING);
	memset(m.as.state.state, 'x', sizeof m.as.state.state);
	CHECK(wire_encode(&m, out, sizeof out, &e) < 0 && strstr(e.text, "'state'"), "%s", e.text);
	make(&m, MESSAGE_UNKNOWN);
	CHECK(wire_encode(&m, out, sizeof out, &e) < 0, "unknown kind encoded");
	memset(&m, 0, sizeof m);
	m.kind = MESSAGE_FRAME;
	CHECK(wire_encode(&m, out, sizeof out, &e) < 0, "no frame");
	m.frame = frame_new();
	m.session = m.link_seq = 1;
	CHECK(wire_encode(&m, out, sizeof out, &e) < 0 && strstr(e.text, "'source'"), "%s", e.text);
	strcpy(m.frame->source, "a\nb\xff");
	int n = wire_encode(&m, out, sizeof out, &e);
	CHECK(n > 0, "%s", e.text);
	struct message back;
	CHECK(wire_decode(out, (size_t)n, &back, &e) == 0, "%s", e.text);
	CHECK(strcmp(back.frame->source, "a?b?") == 0, "'%s'", back.frame->source);
	message_clear(&back);
	frame_meta_real(m.frame, "heat", NAN);
	CHECK(wire_encode(&m, out, sizeof out, &e) < 0 && strstr(e.text, "heat"), "%s", e.text);
	CHECK(wire_frame_bound(m.frame) > WIRE_HEADER_MAX, "NaN has a bound");
	m.frame->meta_count = 0;
	for (int i = 0; i < FRAME_META_MAX; i++) {
		char key[FRAME_META_KEY_MAX], value[FRAME_META_TEXT_MAX];
		snprintf(key, sizeof key, "key-%d", i);
		memset(value, 'v', sizeof value);
		value[sizeof value - 1] = '\0';
		frame_meta_text(m.frame, key, value);
	}
	CHECK(wire_encode(&m, out, sizeof out, &e) < 0 && strstr(e.text, "4096 bytes"), "%s",
	      e.text);
	CHECK(wire_frame_bound(m.frame) > WIRE_HEADER_MAX, "a long header has a small bound");
	message_clear(&m);
}

static void check_payload(void)
{
	struct message m = { .kind = MESSAGE_FRAME, .frame = frame_new() };
	struct err e = { 0 };

	m.frame->dtype = DTYPE_F32;
	m.frame->rank = 2;
	m.frame->shape[0] = 3;
	m.frame->shape[1] = 5;
	m.has_payload = true;
	m.payload_size = 60;
	CHECK(wire_check_payload(&m, 60, &e) == 0, "%s", e.text);
	CHECK(wire_check_payload(&m, 59, &e) < 0 && strstr(e.text, "'size'"), "%s", e.text);
	CHECK(wire_check_payload(&m, SIZE_MAX, &e) < 0 && strstr(e.text, "missing"), "%s", e.text);
	m.frame->shape[1] = 6;
	CHECK(wire_check_payload(&m, 60, &e) < 0 && strstr(e.text, "'shape'"), "%s", e.text);
	m.frame->shape[0] = INT64_MAX;
	m.frame->shape[1] = INT64_MAX;
	CHECK(wire_check_payload(&m, 60, &e) < 0, "overflow");
	m.has_payload = false;
	CHECK(wire_check_payload(&m, 60, &e) < 0, "payload that nobody named");
	m.frame->status = FRAME_ERROR;
	CHECK(wire_check_payload(&m, SIZE_MAX, &e) == 0, "%s", e.text);
	m.has_payload = true;
	CHECK(wire_check_payload(&m, 60, &e) == 0, "%s", e.text);
	CHECK(wire_check_payload(&m, 61, &e) < 0, "an error row's payload of another size");
	message_clear(&m);
}

static int write_seeds(const char *folder)
{
	for (int i = 0; i < 200; i++) {
		struct message m;
		uint8_t bytes[WIRE_HEADER_MAX];
		char path[4096];
		make(&m, (enum message_kind)(MESSAGE_HELLO + i % MESSAGE_BYE));
		int n = wire_encode(&m, bytes, sizeof bytes, NULL);
		snprintf(path, sizeof path, "%s/%s-%03d", folder, message_kind_name(m.kind), i);
		message_clear(&m);
		FILE *out = n > 0 ? fopen(path, "wb") : NULL;
		if (!out)
			continue;
		fwrite(bytes, 1, (size_t)n, out);
		fclose(out);
	}
	return 0;
}

static void measure(void)
{
	enum { ROUNDS = 20000 };
	struct message m = { .kind = MESSAGE_FRAME, .session = 1u << 30, .link_seq = 1000 }, back;
	uint8_t bytes[WIRE_HEADER_MAX];
	struct err e;
	int n = 0;

	m.frame = frame_new();
	strcpy(m.frame->source, "photos");
	m.frame->run = UINT64_C(0x123456789abcdef);
	m.frame->seq = 1000;
	m.frame->kind = FRAME_TENSOR;
	m.frame->dtype = DTYPE_F32;
	m.frame->rank = 4;
	memcpy(m.frame->shape, (int64_t[]){ 1, 3, 224, 224 }, 4 * sizeof(int64_t));
	m.has_payload = true;
	m.payload_size = 3 * 224 * 224 * 4;
	m.frame->captured_ns = clock_real_ns();
	frame_timed(m.frame, "capture", m.frame->captured_ns, 1200000);
	frame_timed(m.frame, "preprocess", m.frame->captured_ns, 800000);
	frame_meta_text(m.frame, "path", "photos/part-001000.png");
	frame_meta_int(m.frame, "width", 1280);
	frame_meta_int(m.frame, "height", 1024);
	int64_t start = clock_mono_ns();
	for (int i = 0; i < ROUNDS; i++)
		n = wire_encode(&m, bytes, sizeof bytes, &e);
	int64_t middle = clock_mono_ns();
	for (int i = 0; i < ROUNDS; i++)
		if (wire_decode(bytes, (size_t)n, &back, &e) == 0)
			message_clear(&back);
	int64_t end = clock_mono_ns();
	printf("a tensor's header: %d bytes, encode %.2f us, decode %.2f us\n", n,
	       (double)(middle - start) / 1e3 / ROUNDS, (double)(end - middle) / 1e3 / ROUNDS);
	message_clear(&m);
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--seeds") == 0)
		return write_seeds(argv[2]);
	check_encoder();
	check_payload();
	for (int i = 0; i < 400; i++)
		for (int kind = MESSAGE_HELLO; kind <= MESSAGE_BYE; kind++)
			check_round_trip((enum message_kind)kind, i < 8);
	measure();
	printf("%d checks, %d failed: round trips of %d kinds\n", checks, failures, MESSAGE_BYE);
	return failures > 0;
}
