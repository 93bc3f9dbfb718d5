/* Confusion matrix, escapes and overkill.
 *
 * A part of the list without a row, or with an error row, was not recognised: it counts against the
 * recall of its label. A picture that is stored several times (other runs) counts each time. */
#include "sink/eval.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sink/store.h"
#include "sink/truth.h"

#define CLASSES_MAX 2048 /* the matrix is memory that is only touched where it counts */
#define MATRIX_MAX 24    /* a larger one is not for eyes: list the worst confusions */
#define WORST_SHOWN 20

struct part {
	char *name;
	size_t truth; /* index of its class */
	uint64_t rows;
};

struct eval {
	struct part *part;
	size_t parts;
	char *class[CLASSES_MAX];
	size_t classes;
	uint64_t *cell; /* [truth][what it was called]; the column CLASSES_MAX is "error" */
	const struct rules *rules;
	uint64_t rows, unlisted, verdicts;
	uint64_t escapes, overkill, uncertain, good, bad; /* good and bad: by truth */
	uint64_t passed, caught;                          /* rightly */
	struct err *e;
};

#define COLUMNS (CLASSES_MAX + 1)

static uint64_t *cell(struct eval *v, size_t truth, size_t said)
{
	return &v->cell[truth * COLUMNS + said];
}

static int class_of(struct eval *v, const char *label, size_t *class)
{
	for (size_t i = 0; i < v->classes; i++)
		if (strcmp(v->class[i], label) == 0) {
			*class = i;
			return 0;
		}
	if (v->classes == CLASSES_MAX)
		return err_set(v->e, "more than %d labels", CLASSES_MAX);
	if (!(v->class[v->classes] = strdup(label)))
		return err_code(v->e, EX_OSERR, "out of memory");
	*class = v->classes++;
	return 0;
}

static int take_truth(struct eval *v, const char *path)
{
	struct truth truth = { 0 };
	int result = truth_load(&truth, path, v->e);

	v->part = result == 0 ? calloc(truth.count, sizeof *v->part) : NULL;
	if (result == 0 && !v->part)
		result = err_code(v->e, EX_OSERR, "out of memory");
	for (size_t i = 0; i < truth.count && result == 0; i++) {
		struct part *part = &v->part[i];
		result = class_of(v, truth.part[i].label, &part->truth);
		part->name = truth.part[i].name;
		truth.part[i].name = NULL;
		v->parts++;
	}
	truth_free(&truth);
	return result;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct part *)a)->name, ((const struct part *)b)->name);
}

/* --- counting --------------------------------------------------------------------------------- */

static bool is_good(const struct eval *v, const char *label)
{
	if (rules_any(v->rules))
		return rules_call_good(v->rules, label);
	return strcasecmp(label, "good") == 0 || strcasecmp(label, "ok") == 0;
}

/* What the line would have done with the part: its verdict, or without rules its label. */
static const char *fate(const struct eval *v, const struct row *row)
{
	if (row->verdict)
		return row->verdict;
	return row->label && is_good(v, row->label) ? "good" : "ng";
}

static int count_row(void *context, const struct row *row)
{
	struct eval *v = context;
	struct part key = { .name = (char *)(row->image ? truth_base_name(row->image) : "") };
	struct part *part = bsearch(&key, v->part, v->parts, sizeof key, by_name);
	size_t said = CLASSES_MAX;

	if (!part) {
		v->unlisted++;
		return 0;
	}
	if (row->label && class_of(v, row->label, &said) < 0)
		return -1;
	part->rows++;
	v->rows++;
	v->verdicts += row->verdict && !row_is_error(row);
	++*cell(v, part->truth, said);
	bool good = is_good(v, v->class[part->truth]);
	const char *what = fate(v, row);
	v->good += good;
	v->bad += !good;
	v->passed += good && strcmp(what, "good") == 0;
	v->caught += !good && strcmp(what, "ng") == 0;
	v->escapes += !good && strcmp(what, "good") == 0;
	v->overkill += good && strcmp(what, "ng") == 0;
	v->uncertain += strcmp(what, "uncertain") == 0;
	return 0;
}

