/* A writer makes rows durable in one place: the store, a file of JSON Lines or CSV, or stdout.
 * To add one: a file with its descriptor at the foot, a row in writers.c, a test. */
#ifndef SINK_WRITER_H
#define SINK_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "sink/keys.h"
#include "sink/row.h"
#include "sink/store.h"

#define WRITER_SUFFIXES 4

struct writer_kind;

struct writer {
	const struct writer_kind *kind;
	const char *path;     /* "-": standard output */
	const char *pipeline; /* for the store */
	bool first;           /* it decides what is a duplicate */
	bool alone;           /* no other writer needs what it knows of duplicates */
	uint64_t bytes;       /* grown by in this process; a store says it with `note` */
	void *state;
};

struct writer_kind {
	const char *name;                    /* prefix on the command line: "jsonl:" */
	const char *suffix[WRITER_SUFFIXES]; /* of file names that mean it; NULL-terminated */
	bool is_store;                       /* goes before all that are not */

	int (*open)(struct writer *w, struct err *e);

	/* Make all rows durable that are not there yet. The first writer sets each row's duplicate.
	 * -1: EX_TEMPFAIL asks to be called again with the same rows, all else is final. */
	int (*write)(struct writer *w, struct row *rows, size_t count, struct err *e);

	/* Add what is there of a run (in a store, what was dropped of it too) to *keys, and fill in
	 * its rows and errors (-1 where that is not known). */
	int (*keys)(struct writer *w, struct store_run *run, struct keys *keys, struct err *e);

	/* Note totals and drops; NULL if there is no place for them. */
	int (*note)(struct writer *w, const struct store_run *runs, size_t run_count,
		    const struct store_drop *drops, size_t drop_count, struct err *e);

	/* The file may have been moved away: go on in what has its name now. NULL: nothing to do. */
	void (*reopen)(struct writer *w);

	void (*close)(struct writer *w);
};

extern const struct writer_kind writer_db, writer_jsonl, writer_csv;

#define OUTPUTS_MAX 8

/* All writers of this process, the stores first: what they hold is the truth for the others. */
struct outputs {
	struct writer writer[OUTPUTS_MAX];
	size_t count;
	size_t written; /* how many writers have the batch that is being tried again */
};

/* names: "results.db", "jsonl:out.txt", "-" … -1 with *e: EX_USAGE for a name that no writer
 * takes, else what the writer says. outputs: all zeroes; close it in either case. */
int outputs_open(struct outputs *o, char **names, size_t count, const char *pipeline,
		 struct err *e);
void outputs_close(struct outputs *o);

/* As writer_kind.write, on all of them. */
int outputs_write(struct outputs *o, struct row *rows, size_t count, struct err *e);
int outputs_note(struct outputs *o, const struct store_run *runs, size_t run_count,
		 const struct store_drop *drops, size_t drop_count, struct err *e);

/* Is there one that has a place for drops? */
bool outputs_keep_drops(const struct outputs *o);

/* What the first writer has of a run. */
int outputs_keys(struct outputs *o, struct store_run *run, struct keys *keys, struct err *e);

/* SIGHUP: text outputs are opened anew. */
void outputs_reopen(struct outputs *o);

uint64_t outputs_bytes(const struct outputs *o);

#endif
