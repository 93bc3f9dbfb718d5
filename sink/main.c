/* sink: the end of the line. Next frames, their verdicts, write, durable, acknowledge. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "common/stage.h"
#include "sink/batch.h"
#include "sink/books.h"
#include "sink/eval.h"

static struct option_list good, ng, recalls;
static const char *labels_path, *pipeline, *audit_path, *eval_path;

static const struct option_row options[] = {
	{ "good", 'g', OPTION_LIST, "LABEL:SCORE", &good,
	  "a part is good if LABEL has the highest score and at least SCORE", 0, 0 },
	{ "ng", 'n', OPTION_LIST, "LABEL:SCORE", &ng,
	  "a part is ng if LABEL has at least SCORE; goes before --good", 0, 0 },
	{ "labels", 'l', OPTION_TEXT, "FILE", &labels_path,
	  "the model's labels: rules that name none of them are refused at the start", 0, 0 },
	{ "pipeline", 0, OPTION_TEXT, "NAME", &pipeline, "what to note as the run's pipeline", 0,
	  0 },
	{ "audit", 0, OPTION_TEXT, "STORE", &audit_path,
	  "check that nothing is missing in a store, list what is, and end", 0, 0 },
	{ "eval", 0, OPTION_TEXT, "LABELS", &eval_path,
	  "compare a store with true labels (lines: file name, tab or comma, label), and end", 0,
	  0 },
	{ "min-recall", 0, OPTION_LIST, "LABEL=PART", &recalls,
	  "with --eval: exit 1 if less than this part of a label (or of ng, of good: by verdict) "
	  "was recognised",
	  0, 0 },
	{ 0 },
};

static const struct stage_spec spec = {
	.manual = {
		.name = "sink",
		.summary = "store a verdict for every part",
		.operands = "OUTPUT…",
		.description =
		    "Receives what infer found, gives each part its verdict, and stores one row for "
		    "it in every OUTPUT. A part is acknowledged when its row is on disk, and not "
		    "before: killing any stage at any moment loses nothing and stores nothing "
		    "twice.\n\n"
		    "An OUTPUT is a SQLite store (.db, .sqlite, .sqlite3), JSON Lines (.jsonl, "
		    ".ndjson) or CSV (.csv); 'db:', 'jsonl:' or 'csv:' before the name says it "
		    "whatever the name. '-' is JSON Lines on standard output, 'csv:-' CSV. Files "
		    "that exist are added to. A part that an output has already is left out there "
		    "and counted as a duplicate; standard output cannot know what earlier runs "
		    "wrote.\n\n"
		    "Verdicts: with --good and --ng a part is good, ng, or uncertain if no rule "
		    "says either; in LABEL:SCORE the last colon counts. A part that could not be "
		    "judged gets the verdict error and a reason. Without rules the verdict is empty "
		    "and the label stands for itself.\n\n"
		    "At the end the books are checked: every part that a source emitted must be a "
		    "row or a counted drop. On a terminal a line shows how far it is.\n\n"
		    "SIGHUP opens JSON Lines and CSV outputs anew, for those who move them away "
		    "(logrotate); the store stays open. What is in a file that was moved away is not "
		    "written again by this process; the next one does not know it.",
		.examples =
		    "# store and look\n"
		    "capture photos/ | preprocess | infer -m model.onnx | sink results.db\n"
		    "# rows as text too, with verdicts\n"
		    "… | sink --good ok:0.9 --ng scratch:0.6 results.db results.jsonl\n"
		    "# was anything lost?\n"
		    "sink --audit results.db\n"
		    "# how good is the model?\n"
		    "sink --eval labels.tsv --min-recall scratch=0.995 results.db\n",
		.exits = "1\t--audit found something missing, or --eval a recall too low\n"
			 "65\tthe books do not balance; the missing numbers are named\n"
			 "74\tan output cannot be written (its reader has gone, its disk is broken)\n",
	},
	.options = options,
	.pulls = true,
	.operands_least = 0,
	.operands_most = -1,
};

static int complain(const struct err *why)
{
	log_error("%s", why->text);
	if (why->code == EX_USAGE)
		fprintf(stderr, "try 'sink --help'\n");
	return why->code;
}

static struct rules *read_rules(struct err *why)
{
	struct labels labels = { 0 };
	struct rules *rules = NULL;
	int got = labels_path ? labels_load(&labels, labels_path, why) : 0;

	if (labels_path && got == 0)
		err_set(why, "%s: holds no labels", labels_path);
	if (got > 0 || !labels_path)
		rules = rules_new(&good, &ng, labels_path ? &labels : NULL, why);
	labels_free(&labels);
	return rules;
}

/* What the options ask instead of running: exit code. */
static int look_into(struct rules *rules, int count, char **names)
{
	struct err why;
	int result;

	if (audit_path && (count > 0 || eval_path)) {
		err_code(&why, EX_USAGE, "--audit takes one store and nothing else");
		return complain(&why);
	}
	if (eval_path && count != 1) {
		err_code(&why, EX_USAGE, "--eval LABELS takes one store");
		return complain(&why);
	}
	result = audit_path ? books_audit(audit_path, &why)
			    : eval_store(eval_path, names[0], rules, &recalls, &why);
	return result < 0 ? complain(&why) : result;
}