/* --- printing --------------------------------------------------------------------------------- */

static void print_matrix(struct eval *v)
{
	size_t wide = 8;

	for (size_t i = 0; i < v->classes; i++)
		if (strlen(v->class[i]) > wide)
			wide = strlen(v->class[i]);
	printf("confusion matrix (rows: true label, columns: what the model said)\n");
	printf("%*s", (int)wide, "");
	for (size_t k = 0; k < v->classes; k++)
		printf(" %7zu", k);
	printf("   error\n");
	for (size_t i = 0; i < v->classes; i++) {
		printf("%-*s", (int)wide, v->class[i]);
		for (size_t k = 0; k < v->classes; k++)
			printf(" %7llu", (unsigned long long)*cell(v, i, k));
		printf(" %7llu   (%zu)\n", (unsigned long long)*cell(v, i, CLASSES_MAX), i);
	}
}

struct confusion {
	size_t truth, said;
	uint64_t count;
};

static int by_count(const void *a, const void *b)
{
	const struct confusion *x = a, *y = b;

	return x->count > y->count ? -1 : x->count < y->count;
}

/* Keep the worst in list[0…], sorted. */
static void print_worst(struct eval *v)
{
	struct confusion list[WORST_SHOWN + 1] = { 0 };

	for (size_t i = 0; i < v->classes; i++)
		for (size_t k = 0; k < v->classes; k++) {
			if (i == k || *cell(v, i, k) <= list[WORST_SHOWN - 1].count)
				continue;
			list[WORST_SHOWN] = (struct confusion){ i, k, *cell(v, i, k) };
			qsort(list, WORST_SHOWN + 1, sizeof list[0], by_count);
		}
	printf("%zu labels; the most frequent confusions\n", v->classes);
	for (size_t i = 0; i < WORST_SHOWN && list[i].count; i++)
		printf("%8llu  %s was called %s\n", (unsigned long long)list[i].count,
		       v->class[list[i].truth], v -> class[list[i].said]);
}

/* Rows of a true label, and listed parts of it that have no row; NAN if there are neither. */
static double recall(struct eval *v, size_t class, uint64_t *parts, uint64_t *absent)
{
	uint64_t all = 0;

	*absent = 0;
	for (size_t k = 0; k < COLUMNS; k++)
		all += *cell(v, class, k);
	for (size_t i = 0; i < v->parts; i++)
		*absent += v->part[i].truth == class && v->part[i].rows == 0;
	*parts = all + *absent;
	return *parts ? (double)*cell(v, class, class) / (double)*parts : NAN;
}

static void print_classes(struct eval *v)
{
	uint64_t right = 0, parts_all = 0, absent_all = 0;

	printf("\n%-28s %8s %8s %10s\n", "label", "parts", "recall", "precision");
	for (size_t i = 0; i < v->classes; i++) {
		uint64_t parts, absent, said = 0, hit = *cell(v, i, i);
		double r = recall(v, i, &parts, &absent);
		for (size_t k = 0; k < v->classes; k++)
			said += *cell(v, k, i);
		printf("%-28s %8llu ", v->class[i], (unsigned long long)parts);
		if (parts)
			printf("%8.4f ", r);
		else
			printf("%8s ", "-");
		if (said)
			printf("%10.4f\n", (double)hit / (double)said);
		else
			printf("%10s\n", "-");
		right += hit;
		parts_all += parts;
		absent_all += absent;
	}
	printf("\naccuracy %.4f (%llu of %llu)", (double)right / (double)parts_all,
	       (unsigned long long)right, (unsigned long long)parts_all);
	if (absent_all)
		printf(", %llu listed parts have no row", (unsigned long long)absent_all);
	if (v->unlisted)
		printf(", %llu rows are not in the list", (unsigned long long)v->unlisted);
	putchar('\n');
}

