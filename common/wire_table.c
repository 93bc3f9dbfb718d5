/* The headers as data. A new key is one row here and one line in PROTOCOL.md. */
#include "common/wire_table.h"

#include <pthread.h>
#include <string.h>

#define BIT(kind) (1u << MESSAGE_##kind)
#define ANY (~0u)
#define REST (ANY & ~BIT(HELLO) & ~BIT(REJECT)) /* what belongs to a session */
#define GREETING (BIT(HELLO) | BIT(WELCOME))
#define LIFE (BIT(PING) | BIT(PONG))
#define KEY(word) word, sizeof word - 1
#define AT(structure, field) \
	.offset = offsetof(struct structure, field), .width = sizeof(((struct structure *)0)->field)

const char *const wire_kinds[] = { "",      "HELLO", "WELCOME", "REJECT", "CREDIT",
				   "FRAME", "WORK",  "ACK",     "NAK",    "PING",
				   "PONG",  "EOS",   "EOS_ACK", "BYE",    NULL };
const char *const wire_statuses[] = { "ok", "error", "dead", "drop", NULL };

static const char *const codes[] = { "",     "version", "wants", "role",    "session",
				     "busy", "bad",     "done",  "leaving", NULL };
static const char *const roles[] = { "sender", "receiver", "observer", NULL };
static const char *const whats[] = { "image", "tensor", "scores", NULL };
static const char *const dtypes[] = { "",    "f32", "u8",   "i8",  "u16", "i16", "i32",
				      "i64", "",    "bool", "f16", "f64", NULL };

