/* Rules are few and labels short, so a part is judged by walking the list. What needs care is which
 * class a rule's label is: the file of --labels says so, or the `labels` that infer sends with
 * small models, or the label and runners-up of the frames seen so far. */
#include "sink/verdict.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"

enum known { UNSEEN, SEEN, ABSENT };

struct rule {
	bool good;
	const char *given; /* "LABEL:NUMBER" */
	char *label;
	float threshold;
	enum known known; /* does the model have the label? */
	int64_t class;    /* -1: not known */
	bool complained, ever;
};

struct rules {
	struct rule *rule;
	size_t count;
	bool fixed;                       /* the user's label file has settled all classes */
	char model[FRAME_META_TEXT_MAX];  /* the one that known and class are about */
	char labels[FRAME_META_TEXT_MAX]; /* its list, as last read */
};

static const char *kind_of(const struct rule *rule)
{
	return rule->good ? "good" : "ng";
}

static int parse(struct rule *rule, const char *given, bool good, struct err *e)
{
	const char *colon = strrchr(given, ':');
	char *end;

	*rule = (struct rule){ .good = good, .given = given, .class = -1 };
	if (!colon || colon == given || colon[1] == '\0')
		return err_code(e, EX_USAGE, "--%s '%s': need LABEL:THRESHOLD, such as 'ok:0.9'",
				kind_of(rule), given);
	rule->threshold = strtof(colon + 1, &end);
	if (*end || !isfinite(rule->threshold))
		return err_code(e, EX_USAGE, "--%s '%s': '%s' is not a finite number",
				kind_of(rule), given, colon + 1);
	rule->label = strndup(given, (size_t)(colon - given));
	if (!rule->label)
		return err_code(e, EX_OSERR, "out of memory");
	return 0;
}

static int parse_all(struct rules *r, const struct option_list *list, bool good, struct err *e)
{
	for (size_t i = 0; i < list->count; i++) {
		struct rule *rule = &r->rule[r->count];
		if (parse(rule, list->item[i], good, e) < 0)
			return -1;
		r->count++;
		for (size_t k = 0; k + 1 < r->count; k++)
			if (r->rule[k].good == good && strcmp(r->rule[k].label, rule->label) == 0)
				return err_code(e, EX_USAGE, "--%s: two rules for '%s'",
						kind_of(rule), rule->label);
	}
	return 0;
}

/* Every rule must name one of the labels that the user's file holds. */
static int settle(struct rules *r, const struct labels *labels, struct err *e)
{
	for (size_t i = 0; i < r->count; i++) {
		struct rule *rule = &r->rule[i];
		for (size_t k = 0; k < labels->count && rule->class < 0; k++)
			if (strcmp(labels->name[k], rule->label) == 0)
				rule->class = (int64_t)k;
		if (rule->class < 0)
			return err_code(e, EX_USAGE, "--%s '%s': the label file has no '%s'",
					kind_of(rule), rule->given, rule->label);
		rule->known = SEEN;
		rule->ever = true;
	}
	r->fixed = true;
	return 0;
}

struct rules *rules_new(const struct option_list *good, const struct option_list *ng,
			const struct labels *labels, struct err *e)
{
	struct rules *r = calloc(1, sizeof *r);

	if (!r || !(r->rule = calloc(good->count + ng->count + 1, sizeof *r->rule))) {
		err_code(e, EX_OSERR, "out of memory");
		goto failed;
	}
	if (parse_all(r, ng, false, e) < 0 || parse_all(r, good, true, e) < 0)
		goto failed;
	if (labels && settle(r, labels, e) < 0)
		goto failed;
	return r;
failed:
	rules_free(&r);
	return NULL;
}

void rules_free(struct rules **r)
{
	if (!*r)
		return;
	for (size_t i = 0; i < (*r)->count; i++)
		free((*r)->rule[i].label);
	free((*r)->rule);
	free(*r);
	*r = NULL;
}

bool rules_any(const struct rules *r)
{
	return r->count > 0;
}

bool rules_call_good(const struct rules *r, const char *label)
{
	for (size_t i = 0; i < r->count; i++)
		if (r->rule[i].good && strcmp(r->rule[i].label, label) == 0)
			return true;
	return false;
}

static void learn(struct rules *r, const char *label, int64_t class)
{
	for (size_t i = 0; i < r->count; i++)
		if (strcmp(r->rule[i].label, label) == 0) {
			r->rule[i].known = SEEN;
			r->rule[i].ever = true;
			r->rule[i].class = class;
		}
}

/* The whole list "a|b|c": what is not in it, the model does not have. */
static void learn_list(struct rules *r, const char *list)
{
	char name[FRAME_META_TEXT_MAX];
	int64_t class = 0;

	snprintf(r->labels, sizeof r->labels, "%s", list);
	for (size_t i = 0; i < r->count; i++)
		r->rule[i].known = ABSENT;
	for (const char *s = list;; s++) {
		size_t n = 0;
		for (; *s && *s != '|' && n + 1 < sizeof name; s++) {
			if (*s == '\\' && s[1])
				s++;
			name[n++] = *s;
		}
		name[n] = '\0';
		learn(r, name, class ++);
		if (*s != '|')
			break;
	}
}

