/* Reading the store: rows, runs, and which keys are there. */
#include "sink/store_sqlite.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static size_t text_bytes(sqlite3_stmt *from)
{
	size_t bytes = 0;

	for (size_t i = 0; i < row_column_count; i++)
		if (row_columns[i].kind == COLUMN_TEXT || row_columns[i].kind == COLUMN_JSON)
			bytes += (size_t)sqlite3_column_bytes(from, (int)i) + 1;
	return bytes;
}

static const char *copy_text(struct text *memory, sqlite3_stmt *from, int i)
{
	if (sqlite3_column_type(from, i) == SQLITE_NULL)
		return NULL;
	size_t at = memory->used;
	text_puts(memory, (const char *)sqlite3_column_text(from, i));
	text_putc(memory, '\0');
	return memory->data + at;
}

int store_read_row(sqlite3_stmt *from, struct row *row)
{
	struct text memory = row->memory;
	bool duplicate = row->duplicate;

	text_clear(&memory);
	if (text_reserve(&memory, text_bytes(from)) < 0)
		return -1;
	*row = (struct row){ .memory = memory, .duplicate = duplicate };
	for (size_t k = 0; k < row_column_count; k++) {
		int i = (int)k;
		bool null = sqlite3_column_type(from, i) == SQLITE_NULL;
		char *at = (char *)row + row_columns[k].offset;
		switch (row_columns[k].kind) {
		case COLUMN_TEXT:
		case COLUMN_JSON:
			*(const char **)at = copy_text(&row->memory, from, i);
			break;
		case COLUMN_INT:
			*(int64_t *)at = null ? ROW_INT_NONE : sqlite3_column_int64(from, i);
			break;
		case COLUMN_F32:
			*(float *)at = null ? NAN : (float)sqlite3_column_double(from, i);
			break;
		case COLUMN_F64:
			*(double *)at = null ? NAN : sqlite3_column_double(from, i);
			break;
		}
	}
	return 0;
}

int store_rows(struct store *s, int (*each)(void *context, const struct row *row), void *context,
	       struct err *e)
{
	static const char tail[] = " FROM results ORDER BY id";
	struct text sql = { 0 };
	struct row row = { 0 };
	sqlite3_stmt *select = NULL;
	int result = -1, got = SQLITE_ERROR;

	text_puts(&sql, "SELECT ");
	store_column_names(&sql);
	text_add(&sql, tail, sizeof tail);
	if (sql.failed)
		err_code(e, EX_OSERR, "out of memory");
	else
		select = store_prepare(s, sql.data, e);
	text_free(&sql);
	if (!select)
		return -1;
	while ((got = sqlite3_step(select)) == SQLITE_ROW) {
		if (store_read_row(select, &row) < 0) {
			err_code(e, EX_OSERR, "out of memory");
			goto out;
		}
		if ((result = each(context, &row)) != 0)
			goto out;
	}
	result = got == SQLITE_DONE ? 0 : store_failed(s, "cannot read the rows", e);
out:
	sqlite3_finalize(select);
	row_free(&row);
	return result;
}

static void read_run(sqlite3_stmt *from, struct store_run *run)
{
	*run = (struct store_run){
		.run = (uint64_t)sqlite3_column_int64(from, 1),
		.ended = sqlite3_column_int(from, 2) != 0,
		.first = (uint64_t)sqlite3_column_int64(from, 3),
		.emitted = (uint64_t)sqlite3_column_int64(from, 4),
		.dropped = (uint64_t)sqlite3_column_int64(from, 5),
		.expected = (uint64_t)sqlite3_column_int64(from, 6),
		.rows = (uint64_t)sqlite3_column_int64(from, 7),
		.errors = sqlite3_column_int64(from, 8),
	};
	const unsigned char *source = sqlite3_column_text(from, 0);
	snprintf(run->source, sizeof run->source, "%s", source ? (const char *)source : "");
}

int store_runs(struct store *s, int (*each)(void *context, const struct store_run *run),
	       void *context, struct err *e)
{
	/* Runs that rows speak of without a row in `runs` would be somebody's deletion: show them.
	 */
	sqlite3_stmt *select = store_prepare(
	    s,
	    "SELECT source, run, max(ended), max(first), max(emitted), max(dropped), max(expected),"
	    " sum(n), sum(errors) FROM ("
	    " SELECT source, run, ended, coalesce(first, 0) AS first, coalesce(emitted, 0) AS"
	    " emitted, dropped, coalesce(expected, 0) AS expected, 0 AS n, 0 AS errors FROM"
	    " runs UNION ALL"
	    " SELECT source, run, 0, 0, 0, 0, 0, count(*), sum(verdict IS 'error') FROM results "
	    "GROUP BY source, run)"
	    " GROUP BY source, run ORDER BY source, run",
	    e);
	struct store_run run;
	int result = 0, got = SQLITE_DONE;

	if (!select)
		return -1;
	while (result == 0 && (got = sqlite3_step(select)) == SQLITE_ROW) {
		read_run(select, &run);
		result = each(context, &run);
	}
	if (result == 0 && got != SQLITE_DONE)
		result = store_failed(s, "cannot read the runs", e);
	sqlite3_finalize(select);
	return result;
}

int store_count(struct store *s, struct store_run *run, struct err *e)
{
	sqlite3_stmt *select =
	    store_prepare(s,
			  "SELECT count(*), coalesce(sum(verdict IS 'error'), 0), (SELECT"
			  " coalesce(sum(last - first + 1), 0) FROM drops WHERE source=?1 AND"
			  " run=?2) FROM results WHERE source=?1 AND run=?2",
			  e);
	int got = SQLITE_ERROR;

	if (!select)
		return -1;
	sqlite3_bind_text(select, 1, run->source, -1, SQLITE_STATIC);
	sqlite3_bind_int64(select, 2, (int64_t)run->run);
	if ((got = sqlite3_step(select)) == SQLITE_ROW) {
		run->rows = (uint64_t)sqlite3_column_int64(select, 0);
		run->errors = sqlite3_column_int64(select, 1);
		run->dropped = (uint64_t)sqlite3_column_int64(select, 2);
	} else {
		store_failed(s, "cannot count the rows", e);
	}
	sqlite3_finalize(select);
	return got == SQLITE_ROW ? 0 : -1;
}

static int add_ranges(struct store *s, const char *sql, const char *source, uint64_t run,
		      struct keys *keys, struct err *e)
{
	sqlite3_stmt *select = store_prepare(s, sql, e);
	int got, result = 0;

	if (!select)
		return -1;
	sqlite3_bind_text(select, 1, source, -1, SQLITE_STATIC);
	sqlite3_bind_int64(select, 2, (int64_t)run);
	while ((got = sqlite3_step(select)) == SQLITE_ROW && result == 0)
		result = keys_add(keys, source, run, (uint64_t)sqlite3_column_int64(select, 0),
				  (uint64_t)sqlite3_column_int64(select, 1));
	if (result < 0)
		err_code(e, EX_OSERR, "out of memory");
	else if (got != SQLITE_DONE)
		result = store_failed(s, "cannot read the keys", e);
	sqlite3_finalize(select);
	return result;
}

int store_keys(struct store *s, const char *source, uint64_t run, bool with_drops,
	       struct keys *keys, struct err *e)
{
	if (add_ranges(s, "SELECT seq, seq FROM results WHERE source=? AND run=? ORDER BY seq",
		       source, run, keys, e) < 0)
		return -1;
	if (!with_drops)
		return 0;
	return add_ranges(s, "SELECT first, last FROM drops WHERE source=? AND run=?", source, run,
			  keys, e);
}