const struct wire_row wire_message_rows[] = {
	{ KEY("kind"), WIRE_KIND, true, ANY, .offset = 0 },
	{ KEY("session"), WIRE_UINT, true, REST, AT(message, session), .least = 1,
	  .most = UINT64_MAX },
	{ KEY("session"), WIRE_UINT, false, BIT(REJECT), AT(message, session), .most = UINT64_MAX },
	{ KEY("version"), WIRE_UINT, true, GREETING, AT(message, as.hello.version),
	  .most = UINT32_MAX },
	{ KEY("role"), WIRE_WORD, true, GREETING, AT(message, as.hello.role), .words = roles,
	  .other = -1 },
	{ KEY("stage"), WIRE_TEXT, true, GREETING, AT(message, as.hello.stage), .least = 1,
	  .most = WIRE_NAME_MAX },
	{ KEY("worker"), WIRE_TEXT, false, GREETING, AT(message, as.hello.worker),
	  .most = WIRE_NAME_MAX },
	{ KEY("instance"), WIRE_ID, true, GREETING, AT(message, as.hello.instance), .most = 16 },
	{ KEY("max_frame"), WIRE_UINT, true, GREETING, AT(message, as.hello.max_frame),
	  .most = UINT64_MAX },
	{ KEY("heartbeat_ms"), WIRE_UINT, true, GREETING, AT(message, as.hello.heartbeat_ms),
	  .least = 1, .most = UINT32_MAX },
	{ KEY("wants"), WIRE_WANTS, false, GREETING, AT(message, as.hello.wants) },
	{ KEY("upto"), WIRE_UINT, true, BIT(CREDIT), AT(message, upto), .most = UINT64_MAX },
	{ KEY("link_seq"), WIRE_UINT, true, BIT(FRAME) | BIT(WORK) | BIT(NAK),
	  AT(message, link_seq), .least = 1, .most = UINT64_MAX },
	{ KEY("first"), WIRE_UINT, false, BIT(WORK), AT(message, first), .most = UINT64_MAX },
	{ KEY("code"), WIRE_WORD, true, BIT(REJECT) | BIT(NAK), AT(message, code), .words = codes,
	  .other = CODE_BAD },
	{ KEY("code"), WIRE_WORD, true, BIT(BYE), AT(message, code), .words = codes,
	  .other = CODE_LEAVING },
	{ KEY("text"), WIRE_TEXT, false, BIT(REJECT) | BIT(NAK), AT(message, as.text),
	  .most = WIRE_TEXT_MAX },
	{ KEY("text"), WIRE_TEXT, false, BIT(BYE), AT(message, as.ranges.text),
	  .most = FRAME_REASON_MAX },
	{ KEY("ranges"), WIRE_RANGES, true, BIT(ACK), AT(message, as.ranges.range),
	  .count = offsetof(struct message, as.ranges.count), .least = 1 },
	{ KEY("ranges"), WIRE_RANGES, false, BIT(BYE), AT(message, as.ranges.range),
	  .count = offsetof(struct message, as.ranges.count) },
	{ KEY("state"), WIRE_TEXT, false, LIFE, AT(message, as.state.state),
	  .most = sizeof(((struct message_state *)0)->state) },
	{ KEY("queued"), WIRE_UINT, false, LIFE, AT(message, as.state.queued), .most = UINT64_MAX },
	{ KEY("unacked"), WIRE_UINT, false, LIFE, AT(message, as.state.unacked),
	  .most = UINT64_MAX },
	{ KEY("in"), WIRE_UINT, false, LIFE, AT(message, as.state.in), .most = UINT64_MAX },
	{ KEY("out"), WIRE_UINT, false, LIFE, AT(message, as.state.out), .most = UINT64_MAX },
	{ KEY("ignored"), WIRE_UINT, false, LIFE, AT(message, as.state.ignored),
	  .most = UINT64_MAX },
	{ KEY("busy_ms"), WIRE_UINT, false, LIFE, AT(message, as.state.busy_ms),
	  .most = UINT64_MAX },
	{ KEY("up"), WIRE_UINT, false, LIFE, AT(message, as.state.up), .most = UINT64_MAX },
	{ KEY("down"), WIRE_UINT, false, LIFE, AT(message, as.state.down), .most = UINT64_MAX },
	{ KEY("alone_ms"), WIRE_UINT, false, LIFE, AT(message, as.state.alone_ms),
	  .most = UINT64_MAX },
	{ KEY("resent"), WIRE_UINT, false, LIFE, AT(message, as.state.resent), .most = UINT64_MAX },
	{ KEY("duplicates"), WIRE_UINT, false, LIFE, AT(message, as.state.duplicates),
	  .most = UINT64_MAX },
	{ KEY("malformed"), WIRE_UINT, false, LIFE, AT(message, as.state.malformed),
	  .most = UINT64_MAX },
	{ KEY("id"), WIRE_UINT, true, BIT(EOS) | BIT(EOS_ACK), AT(message, as.eos.id),
	  .most = UINT64_MAX },
	{ KEY("more"), WIRE_BOOL, false, BIT(EOS), AT(message, as.eos.more) },
	{ KEY("end"), WIRE_BOOL, false, BIT(EOS), AT(message, as.eos.end) },
	{ KEY("totals"), WIRE_TOTALS, false, BIT(EOS), AT(message, as.eos.total),
	  .count = offsetof(struct message, as.eos.count) },
	{ KEY("status"), WIRE_STATUS, true, BIT(FRAME), .offset = 0 },
	{ KEY("last"), WIRE_UINT, false, BIT(FRAME), AT(message, last), .most = INT64_MAX },
	{ KEY("passed"), WIRE_UINT, false, BIT(FRAME), AT(message, passed), .most = UINT64_MAX },
	{ KEY("size"), WIRE_SIZE, false, BIT(FRAME), .most = FRAME_PAYLOAD_MAX },
	{ 0 },
};

const struct wire_row wire_frame_rows[] = {
	{ KEY("source"), WIRE_TEXT, true, ANY, AT(frame, source), .least = 1,
	  .most = FRAME_SOURCE_MAX },
	{ KEY("run"), WIRE_UINT, true, ANY, AT(frame, run), .most = INT64_MAX },
	{ KEY("seq"), WIRE_UINT, true, ANY, AT(frame, seq), .most = INT64_MAX },
	{ KEY("try"), WIRE_INT, false, ANY, AT(frame, try), .most = INT32_MAX },
	{ KEY("reason"), WIRE_TEXT, false, ANY, AT(frame, reason), .most = FRAME_REASON_MAX },
	{ KEY("what"), WIRE_WORD, true, ANY, AT(frame, kind), .words = whats, .other = -1 },
	{ KEY("dtype"), WIRE_WORD, false, ANY, AT(frame, dtype), .words = dtypes, .other = -1 },
	{ KEY("shape"), WIRE_SHAPE, false, ANY, AT(frame, rank),
	  .count = offsetof(struct frame, shape), .most = FRAME_PAYLOAD_MAX },
	{ KEY("captured"), WIRE_INT, false, ANY, AT(frame, captured_ns), .least = INT64_MIN,
	  .most = INT64_MAX },
	{ KEY("times"), WIRE_TIMES, false, ANY, AT(frame, time),
	  .count = offsetof(struct frame, time_count) },
	{ KEY("meta"), WIRE_META, false, ANY, AT(frame, meta),
	  .count = offsetof(struct frame, meta_count) },
	{ 0 },
};

