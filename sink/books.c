/* Checking the books, live at the end of a stream and later from the store. What counts is which
 * seqs are there, not how many rows: a row too many must not hide one that is missing. */
#include "sink/books.h"

#include <stdio.h>

#define RANGES_SHOWN 20

static void add_ranges(struct text *words, const struct key_range *range, size_t shown, size_t all)
{
	char part[64];

	for (size_t i = 0; i < shown; i++) {
		int n = snprintf(part, sizeof part, "%s%llu", i ? ", " : "",
				 (unsigned long long)range[i].first);
		if (range[i].last != range[i].first)
			snprintf(part + n, sizeof part - (size_t)n, "-%llu",
				 (unsigned long long)range[i].last);
		text_puts(words, part);
	}
	if (all > shown) {
		snprintf(part, sizeof part, " and %zu more ranges", all - shown);
		text_puts(words, part);
	}
}

/* The last seq that the run must have; false if it has none. A run without an end is checked for
 * gaps as far as it is known. */
static bool last_of(const struct store_run *run, const struct key_run *have, uint64_t *last)
{
	if (run->ended) {
		if (__builtin_add_overflow(run->first, run->emitted, last)) /* no honest source */
			*last = UINT64_MAX;
		*last -= 1;
		return run->emitted > 0;
	}
	if (!have || have->count == 0)
		return false;
	*last = have->range[have->count - 1].last;
	return true;
}

static void add_counts(struct text *words, const struct store_run *run)
{
	char line[256], errors[48] = "";

	snprintf(line, sizeof line, "%s/%llu: ", run->source, (unsigned long long)run->run);
	text_puts(words, line);
	if (run->errors >= 0)
		snprintf(errors, sizeof errors, " (%lld errors)", (long long)run->errors);
	if (run->ended)
		snprintf(line, sizeof line, "%llu emitted, %llu rows%s, %llu dropped: ",
			 (unsigned long long)run->emitted, (unsigned long long)run->rows, errors,
			 (unsigned long long)run->dropped);
	else
		snprintf(line, sizeof line,
			 "%llu rows%s, end of stream not seen (still running, or cut short): ",
			 (unsigned long long)run->rows, errors);
	text_puts(words, line);
}

bool books_check(const struct store_run *run, struct keys *keys, struct text *words)
{
	const struct key_run *have = keys_run(keys, run->source, run->run);
	struct key_range range[RANGES_SHOWN];
	size_t ranges = 0;
	uint64_t last, missing = 0;
	char line[64];

	if (last_of(run, have, &last))
		missing = keys_missing(have, run->first, last, range, RANGES_SHOWN, &ranges);
	add_counts(words, run);
	if (missing) {
		snprintf(line, sizeof line, "%llu MISSING: ", (unsigned long long)missing);
		text_puts(words, line);
		add_ranges(words, range, ranges < RANGES_SHOWN ? ranges : RANGES_SHOWN, ranges);
	} else {
		text_puts(words, run->ended ? "balanced" : "open");
	}
	text_putc(words, '\n');
	return run->ended && missing == 0;
}

void books_drops(const struct keys *drops, struct text *words)
{
	char line[FRAME_SOURCE_MAX + 32];

	for (size_t i = 0; i < drops->count; i++) {
		const struct key_run *r = &drops->run[i];
		size_t shown = r->count < RANGES_SHOWN ? r->count : RANGES_SHOWN;
		snprintf(line, sizeof line, "%s%s/%llu: ", i ? "; " : "", r->source,
			 (unsigned long long)r->run);
		text_puts(words, line);
		add_ranges(words, r->range, shown, r->count);
	}
	text_putc(words, '\0');
}

struct audit {
	struct store *store;
	struct err *e;
	bool balanced;
	size_t runs;
};

static int audit_run(void *context, const struct store_run *run)
{
	struct audit *a = context;
	struct text words = { 0 };
	struct keys keys = { 0 };
	int result = store_keys(a->store, run->source, run->run, true, &keys, a->e);

	if (result == 0) {
		if (!books_check(run, &keys, &words))
			a->balanced = false;
		a->runs++;
		fwrite(words.data, 1, words.used, stdout);
	}
	text_free(&words);
	keys_free(&keys);
	return result;
}

int books_audit(const char *path, struct err *e)
{
	struct audit a = { store_open(path, STORE_READ, NULL, e), e, true, 0 };

	if (!a.store)
		return -1;
	int result = store_runs(a.store, audit_run, &a, e);
	store_close(&a.store);
	if (result < 0)
		return -1;
	if (a.runs == 0)
		printf("no runs\n");
	if (fflush(stdout) != 0)
		return err_code(e, EX_IOERR, "cannot write to standard output");
	return a.balanced ? 0 : 1;
}
