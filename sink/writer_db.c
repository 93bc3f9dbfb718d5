/* Rows into the store. */
#include "sink/writer.h"

static int open_store(struct writer *w, struct err *e)
{
	w->state = store_open(w->path, STORE_WRITE, w->pipeline, e);
	return w->state ? 0 : -1;
}

static int write_rows(struct writer *w, struct row *rows, size_t count, struct err *e)
{
	return store_put(w->state, rows, count, w->first, w->first && !w->alone, e);
}

static int have(struct writer *w, struct store_run *run, struct keys *keys, struct err *e)
{
	return store_count(w->state, run, e) < 0
		   ? -1
		   : store_keys(w->state, run->source, run->run, true, keys, e);
}

static int note(struct writer *w, const struct store_run *runs, size_t run_count,
		const struct store_drop *drops, size_t drop_count, struct err *e)
{
	w->bytes = store_grown(w->state);
	return store_note(w->state, runs, run_count, drops, drop_count, e);
}

static void close_store(struct writer *w)
{
	struct store *s = w->state;

	store_close(&s);
	w->state = NULL;
}

const struct writer_kind writer_db = {
	"db",        { ".db", ".sqlite", ".sqlite3" },
	true,        open_store,
	write_rows,  have,
	note,        NULL,
	close_store,
};