/* --- the end ---------------------------------------------------------------------------------- */

static void summarise(struct batch *b, const struct text *books)
{
	struct text words = { 0 };
	const struct stats *s = &b->stats;
	char line[200];

	progress_hide(&b->progress);
	snprintf(line, sizeof line, "%llu parts, %llu stored, %llu duplicates, %.1f/s\n",
		 (unsigned long long)s->done, (unsigned long long)(s->done - s->duplicates),
		 (unsigned long long)s->duplicates, stats_rate(s));
	text_puts(&words, line);
	stats_summary(s, outputs_bytes(b->outputs), &words);
	text_puts(&words, "books:\n");
	text_add(&words, books->data, books->used);
	if (!words.failed)
		fwrite(words.data, 1, words.used, stderr);
	text_free(&words);
}

static void mention_unseen(const struct batch *b, const struct rules *rules)
{
	const char *rule;

	for (size_t i = 0; b->stats.done && (rule = rules_unseen(rules, i)); i++)
		log_warn("rule '%s': no part had this label; is it spelt as the model spells it?",
			 rule);
}

/* Text has a place for parts only. */
static void mention_drops(struct batch *b)
{
	struct text words = { 0 };

	if (b->drops.count == 0 || outputs_keep_drops(b->outputs))
		return;
	books_drops(&b->drops, &words);
	progress_hide(&b->progress);
	if (!words.failed)
		log_warn("parts that were dropped before they came here stand in no output, only "
			 "in a store (.db): %s",
			 words.data);
	text_free(&words);
}

/* Note the totals, check the books, say how it went: exit code. broken: the link is, and has said why. */
static int settle(struct batch *b, struct rules *rules, bool stopped, bool broken)
{
	struct text words = { 0 };
	struct err why;
	int code = 0;
	int balanced = batch_note(b, &why) < 0 ? -1 : batch_books(b, &words, &why);

	if (balanced < 0)
		code = complain(&why);
	else if (log_verbosity() >= 0)
		summarise(b, &words);
	mention_unseen(b, rules);
	mention_drops(b);
	if (balanced == 0) {
		progress_hide(&b->progress);
		log_error("the books do not balance: %.*s", (int)(words.used ? words.used - 1 : 0),
			  words.data);
		code = EX_DATAERR;
	} else if (balanced == 2 && !stopped) {
		(broken ? log_warn : log_error)("the stream broke off: run the line again, it goes "
						"on where it stopped");
		code = EX_TEMPFAIL;
	}
	text_free(&words);
	return code;
}

static int run(struct stage *stage, struct outputs *outputs, struct rules *rules)
{
	static struct batch batch;
	struct err why = { 0 };
	int got, code = 0;

	batch_open(&batch, stage, outputs, rules, log_verbosity() < 0);
	while ((got = batch_next(&batch, &why)) == 1) {
		if ((got = batch_write(&batch, &why)) < 0)
			break;
		(void)failpoint("commit-ack");
		if ((got = batch_done(&batch)) < 0)
			break;
	}
	if (got < 0 && why.code)
		code = complain(&why); /* an output of ours is broken */
	else
		code = settle(&batch, rules, got == 0 && stage_stopping(stage), got < 0);
	if (got < 0 && code == 0)
		code = EX_TEMPFAIL;
	batch_close(&batch);
	return code;
}

static void reopen(void *outputs)
{
	outputs_reopen(outputs);
}

int main(int argc, char **argv)
{
	struct stage *stage = stage_open(&spec, argc, argv);
	struct outputs outputs = { 0 };
	struct rules *rules = NULL;
	struct err why;
	char **names;
	int count = stage_operands(stage, &names), code;

	signal(SIGPIPE, SIG_IGN); /* write says EPIPE instead */
	if (!audit_path && !eval_path)
		stage_on_hangup(stage, reopen, &outputs);
	if (!audit_path && !eval_path && count == 0)
		err_code(&why, EX_USAGE, "name at least one output, such as results.db or -");
	else
		rules = read_rules(&why);
	if (!rules)
		code = complain(&why);
	else if (audit_path || eval_path)
		code = look_into(rules, count, names);
	else if (outputs_open(&outputs, names, (size_t)count, pipeline, &why) < 0 ||
		 stage_start(stage, &why) < 0)
		code = complain(&why);
	else
		code = run(stage, &outputs, rules);
	outputs_close(&outputs);
	rules_free(&rules);
	return stage_close(&stage, code);
}
