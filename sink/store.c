/* Opening a store: WAL so that readers never wait, synchronous=EXTRA so that a commit is on disk when
 * it returns (FULL would do for the log; the tables are made without it, and there the removal of
 * the rollback journal must be durable too).
 *
 * A file is looked at before SQLite opens it: what is not ours is refused untouched. A new store is
 * made in one transaction in rollback mode and only then switched to WAL, so that the identifying
 * header always stands in the file itself. */
#include "sink/store.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sink/store_sqlite.h"

#define APPLICATION_ID 0x616e646f /* "ando" */
#define BUSY_MS 1000              /* how long SQLite itself waits for a lock */

/* migrations[n] leads from schema n to n + 1. Rows here are never edited, only added. */
static const char *const migrations[] = {
	"CREATE TABLE results("
	" id INTEGER PRIMARY KEY,"
	" source TEXT NOT NULL, run INTEGER NOT NULL, seq INTEGER NOT NULL,"
	" tag TEXT, image TEXT, capture_ts INTEGER, trigger_ts INTEGER, result_ts INTEGER,"
	" latency_ms REAL,"
	" verdict TEXT CHECK(verdict IN ('good', 'ng', 'uncertain', 'error')),"
	" reason TEXT, threshold REAL, label TEXT, label_id INTEGER, score REAL, scores TEXT,"
	" model TEXT, model_sha256 TEXT, recipe_sha256 TEXT, kernels TEXT, worker TEXT,"
	" tries INTEGER NOT NULL DEFAULT 0, timings TEXT, meta TEXT,"
	" UNIQUE(source, run, seq));"
	"CREATE TABLE runs("
	" source TEXT NOT NULL, run INTEGER NOT NULL, host TEXT, pipeline TEXT,"
	" model TEXT, model_sha256 TEXT, recipe_sha256 TEXT,"
	" started_ts INTEGER NOT NULL, stored_ts INTEGER NOT NULL,"
	" expected INTEGER, first INTEGER, emitted INTEGER, dropped INTEGER NOT NULL DEFAULT 0,"
	" ended INTEGER NOT NULL DEFAULT 0,"
	" PRIMARY KEY(source, run)) WITHOUT ROWID;"
	"CREATE TABLE drops("
	" source TEXT NOT NULL, run INTEGER NOT NULL,"
	" first INTEGER NOT NULL, last INTEGER NOT NULL, reason TEXT,"
	" PRIMARY KEY(source, run, first, last)) WITHOUT ROWID;",
};
#define SCHEMA ((int)(sizeof migrations / sizeof migrations[0]))

int store_failed(struct store *s, const char *doing, struct err *e)
{
	int code = sqlite3_errcode(s->db) & 0xff;
	int saved = sqlite3_system_errno(s->db);

	switch (code) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return err_code(e, EX_TEMPFAIL, "%s: locked by another process", s->path);
	case SQLITE_FULL:
		return err_code(e, EX_TEMPFAIL, "%s: disk full", s->path);
	case SQLITE_IOERR:
	case SQLITE_NOMEM:
	case SQLITE_CANTOPEN:
		return err_code(e, EX_TEMPFAIL, "%s: %s: %s%s%s", s->path, doing,
				sqlite3_errmsg(s->db), saved ? ": " : "",
				saved ? strerror(saved) : "");
	default:
		return err_code(e, EX_IOERR, "%s: %s: %s", s->path, doing, sqlite3_errmsg(s->db));
	}
}

int store_sql(struct store *s, const char *sql, const char *doing, struct err *e)
{
	return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0
								       : store_failed(s, doing, e);
}

sqlite3_stmt *store_prepare(struct store *s, const char *sql, struct err *e)
{
	sqlite3_stmt *statement;

	if (sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) !=
	    SQLITE_OK) {
		store_failed(s, "cannot prepare", e);
		return NULL;
	}
	return statement;
}

/* --- opening ---------------------------------------------------------------------------------- */

