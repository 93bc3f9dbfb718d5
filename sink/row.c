/* From frame to row. All text is made fit for a terminal and for JSON here, once; a row owns its
 * text in one piece of memory that is reserved before the first pointer into it is taken. */
#include "sink/row.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of so many the scores fit into a row (SQLite's limit of a text is a thousand million bytes, and each
 * takes up to 15): more is no classification, and must not take the memory of a line down. */
#define CLASSES_MAX ((size_t)1 << 20)

#define COLUMN(field, kind)                               \
	{                                                 \
#field, kind, offsetof(struct row, field) \
	}

const struct column row_columns[] = {
	COLUMN(source, COLUMN_TEXT),
	COLUMN(run, COLUMN_INT),
	COLUMN(seq, COLUMN_INT),
	COLUMN(tag, COLUMN_TEXT),
	COLUMN(image, COLUMN_TEXT),
	COLUMN(capture_ts, COLUMN_INT),
	COLUMN(trigger_ts, COLUMN_INT),
	COLUMN(result_ts, COLUMN_INT),
	COLUMN(latency_ms, COLUMN_F64),
	COLUMN(verdict, COLUMN_TEXT),
	COLUMN(reason, COLUMN_TEXT),
	COLUMN(threshold, COLUMN_F32),
	COLUMN(label, COLUMN_TEXT),
	COLUMN(label_id, COLUMN_INT),
	COLUMN(score, COLUMN_F32),
	COLUMN(scores, COLUMN_JSON),
	COLUMN(model, COLUMN_TEXT),
	COLUMN(model_sha256, COLUMN_TEXT),
	COLUMN(recipe_sha256, COLUMN_TEXT),
	COLUMN(kernels, COLUMN_TEXT),
	COLUMN(worker, COLUMN_TEXT),
	COLUMN(tries, COLUMN_INT),
	COLUMN(timings, COLUMN_JSON),
	COLUMN(meta, COLUMN_JSON),
};
const size_t row_column_count = sizeof row_columns / sizeof row_columns[0];

const char *row_text(const struct row *r, const struct column *c)
{
	return *(const char *const *)((const char *)r + c->offset);
}

int64_t row_int(const struct row *r, const struct column *c)
{
	return *(const int64_t *)((const char *)r + c->offset);
}

double row_real(const struct row *r, const struct column *c)
{
	const char *at = (const char *)r + c->offset;

	return c->kind == COLUMN_F32 ? (double)*(const float *)at : *(const double *)at;
}

void row_number(struct text *to, const struct row *r, const struct column *c)
{
	if (c->kind == COLUMN_INT)
		text_int(to, row_int(r, c));
	else if (c->kind == COLUMN_F32)
		text_f32(to, (float)row_real(r, c));
	else
		text_f64(to, row_real(r, c));
}

bool row_has(const struct row *r, const struct column *c)
{
	switch (c->kind) {
	case COLUMN_TEXT:
	case COLUMN_JSON:
		return row_text(r, c) != NULL;
	case COLUMN_INT:
		return row_int(r, c) != ROW_INT_NONE;
	default:
		return isfinite(row_real(r, c));
	}
}

bool row_is_error(const struct row *r)
{
	return r->verdict && strcmp(r->verdict, "error") == 0;
}

void row_free(struct row *r)
{
	text_free(&r->memory);
	*r = (struct row){ 0 };
}

/* --- text ------------------------------------------------------------------------------------- */

/* An upper bound of what the row's text may take. */
static size_t memory_needed(const struct frame *f, size_t classes)
{
	size_t bytes = 4096 + 20 * classes + (size_t)f->time_count * 96;

	for (int i = 0; i < f->meta_count; i++)
		bytes += 3 * FRAME_META_KEY_MAX + 64 +
			 (f->meta[i].kind == META_TEXT ? 8 * strlen(f->meta[i].as.text) : 0);
	return bytes;
}

static const char *keep(struct row *r, const char *s)
{
	struct text *m = &r->memory;

	if (!s)
		return NULL;
	char *at = m->data + m->used;
	err_clean(at, strlen(s) + 1, s);
	m->used += strlen(at) + 1;
	return at;
}

static const char *meta_text(struct row *r, const struct frame *f, const char *key)
{
	const char *s = frame_text(f, key);

	return s && *s ? keep(r, s) : NULL;
}

static int64_t meta_int(const struct frame *f, const char *key)
{
	const struct meta_item *item = frame_meta(f, key);

	return item && item->kind == META_INT ? item->as.integer : ROW_INT_NONE;
}

