/* Drops and rows share no number, in whatever order they come and however often: a source that was killed
 * may drop what is stored already, or on its way. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/frame.h"
#include "sink/store.h"

static int failures;

static void make_row(struct row *row, struct rules *rules, uint64_t seq)
{
	struct frame *f = frame_new();
	struct err why;

	err_set(&why, "not judged");
	snprintf(f->source, sizeof f->source, "cam");
	f->run = 3;
	f->seq = seq;
	frame_fail(f, &why);
	if (row_make(row, f, rules, clock_real_ns(), &why) < 0)
		abort();
	frame_free(&f);
}

static void put(struct store *s, struct rules *rules, uint64_t seq)
{
	struct row row = { 0 };
	struct err why;

	make_row(&row, rules, seq);
	if (store_put(s, &row, 1, true, false, &why) < 0) {
		printf("%s\n", why.text);
		failures++;
	}
	row_free(&row);
}

static void drop(struct store *s, uint64_t first, uint64_t last, uint64_t emitted)
{
	struct store_run run = { .source = "cam", .run = 3, .ended = true, .emitted = emitted };
	struct store_drop d = {
		.source = "cam", .run = 3, .first = first, .last = last, .reason = "spool full"
	};
	struct err why;

	/* What the source says of its drops does not count, but what is noted. */
	run.dropped = 1000;
	if (store_note(s, &run, 1, &d, 1, &why) < 0) {
		printf("%s\n", why.text);
		failures++;
	}
}

/* The drops of a store as text: "3-4 6-7". */
static void say_drops(const char *path, char *out, size_t size)
{
	char command[300];

	snprintf(
	    command, sizeof command,
	    "sqlite3 '%s' \"select group_concat(first || '-' || last, ' ') from (select * from "
	    "drops order by first)\"",
	    path);
	FILE *f = popen(command, "r");
	if (!f || !fgets(out, (int)size, f))
		out[0] = '\0';
	out[strcspn(out, "\n")] = '\0';
	if (f)
		pclose(f);
}

static int note_dropped(void *context, const struct store_run *run)
{
	*(struct store_run *)context = *run;
	return 0;
}

static void expect(struct store *s, const char *path, const char *drops, uint64_t dropped)
{
	struct store_run run = { 0 };
	char is[1000];
	struct err why;

	say_drops(path, is, sizeof is);
	if (strcmp(is, drops) != 0) {
		printf("drops are '%s', not '%s'\n", is, drops);
		failures++;
	}
	if (store_runs(s, note_dropped, &run, &why) < 0 || run.dropped != dropped) {
		printf("%" PRIu64 " are dropped, not %" PRIu64 "\n", run.dropped, dropped);
		failures++;
	}
}

static void check_cases(const char *path, struct rules *rules)
{
	struct err why;
	struct store *s = store_open(path, STORE_WRITE, NULL, &why);

	if (!s) {
		printf("%s\n", why.text);
		failures++;
		return;
	}
	put(s, rules, 5);
	drop(s, 3, 7, 20);
	expect(s, path, "3-4 6-7", 4); /* the row was there */
	put(s, rules, 6);
	expect(s, path, "3-4 7-7", 3); /* the row came later: at an edge … */
	put(s, rules, 7);
	expect(s, path, "3-4", 2); /* … and all that there was */
	drop(s, 3, 12, 20);
	expect(s, path, "3-4 8-12", 7); /* a drop that has grown comes again */
	drop(s, 3, 12, 20);
	expect(s, path, "3-4 8-12", 7); /* and as it was */
	put(s, rules, 10);
	expect(s, path, "3-4 8-9 11-12", 6); /* in the middle */
	put(s, rules, 10);
	expect(s, path, "3-4 8-9 11-12", 6); /* twice */
	drop(s, 9, 8, 20);
	expect(s, path, "3-4 8-9 11-12", 6); /* a drop of nothing */
	store_close(&s);
}

/* More gaps than are filled at a time, and every number is a row or dropped, never both. */
static void check_many(const char *path, struct rules *rules)
{
	struct err why;
	struct store *s = store_open(path, STORE_WRITE, NULL, &why);
	struct keys rows = { 0 }, all = { 0 };
	struct store_run run = { 0 };

	for (uint64_t i = 1; s && i < 400; i += 2)
		put(s, rules, i);
	if (s)
		drop(s, 0, 399, 400);
	for (uint64_t i = 0; s && i < 100; i += 4)
		put(s, rules, i);
	if (!s || store_keys(s, "cam", 3, false, &rows, &why) < 0 ||
	    store_keys(s, "cam", 3, true, &all, &why) < 0 ||
	    store_runs(s, note_dropped, &run, &why) < 0) {
		printf("%s\n", why.text);
		failures++;
	} else if (keys_count(keys_run(&rows, "cam", 3)) != 225 || run.dropped != 175 ||
		   keys_count(keys_run(&all, "cam", 3)) != 400) {
		printf("400 numbers: %" PRIu64 " rows, %" PRIu64 " dropped\n",
		       keys_count(keys_run(&rows, "cam", 3)), run.dropped);
		failures++;
	}
	keys_free(&rows);
	keys_free(&all);
	store_close(&s);
}

int main(void)
{
	char folder[] = "/tmp/sink-drops-XXXXXX", path[64], command[64];
	struct option_list none = { 0 };
	struct err why;

	if (!mkdtemp(folder))
		return 1;
	struct rules *rules = rules_new(&none, &none, NULL, &why);
	snprintf(path, sizeof path, "%s/a.db", folder);
	check_cases(path, rules);
	snprintf(path, sizeof path, "%s/b.db", folder);
	check_many(path, rules);
	rules_free(&rules);
	snprintf(command, sizeof command, "rm -rf %s", folder);
	failures += system(command) != 0;
	printf("%d failures\n", failures);
	return failures != 0;
}