static void learn_numbered(struct rules *r, const struct frame *f, const char *suffix)
{
	char key[FRAME_META_KEY_MAX];

	snprintf(key, sizeof key, "label%s", suffix);
	const char *label = frame_text(f, key);
	snprintf(key, sizeof key, "label_id%s", suffix);
	const struct meta_item *id = frame_meta(f, key);
	if (label && id && id->kind == META_INT)
		learn(r, label, id->as.integer);
}

static void learn_frame(struct rules *r, const struct frame *f)
{
	static const char *const suffixes[] = { "", "_2", "_3", "_4", "_5" };
	const char *model = frame_text(f, "model_sha256"), *labels = frame_text(f, "labels");

	if (r->fixed)
		return;
	if (model && strcmp(model, r->model) != 0) { /* another model numbers its classes anew */
		snprintf(r->model, sizeof r->model, "%s", model);
		r->labels[0] = '\0';
		for (size_t i = 0; i < r->count; i++) {
			r->rule[i].known = UNSEEN;
			r->rule[i].class = -1;
		}
	}
	if (labels && strcmp(labels, r->labels) != 0)
		learn_list(r, labels);
	if (!labels)
		for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++)
			learn_numbered(r, f, suffixes[i]);
}

/* The score of a rule's label on this part; NAN if it is not known. */
static float score_of(const struct rule *rule, const struct judged *part)
{
	char key[FRAME_META_KEY_MAX];

	if (strcmp(rule->label, part->label) == 0)
		return part->score;
	if (part->scores)
		return rule->class >= 0 && (uint64_t)rule->class < part->classes
			   ? part->scores[rule->class]
			   : NAN;
	for (int i = 2; i <= 5; i++) {
		snprintf(key, sizeof key, "label_%d", i);
		const char *label = frame_text(part->frame, key);
		snprintf(key, sizeof key, "score_%d", i);
		const struct meta_item *score = frame_meta(part->frame, key);
		if (label && strcmp(label, rule->label) == 0 && score && score->kind == META_REAL)
			return (float)score->as.real;
	}
	return NAN;
}

static void decide(struct verdict *v, const char *name, const char *label, const char *relation,
		   float threshold)
{
	char number[TEXT_NUMBER_MAX];

	v->name = name;
	v->threshold = threshold;
	number_f32(number, threshold);
	snprintf(v->reason, sizeof v->reason, "%.200s %s %s", label, relation, number);
}

static bool judge_ng(const struct rules *r, const struct judged *part, struct verdict *v)
{
	const struct rule *hit = NULL;

	for (size_t i = 0; i < r->count; i++) {
		const struct rule *rule = &r->rule[i];
		if (rule->good || !(score_of(rule, part) >= rule->threshold))
			continue;
		if (!hit || strcmp(rule->label, part->label) == 0)
			hit = rule;
	}
	if (hit)
		decide(v, "ng", hit->label, ">=", hit->threshold);
	return hit != NULL;
}

void rules_judge(struct rules *r, const struct judged *part, struct verdict *v)
{
	const struct rule *top = NULL;

	*v = (struct verdict){ .threshold = NAN };
	if (r->count == 0)
		return;
	learn_frame(r, part->frame);
	if (judge_ng(r, part, v))
		return;
	for (size_t i = 0; i < r->count; i++)
		if (strcmp(r->rule[i].label, part->label) == 0 && (!top || r->rule[i].good))
			top = &r->rule[i];
	if (!top) {
		v->name = "uncertain";
		snprintf(v->reason, sizeof v->reason, "no rule for '%.200s'", part->label);
		return;
	}
	if (!top->good || !(part->score >= top->threshold)) {
		decide(v, "uncertain", top->label, "<", top->threshold);
		return;
	}
	for (size_t i = 0; i < r->count; i++)
		if (!r->rule[i].good && r->rule[i].known == ABSENT) {
			v->name = "uncertain";
			snprintf(v->reason, sizeof v->reason, "rule for unknown label '%.200s'",
				 r->rule[i].label);
			return;
		}
	decide(v, "good", top->label, ">=", top->threshold);
}

bool rules_complaint(struct rules *r, struct err *e)
{
	for (size_t i = 0; i < r->count; i++) {
		struct rule *rule = &r->rule[i];
		if (rule->known != ABSENT || rule->complained)
			continue;
		rule->complained = true;
		err_code(e, EX_USAGE, "--%s '%s': the model has no label '%s' (it has %s)%s",
			 kind_of(rule), rule->given, rule->label, r->labels,
			 rule->good ? "" : "; no part will be called good");
		return true;
	}
	return false;
}

const char *rules_unseen(const struct rules *r, size_t n)
{
	for (size_t i = 0; i < r->count; i++)
		if (!r->rule[i].ever && n-- == 0)
			return r->rule[i].given;
	return NULL;
}
