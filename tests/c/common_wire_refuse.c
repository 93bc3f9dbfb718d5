/* Headers that were never written by our encoder: every refusal with its words, what must be
 * accepted, and the MessagePack of others.
 *
 *   common_wire_refuse            the refusals
 *   common_wire_refuse --vectors  lines "ok HEX" and "bad HEX" on stdin: accept and give back the
 *                                 same bytes, or refuse (wire.bats reads them out of PROTOCOL.md)
 *   common_wire_refuse --suite    lines "TYPE TAB HEX TAB VALUE" on stdin: other people's encodings */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/wire.h"
#include "common/wire_scan.h"

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

/* --- a notation for headers, so that a test can write what an encoder would not --------------- */

struct bytes {
	uint8_t at[16384];
	size_t size;
};

static void add(struct bytes *b, const void *data, size_t size)
{
	if (size > sizeof b->at - b->size) {
		fprintf(stderr, "notation too long\n");
		exit(1);
	}
	memcpy(b->at + b->size, data, size);
	b->size += size;
}

static void add_head(struct bytes *b, uint8_t first, uint64_t number, int width)
{
	uint8_t head[9] = { first };

	for (int i = 0; i < width; i++)
		head[1 + i] = (uint8_t)(number >> (8 * (width - 1 - i)));
	add(b, head, (size_t)width + 1);
}

static size_t add_hex(struct bytes *b, const char *hex)
{
	const char *at = hex;

	while (*at && *at != '\'' && *at != '\n') {
		unsigned value;
		if (*at == ' ' || *at == '-') {
			at++;
		} else if (sscanf(at, "%2x", &value) == 1) {
			uint8_t byte = (uint8_t)value;
			add(b, &byte, 1);
			at += 2;
		} else {
			break;
		}
	}
	return (size_t)(at - hex);
}

static void add_word(struct bytes *b, const char *word, size_t size)
{
	char *end;
	char copy[64] = { 0 };
	double real;
	uint64_t bits;

	if (size < sizeof copy && (strchr("-0123456789", word[0]) || size == 3)) {
		memcpy(copy, word, size);
		real = strtod(copy, &end);
		memcpy(&bits, &real, sizeof bits);
		if (*end == '\0' && (strchr(copy, '.') || !isfinite(real))) {
			add_head(b, 0xcb, bits, 8);
			return;
		}
		if (*end == '\0') {
			add_head(b, copy[0] == '-' ? 0xd3 : 0xcf,
				 copy[0] == '-' ? (uint64_t)strtoll(copy, NULL, 10)
						: strtoull(copy, NULL, 10),
				 8);
			return;
		}
	}
	if (size == 4 && memcmp(word, "null", 4) == 0)
		add_head(b, 0xc0, 0, 0);
	else if (size == 4 && memcmp(word, "true", 4) == 0)
		add_head(b, 0xc3, 0, 0);
	else if (size == 5 && memcmp(word, "false", 5) == 0)
		add_head(b, 0xc2, 0, 0);
	else {
		add_head(b, 0xda, size, 2);
		add(b, word, size);
	}
}

/* One value of the notation: {key:value …}, [value …], "text" or word, 12, 1.5, nan, b'bin in hex',
 * x'bytes as they are, in hex'. */
static const char *compile(const char *s, struct bytes *b)
{
	s += strspn(s, " ,:");
	if (*s == '{' || *s == '[') {
		struct bytes *inner = calloc(1, sizeof *inner);
		bool map = *s++ == '{';
		uint32_t count = 0;
		for (s += strspn(s, " ,:"); *s != '}' && *s != ']'; s += strspn(s, " ,:")) {
			s = compile(s, inner);
			count++;
		}
		add_head(b, map ? 0xdf : 0xdd, map ? count / 2 : count, 4);
		add(b, inner->at, inner->size);
		free(inner);
		return s + 1;
	}
	if ((*s == 'x' || *s == 'b') && s[1] == '\'') {
		struct bytes *bin = calloc(1, sizeof *bin);
		bool raw = *s == 'x';
		s += 2 + add_hex(bin, s + 2) + 1;
		if (!raw)
			add_head(b, 0xc5, bin->size, 2);
		add(b, bin->at, bin->size);
		free(bin);
		return s;
	}
	if (*s == '"') {
		size_t n = strcspn(s + 1, "\"");
		add_head(b, 0xda, n, 2);
		add(b, s + 1, n);
		return s + n + 2;
	}
	size_t n = strcspn(s, " ,:{}[]");
	add_word(b, s, n);
	return s + n;
}

