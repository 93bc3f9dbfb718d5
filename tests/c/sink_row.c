/* Rows and verdicts: what the line engineer may rely on, case by case. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sink/row.h"
#include "sink/verdict.h"

static int failures, checks;

/* One part: its scores, and what infer says of it. */
struct part {
	const char *label;
	int64_t label_id; /* -1: not said */
	double score;     /* NAN: not said */
	const char *labels, *model;
	size_t classes;
	float scores[4];
};

static struct frame *frame_of(const struct part *p)
{
	struct frame *f = frame_new();
	int64_t shape[1] = { (int64_t)p->classes };
	struct err why;

	strcpy(f->source, "cam");
	f->captured_ns = 1000000000;
	if (p->classes && frame_shape(f, FRAME_SCORES, DTYPE_F32, 1, shape, &why) == 0)
		memcpy(f->payload->data, p->scores,
		       (p->classes < 4 ? p->classes : 4) * sizeof p->scores[0]);
	if (p->label)
		frame_meta_text(f, "label", p->label);
	if (p->label_id >= 0)
		frame_meta_int(f, "label_id", p->label_id);
	if (!isnan(p->score))
		frame_meta_real(f, "score", p->score);
	if (p->labels)
		frame_meta_text(f, "labels", p->labels);
	if (p->model)
		frame_meta_text(f, "model_sha256", p->model);
	return f;
}

static void expect(struct rules *rules, const struct part *p, const char *verdict,
		   const char *reason)
{
	struct frame *f = frame_of(p);
	struct row row = { 0 };
	struct err why;

	checks++;
	if (row_make(&row, f, rules, 1041700000, &why) < 0) {
		printf("no row: %s\n", why.text);
		failures++;
	} else if (strcmp(row.verdict ? row.verdict : "-", verdict) != 0 ||
		   strcmp(row.reason ? row.reason : "-", reason) != 0) {
		printf("'%s' (%.9g): %s, %s; expected %s, %s\n", p->label ? p->label : "", p->score,
		       row.verdict, row.reason, verdict, reason);
		failures++;
	}
	if (row_is_error(&row) && (row.label || row.scores || isfinite(row.score))) {
		printf("an error row has a label\n");
		failures++;
	}
	row_free(&row);
	frame_free(&f);
}

static struct rules *rules_of(const char **good, size_t goods, const char **ng, size_t ngs)
{
	struct option_list g = { good, goods }, n = { ng, ngs };
	struct err why;
	struct rules *r = rules_new(&g, &n, NULL, &why);

	if (!r) {
		printf("%s\n", why.text);
		failures++;
	}
	return r;
}

#define SAID(name, id, value, ...)                          \
	{                                                   \
		name, id, value, "ok|scratch|a:b", "m1", 3, \
		{                                           \
			__VA_ARGS__                         \
		}                                           \
	}

static void judge(void)
{
	const char *good[] = { "ok:0.9" }, *ng[] = { "scratch:0.3", "a:b:0.5" };
	struct rules *r = rules_of(good, 1, ng, 2);
	const float nearly = nextafterf(0.9f, 0), enough = 0.9f;

	expect(r, &(struct part)SAID("ok", 0, enough, enough, 0.1f, 0), "good", "ok >= 0.9");
	expect(r, &(struct part)SAID("ok", 0, nearly, nearly, 0.1f, 0), "uncertain", "ok < 0.9");
	/* ng although another label is on top */
	expect(r, &(struct part)SAID("ok", 0, enough, enough, 0.3f, 0), "ng", "scratch >= 0.3");
	expect(r, &(struct part)SAID("scratch", 1, 0.25, 0.2f, 0.25f, 0), "uncertain",
	       "scratch < 0.3");
	/* two rules hit: the one of the top label decides */
	expect(r, &(struct part)SAID("a:b", 2, 0.75f, 0, 0.5f, 0.75f), "ng", "a:b >= 0.5");
	/* infer did not name it: the highest score, and its number as label */
	expect(r, &(struct part){ NULL, -1, NAN, NULL, "m1", 3, { 0, 0.1f, 0.2f } }, "uncertain",
	       "no rule for '2'");
	rules_free(&r);
}

