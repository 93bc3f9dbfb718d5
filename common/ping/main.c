/* ping: is this stage alive, and how are things with it? For probes of supervisors and for people. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/observer.h"
#include "common/program.h"
#include "common/text.h"

#define EXIT_BUSY 1
#define EXIT_ALONE 2

static int64_t timeout_ms = 1000, busy_most = -1, alone_most = -1;
static bool as_json, insecure;
static const char *keys;

static const struct option_row options[] = {
	{ "timeout", 't', OPTION_TIME, "TIME", &timeout_ms, "how long to wait for the answer", 1,
	  3.6e6 },
	{ "max-busy", 'b', OPTION_TIME, "TIME", &busy_most,
	  "exit 1 if the stage has worked on one frame for longer", 0, 0 },
	{ "max-alone", 'a', OPTION_TIME, "TIME", &alone_most,
	  "exit 2 if a side that the stage needs has had nobody for longer", 0, 0 },
	{ "keys", 0, OPTION_TEXT, "DIR", &keys,
	  "this machine's keys, of which the stage must know (andon keygen)", 0, 0 },
	{ "insecure", 0, OPTION_FLAG, NULL, &insecure, "allow plain tcp beyond this machine", 0,
	  0 },
	{ "json", 'j', OPTION_FLAG, NULL, &as_json, "one JSON object instead of the line", 0, 0 },
	{ 0 },
};

static const struct option_manual manual = {
	.name = "ping",
	.summary = "ask a stage how it is",
	.operands = "URL",
	.description =
	    "Asks the stage that has bound URL (its --out, its --in bind:, or its --status), and "
	    "prints "
	    "one line: which stage and process, its state, how long it has worked on its frame, "
	    "how "
	    "many frames wait in it, are sent and not acknowledged, came in and went out, and how "
	    "many "
	    "neighbours are in session. Counts are since the process began.\n\n"
	    "States: idle, busy (it owes frames), draining (its stream ends), over (it has ended), "
	    "orphan (no stage is "
	    "upstream).\n\n"
	    "The answer comes from the thread that looks after the link, so a stage that computes "
	    "for "
	    "minutes answers at once, and asking costs it nothing. A stage that hangs in its work "
	    "answers too: --max-busy tells it from one that does not.",
	.examples = "# where a stage that only connects can be asked\n"
		    "infer -m m.onnx --in tcp://head:5601 --out connect:tcp://head:5602 --status "
		    "ipc:///run/andon/infer\n"
		    "# for a supervisor: dead or stuck?\n"
		    "andon ping --max-busy 60s ipc:///run/andon/infer\n"
		    "andon ping --json tcp://head:5601 | jq .unacked",
	.exits = "0\tit answered, and no limit is exceeded\n"
		 "1\tbusy for longer than --max-busy\n"
		 "2\talone for longer than --max-alone\n"
		 "69\tnobody answers at this address\n"
		 "76\twhat answers does not let itself be asked: another version, another program",
};

/* What the numbers are called, in both forms, in this order. */
struct figure {
	const char *key, *words;
	uint64_t value;
};

static void say_line(const struct message_hello *who, const struct message_state *s,
		     const struct figure *figure, size_t count)
{
	printf("%s %s: %s", who->stage, who->worker, s->state);
	for (size_t i = 0; i < count; i++)
		if (strstr(figure[i].key, "_ms"))
			printf(", %s %.3f s", figure[i].words, (double)figure[i].value / 1000);
		else
			printf(", %" PRIu64 " %s", figure[i].value, figure[i].words);
	putchar('\n');
}

static void put_key(struct text *t, const char *key)
{
	text_puts(t, t->used ? "," : "{");
	text_json(t, key);
	text_putc(t, ':');
}

static void put_text(struct text *t, const char *key, const char *value)
{
	put_key(t, key);
	text_json(t, value);
}

