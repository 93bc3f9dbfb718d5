/* Group commit. A commit costs an fsync, so rows share one; but nobody waits for company: as soon
 * as no frame is waiting, what has gathered is written. At low rates that is one row, with the
 * least latency; at high rates frames queue up while the disk is busy, and the groups grow by
 * themselves.
 *
 * Nothing is acknowledged before it is durable everywhere, so a full disk stops the line upstream
 * by want of credit and loses nothing. */
#include "sink/batch.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "sink/books.h"

#define GATHER_NS 50000000 /* the longest that a row waits for others */
#define TICK_MS 250
#define NOTE_NS 1000000000
#define RETRY_MS 250
#define STOP_NS 5000000000

void batch_open(struct batch *b, struct stage *stage, struct outputs *outputs, struct rules *rules,
		bool quiet)
{
	memset(b, 0, sizeof *b);
	b->stage = stage;
	b->outputs = outputs;
	b->rules = rules;
	b->end = 1;
	progress_open(&b->progress, quiet);
}

void batch_close(struct batch *b)
{
	progress_hide(&b->progress);
	for (size_t i = 0; i < b->count; i++)
		frame_free(&b->frame[i]);
	for (size_t i = 0; i < BATCH_MAX; i++)
		row_free(&b->row[i]);
	free(b->noted);
	b->noted = NULL;
	keys_free(&b->drops);
}

static uint64_t expected(struct batch *b)
{
	const struct stage_total *total;
	int count = stage_totals(b->stage, &total);
	uint64_t sum = 0;

	for (int i = 0; i < count; i++)
		sum += total[i].ended ? total[i].emitted : total[i].expected;
	return sum;
}

static void show(struct batch *b, const char *waiting)
{
	if (b->progress.on)
		progress_show(&b->progress, &b->stats, expected(b), waiting);
}

static void complain(struct batch *b)
{
	struct err why;

	while (rules_complaint(b->rules, &why)) {
		progress_hide(&b->progress);
		log_warn("%s", why.text);
	}
}

/* --- gathering -------------------------------------------------------------------------------- */

static int take(struct batch *b, struct frame *f, struct err *e)
{
	b->frame[b->count] = f;
	if (row_make(&b->row[b->count], f, b->rules, clock_real_ns(), e) < 0) {
		frame_free(&f);
		return -1;
	}
	b->count++;
	complain(b);
	return 0;
}

/* Totals are noted now and then, drops soon: the source keeps them until they are durable. */
static int note_in_time(struct batch *b, struct err *e)
{
	const struct stage_dropped *drops;

	if (clock_mono_ns() - b->noted_ns > NOTE_NS || stage_drops(b->stage, &drops) > 0)
		return batch_note(b, e);
	return 0;
}

/* Nothing came for a while: keep the outputs and the terminal up to date. */
static int idle(struct batch *b, struct err *e)
{
	show(b, NULL);
	return note_in_time(b, e);
}

int batch_next(struct batch *b, struct err *e)
{
	struct frame *f;
	int64_t first_ns = 0;

	e->code = 0;
	if (note_in_time(b, e) < 0)
		return -1;
	while (b->end == 1 && b->count < BATCH_MAX) {
		int got = stage_poll(b->stage, &f, b->count ? 0 : TICK_MS);
		if (got == 2 && b->count)
			break;
		if (got == 2) {
			if (idle(b, e) < 0)
				return -1;
			continue;
		}
		if (got != 1) {
			b->end = got;
			break;
		}
		int64_t now = clock_mono_ns();
		if (b->count == 0)
			first_ns = now;
		if (b->stats.started_ns == 0)
			b->stats.started_ns = now;
		if (take(b, f, e) < 0)
			return -1;
		if (now - first_ns > GATHER_NS)
			break;
	}
	return b->count ? 1 : b->end;
}

/* --- writing ---------------------------------------------------------------------------------- */

struct patience {
	struct batch *batch;
	char said[ERR_TEXT_MAX];
	int64_t since_ns, stop_ns;
};

/* The outputs ask to be tried again: say why, once, and wait a little. Who has been asked to stop
 * does not wait for ever: -1, and what is not stored was not acknowledged either. */
static int wait_and_see(struct patience *p, struct err *why)
{
	if (!stage_stopping(p->batch->stage))
		p->stop_ns = 0;
	else if (p->stop_ns == 0)
		p->stop_ns = clock_mono_ns() + STOP_NS;
	else if (clock_mono_ns() > p->stop_ns)
		return err_at(why, "asked to stop, no longer waiting");
	if (strcmp(p->said, why->text) != 0) {
		progress_hide(&p->batch->progress);
		log_warn("%s: waiting, nothing is acknowledged meanwhile", why->text);
		memcpy(p->said, why->text, sizeof p->said);
	}
	if (p->since_ns == 0)
		p->since_ns = clock_mono_ns();
	show(p->batch, why->text);
	poll(NULL, 0, RETRY_MS);
	return 0;
}

static void go_on(struct patience *p)
{
	if (p->since_ns == 0)
		return;
	progress_hide(&p->batch->progress);
	log_warn("stored again after %.1f s; nothing was lost",
		 (double)(clock_mono_ns() - p->since_ns) / 1e9);
}

