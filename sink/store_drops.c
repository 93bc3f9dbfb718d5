/* Drops in the store: ranges that share no number with one another, nor with a row. So the books are
 * exact: emitted = rows + dropped.
 *
 * A source that was killed may count a picture as dropped whose row is stored already, or is on its
 * way: the word that it is had not come back. The row wins, whichever comes first; what a range does
 * not have for itself is left out of it. */
#include <stdio.h>
#include <string.h>

#include "sink/store_sqlite.h"

#define GAPS_MOST 64

static int bind_key(sqlite3_stmt *to, const char *source, uint64_t run, uint64_t a, uint64_t b)
{
	sqlite3_bind_text(to, 1, source, -1, SQLITE_STATIC);
	sqlite3_bind_int64(to, 2, (int64_t)run);
	sqlite3_bind_int64(to, 3, (int64_t)a);
	return sqlite3_bind_int64(to, 4, (int64_t)b);
}

/* A statement that is needed rarely: once, with a key and a reason. */
static int once(struct store *s, const char *sql, const struct store_drop *d, struct err *e)
{
	sqlite3_stmt *statement = store_prepare(s, sql, e);
	int result = 0;

	if (!statement)
		return -1;
	bind_key(statement, d->source, d->run, d->first, d->last);
	if (sqlite3_bind_parameter_count(statement) > 4)
		sqlite3_bind_text(statement, 5, d->reason, -1, SQLITE_STATIC);
	if (sqlite3_step(statement) != SQLITE_DONE)
		result = store_failed(s, "cannot note a drop", e);
	sqlite3_finalize(statement);
	return result;
}

static int insert(struct store *s, const struct store_drop *d, struct err *e)
{
	return d->last < d->first
		   ? 0
		   : once(s, "INSERT OR IGNORE INTO drops VALUES(?1,?2,?3,?4,?5)", d, e);
}

/* What is there of the range, rows and drops, into *keys. */
static int find(struct store *s, const char *sql, const struct store_drop *d, struct keys *keys,
		struct err *e)
{
	sqlite3_stmt *select = store_prepare(s, sql, e);
	int got, result = 0;

	if (!select)
		return -1;
	bind_key(select, d->source, d->run, d->first, d->last);
	while (result == 0 && (got = sqlite3_step(select)) != SQLITE_DONE)
		if (got != SQLITE_ROW)
			result = store_failed(s, "cannot read the keys", e);
		else if (keys_add(keys, d->source, d->run,
				  (uint64_t)sqlite3_column_int64(select, 0),
				  (uint64_t)sqlite3_column_int64(select, 1)) < 0)
			result = err_code(e, EX_TEMPFAIL, "out of memory");
	sqlite3_finalize(select);
	return result;
}

static int insert_gaps(struct store *s, const struct store_drop *d, struct keys *there,
		       struct err *e)
{
	struct key_range gap[GAPS_MOST];
	size_t gaps;

	while (keys_missing(keys_run(there, d->source, d->run), d->first, d->last, gap, GAPS_MOST,
			    &gaps) > 0)
		for (size_t i = 0; i < gaps && i < GAPS_MOST; i++) {
			struct store_drop part = *d;
			part.first = gap[i].first;
			part.last = gap[i].last;
			if (insert(s, &part, e) < 0)
				return -1;
			if (keys_add(there, d->source, d->run, part.first, part.last) < 0)
				return err_code(e, EX_TEMPFAIL, "out of memory");
		}
	return 0;
}

int store_add_drop(struct store *s, const struct store_drop *d, struct err *e)
{
	struct keys there = { 0 };
	int result = -1;

	if (d->last < d->first || d->last > INT64_MAX) /* no honest source */
		return 0;
	if (find(s,
		 "SELECT seq, seq FROM results WHERE source=?1 AND run=?2 AND seq BETWEEN ?3 AND ?4"
		 " ORDER BY seq",
		 d, &there, e) == 0 &&
	    find(s,
		 "SELECT first, last FROM drops WHERE source=?1 AND run=?2 AND first<=?4 AND"
		 " last>=?3",
		 d, &there, e) == 0)
		result = insert_gaps(s, d, &there, e);
	keys_free(&there);
	return result;
}

/* Take one number out of a range. */
static int split(struct store *s, const struct store_drop *d, uint64_t seq, struct err *e)
{
	struct store_drop before = *d, after = *d;

	before.last = seq - 1;
	after.first = seq + 1;
	if (once(s, "DELETE FROM drops WHERE source=?1 AND run=?2 AND first=?3 AND last=?4", d, e) <
		0 ||
	    (seq > d->first && insert(s, &before, e) < 0) || insert(s, &after, e) < 0)
		return -1;
	return once(s,
		    "UPDATE runs SET dropped=dropped-1"
		    " WHERE source=?1 AND run=?2 AND dropped>0 AND ?3<=?4",
		    d, e);
}

int store_not_dropped(struct store *s, const struct row *row, struct err *e)
{
	struct store_drop d = { .run = (uint64_t)row->run };
	uint64_t seq = (uint64_t)row->seq;
	bool in = false;

	bind_key(s->around, row->source, d.run, seq, 0);
	int got = sqlite3_step(s->around);
	if (got == SQLITE_ROW) {
		const unsigned char *reason = sqlite3_column_text(s->around, 2);
		d.first = (uint64_t)sqlite3_column_int64(s->around, 0);
		d.last = (uint64_t)sqlite3_column_int64(s->around, 1);
		snprintf(d.source, sizeof d.source, "%s", row->source);
		snprintf(d.reason, sizeof d.reason, "%s", reason ? (const char *)reason : "");
		in = d.first <= seq && seq <= d.last;
	} else if (got != SQLITE_DONE) {
		store_failed(s, "cannot look for drops", e);
	}
	sqlite3_reset(s->around);
	if (got != SQLITE_ROW && got != SQLITE_DONE)
		return -1;
	return in ? split(s, &d, seq, e) : 0;
}
