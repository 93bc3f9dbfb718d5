/* tap: what passes at a stage, a line a frame. It takes nothing away and holds nothing up. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/observer.h"
#include "common/program.h"
#include "common/tap/save.h"
#include "common/text.h"

#define ROOM 16 /* copies that may be under way to us */

static int64_t timeout_ms = 10000, most;
static const char *save, *source, *keys;
static bool as_json, follow, insecure;

static const struct option_row options[] = {
	{ "count", 'n', OPTION_INT, "N", &most, "end after N frames, 0 never", 0, 9e15 },
	{ "source", 's', OPTION_TEXT, "NAME", &source, "only frames of this source", 0, 0 },
	{ "save", 0, OPTION_TEXT, "DIR", &save,
	  "write payloads there, into a folder that is made if need be: images as PGM, PPM or PAM, "
	  "tensors and scores as .npy",
	  0, 0 },
	{ "json", 'j', OPTION_FLAG, NULL, &as_json, "a JSON object a line", 0, 0 },
	{ "follow", 'f', OPTION_FLAG, NULL, &follow,
	  "when the stage ends, wait for the next one at this address", 0, 0 },
	OBSERVER_OPTIONS(&keys, &insecure),
	{ "timeout", 't', OPTION_TIME, "TIME", &timeout_ms,
	  "give up (exit 69) when no stage has been there for so long, 0 never", 0, 8.64e8 },
	{ 0 },
};

static const struct option_manual manual = {
	.name = "tap",
	.summary = "look at the frames that pass",
	.operands = "URL",
	.description =
	    "Prints a line for each frame that passes at the stage that has bound URL: its key "
	    "(source/run/seq), status, kind and shape, the label and score if it has them, the try "
	    "if "
	    "workers have died over it, and how long each stage took. At an address that takes "
	    "frames "
	    "(--in bind:) those that come are seen, at others those that go; a sink has only those "
	    "that come.\n\n"
	    "These are copies, sent while tap keeps up and left out while it does not: how many "
	    "were "
	    "left out is told ('12 skipped'). The line waits for no tap, sends it nothing twice, "
	    "and "
	    "does not notice when it is stopped or killed. Eight may look at a stage at once.",
	.examples = "# what does the line see?\n"
		    "andon tap ipc:///run/andon/pictures\n"
		    "# the next ten tensors, to compare with what training made (infer --normalise "
		    "upstream)\n"
		    "andon tap -n 10 --save /tmp/tensors tcp://head:5601\n"
		    "andon tap --json tcp://head:5602 | jq 'select(.score < 0.6)'",
	.exits = "0\tthe stage ended, or --count is reached\n"
		 "69\tno stage is at this address\n"
		 "73\tthe folder of --save cannot be made\n"
		 "74\ta payload cannot be written\n"
		 "76\twhat answers lets nobody look: another version, another program",
};

struct tap {
	const char *url;
	int directory;    /* of --save, or -1 */
	uint64_t seen;    /* of this session: copies that came */
	uint64_t printed; /* in all */
	uint64_t skipped; /* in all, and of these those that were told */
	uint64_t told;
	uint64_t passed;      /* by the last one's word, 0: none came */
	uint8_t instance[16]; /* whose word that was */
};

static const char *status_of(const struct message *m)
{
	static const char *const words[] = { "ok", "error", "dead" };

	return m->dropped ? "drop" : words[m->frame->status];
}

static const char *kind_of(const struct frame *f)
{
	static const char *const words[] = { "image", "tensor", "scores" };

	return words[f->kind];
}

/* --- a line ------------------------------------------------------------------------------------- */

static void put_shape(struct text *t, const struct frame *f, char between)
{
	for (int i = 0; i < f->rank; i++) {
		if (i)
			text_putc(t, between);
		text_int(t, f->shape[i]);
	}
}

static void put_word(struct text *t, const char *before, const char *word)
{
	text_puts(t, before);
	text_puts(t, word);
}

static void put_verdict(struct text *t, const struct frame *f)
{
	const char *label = frame_text(f, "label");
	const struct meta_item *score = frame_meta(f, "score");
	char number[32];

	if (label)
		put_word(t, " ", label);
	if (score && score->kind == META_REAL) {
		snprintf(number, sizeof number, " %.4g", score->as.real);
		text_puts(t, number);
	}
}