static uint32_t big_endian(const unsigned char *b)
{
	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* Is the file missing, empty, or a store of ours? By SQLite's file format, section 1.3. */
static int check_file(const char *path, enum store_mode mode, struct err *e)
{
	unsigned char header[100];
	struct stat is = { 0 };
	ssize_t n = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 && errno == ENOENT && mode == STORE_WRITE)
		return 0;
	if (fd < 0)
		return err_code(e, err_of_errno(errno, EX_NOINPUT), "%s: %s", path,
				strerror(errno));
	if (fstat(fd, &is) < 0 || !S_ISREG(is.st_mode))
		err_code(e, EX_DATAERR, "%s: not a regular file", path);
	else if ((n = pread(fd, header, sizeof header, 0)) < 0)
		err_code(e, EX_IOERR, "%s: %s", path, strerror(errno));
	else
		n = n == 0 ? 0 : n < (ssize_t)sizeof header ? 1 : n;
	close(fd);
	if (!S_ISREG(is.st_mode) || n < 0)
		return -1;
	if (n == 0)
		return mode == STORE_WRITE ? 0 : err_set(e, "%s: an empty file, not a store", path);
	if (n == 1 || memcmp(header, "SQLite format 3", 16) != 0)
		return err_set(e, "%s: not a SQLite file; it is left as it is", path);
	if (big_endian(header + 68) != APPLICATION_ID)
		return err_set(
		    e, "%s: a SQLite file, but not a store of andon; it is left as it is", path);
	return 0;
}

static int schema_version(struct store *s, int *version, struct err *e)
{
	sqlite3_stmt *statement = store_prepare(s, "PRAGMA user_version", e);
	int got = statement ? sqlite3_step(statement) : SQLITE_ERROR;

	if (got == SQLITE_ROW)
		*version = sqlite3_column_int(statement, 0);
	else if (statement)
		store_failed(s, "cannot read the schema version", e);
	sqlite3_finalize(statement);
	if (got != SQLITE_ROW)
		return -1;
	if (*version > SCHEMA)
		return err_set(e,
			       "%s: written by a newer andon (schema %d, this one knows up to %d); "
			       "it is left as it is",
			       s->path, *version, SCHEMA);
	if (*version < 0)
		return err_set(e, "%s: schema version %d", s->path, *version);
	return 0;
}

static int migrate(struct store *s, struct err *e)
{
	char numbers[96];
	int version;

	if (schema_version(s, &version, e) < 0)
		return -1;
	if (version == SCHEMA)
		return 0;
	if (store_sql(s, "BEGIN EXCLUSIVE", "cannot begin", e) < 0)
		return -1;
	if (schema_version(s, &version, e) < 0) /* another process may have been faster */
		goto undo;
	for (; version < SCHEMA; version++)
		if (store_sql(s, migrations[version], "cannot make the tables", e) < 0)
			goto undo;
	snprintf(numbers, sizeof numbers, "PRAGMA application_id=%d; PRAGMA user_version=%d",
		 APPLICATION_ID, SCHEMA);
	if (store_sql(s, numbers, "cannot note the schema", e) < 0 ||
	    store_sql(s, "COMMIT", "cannot make the tables", e) < 0)
		goto undo;
	return 0;
undo:
	sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	return -1;
}

static int use_wal(struct store *s, struct err *e)
{
	sqlite3_stmt *statement = store_prepare(s, "PRAGMA journal_mode=WAL", e);
	bool wal = false;

	if (!statement)
		return -1;
	int got = sqlite3_step(statement);
	if (got == SQLITE_ROW)
		wal = strcmp((const char *)sqlite3_column_text(statement, 0), "wal") == 0;
	else
		store_failed(s, "cannot use a write-ahead log", e);
	sqlite3_finalize(statement);
	if (got != SQLITE_ROW)
		return -1;
	if (!wal)
		return err_code(e, EX_IOERR, "%s: this file system cannot hold a write-ahead log",
				s->path);
	return 0;
}

/* What a predecessor committed and was killed before it could sync is in the log, but perhaps only in
 * the page cache. SQLite takes it for committed, and a row that comes again is then "there already":
 * nothing is written, nothing synced, and the row would be acknowledged. So the log is synced before
 * the first of them is looked for. (Pages that were copied out of the log were synced with it.) */
static int sync_log(struct store *s, struct err *e)
{
	sqlite3_file *log = NULL;

	if (sqlite3_file_control(s->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) != SQLITE_OK)
		return store_failed(s, "cannot find the write-ahead log", e);
	if (log && log->pMethods && log->pMethods->xSync(log, SQLITE_SYNC_NORMAL) != SQLITE_OK)
		return err_code(e, EX_IOERR, "%s: cannot sync the write-ahead log: %s", s->path,
				strerror(errno));
	return 0;
}

void store_column_names(struct text *t)
{
	for (size_t i = 0; i < row_column_count; i++) {
		if (i)
			text_putc(t, ',');
		text_puts(t, row_columns[i].name);
	}
}