/* Meta that has a column of its own, or is only meant for sink. */
static bool has_a_place(const char *key)
{
	static const char *const others[] = { "path", "labels" };

	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		if (strcmp(key, others[i]) == 0)
			return true;
	for (size_t i = 0; i < row_column_count; i++)
		if (strcmp(key, row_columns[i].name) == 0)
			return true;
	return false;
}

static const char *finish(struct row *r, size_t begin)
{
	text_putc(&r->memory, '\0');
	return r->memory.data + begin;
}

static void add_value(struct text *t, const struct meta_item *item)
{
	char clean[FRAME_META_TEXT_MAX];

	if (item->kind == META_TEXT)
		text_json(t, err_clean(clean, sizeof clean, item->as.text));
	else if (item->kind == META_INT)
		text_int(t, item->as.integer);
	else if (!isfinite(item->as.real))
		text_puts(t, "null");
	else if ((double)(float)item->as.real == item->as.real) /* a score, widened on its way */
		text_f32(t, (float)item->as.real);
	else
		text_f64(t, item->as.real);
}

static const char *other_meta(struct row *r, const struct frame *f)
{
	struct text *t = &r->memory;
	char clean[FRAME_META_KEY_MAX];
	size_t begin = t->used;

	for (int i = 0; i < f->meta_count; i++) {
		if (has_a_place(f->meta[i].key))
			continue;
		text_putc(t, t->used == begin ? '{' : ',');
		text_json(t, err_clean(clean, sizeof clean, f->meta[i].key));
		text_putc(t, ':');
		add_value(t, &f->meta[i]);
	}
	if (t->used == begin)
		return NULL;
	text_putc(t, '}');
	return finish(r, begin);
}

static const char *timings(struct row *r, const struct frame *f)
{
	struct text *t = &r->memory;
	char clean[FRAME_STAGE_MAX];
	size_t begin = t->used;

	if (f->time_count <= 0)
		return NULL;
	for (int i = 0; i < f->time_count && i < FRAME_TIMES_MAX; i++) {
		text_putc(t, i == 0 ? '{' : ',');
		text_json(t, err_clean(clean, sizeof clean, f->time[i].stage));
		text_putc(t, ':');
		text_f64(t, (double)(f->time[i].duration_ns / 1000) / 1000);
	}
	text_putc(t, '}');
	return finish(r, begin);
}

static const char *score_list(struct row *r, const float *scores, size_t classes)
{
	struct text *t = &r->memory;
	size_t begin = t->used;

	text_putc(t, '[');
	for (size_t i = 0; i < classes; i++) {
		if (i)
			text_putc(t, ',');
		text_f32(t, scores[i]);
	}
	text_putc(t, ']');
	return finish(r, begin);
}

/* --- judging ---------------------------------------------------------------------------------- */

static void make_error(struct row *r, const char *reason)
{
	r->verdict = "error";
	r->reason = keep(r, *reason ? reason : "no reason was given");
	r->threshold = NAN;
	r->label = NULL;
	r->label_id = ROW_INT_NONE;
	r->score = NAN;
	r->scores = NULL;
}

/* The payload as floats, copied because it may lie unaligned in a message: 0 and *scores (free it;
 * NULL if the frame carries none), or -1 and *why. */
static int take_scores(const struct frame *f, float **scores, size_t *classes, struct err *why)
{
	size_t bytes;

	*scores = NULL;
	*classes = 0;
	if (f->status != FRAME_OK || f->kind != FRAME_SCORES || !f->payload)
		return 0;
	if (f->dtype != DTYPE_F32)
		return err_set(why, "scores are %s, not f32", dtype_name(f->dtype));
	if (frame_bytes(f, &bytes, why) < 0)
		return -1;
	if (bytes / sizeof **scores > CLASSES_MAX)
		return err_set(why, "%zu classes; at most %zu are stored", bytes / sizeof **scores,
			       (size_t)CLASSES_MAX);
	if (bytes == 0 || bytes != f->payload->size)
		return err_set(why, "%zu bytes of scores where the shape says %zu",
			       f->payload->size, bytes);
	*scores = malloc(bytes);
	if (!*scores)
		return err_code(why, EX_OSERR, "out of memory");
	memcpy(*scores, f->payload->data, bytes);
	*classes = bytes / sizeof **scores;
	return 0;
}

static int check_finite(const float *scores, size_t classes, struct err *why)
{
	for (size_t i = 0; i < classes; i++)
		if (!isfinite(scores[i]))
			return err_set(why, "the score of class %zu is %s", i,
				       isnan(scores[i]) ? "not a number" : "infinite");
	return 0;
}