static void say_json(const char *url, const struct message_hello *who,
		     const struct message_state *s, const struct figure *figure, size_t count,
		     const char *why)
{
	struct text t = { 0 };

	put_text(&t, "url", url);
	put_key(&t, "healthy");
	text_puts(&t, why ? "false" : "true");
	if (why)
		put_text(&t, "why", why);
	if (who) {
		put_text(&t, "stage", who->stage);
		put_text(&t, "worker", who->worker);
		put_text(&t, "state", s->state);
	}
	for (size_t i = 0; i < count; i++) {
		put_key(&t, figure[i].key);
		text_int(&t, figure[i].value > INT64_MAX ? INT64_MAX : (int64_t)figure[i].value);
	}
	text_puts(&t, "}\n");
	if (!t.failed)
		fwrite(t.data, 1, t.used, stdout);
	text_free(&t);
}

/* What it says of itself, and what that means: the exit code. */
static int report(const char *url, const struct message_hello *who, const struct message_state *s)
{
	const struct figure figure[] = {
		{ "busy_ms", "busy for", s->busy_ms },
		{ "alone_ms", "alone for", s->alone_ms },
		{ "queued", "queued", s->queued },
		{ "unacked", "unacked", s->unacked },
		{ "in", "in", s->in },
		{ "out", "out", s->out },
		{ "up", "up", s->up },
		{ "down", "down", s->down },
		{ "resent", "sent again", s->resent },
		{ "duplicates", "duplicates", s->duplicates },
		{ "ignored", "ignored", s->ignored },
		{ "malformed", "malformed", s->malformed },
	};
	size_t count = sizeof figure / sizeof figure[0];
	bool busy = busy_most >= 0 && s->busy_ms > (uint64_t)busy_most,
	     alone = alone_most >= 0 && s->alone_ms > (uint64_t)alone_most;
	const char *why = busy    ? "busy for longer than --max-busy"
			  : alone ? "alone for longer than --max-alone"
				  : NULL;

	if (as_json)
		say_json(url, who, s, figure, count, why);
	else
		say_line(who, s, figure, count);
	if (why)
		log_error("%s", why);
	return busy ? EXIT_BUSY : alone ? EXIT_ALONE : 0;
}

static int unanswered(const char *url, const struct err *e)
{
	if (as_json)
		say_json(url, NULL, NULL, NULL, 0, e->text);
	return program_fail(e);
}

static int ask(struct observer *o, const char *url)
{
	int64_t deadline = clock_mono_ns() + timeout_ms * 1000000;
	struct message_hello who = { 0 };
	struct message m;
	struct err e;

	for (;;) {
		switch (observer_wait(o, &m, deadline, &e)) {
		case OBSERVER_WELCOME:
			who = m.as.hello;
			observer_say(o, MESSAGE_PING, 0);
			message_clear(&m);
			break;
		case OBSERVER_MESSAGE:
			if (m.kind == MESSAGE_PONG)
				return report(url, &who, &m.as.state);
			message_clear(&m);
			break;
		case OBSERVER_GONE:
			break;
		case OBSERVER_REFUSED:
			return unanswered(url, &e);
		case OBSERVER_NONE:
			if (!observer_put_off(o, &e))
				err_code(&e, EX_UNAVAILABLE, "'%s' has not answered within %g s",
					 url, (double)timeout_ms / 1000);
			return unanswered(url, &e);
		}
	}
}

int main(int argc, char **argv)
{
	int first = program_open(&manual, options, 1, 1, argc, argv);
	struct curve *curve = NULL;
	struct address at;
	struct err e;

	if (address_parse(&at, argv[first], false, &e) < 0 ||
	    curve_options(keys, insecure, &curve, &e) < 0)
		return program_fail(&e);
	if (at.bind) {
		err_code(&e, EX_USAGE, "'%s': the stage binds it, not ping", argv[first]);
		return program_fail(&e);
	}
	if (address_is_dead(at.url)) {
		err_code(&e, EX_UNAVAILABLE, "nobody is at '%s'", at.url);
		return unanswered(at.url, &e);
	}
	struct observer *o = observer_open(&at, "ping", curve, insecure, &e);
	if (!o)
		return unanswered(at.url, &e);
	int code = ask(o, at.url);
	observer_close(&o);
	curve_close(&curve);
	if (fflush(stdout) != 0 && code == 0)
		code = EX_IOERR;
	return code;
}