static void refuse_nonsense(void)
{
	const char *good[] = { "ok:0.1" };
	struct rules *r = rules_of(good, 1, NULL, 0);

	expect(r, &(struct part)SAID("ok", 0, NAN, NAN, 0, 0), "error",
	       "the score of class 0 is not a number");
	expect(r, &(struct part)SAID("ok", 0, 1, 1, 0, INFINITY), "error",
	       "the score of class 2 is infinite");
	expect(r, &(struct part)SAID("ok", 0, 0.5, 0.25f, 0, 0), "error",
	       "score 0.5 was sent, but class 0 has 0.25");
	expect(r, &(struct part)SAID("ok", 0, 0.25, 0.25f, 0.5f, 0), "error",
	       "label 0 was sent, but class 1 has the highest score");
	expect(r, &(struct part)SAID("ok", 7, NAN, 0.25f, 0, 0), "error", "label 7 of 3 classes");
	expect(r, &(struct part){ "ok", 0, (double)INFINITY, NULL, NULL, 0, { 0 } }, "error",
	       "the score is not a finite number");
	expect(r, &(struct part){ NULL, -1, NAN, NULL, NULL, 0, { 0 } }, "error",
	       "no label and score: is there no infer in the pipeline?");
	expect(r, &(struct part){ "ok", -1, 0.5, NULL, NULL, 0, { 0 } }, "good", "ok >= 0.1");
	expect(r, &(struct part){ "ok", 0, NAN, NULL, NULL, (1 << 20) + 1, { 1 } }, "error",
	       "1048577 classes; at most 1048576 are stored");
	rules_free(&r);
	r = rules_of(NULL, 0, NULL, 0);
	expect(r, &(struct part){ NULL, -1, NAN, NULL, NULL, 0, { 0 } }, "error",
	       "no label and score: is there no infer in the pipeline?");
	expect(r, &(struct part)SAID("ok", 0, 1, 1, 0, 0), "-", "-");
	rules_free(&r);
}

/* A rule that names no label must not let parts through, once that is known. */
static void unknown_labels(void)
{
	const char *good[] = { "ok:0.1" }, *ng[] = { "scrach:0.3" };
	struct rules *r = rules_of(good, 1, ng, 1);
	struct part p = SAID("ok", 0, 0.5, 0.5f, 0.4f, 0);
	struct err why;

	expect(r, &p, "uncertain", "rule for unknown label 'scrach'");
	if (!rules_complaint(r, &why) || rules_complaint(r, &why)) {
		printf("one complaint was expected\n");
		failures++;
	}
	/* Another model has it, under another number. */
	p.model = "m2";
	p.labels = "ok|x\\|y|scrach";
	expect(r, &p, "good", "ok >= 0.1");
	p.scores[2] = 0.3f;
	expect(r, &p, "ng", "scrach >= 0.3");
	if (rules_unseen(r, 0)) {
		printf("'scrach' was seen\n");
		failures++;
	}
	rules_free(&r);
	/* Large models send no list: what has been seen is known. */
	r = rules_of(good, 1, ng, 1);
	p = (struct part){ "ok", 0, 0.5, NULL, "m3", 3, { 0.5f, 0.4f, 0 } };
	expect(r, &p, "good", "ok >= 0.1");
	if (!rules_unseen(r, 0)) {
		printf("'scrach' was not seen\n");
		failures++;
	}
	p = (struct part){ "scrach", 1, 0.75, NULL, "m3", 3, { 0.5f, 0.75f, 0 } };
	expect(r, &p, "ng", "scrach >= 0.3");
	p = (struct part){ "ok", 0, 0.5, NULL, "m3", 3, { 0.5f, 0.4f, 0 } };
	expect(r, &p, "ng", "scrach >= 0.3");
	rules_free(&r);
}

int main(void)
{
	judge();
	refuse_nonsense();
	unknown_labels();
	printf("%d cases, %d failures\n", checks, failures);
	return failures != 0;
}