/* Label, its number and its score: what infer said must be what the payload holds. */
static int find_top(struct row *r, const struct frame *f, const float *scores, size_t classes,
		    struct err *why)
{
	const struct meta_item *said = frame_meta(f, "score");
	bool real = said && said->kind == META_REAL;
	size_t best = 0;

	if (check_finite(scores, classes, why) < 0)
		return -1;
	if (real && !isfinite((float)said->as.real))
		return err_set(why, "the score is not a finite number");
	if (classes == 0) {
		r->score = real ? (float)said->as.real : NAN;
		return 0;
	}
	for (size_t i = 1; i < classes; i++)
		if (scores[i] > scores[best])
			best = i;
	if (r->label_id == ROW_INT_NONE)
		r->label_id = (int64_t)best;
	if (r->label_id < 0 || (uint64_t)r->label_id >= classes)
		return err_set(why, "label %lld of %zu classes", (long long)r->label_id, classes);
	r->score = scores[r->label_id];
	if (real && (float)said->as.real != r->score)
		return err_set(why, "score %.9g was sent, but class %lld has %.9g", said->as.real,
			       (long long)r->label_id, (double)r->score);
	if (r->score < scores[best])
		return err_set(why, "label %lld was sent, but class %zu has the highest score",
			       (long long)r->label_id, best);
	return 0;
}

static void judge(struct row *r, const struct frame *f, struct rules *rules, const float *scores,
		  size_t classes)
{
	struct judged part = { f, NULL, 0, scores, classes };
	struct verdict verdict;
	char number[32];
	struct err why;

	r->label = meta_text(r, f, "label");
	r->label_id = meta_int(f, "label_id");
	if (find_top(r, f, scores, classes, &why) < 0) {
		make_error(r, why.text);
		return;
	}
	if (!r->label && r->label_id != ROW_INT_NONE) {
		snprintf(number, sizeof number, "%lld", (long long)r->label_id);
		r->label = keep(r, number);
	}
	if (!r->label || !isfinite(r->score)) {
		make_error(r, "no label and score: is there no infer in the pipeline?");
		return;
	}
	part.label = r->label;
	part.score = r->score;
	rules_judge(rules, &part, &verdict);
	r->verdict = verdict.name;
	r->reason = verdict.name ? keep(r, verdict.reason) : NULL;
	r->threshold = verdict.threshold;
	if (scores)
		r->scores = score_list(r, scores, classes);
}

static void copy_meta(struct row *r, const struct frame *f)
{
	r->tag = meta_text(r, f, "tag");
	r->image = meta_text(r, f, "path");
	r->trigger_ts = meta_int(f, "trigger_ts");
	r->model = meta_text(r, f, "model");
	r->model_sha256 = meta_text(r, f, "model_sha256");
	r->recipe_sha256 = meta_text(r, f, "recipe_sha256");
	r->kernels = meta_text(r, f, "kernels");
	r->worker = meta_text(r, f, "worker");
	r->timings = timings(r, f);
	r->meta = other_meta(r, f);
}

int row_make(struct row *r, const struct frame *f, struct rules *rules, int64_t now_ns,
	     struct err *e)
{
	struct text memory = r->memory;
	float *scores;
	size_t classes;
	struct err why;
	int usable = take_scores(f, &scores, &classes, &why);

	text_clear(&memory);
	if (text_reserve(&memory, memory_needed(f, classes)) < 0 ||
	    (usable < 0 && why.code == EX_OSERR)) {
		r->memory = memory;
		free(scores);
		return err_code(e, EX_OSERR, "out of memory");
	}
	*r = (struct row){ .memory = memory, .threshold = NAN, .score = NAN };
	r->source = keep(r, f->source);
	r->run = (int64_t)f->run;
	r->seq = (int64_t)f->seq;
	r->tries = f->try;
	r->label_id = ROW_INT_NONE;
	r->capture_ts = f->captured_ns > 0 ? f->captured_ns : ROW_INT_NONE;
	r->result_ts = now_ns;
	r->latency_ms = NAN;
	if (f->captured_ns > 0) /* hosts' clocks differ: a result is not older than its picture */
		r->latency_ms =
		    now_ns > f->captured_ns ? (double)((now_ns - f->captured_ns) / 1000) / 1000 : 0;
	copy_meta(r, f);
	if (usable < 0)
		make_error(r, why.text);
	else if (f->status != FRAME_OK)
		make_error(r, f->reason);
	else
		judge(r, f, rules, scores, classes);
	free(scores);
	return 0;
}