static int prepare_all(struct store *s, struct err *e)
{
	static const char insert_tail[] = ") ON CONFLICT(source, run, seq) DO NOTHING";
	static const char recall_tail[] = " FROM results WHERE source=? AND run=? AND seq=?";
	struct text sql = { 0 };

	text_puts(&sql, "INSERT INTO results(");
	store_column_names(&sql);
	text_puts(&sql, ") VALUES(?");
	for (size_t i = 1; i < row_column_count; i++)
		text_puts(&sql, ",?");
	text_add(&sql, insert_tail, sizeof insert_tail);
	if (!sql.failed)
		s->insert = store_prepare(s, sql.data, e);
	text_clear(&sql);
	text_puts(&sql, "SELECT ");
	store_column_names(&sql);
	text_add(&sql, recall_tail, sizeof recall_tail);
	if (!sql.failed && s->insert)
		s->recall = store_prepare(s, sql.data, e);
	if (sql.failed)
		err_code(e, EX_OSERR, "out of memory");
	text_free(&sql);
	if (s->recall)
		s->run = store_prepare(
		    s,
		    "INSERT INTO runs(source, run, host, pipeline, model, model_sha256,"
		    " recipe_sha256, started_ts, stored_ts) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?8)"
		    " ON CONFLICT(source, run) DO UPDATE SET"
		    " model=coalesce(model, excluded.model),"
		    " model_sha256=coalesce(model_sha256, excluded.model_sha256),"
		    " recipe_sha256=coalesce(recipe_sha256, excluded.recipe_sha256)",
		    e);
	if (s->run)
		s->around = store_prepare(s,
					  "SELECT first, last, reason FROM drops"
					  " WHERE source=?1 AND run=?2 AND first<=?3"
					  " ORDER BY first DESC LIMIT 1",
					  e);
	return s->around ? 0 : -1;
}

static uint64_t file_bytes(struct store *s)
{
	sqlite3_stmt *ask = store_prepare(
	    s, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size", NULL);
	uint64_t bytes = 0;

	if (ask && sqlite3_step(ask) == SQLITE_ROW)
		bytes = (uint64_t)sqlite3_column_int64(ask, 0);
	sqlite3_finalize(ask);
	return bytes;
}

uint64_t store_grown(struct store *s)
{
	uint64_t now = file_bytes(s);

	return now > s->bytes_at_open ? now - s->bytes_at_open : 0;
}

struct store *store_open(const char *path, enum store_mode mode, const char *pipeline,
			 struct err *e)
{
	struct store *s = calloc(1, sizeof *s);
	int version;

	if (!s) {
		err_code(e, EX_OSERR, "out of memory");
		return NULL;
	}
	s->path = path;
	s->pipeline = pipeline;
	if (gethostname(s->host, sizeof s->host - 1) < 0)
		s->host[0] = '\0';
	if (check_file(path, mode, e) < 0)
		goto failed;
	int flags =
	    mode == STORE_READ ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
	if (sqlite3_open_v2(path, &s->db, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
		if (s->db && (sqlite3_errcode(s->db) & 0xff) == SQLITE_CANTOPEN)
			err_code(e, mode == STORE_READ ? EX_NOINPUT : EX_CANTCREAT, "%s: %s", path,
				 strerror(sqlite3_system_errno(s->db)));
		else if (s->db)
			store_failed(s, "cannot open", e);
		else
			err_code(e, EX_OSERR, "out of memory");
		goto failed;
	}
	sqlite3_extended_result_codes(s->db, 1);
	sqlite3_busy_timeout(s->db, BUSY_MS);
	if (mode == STORE_READ) {
		if (schema_version(s, &version, e) < 0)
			goto failed;
		return s;
	}
	if (store_sql(s, "PRAGMA synchronous=EXTRA", "cannot set synchronous", e) < 0 ||
	    migrate(s, e) < 0 || use_wal(s, e) < 0 || prepare_all(s, e) < 0 || sync_log(s, e) < 0)
		goto failed;
	s->bytes_at_open = file_bytes(s);
	return s;
failed:
	store_close(&s);
	return NULL;
}

void store_close(struct store **s)
{
	if (!*s)
		return;
	sqlite3_finalize((*s)->insert);
	sqlite3_finalize((*s)->recall);
	sqlite3_finalize((*s)->run);
	sqlite3_finalize((*s)->around);
	sqlite3_close((*s)->db);
	keys_free(&(*s)->runs);
	free(*s);
	*s = NULL;
}
