/* ping: is this stage alive, and how are things with it? For probes of supervisors and for people. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/ping/answer.h"
#include "common/program.h"

#define EXIT_BUSY 1
#define EXIT_ALONE 2

static int64_t timeout_ms = 1000, busy_most = -1, alone_most = -1;
static bool as_json, as_metrics, insecure;
static const char *keys;

static const struct option_row options[] = {
	{ "timeout", 't', OPTION_TIME, "TIME", &timeout_ms, "how long to wait for the answer", 1,
	  3.6e6 },
	{ "max-busy", 'b', OPTION_TIME, "TIME", &busy_most,
	  "exit 1 if the stage has worked on one frame for longer", 0, 0 },
	{ "max-alone", 'a', OPTION_TIME, "TIME", &alone_most,
	  "exit 2 if a side that the stage needs has had nobody for longer", 0, 0 },
	OBSERVER_OPTIONS(&keys, &insecure),
	{ "json", 'j', OPTION_FLAG, NULL, &as_json, "one JSON object instead of the line", 0, 0 },
	{ "prometheus", 0, OPTION_FLAG, NULL, &as_metrics,
	  "metrics in the text format of Prometheus instead of the lines", 0, 0 },
	{ 0 },
};

static const struct option_manual manual = {
	.name = "ping",
	.summary = "ask a stage how it is",
	.operands = "URL…",
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
	    "answers too: --max-busy tells it from one that does not.\n\n"
	    "Of several stages each is asked in turn; the exit status is that of the first with "
	    "which something is wrong. --prometheus says for each URL whether somebody answered "
	    "(andon_up), then the same numbers as the others, one metric after the other; times "
	    "in seconds, counters end in _total.",
	.examples =
	    "# where a stage that only connects can be asked\n"
	    "infer -m m.onnx --in tcp://head:5601 --out connect:tcp://head:5602 --status "
	    "ipc:///run/andon/infer\n"
	    "# for a supervisor: dead or stuck?\n"
	    "andon ping --max-busy 60s ipc:///run/andon/infer\n"
	    "andon ping --json tcp://head:5601 | jq .unacked\n"
	    "# for the textfile collector of Prometheus's node exporter, say once a minute\n"
	    "cd /var/lib/prometheus/node-exporter && andon ping --prometheus "
	    "ipc:///run/andon/infer >andon.new; mv andon.new andon.prom",
	.exits = "0\tit answered, and no limit is exceeded\n"
		 "1\tbusy for longer than --max-busy\n"
		 "2\talone for longer than --max-alone\n"
		 "69\tnobody answers at this address\n"
		 "76\twhat answers does not let itself be asked: another version, another program",
};

/* What it says of itself, and what that means. */
static void judge(struct answer *a)
{
	bool busy = busy_most >= 0 && a->state.busy_ms > (uint64_t)busy_most,
	     alone = alone_most >= 0 && a->state.alone_ms > (uint64_t)alone_most;

	a->there = true;
	a->code = busy ? EXIT_BUSY : alone ? EXIT_ALONE : 0;
	a->why = busy    ? "busy for longer than --max-busy"
		 : alone ? "alone for longer than --max-alone"
			 : NULL;
}

static void unanswered(struct answer *a)
{
	a->code = a->e.code;
	a->why = a->e.text;
}

static void talk(struct observer *o, struct answer *a)
{
	int64_t deadline = clock_mono_ns() + timeout_ms * 1000000;
	struct message m;

	for (;;) {
		switch (observer_wait(o, &m, deadline, &a->e)) {
		case OBSERVER_WELCOME:
			a->who = m.as.hello;
			observer_say(o, MESSAGE_PING, 0);
			message_clear(&m);
			break;
		case OBSERVER_MESSAGE:
			if (m.kind == MESSAGE_PONG) {
				a->state = m.as.state;
				judge(a);
				return;
			}
			message_clear(&m);
			break;
		case OBSERVER_GONE:
			break;
		case OBSERVER_NONE:
			if (!observer_put_off(o, &a->e))
				err_code(&a->e, EX_UNAVAILABLE, "'%s' has not answered within %g s",
					 a->at.url, (double)timeout_ms / 1000);
			unanswered(a);
			return;
		case OBSERVER_REFUSED:
			unanswered(a);
			return;
		}
	}
}

static void ask(struct answer *a, struct curve *curve)
{
	struct observer *o = NULL;

	if (address_is_dead(a->at.url))
		err_code(&a->e, EX_UNAVAILABLE, "nobody is at '%s'", a->at.url);
	else
		o = observer_open(&a->at, "ping", curve, insecure, &a->e);
	if (!o) {
		unanswered(a);
		return;
	}
	talk(o, a);
	observer_close(&o);
}

/* Asks all, and says what came: the exit code. */
static int ping(struct answer *answer, size_t count, struct curve *curve)
{
	int code = 0;

	for (size_t i = 0; i < count; i++) {
		struct answer *a = &answer[i];
		ask(a, curve);
		if (!as_metrics)
			(as_json ? answer_json : answer_line)(a, stdout);
		if (a->why)
			log_error("%s", a->why);
		code = code ? code : a->code;
	}
	if (as_metrics)
		answer_metrics(answer, count, stdout);
	return code;
}

/* What the command line asks for. */
static int understand(struct answer *answer, size_t count, char **urls, struct curve **curve,
		      struct err *e)
{
	if (as_json && as_metrics)
		return err_code(e, EX_USAGE, "--json or --prometheus, not both");
	for (size_t i = 0; i < count; i++)
		if (observer_address(&answer[i].at, urls[i], "ping", e) < 0)
			return -1;
	return curve_options(keys, insecure, curve, e);
}

int main(int argc, char **argv)
{
	int first = program_open(&manual, options, 1, INT_MAX, argc, argv), code;
	size_t count = (size_t)(argc - first);
	struct answer *answer = calloc(count, sizeof *answer);
	struct curve *curve = NULL;
	struct err e;

	if (!answer) {
		err_code(&e, EX_OSERR, "no memory");
		return program_fail(&e);
	}
	if (understand(answer, count, argv + first, &curve, &e) < 0)
		code = program_fail(&e);
	else
		code = ping(answer, count, curve);
	curve_close(&curve);
	free(answer);
	if (fflush(stdout) != 0 && code == 0)
		code = EX_IOERR;
	return code;
}
