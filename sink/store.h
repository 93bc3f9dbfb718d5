/* The store: one SQLite file with every part's row, the runs and the drops (common/SCHEMA.md). */
#ifndef SINK_STORE_H
#define SINK_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/frame.h"
#include "sink/keys.h"
#include "sink/row.h"

struct store;

enum store_mode {
	STORE_WRITE, /* made if missing, migrated if older */
	STORE_READ,  /* must exist; is not changed */
};

/* pipeline: what to note in runs, or NULL. NULL with *e: EX_NOINPUT no such file, EX_DATAERR not a
 * store of ours or of a newer schema (the file is left as it is), EX_TEMPFAIL locked or disk full:
 * trying again makes sense. */
struct store *store_open(const char *path, enum store_mode mode, const char *pipeline,
			 struct err *e);
void store_close(struct store **s); /* leaves NULL; takes NULL inside */

/* Store rows in one transaction; once this returns 0 they are on disk. Rows whose key is there
 * already are left out. decides: note which in `duplicate`; recall: such a row becomes the one that
 * is stored. -1 with *e and nothing stored: EX_TEMPFAIL (locked, disk full: try again) or worse. */
int store_put(struct store *s, struct row *rows, size_t count, bool decides, bool recall,
	      struct err *e);

uint64_t store_grown(struct store *s); /* bytes since it was opened */

/* What is known of a run (source, run), and frames of it that were dropped. */
struct store_run {
	char source[FRAME_SOURCE_MAX];
	uint64_t run;
	bool ended; /* first, emitted and dropped are final */
	uint64_t first, emitted, dropped;
	uint64_t expected; /* 0: unknown */
	uint64_t rows;     /* results and errors; filled by store_runs */
	int64_t errors;    /* how many of the rows, -1: unknown; filled by store_runs */
};

struct store_drop {
	char source[FRAME_SOURCE_MAX];
	uint64_t run, first, last;
	char reason[FRAME_REASON_MAX];
};

/* Note them, in one transaction. Ranges only grow: a second, shorter replay of a recording
 * changes nothing. What has a row is left out of drops, and dropped counted from them. Errors as store_put. */
int store_note(struct store *s, const struct store_run *runs, size_t run_count,
	       const struct store_drop *drops, size_t drop_count, struct err *e);

/* Reading. Callbacks return 0 to go on; anything else ends the walk and is returned. -1 with *e. */
int store_runs(struct store *s, int (*each)(void *context, const struct store_run *run),
	       void *context, struct err *e);
int store_rows(struct store *s, int (*each)(void *context, const struct row *row), void *context,
	       struct err *e);

/* Fill in a run's rows, errors and dropped. */
int store_count(struct store *s, struct store_run *run, struct err *e);

/* Add what is stored of a run, and with_drops also what was dropped of it, to *keys. */
int store_keys(struct store *s, const char *source, uint64_t run, bool with_drops,
	       struct keys *keys, struct err *e);

#endif