static void put_times(struct text *t, const struct frame *f)
{
	char number[48];

	for (int i = 0; i < f->time_count; i++) {
		snprintf(number, sizeof number, " %s %.3f ms", f->time[i].stage,
			 (double)f->time[i].duration_ns / 1e6);
		text_puts(t, i ? "," : ";");
		text_puts(t, number);
	}
}

static void make_line(struct text *t, const struct message *m, uint64_t skipped)
{
	const struct frame *f = m->frame;
	char number[96];

	snprintf(number, sizeof number, "/%" PRIu64 "/%" PRIu64, f->run, f->seq);
	text_puts(t, f->source);
	text_puts(t, number);
	if (m->dropped) {
		snprintf(number, sizeof number, "-%" PRIu64, m->last);
		text_puts(t, number);
	}
	put_word(t, " ", status_of(m));
	put_word(t, " ", kind_of(f));
	if (f->dtype != DTYPE_NONE && f->rank > 0) {
		text_putc(t, ' ');
		put_shape(t, f, 'x');
		put_word(t, " ", dtype_name(f->dtype));
	}
	put_verdict(t, f);
	if (f->try > 0) {
		snprintf(number, sizeof number, " try %d", f->try);
		text_puts(t, number);
	}
	if (f->reason[0])
		put_word(t, ": ", f->reason);
	put_times(t, f);
	if (skipped) {
		snprintf(number, sizeof number, "; %" PRIu64 " skipped", skipped);
		text_puts(t, number);
	}
}

/* --- an object ---------------------------------------------------------------------------------- */

static void put_key(struct text *t, const char *key)
{
	text_putc(t, ',');
	text_json(t, key);
	text_putc(t, ':');
}

static void put_number(struct text *t, const char *key, int64_t value)
{
	put_key(t, key);
	text_int(t, value);
}

static void put_meta(struct text *t, const struct frame *f)
{
	put_key(t, "meta");
	for (int i = 0; i < f->meta_count; i++) {
		const struct meta_item *item = &f->meta[i];
		text_putc(t, i ? ',' : '{');
		text_json(t, item->key);
		text_putc(t, ':');
		if (item->kind == META_TEXT)
			text_json(t, item->as.text);
		else if (item->kind == META_INT)
			text_int(t, item->as.integer);
		else
			text_f64(t, item->as.real);
	}
	text_putc(t, '}');
}

static void put_timings(struct text *t, const struct frame *f)
{
	put_key(t, "timings");
	text_putc(t, '{');
	for (int i = 0; i < f->time_count; i++) {
		if (i)
			text_putc(t, ',');
		text_json(t, f->time[i].stage);
		text_putc(t, ':');
		text_f64(t, (double)f->time[i].duration_ns / 1e6);
	}
	text_putc(t, '}');
}

static void make_object(struct text *t, const struct message *m, uint64_t skipped)
{
	const struct frame *f = m->frame;

	text_puts(t, "{\"source\":");
	text_json(t, f->source);
	put_number(t, "run", (int64_t)f->run);
	put_number(t, "seq", (int64_t)f->seq);
	if (m->dropped)
		put_number(t, "last", (int64_t)m->last);
	put_key(t, "status");
	text_json(t, status_of(m));
	if (f->reason[0]) {
		put_key(t, "reason");
		text_json(t, f->reason);
	}
	put_key(t, "what");
	text_json(t, kind_of(f));
	if (f->dtype != DTYPE_NONE) {
		put_key(t, "dtype");
		text_json(t, dtype_name(f->dtype));
		put_key(t, "shape");
		text_putc(t, '[');
		put_shape(t, f, ',');
		text_putc(t, ']');
	}
	put_number(t, "bytes", f->payload ? (int64_t)f->payload->size : 0);
	put_number(t, "tries", f->try);
	put_number(t, "captured", f->captured_ns);
	put_timings(t, f);
	if (f->meta_count)
		put_meta(t, f);
	put_number(t, "skipped", (int64_t)skipped);
	text_putc(t, '}');
}

/* --- the work ----------------------------------------------------------------------------------- */