/* --- refusals --------------------------------------------------------------------------------- */

#define HELLO                                             \
	"kind:HELLO version:1 role:receiver stage:infer " \
	"instance:b'000102030405060708090a0b0c0d0e0f' max_frame:1000 heartbeat_ms:500 "
#define BARE_FRAME "kind:FRAME session:5 link_seq:1 source:photos run:1 seq:7 what:image "
#define FRAME BARE_FRAME "status:ok "
#define TEN "0123456789"
#define SIXTY TEN TEN TEN TEN TEN TEN
#define TEXT_256 SIXTY SIXTY SIXTY SIXTY TEN "abcdef"

static const struct {
	const char *notation, *words;
} refused[] = {
	{ "5", "not a map" },
	{ "[kind HELLO]", "not a map" },
	{ "{}", "'kind' is missing" },
	{ "{session:5}", "'kind' is missing" },
	{ "{kind:5}", "'kind'" },
	{ "{kind:PING kind:PING session:5}", "'kind' twice" },
	{ "{kind:PING session:5 3:4}", "key that is not text" },
	{ "{kind:PING session:5 session:5}", "'session' twice" },
	{ "{kind:PING}", "'session' is missing" },
	{ "{kind:PING session:0}", "'session'" },
	{ "{kind:PING session:-1}", "'session'" },
	{ "{kind:PING session:5.0}", "'session'" },
	{ "{kind:PING session:nan}", "'session'" },
	{ "{kind:PING session:null}", "'session'" },
	{ "{kind:PING session:\"5\"}", "'session'" },
	{ "{kind:PING session:true}", "'session'" },
	{ "{kind:PING session:[5]}", "'session'" },
	{ "{kind:PING session:5 state:7}", "'state'" },
	{ "{kind:PING session:5 state:sixteen-bytes-16}", "'state'" },
	{ "{kind:PING session:5 queued:-3}", "'queued'" },
	{ "{" HELLO "version:1}", "'version' twice" },
	{ "{kind:HELLO}", "'version' is missing" },
	{ "{kind:HELLO version:0}", "'version'" },
	{ "{kind:HELLO version:4294967296}", "'version'" },
	{ "{kind:HELLO version:one}", "'version'" },
	{ "{kind:HELLO version:1 role:receiver}", "'stage' is missing" },
	{ "{" HELLO "wants:5}", "'wants'" },
	{ "{" HELLO "wants:{dtype:f31}}", "'wants': 'dtype'" },
	{ "{" HELLO "wants:{dtype:\"\"}}", "'wants': 'dtype'" },
	{ "{" HELLO "wants:{dtype:1}}", "'wants': 'dtype'" },
	{ "{" HELLO "wants:{samples:1}}", "'wants': 'samples'" },
	{ "{" HELLO "wants:{shape:[-2]}}", "'wants': 'shape'" },
	{ "{" HELLO "wants:{shape:[1 2 3 4 5 6 7 8 9]}}", "'wants': 'shape'" },
	{ "{" HELLO "wants:{recipe:u8 recipe:u8}}", "'wants': 'recipe' twice" },
	{ "{" HELLO "worker:\"" SIXTY "abcd\"}", "'worker'" },
	{ "{kind:HELLO version:1 role:boss}", "'role'" },
	{ "{kind:HELLO version:1 instance:b'00'}", "'instance'" },
	{ "{kind:HELLO version:1 instance:0123456789abcdef}", "'instance'" },
	{ "{kind:HELLO version:1 stage:\"\"}", "'stage'" },
	{ "{kind:HELLO version:1 heartbeat_ms:0}", "'heartbeat_ms'" },
	{ "{kind:HELLO version:1 max_frame:-1}", "'max_frame'" },
	{ "{kind:REJECT}", "'code' is missing" },
	{ "{kind:REJECT code:5}", "'code'" },
	{ "{kind:NAK session:5 code:bad}", "'link_seq' is missing" },
	{ "{kind:NAK session:5 link_seq:0 code:bad}", "'link_seq'" },
	{ "{kind:CREDIT session:5}", "'upto' is missing" },
	{ "{kind:CREDIT session:5 upto:-1}", "'upto'" },
	{ "{kind:ACK session:5}", "'ranges' is missing" },
	{ "{kind:ACK session:5 ranges:[]}", "'ranges'" },
	{ "{kind:ACK session:5 ranges:{}}", "'ranges'" },
	{ "{kind:ACK session:5 ranges:[1 2]}", "'ranges'" },
	{ "{kind:ACK session:5 ranges:[[1]]}", "'ranges'" },
	{ "{kind:ACK session:5 ranges:[[1 2 3]]}", "'ranges'" },
	{ "{kind:ACK session:5 ranges:[[0 2]]}", "'ranges'" },
	{ "{kind:ACK session:5 ranges:[[3 2]]}", "'ranges'" },
	{ "{kind:ACK session:5 ranges:[[1 2.5]]}", "'ranges'" },
	{ "{kind:EOS session:5 id:1 end:1}", "'end'" },
	{ "{kind:EOS session:5}", "'id' is missing" },
	{ "{kind:EOS session:5 id:1 totals:5}", "'totals'" },
	{ "{kind:EOS session:5 id:1 totals:[5]}", "'totals'" },
	{ "{kind:EOS session:5 id:1 totals:[{}]}", "'totals': 'source' is missing" },
	{ "{kind:EOS session:5 id:1 totals:[{source:a run:1 run:1}]}", "'run' twice" },
	{ "{kind:EOS session:5 id:1 totals:[{source:a run:9223372036854775808}]}", "'run'" },
	{ "{" BARE_FRAME "}", "'status' is missing" },
	{ "{" BARE_FRAME "status:fine}", "'status'" },
	{ "{" BARE_FRAME "status:0}", "'status'" },
	{ "{" BARE_FRAME "status:drop}", "'last' is before 'seq'" },
	{ "{" BARE_FRAME "status:drop last:6}", "'last' is before 'seq'" },
	{ "{" BARE_FRAME "status:drop last:9 size:4}", "'size' in a drop" },
	{ "{kind:FRAME session:5 link_seq:1 status:ok run:1 seq:7 what:image}",
	  "'source' is missing" },
	{ "{kind:FRAME session:5 link_seq:1 status:ok source:\"\" run:1 seq:7 what:image}",
	  "'source'" },
	{ "{kind:FRAME source:\"" SIXTY "abcd\"}", "'source'" },
	{ "{" FRAME "try:-1}", "'try'" },
	{ "{" FRAME "try:2147483648}", "'try'" },
	{ "{" FRAME "run:1}", "'run' twice" },
	{ "{kind:FRAME run:9223372036854775808}", "'run'" },
	{ "{kind:FRAME seq:9223372036854775808}", "'seq'" },
	{ "{kind:FRAME what:video}", "'what'" },
	{ "{" FRAME "reason:\"" TEXT_256 "\"}", "'reason'" },
	{ "{" FRAME "captured:9223372036854775808}", "'captured'" },
	{ "{" FRAME "captured:1.5}", "'captured'" },
	{ "{" FRAME "dtype:u8 shape:[2 -1] size:2}", "'shape'" },
	{ "{" FRAME "dtype:u8 shape:[2 2.0] size:4}", "'shape'" },
	{ "{" FRAME "dtype:u8 shape:[2 2]}", "'size' is missing" },
	{ "{" FRAME "dtype:u8 shape:[2 2] size:5}", "'shape'" },
	{ "{" FRAME "dtype:f32 shape:[2 2] size:4}", "'shape'" },
	{ "{" FRAME "dtype:f32 shape:[2 2] size:-16}", "'size'" },
	{ "{" FRAME "dtype:f32 shape:[2 2] size:16.0}", "'size'" },
	{ "{" FRAME "dtype:f64 shape:[1073741824 1073741824 8 536870912] size:0}", "at most" },
	{ "{" FRAME "dtype:u8 shape:[1073741824 2] size:2147483648}", "'size'" },
	{ "{" FRAME "size:1073741825}", "'size'" },
	{ "{" FRAME "times:[[infer 1]]}", "'times'" },
	{ "{" FRAME "times:[[infer 1 x]]}", "'times'" },
	{ "{" FRAME "times:[[a-name-of-16-byt 1 2]]}", "'times'" },
	{ "{" FRAME "times:[[a 1 2][a 1 2][a 1 2][a 1 2][a 1 2][a 1 2][a 1 2][a 1 2][a 1 2]]}",
	  "'times'" },
	{ "{" FRAME "meta:[]}", "'meta'" },
	{ "{" FRAME "meta:{tag:null}}", "'meta': 'tag'" },
	{ "{" FRAME "meta:{tag:true}}", "'meta': 'tag'" },
	{ "{" FRAME "meta:{tag:[1]}}", "'meta': 'tag'" },
	{ "{" FRAME "meta:{tag:{a:1}}}", "'meta': 'tag'" },
	{ "{" FRAME "meta:{tag:b'00'}}", "'meta': 'tag'" },
	{ "{" FRAME "meta:{tag:nan}}", "'meta': 'tag'" },
	{ "{" FRAME "meta:{tag:inf}}", "'meta': 'tag'" },
	{ "{" FRAME "meta:{tag:x'ca7fc00000'}}", "'meta': 'tag'" },
	{ "{" FRAME "meta:{tag:x'd6ff5a4af6a5'}}", "'meta': 'tag'" },
	{ "{" FRAME "meta:{tag:9223372036854775808}}", "'meta': 'tag'" },
	{ "{" FRAME "meta:{tag:1 tag:2}}", "'meta': 'tag' twice" },
	{ "{" FRAME "meta:{\"a\x01\":1 \"a\x02\":2}}", "'meta': 'a?' twice" },
	{ "{" FRAME "meta:{5:1}}", "'meta': a key" },
	{ "{" FRAME "meta:{a-key-of-thirty-two-bytes-exactly:1}}", "'meta': a key" },
	{ "{" FRAME "meta:{tag:\"" TEXT_256 "\"}}", "'meta': 'tag'" },
	{ "{kind:PING session:5 later:[[[[[]]]]]}", "nested too deep" },
	{ "{kind:PING session:5 later:{a:{b:{c:{d:1}}}}}", "nested too deep" },
	{ "{kind:PING session:5 later:x'c1'}", "0xc1" },
	{ "{kind:PING session:5}x'00'", "1 bytes follow" },
	{ "{kind:PING session:5 later:\"" TEXT_256 TEXT_256 TEXT_256 TEXT_256 TEXT_256 TEXT_256
	      TEXT_256 TEXT_256 TEXT_256 TEXT_256 TEXT_256 TEXT_256 TEXT_256 TEXT_256 TEXT_256
		  TEXT_256 "\"}",
	  "at most 4096" },
	/* Five bytes that claim gigabytes: as the whole header, as a value, deep inside. */
	{ "x'dfffffffff'", "claims 4294967295 items" },
	{ "x'ddffffffff'", "claims 4294967295 items" },
	{ "x'dbffffffff'", "in the middle" },
	{ "x'c6ffffffff'", "in the middle" },
	{ "x'c9ffffffff01'", "in the middle" },
	{ "x'81a161dfffffffff'", "claims 4294967295 items" },
	{ "x'81a1619191ddffffffff'", "claims 4294967295 items" },
	{ "x'df80000000'", "claims 2147483648 items" },
	{ "x''", "in the middle" },
	{ "x'ca7fc0'", "in the middle" },
	{ "x'd8'", "in the middle" },
	{ "x'83a46b696e64'", "claims 3 items" },
};