const struct wire_row wire_wants_rows[] = {
	{ KEY("recipe"), WIRE_TEXT, false, ANY, AT(wants, recipe), .most = WIRE_RECIPE_MAX },
	{ KEY("dtype"), WIRE_WORD, false, ANY, AT(wants, dtype), .words = dtypes, .other = -1 },
	{ KEY("shape"), WIRE_SHAPE, false, ANY, AT(wants, rank),
	  .count = offsetof(struct wants, shape), .least = -1, .most = FRAME_PAYLOAD_MAX },
	{ KEY("samples"), WIRE_BOOL, false, ANY, AT(wants, samples) },
	{ 0 },
};

const struct wire_row wire_total_rows[] = {
	{ KEY("source"), WIRE_TEXT, true, ANY, AT(message_total, source), .least = 1,
	  .most = FRAME_SOURCE_MAX },
	{ KEY("run"), WIRE_UINT, true, ANY, AT(message_total, run), .most = INT64_MAX },
	{ KEY("ended"), WIRE_BOOL, false, ANY, AT(message_total, ended) },
	{ KEY("first"), WIRE_UINT, false, ANY, AT(message_total, first), .most = INT64_MAX },
	{ KEY("emitted"), WIRE_UINT, false, ANY, AT(message_total, emitted), .most = INT64_MAX },
	{ KEY("dropped"), WIRE_UINT, false, ANY, AT(message_total, dropped), .most = INT64_MAX },
	{ KEY("dead"), WIRE_UINT, false, ANY, AT(message_total, dead), .most = INT64_MAX },
	{ KEY("expected"), WIRE_UINT, false, ANY, AT(message_total, expected), .most = INT64_MAX },
	{ 0 },
};

const int wire_list_most[] = {
	[WIRE_RANGES] = WIRE_RANGES_MAX,
	[WIRE_TOTALS] = WIRE_TOTALS_MAX,
	[WIRE_TIMES] = FRAME_TIMES_MAX,
	[WIRE_META] = FRAME_META_MAX,
};

/* Found out once: a header is read and written by its own few rows. */
_Static_assert(sizeof wire_message_rows / sizeof wire_message_rows[0] <= 64, "a bit for each row");
static const struct wire_row *const tables[] = { wire_message_rows, wire_frame_rows,
						 wire_wants_rows, wire_total_rows };
#define TABLES (sizeof tables / sizeof tables[0])
static struct wire_set sets[TABLES][MESSAGE_BYE + 1];
static pthread_once_t sets_known = PTHREAD_ONCE_INIT;

static void find_sets(void)
{
	for (size_t t = 0; t < TABLES; t++)
		for (const struct wire_row *r = tables[t]; r->key; r++)
			for (int kind = 0; kind <= MESSAGE_BYE; kind++) {
				uint64_t bit = (uint64_t)(r->kinds >> kind & 1) << (r - tables[t]);
				sets[t][kind].rows |= bit;
				sets[t][kind].required |= r->required ? bit : 0;
			}
}

struct wire_set wire_set_of(const struct wire_row *rows, enum message_kind kind)
{
	size_t t = 0;

	pthread_once(&sets_known, find_sets);
	while (tables[t] != rows)
		t++;
	return sets[t][kind];
}

int wire_row_count(const struct wire_row *r, const void *base)
{
	int count;

	memcpy(&count, (const char *)base + r->count, sizeof count);
	return count;
}