int batch_write(struct batch *b, struct err *e)
{
	struct patience patience = { .batch = b };

	while (outputs_write(b->outputs, b->row, b->count, e) < 0) {
		if (e->code != EX_TEMPFAIL || wait_and_see(&patience, e) < 0)
			return -1;
	}
	go_on(&patience);
	e->code = 0;
	return 0;
}

int batch_done(struct batch *b)
{
	int64_t mono_ns = clock_mono_ns(), real_ns = clock_real_ns();
	int result = 0;

	for (size_t i = 0; i < b->count; i++) {
		stats_add(&b->stats, &b->row[i], b->frame[i], mono_ns, real_ns);
		if (stage_done(b->stage, &b->frame[i]) < 0)
			result = -1;
	}
	b->count = 0;
	show(b, NULL);
	return result;
}

/* --- totals and books ------------------------------------------------------------------------- */

/* What the sources say now, as the store notes it; NULL out of memory. Free it. */
static struct store_run *current_runs(struct batch *b, size_t *count)
{
	const struct stage_total *total;
	int totals = stage_totals(b->stage, &total);
	struct store_run *runs = calloc((size_t)(totals > 0 ? totals : 0) + 1, sizeof *runs);

	*count = 0;
	for (int i = 0; runs && i < totals; i++) {
		struct store_run *r = &runs[(*count)++];
		memcpy(r->source, total[i].source, sizeof r->source);
		r->run = total[i].run;
		r->expected = total[i].expected;
		r->errors = -1;
		r->ended = total[i].ended;
		if (r->ended) {
			r->first = total[i].first;
			r->emitted = total[i].emitted;
			r->dropped = total[i].dropped;
		}
	}
	return runs;
}

static struct store_drop *current_drops(struct batch *b, size_t *count)
{
	const struct stage_dropped *dropped;
	int drops = stage_drops(b->stage, &dropped);
	struct store_drop *out = calloc((size_t)(drops > 0 ? drops : 0) + 1, sizeof *out);

	*count = 0;
	for (int i = 0; out && i < drops; i++) {
		struct store_drop *d = &out[(*count)++];
		memcpy(d->source, dropped[i].source, sizeof d->source);
		d->run = dropped[i].run;
		d->first = dropped[i].first;
		d->last = dropped[i].last;
		memcpy(d->reason, dropped[i].reason, sizeof d->reason);
	}
	return out;
}

static int note_patiently(struct batch *b, const struct store_run *runs, size_t run_count,
			  const struct store_drop *drops, size_t drop_count, struct err *e)
{
	struct patience patience = { .batch = b };

	while (outputs_note(b->outputs, runs, run_count, drops, drop_count, e) < 0) {
		if (e->code != EX_TEMPFAIL || wait_and_see(&patience, e) < 0)
			return -1;
	}
	go_on(&patience);
	return 0;
}

/* The outputs have them: acknowledge, and keep the ranges for the books. */
static int drops_noted(struct batch *b, const struct store_drop *drop, size_t count, struct err *e)
{
	for (size_t i = 0; i < count; i++)
		if (keys_add(&b->drops, drop[i].source, drop[i].run, drop[i].first, drop[i].last) <
		    0)
			return err_code(e, EX_OSERR, "out of memory");
	stage_drops_done(b->stage, (int)count);
	return 0;
}

int batch_note(struct batch *b, struct err *e)
{
	size_t run_count = 0, drop_count = 0;
	struct store_run *runs = current_runs(b, &run_count);
	struct store_drop *drops = current_drops(b, &drop_count);
	int result = 0;

	b->noted_ns = clock_mono_ns();
	if (!runs || !drops)
		result = err_code(e, EX_OSERR, "out of memory");
	else if (run_count != b->noted_count || drop_count > 0 ||
		 (run_count && memcmp(runs, b->noted, run_count * sizeof *runs) != 0))
		result = note_patiently(b, runs, run_count, drops, drop_count, e);
	if (result == 0)
		result = drops_noted(b, drops, drop_count, e);
	if (result == 0) {
		free(b->noted);
		b->noted = runs;
		b->noted_count = run_count;
		runs = NULL;
	}
	free(runs);
	free(drops);
	return result;
}

static int check_run(struct batch *b, struct store_run *run, struct text *words, struct err *e)
{
	struct keys keys = { 0 };
	const struct key_run *drops = keys_run(&b->drops, run->source, run->run);
	int result = outputs_keys(b->outputs, run, &keys, e);

	for (size_t i = 0; drops && i < drops->count && result == 0; i++)
		result = keys_add(&keys, run->source, run->run, drops->range[i].first,
				  drops->range[i].last);
	if (result == 0)
		result = books_check(run, &keys, words) ? 1 : run->ended ? 0 : 2;
	keys_free(&keys);
	return result;
}

int batch_books(struct batch *b, struct text *words, struct err *e)
{
	int result = 1;

	for (size_t i = 0; i < b->noted_count; i++) {
		int got = check_run(b, &b->noted[i], words, e);
		if (got < 0 || got == 0 || (got == 2 && result == 1))
			result = got;
		if (got < 0)
			break;
	}
	return result;
}
