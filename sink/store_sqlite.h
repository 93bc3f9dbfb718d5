/* What store.c, store_write.c and store_read.c share: the only files that see SQLite. */
#ifndef SINK_STORE_SQLITE_H
#define SINK_STORE_SQLITE_H

#include <sqlite3.h>

#include "sink/store.h"

struct store {
	sqlite3 *db;
	const char *path; /* the caller's */
	const char *pipeline;
	char host[64];
	sqlite3_stmt *insert, *recall, *run;
	sqlite3_stmt *around; /* the drop that begins at a number or before it */
	uint64_t bytes_at_open;
	struct keys runs; /* which have a row in `runs`: seq 0 of each */
};

/* Fill *e from the connection's last error; EX_TEMPFAIL where waiting may help. Returns -1. */
int store_failed(struct store *s, const char *doing, struct err *e);

/* Run SQL that answers nothing; doing completes "cannot …" in *e. 0 or -1. */
int store_sql(struct store *s, const char *sql, const char *doing, struct err *e);

/* Compiled statement, or NULL with *e. */
sqlite3_stmt *store_prepare(struct store *s, const char *sql, struct err *e);

/* Within a transaction: note a drop, as far as nothing of it is there; a row is new, so that it is in no
 * drop (any more). 0 or -1 with *e. */
int store_add_drop(struct store *s, const struct store_drop *d, struct err *e);
int store_not_dropped(struct store *s, const struct row *row, struct err *e);

/* The columns of SCHEMA.md, comma-separated, in the order of row_columns. */
void store_column_names(struct text *t);

/* Read the current row of a statement whose columns are row_columns. 0, or -1 out of memory. */
int store_read_row(sqlite3_stmt *statement, struct row *row);

#endif