static void check_refusals(void)
{
	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
		struct bytes b = { .size = 0 };
		struct message m;
		struct err e = { 0 };
		const char *rest = compile(refused[i].notation, &b);
		while (*rest)
			rest = compile(rest, &b);
		/* An exact copy, so that the sanitizer sees a read beyond the end. */
		uint8_t *exact = malloc(b.size + 1);
		memcpy(exact, b.at, b.size);
		exact = realloc(exact, b.size ? b.size : 1);
		int result = wire_decode(exact, b.size, &m, &e);
		CHECK(result == -1, "accepted %s", refused[i].notation);
		CHECK(result == 0 || strstr(e.text, refused[i].words), "%s: says '%s', not '%s'",
		      refused[i].notation, e.text, refused[i].words);
		if (result == 0)
			message_clear(&m);
		free(exact);
	}
}

static const char *const accepted[] = {
	"{kind:PING session:5}",
	"{session:5 kind:PING}",
	"{kind:PING session:5 later:[[[]]]}",
	"{kind:PING session:5 later:{a:{b:{c:1}}}}",
	"{kind:PING session:5 later:nan other:null third:b'00' fourth:x'd6ff5a4af6a5'}",
	"{kind:PING session:5 upto:nonsense ranges:4}", /* keys of other kinds are unknown ones */
	"{kind:DANCE}",
	"{kind:DANCE session:[1 2 3] source:nan}",
	"{kind:HELLO version:2}",
	"{kind:HELLO version:4294967295 role:boss stage:{}}",
	"{kind:REJECT code:tired}",
	"{kind:BYE session:5 code:tired}",
	"{" HELLO "wants:{}}",
	"{" HELLO "wants:{later:[1]}}",
	"{" FRAME "size:0}",
	"{" FRAME "}",
	"{" FRAME "dtype:u8 shape:[] size:1}",
	"{" FRAME "dtype:u8 shape:[0 1073741824] size:0}",
	"{" FRAME "meta:{a:1 b:-1 c:1.5 d:text e:x'ca3fc00000'}}",
	"{" BARE_FRAME "status:error reason:\"unreadable\" dtype:u8 shape:[2 2]}",
	"{" BARE_FRAME "status:drop last:7}",
	"{kind:EOS session:5 id:1 totals:[{source:a run:1 later:[]}]}",
};