static void print_line_rates(const struct eval *v)
{
	if (v->good == 0 || v->bad == 0) {
		printf("escapes and overkill: need good and bad parts in the list; --good says "
		       "which labels are good\n");
		return;
	}
	printf("escapes   %.4f (%llu of %llu bad parts were passed as good)\n",
	       (double)v->escapes / (double)v->bad, (unsigned long long)v->escapes,
	       (unsigned long long)v->bad);
	printf("overkill  %.4f (%llu of %llu good parts were rejected)\n",
	       (double)v->overkill / (double)v->good, (unsigned long long)v->overkill,
	       (unsigned long long)v->good);
	if (v->verdicts)
		printf("uncertain %.4f (%llu of %llu)\n", (double)v->uncertain / (double)v->rows,
		       (unsigned long long)v->uncertain, (unsigned long long)v->rows);
}

/* --- the demand ------------------------------------------------------------------------------- */

/* Of the parts that are truly bad (good), how many became ng (good)? Listed ones without a row are
 * among the missed. */
static double line_recall(struct eval *v, bool good)
{
	uint64_t parts = good ? v->good : v->bad;

	for (size_t i = 0; i < v->parts; i++)
		parts += v->part[i].rows == 0 && is_good(v, v->class[v->part[i].truth]) == good;
	return parts ? (double)(good ? v->passed : v->caught) / (double)parts : NAN;
}

static double recall_of(struct eval *v, const char *name)
{
	uint64_t parts, absent;

	for (size_t i = 0; i < v->classes; i++)
		if (strcmp(v->class[i], name) == 0)
			return recall(v, i, &parts, &absent);
	if (strcmp(name, "ng") == 0 || strcmp(name, "good") == 0)
		return line_recall(v, strcmp(name, "good") == 0);
	return NAN;
}

static int check_recall(struct eval *v, const char *given, bool *met)
{
	const char *sign = strrchr(given, '=');
	char *end, *name;

	if (!sign || sign == given || sign[1] == '\0')
		return err_code(v->e, EX_USAGE, "--min-recall '%s': need LABEL=NUMBER", given);
	double least = strtod(sign + 1, &end);
	if (*end || !(least >= 0 && least <= 1))
		return err_code(v->e, EX_USAGE, "--min-recall '%s': '%s' is not between 0 and 1",
				given, sign + 1);
	if (!(name = strndup(given, (size_t)(sign - given))))
		return err_code(v->e, EX_OSERR, "out of memory");
	double is = recall_of(v, name);
	if (is < least) {
		printf("recall of '%s' is %.4f, below %.4g\n", name, is, least);
		*met = false;
	}
	free(name);
	if (isnan(is))
		return err_code(v->e, EX_USAGE, "--min-recall '%s': no part has this true label",
				given);
	return 0;
}

int eval_store(const char *labels, const char *path, const struct rules *rules,
	       const struct option_list *recalls, struct err *e)
{
	struct eval v = { .rules = rules, .e = e };
	struct store *store = NULL;
	bool met = true;
	int result = -1;

	v.cell = calloc((size_t)CLASSES_MAX * COLUMNS, sizeof *v.cell);
	if (!v.cell) {
		err_code(e, EX_OSERR, "out of memory");
		goto out;
	}
	if (take_truth(&v, labels) < 0 || !(store = store_open(path, STORE_READ, NULL, e)) ||
	    store_rows(store, count_row, &v, e) < 0)
		goto out;
	if (v.classes <= MATRIX_MAX)
		print_matrix(&v);
	else
		print_worst(&v);
	print_classes(&v);
	print_line_rates(&v);
	for (size_t i = 0; i < recalls->count; i++)
		if (check_recall(&v, recalls->item[i], &met) < 0)
			goto out;
	result = met ? 0 : 1;
out:
	store_close(&store);
	for (size_t i = 0; i < v.parts; i++)
		free(v.part[i].name);
	for (size_t i = 0; i < v.classes; i++)
		free(v.class[i]);
	free(v.part);
	free(v.cell);
	return result;
}
