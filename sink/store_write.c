/* Writing to the store: many rows in one transaction, because each commit costs an fsync. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sink/store_sqlite.h"

static void bind_column(sqlite3_stmt *to, int at, const struct row *row, const struct column *c)
{
	char number[TEXT_NUMBER_MAX];

	if (!row_has(row, c)) {
		sqlite3_bind_null(to, at);
		return;
	}
	switch (c->kind) {
	case COLUMN_TEXT:
	case COLUMN_JSON:
		sqlite3_bind_text(to, at, row_text(row, c), -1, SQLITE_STATIC);
		break;
	case COLUMN_INT:
		sqlite3_bind_int64(to, at, row_int(row, c));
		break;
	case COLUMN_F32: /* 0.973, not 0.972999989986420: the double that JSON's reader gets too */
		number_f32(number, (float)row_real(row, c));
		sqlite3_bind_double(to, at, strtod(number, NULL));
		break;
	case COLUMN_F64:
		sqlite3_bind_double(to, at, row_real(row, c));
		break;
	}
}

static int bind_text(sqlite3_stmt *to, int at, const char *text)
{
	return sqlite3_bind_text(to, at, text, -1, SQLITE_STATIC); /* NULL binds NULL */
}

/* The run gets its row with its first result. A model is known from the first that has one. */
static int note_run_of(struct store *s, const struct row *row, struct err *e)
{
	uint64_t mark = row->model_sha256 ? 1 : 0;

	if (keys_have(&s->runs, row->source, (uint64_t)row->run, mark) ||
	    keys_have(&s->runs, row->source, (uint64_t)row->run, 1))
		return 0;
	bind_text(s->run, 1, row->source);
	sqlite3_bind_int64(s->run, 2, row->run);
	bind_text(s->run, 3, s->host);
	bind_text(s->run, 4, s->pipeline);
	bind_text(s->run, 5, row->model);
	bind_text(s->run, 6, row->model_sha256);
	bind_text(s->run, 7, row->recipe_sha256);
	sqlite3_bind_int64(s->run, 8, clock_real_ns());
	int got = sqlite3_step(s->run);
	if (got != SQLITE_DONE)
		store_failed(s, "cannot note the run", e);
	sqlite3_reset(s->run);
	if (got != SQLITE_DONE)
		return -1;
	if (keys_add(&s->runs, row->source, (uint64_t)row->run, mark, mark) < 0)
		return err_code(e, EX_TEMPFAIL, "out of memory");
	return 0;
}

/* Replace a row by the one that is stored under its key. */
static int recall_row(struct store *s, struct row *row, struct err *e)
{
	int result = -1;

	/* A copy: the row's memory is about to be written over. */
	sqlite3_bind_text(s->recall, 1, row->source, -1, SQLITE_TRANSIENT);
	sqlite3_bind_int64(s->recall, 2, row->run);
	sqlite3_bind_int64(s->recall, 3, row->seq);
	if (sqlite3_step(s->recall) != SQLITE_ROW)
		store_failed(s, "cannot read a row", e);
	else if (store_read_row(s->recall, row) < 0)
		err_code(e, EX_TEMPFAIL, "out of memory");
	else
		result = 0;
	sqlite3_reset(s->recall);
	sqlite3_clear_bindings(s->recall);
	return result;
}

static int put_row(struct store *s, struct row *row, bool decides, bool recall, struct err *e)
{
	if (note_run_of(s, row, e) < 0)
		return -1;
	for (size_t i = 0; i < row_column_count; i++)
		bind_column(s->insert, (int)i + 1, row, &row_columns[i]);
	int got = sqlite3_step(s->insert);
	if (got != SQLITE_DONE)
		store_failed(s, "cannot store a row", e);
	sqlite3_reset(s->insert);
	if (got != SQLITE_DONE)
		return -1;
	bool known = sqlite3_changes(s->db) == 0;
	if (decides)
		row->duplicate = known;
	if (!known)
		return store_not_dropped(s, row, e);
	return recall ? recall_row(s, row, e) : 0;
}

static int undo(struct store *s)
{
	if (!sqlite3_get_autocommit(s->db))
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	keys_free(&s->runs);
	return -1;
}

int store_put(struct store *s, struct row *rows, size_t count, bool decides, bool recall,
	      struct err *e)
{
	if (store_sql(s, "BEGIN IMMEDIATE", "cannot begin", e) < 0)
		return undo(s);
	for (size_t i = 0; i < count; i++)
		if (put_row(s, &rows[i], decides, recall, e) < 0)
			return undo(s);
	return store_sql(s, "COMMIT", "cannot commit", e) < 0 ? undo(s) : 0;
}

static int note_run(sqlite3_stmt *to, struct store *s, const struct store_run *run)
{
	bind_text(to, 1, run->source);
	sqlite3_bind_int64(to, 2, (int64_t)run->run);
	bind_text(to, 3, s->host);
	bind_text(to, 4, s->pipeline);
	sqlite3_bind_int64(to, 5, clock_real_ns());
	sqlite3_bind_null(to, 6);
	if (run->expected)
		sqlite3_bind_int64(to, 6, (int64_t)run->expected);
	sqlite3_bind_null(to, 7);
	sqlite3_bind_null(to, 8);
	if (run->ended) {
		sqlite3_bind_int64(to, 7, (int64_t)run->first);
		sqlite3_bind_int64(to, 8, (int64_t)run->emitted);
	}
	sqlite3_bind_int(to, 9, run->ended);
	int got = sqlite3_step(to);
	sqlite3_reset(to);
	return got == SQLITE_DONE ? 0 : -1;
}

static int note_all(struct store *s, sqlite3_stmt *run, const struct store_run *runs,
		    size_t run_count, const struct store_drop *drops, size_t drop_count,
		    struct err *e)
{
	if (store_sql(s, "BEGIN IMMEDIATE", "cannot begin", e) < 0)
		return -1;
	for (size_t i = 0; i < drop_count; i++)
		if (store_add_drop(s, &drops[i], e) < 0)
			return -1;
	for (size_t i = 0; i < run_count; i++)
		if (note_run(run, s, &runs[i]) < 0)
			return store_failed(s, "cannot note a run", e);
	return store_sql(s, "COMMIT", "cannot commit", e);
}

int store_note(struct store *s, const struct store_run *runs, size_t run_count,
	       const struct store_drop *drops, size_t drop_count, struct err *e)
{
	sqlite3_stmt *run = store_prepare(
	    s,
	    "INSERT INTO runs(source, run, host, pipeline, started_ts, stored_ts, expected, first,"
	    " emitted, dropped, ended) VALUES(?1,?2,?3,?4,?5,?5,?6,?7,?8,(SELECT"
	    " coalesce(sum(last - first + 1), 0) FROM drops WHERE source=?1 AND run=?2),?9)"
	    " ON CONFLICT(source, run) DO UPDATE SET stored_ts=excluded.stored_ts,"
	    " expected=nullif(max(coalesce(expected, 0), coalesce(excluded.expected, 0)), 0),"
	    " first=min(coalesce(first, excluded.first), coalesce(excluded.first, first)),"
	    " emitted=max(coalesce(first + emitted, excluded.first + excluded.emitted),"
	    "  coalesce(excluded.first + excluded.emitted, first + emitted))"
	    "  - min(coalesce(first, excluded.first), coalesce(excluded.first, first)),"
	    " dropped=excluded.dropped, ended=max(ended, excluded.ended)",
	    e);
	int result = -1;

	if (run)
		result = note_all(s, run, runs, run_count, drops, drop_count, e);
	sqlite3_finalize(run);
	return result < 0 ? undo(s) : 0;
}