static int show(struct tap *tap, const struct message *m, struct err *e)
{
	uint64_t skipped = tap->skipped - tap->told;
	struct text t = { 0 };

	tap->told = tap->skipped;
	(as_json ? make_object : make_line)(&t, m, skipped);
	text_putc(&t, '\n');
	bool bad = t.failed || fwrite(t.data, 1, t.used, stdout) != t.used || fflush(stdout) != 0;
	text_free(&t);
	if (bad)
		return err_code(e, EX_IOERR, "standard output: %s", strerror(errno));
	tap->printed++;
	return tap->directory < 0 ? 0 : save_frame(tap->directory, m->frame, e);
}

/* A copy came: show it if it is wanted, and make room for one more. */
static int on_frame(struct tap *tap, struct observer *o, const struct message *m, struct err *e)
{
	int result = 0;

	tap->seen++;
	if (tap->passed && m->passed > tap->passed)
		tap->skipped += m->passed - tap->passed - 1;
	tap->passed = m->passed;
	if (!source || strcmp(source, m->frame->source) == 0)
		result = show(tap, m, e);
	observer_say(o, MESSAGE_CREDIT, tap->seen + ROOM);
	return result;
}

/* The same process as before: what passed meanwhile was skipped. */
static void on_welcome(struct tap *tap, const struct message_hello *who)
{
	log_info("%s (%s) is there", who->stage, who->worker);
	tap->seen = 0;
	if (memcmp(tap->instance, who->instance, sizeof tap->instance) != 0)
		tap->passed = 0;
	memcpy(tap->instance, who->instance, sizeof tap->instance);
}

static bool enough(const struct tap *tap)
{
	return most > 0 && tap->printed >= (uint64_t)most;
}

/* Look until it is over: the exit code. */
static int look(struct tap *tap, struct observer *o)
{
	int64_t patience = timeout_ms ? timeout_ms * 1000000 : INT64_MAX / 2;
	int64_t deadline = clock_mono_ns() + patience;
	struct message m;
	struct err e;

	while (!enough(tap)) {
		switch (observer_wait(o, &m, deadline, &e)) {
		case OBSERVER_WELCOME:
			on_welcome(tap, &m.as.hello);
			message_clear(&m);
			observer_say(o, MESSAGE_CREDIT, ROOM);
			deadline = INT64_MAX;
			break;
		case OBSERVER_MESSAGE:
			if (m.kind == MESSAGE_BYE && !follow)
				return 0;
			int result = m.kind == MESSAGE_FRAME ? on_frame(tap, o, &m, &e) : 0;
			message_clear(&m);
			if (result < 0)
				return program_fail(&e);
			break;
		case OBSERVER_GONE:
			log_info("the stage is gone");
			deadline = clock_mono_ns() + patience;
			break;
		case OBSERVER_REFUSED:
			return program_fail(&e);
		case OBSERVER_NONE:
			if (!observer_put_off(o, &e))
				err_code(&e, EX_UNAVAILABLE, "'%s': no stage is there", tap->url);
			return program_fail(&e);
		}
	}
	return 0;
}

static int open_directory(struct tap *tap, struct err *e)
{
	tap->directory = -1;
	if (!save)
		return 0;
	if (mkdir(save, 0777) < 0 && errno != EEXIST)
		return err_code(e, EX_CANTCREAT, "--save: cannot make folder '%s': %s", save,
				strerror(errno));
	tap->directory = open(save, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (tap->directory < 0)
		return err_code(e, EX_NOINPUT, "--save: '%s': %s", save, strerror(errno));
	return 0;
}

int main(int argc, char **argv)
{
	int first = program_open(&manual, options, 1, 1, argc, argv);
	struct curve *curve = NULL;
	struct address at;
	struct tap tap;
	struct err e;

	if (observer_address(&at, argv[first], "tap", &e) < 0 ||
	    curve_options(keys, insecure, &curve, &e) < 0)
		return program_fail(&e);
	tap = (struct tap){ .url = at.url };
	if (open_directory(&tap, &e) < 0)
		return program_fail(&e);
	struct observer *o = observer_open(&at, "tap", curve, insecure, &e);
	if (!o)
		return program_fail(&e);
	int code = look(&tap, o);
	observer_close(&o);
	curve_close(&curve);
	if (tap.skipped)
		log_warn("%" PRIu64 " frames shown, %" PRIu64
			 " were skipped because tap did not keep up",
			 tap.printed, tap.skipped);
	if (tap.directory >= 0)
		close(tap.directory);
	buffer_pool_drain();
	return code;
}