static void check_accepted(void)
{
	for (size_t i = 0; i < sizeof accepted / sizeof accepted[0]; i++) {
		struct bytes b = { .size = 0 };
		struct message m;
		struct err e = { 0 };
		compile(accepted[i], &b);
		int result = wire_decode(b.at, b.size, &m, &e);
		CHECK(result == 0, "refused %s: %s", accepted[i], e.text);
		if (result == 0)
			message_clear(&m);
	}
}

/* --- what the other modes do ------------------------------------------------------------------ */

static int check_vectors(void)
{
	char line[3 * WIRE_HEADER_MAX + 8];

	while (fgets(line, sizeof line, stdin)) {
		struct bytes b = { .size = 0 };
		struct message m;
		struct err e = { 0 };
		uint8_t again[WIRE_HEADER_MAX];
		bool good = strncmp(line, "ok ", 3) == 0;
		add_hex(&b, strchr(line, ' ') + 1);
		int result = wire_decode(b.at, b.size, &m, &e);
		CHECK(result == (good ? 0 : -1), "%.60s…: %s", line, result ? e.text : "accepted");
		if (result == 0 && m.kind != MESSAGE_UNKNOWN) {
			int n = wire_encode(&m, again, sizeof again, &e);
			CHECK(n == (int)b.size && memcmp(again, b.at, b.size) == 0,
			      "%.60s…: we write it otherwise", line);
		}
		if (result == 0)
			message_clear(&m);
	}
	printf("%d vectors\n", checks);
	return checks == 0;
}

