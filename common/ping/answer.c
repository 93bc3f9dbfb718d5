#include "common/ping/answer.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "common/text.h"

/* What the numbers are called in each form, in this order. One that counts ends in _total, one in _ms is a time. */
#define AT(member) offsetof(struct message_state, member)
static const struct figure {
	size_t at;
	const char *key, *words, *metric, *help;
} figures[] = {
	{ AT(busy_ms), "busy_ms", "busy for", "andon_busy_seconds",
	  "How long the stage has worked on its present frame." },
	{ AT(alone_ms), "alone_ms", "alone for", "andon_alone_seconds",
	  "How long a side that the stage needs has had nobody." },
	{ AT(queued), "queued", "queued", "andon_queue_length",
	  "Frames that wait in the stage: not begun, or not sent on yet." },
	{ AT(unacked), "unacked", "unacked", "andon_unacknowledged_frames",
	  "Frames that were sent on and are not acknowledged." },
	{ AT(in), "in", "in", "andon_frames_in_total", "Frames that came in." },
	{ AT(out), "out", "out", "andon_frames_out_total", "Frames that went out." },
	{ AT(up), "up", "up", "andon_upstream_neighbours", "Stages before it, in session." },
	{ AT(down), "down", "down", "andon_downstream_neighbours", "Stages after it, in session." },
	{ AT(resent), "resent", "sent again", "andon_frames_sent_again_total",
	  "Frames that were sent a second time." },
	{ AT(duplicates), "duplicates", "duplicates", "andon_frames_duplicate_total",
	  "Frames that came and were there already." },
	{ AT(ignored), "ignored", "ignored", "andon_messages_ignored_total",
	  "Messages that meant nothing where they came." },
	{ AT(malformed), "malformed", "malformed", "andon_messages_malformed_total",
	  "Messages that could not be read." },
};
#define FIGURES (sizeof figures / sizeof figures[0])

static uint64_t value_of(const struct answer *a, const struct figure *f)
{
	uint64_t value;

	memcpy(&value, (const char *)&a->state + f->at, sizeof value);
	return value;
}

static bool ends_in(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && strcmp(text + n - m, end) == 0;
}

static bool is_time(const struct figure *f)
{
	return ends_in(f->key, "_ms");
}

static void give(struct text *t, FILE *out)
{
	if (!t->failed)
		fwrite(t->data, 1, t->used, out);
	text_free(t);
}

void answer_line(const struct answer *a, FILE *out)
{
	if (!a->there)
		return;
	fprintf(out, "%s %s: %s", a->who.stage, a->who.worker, a->state.state);
	for (size_t i = 0; i < FIGURES; i++) {
		const struct figure *f = &figures[i];
		if (is_time(f))
			fprintf(out, ", %s %.3f s", f->words, (double)value_of(a, f) / 1000);
		else
			fprintf(out, ", %" PRIu64 " %s", value_of(a, f), f->words);
	}
	fputc('\n', out);
}

/* --- an object ---------------------------------------------------------------------------------- */

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

void answer_json(const struct answer *a, FILE *out)
{
	struct text t = { 0 };

	put_text(&t, "url", a->at.url);
	put_key(&t, "healthy");
	text_puts(&t, a->why ? "false" : "true");
	if (a->why)
		put_text(&t, "why", a->why);
	if (a->there) {
		put_text(&t, "stage", a->who.stage);
		put_text(&t, "worker", a->who.worker);
		put_text(&t, "state", a->state.state);
	}
	for (size_t i = 0; a->there && i < FIGURES; i++) {
		uint64_t value = value_of(a, &figures[i]);
		put_key(&t, figures[i].key);
		text_int(&t, value > INT64_MAX ? INT64_MAX : (int64_t)value);
	}
	text_puts(&t, "}\n");
	give(&t, out);
}

/* --- metrics ------------------------------------------------------------------------------------ */

static void put_head(struct text *t, const char *name, const char *help)
{
	text_puts(t, "# HELP ");
	text_puts(t, name);
	text_putc(t, ' ');
	text_puts(t, help);
	text_puts(t, "\n# TYPE ");
	text_puts(t, name);
	text_puts(t, ends_in(name, "_total") ? " counter\n" : " gauge\n");
}

/* NAME="VALUE"; what a stage calls itself is its own word. */
static void put_label(struct text *t, const char *name, const char *value)
{
	text_puts(t, name);
	text_puts(t, "=\"");
	for (; *value; value++) {
		if (*value == '\\' || *value == '"')
			text_putc(t, '\\');
		if (*value == '\n')
			text_puts(t, "\\n");
		else
			text_putc(t, *value);
	}
	text_putc(t, '"');
}

static void put_sample(struct text *t, const struct answer *a, const struct figure *f)
{
	uint64_t value = value_of(a, f);
	char number[32];

	text_puts(t, f->metric);
	put_label(t, "{stage", a->who.stage);
	put_label(t, ",worker", a->who.worker);
	if (is_time(f))
		snprintf(number, sizeof number, "} %" PRIu64 ".%03d\n", value / 1000,
			 (int)(value % 1000));
	else
		snprintf(number, sizeof number, "} %" PRIu64 "\n", value);
	text_puts(t, number);
}

static void put_up(struct text *t, const struct answer *a)
{
	put_label(t, "andon_up{url", a->at.url);
	text_puts(t, a->there ? "} 1\n" : "} 0\n");
}

/* A series stands there once: was the same address asked before, or the same process at another one? */
static bool url_again(const struct answer *answer, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (strcmp(answer[k].at.url, answer[i].at.url) == 0)
			return true;
	return false;
}

static bool process_again(const struct answer *answer, size_t i)
{
	const struct message_hello *who = &answer[i].who;

	for (size_t k = 0; k < i; k++)
		if (answer[k].there &&
		    memcmp(answer[k].who.instance, who->instance, sizeof who->instance) == 0)
			return true;
	return false;
}

void answer_metrics(const struct answer *answer, size_t count, FILE *out)
{
	struct text t = { 0 };

	put_head(&t, "andon_up", "Whether the stage at this address has answered.");
	for (size_t i = 0; i < count; i++)
		if (!url_again(answer, i))
			put_up(&t, &answer[i]);
	for (size_t k = 0; k < FIGURES; k++) {
		put_head(&t, figures[k].metric, figures[k].help);
		for (size_t i = 0; i < count; i++)
			if (answer[i].there && !process_again(answer, i))
				put_sample(&t, &answer[i], &figures[k]);
	}
	give(&t, out);
}