/* Another encoder's value, as meta (text, int, real: must arrive as it was) or under a key that
 * nobody knows (anything: must be skipped). */
static void check_suite_value(const char *type, const char *hex, const char *value)
{
	struct bytes inner = { .size = 0 }, b = { .size = 0 };
	struct message m;
	struct err e = { 0 };
	char notation[8192];

	add_hex(&inner, hex);
	snprintf(notation, sizeof notation, "{" FRAME "later:x'%s' meta:{value:x'%s'}}", hex, hex);
	if (strcmp(type, "other") == 0)
		snprintf(notation, sizeof notation, "{" FRAME "later:x'%s'}", hex);
	compile(notation, &b);
	CHECK(wire_scan(inner.at, inner.size, 4, &e) == 0, "%s: %s", hex, e.text);
	int result = wire_decode(b.at, b.size, &m, &e);
	if (strcmp(type, "huge") == 0 && strncmp(hex, "cf", 2) == 0) {
		CHECK(result < 0 && strstr(e.text, "'value'"), "%s: %s", hex, e.text);
	} else {
		CHECK(result == 0, "%s: %s", hex, e.text);
	}
	if (result < 0)
		return;
	const struct meta_item *item = frame_meta(m.frame, "value");
	if (strcmp(type, "text") == 0)
		CHECK(item && item->kind == META_TEXT && strcmp(item->as.text, value) == 0, "%s",
		      hex);
	bool number = strcmp(type, "number") == 0 || strcmp(type, "huge") == 0;
	if (number && item && item->kind == META_INT)
		CHECK(item->as.integer == strtoll(value, NULL, 10), "%s is not %s", hex, value);
	else if (number)
		CHECK(item && item->kind == META_REAL && item->as.real == strtod(value, NULL),
		      "%s is not %s", hex, value);
	message_clear(&m);
}

static int check_suite(void)
{
	char line[4096];

	while (fgets(line, sizeof line, stdin)) {
		char type[16], hex[2048];
		int at = 0;
		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "%15[^\t]\t%2047[^\t]\t%n", type, hex, &at) == 2 && at > 0)
			check_suite_value(type, hex, line + at);
		else
			CHECK(false, "line '%s'", line);
	}
	printf("%d checks of the MessagePack suite\n", checks);
	return checks == 0;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	if (strcmp(mode, "--vectors") == 0)
		return check_vectors() || failures > 0;
	if (strcmp(mode, "--suite") == 0)
		return check_suite() || failures > 0;
	check_refusals();
	check_accepted();
	printf("%d checks, %d failed: %zu refusals\n", checks, failures,
	       sizeof refused / sizeof refused[0]);
	return failures > 0;
}
