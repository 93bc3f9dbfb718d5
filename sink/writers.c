/* The table of writers, and all outputs of a process together.
 *
 * Why a kill -9 at any moment leaves no output with a missing, doubled or torn row: a frame is
 * acknowledged only when every output has its row on disk, and what is not acknowledged comes
 * again. Each output then leaves out the keys that it has, whichever they are. The store goes
 * first, and a row that it has already is read back from it, so that a text file that had missed
 * the row gets the very row that was stored, not one made anew with other times. */
#include "sink/writer.h"

#include <string.h>

static const struct writer_kind *const kinds[] = { &writer_db, &writer_jsonl, &writer_csv };
#define KINDS (sizeof kinds / sizeof kinds[0])

static bool ends_with(const char *name, const char *suffix)
{
	size_t n = strlen(name), m = strlen(suffix);

	return n > m && strcmp(name + n - m, suffix) == 0;
}

static bool matches(const struct writer_kind *kind, const char *name)
{
	for (size_t i = 0; i < WRITER_SUFFIXES && kind->suffix[i]; i++)
		if (ends_with(name, kind->suffix[i]))
			return true;
	return false;
}

/* "kind:path", a known suffix, or "-". */
static int choose(struct writer *w, const char *name, struct err *e)
{
	const char *colon = strchr(name, ':');

	for (size_t i = 0; colon && i < KINDS; i++)
		if (strlen(kinds[i]->name) == (size_t)(colon - name) &&
		    strncmp(kinds[i]->name, name, (size_t)(colon - name)) == 0) {
			w->kind = kinds[i];
			w->path = colon + 1;
			if (*w->path == '\0')
				return err_code(e, EX_USAGE, "'%s' names no file", name);
			return 0;
		}
	w->path = name;
	if (strcmp(name, "-") == 0)
		w->kind = &writer_jsonl;
	for (size_t i = 0; !w->kind && i < KINDS; i++)
		if (matches(kinds[i], name))
			w->kind = kinds[i];
	if (!w->kind)
		return err_code(e, EX_USAGE,
				"'%s': what shall it be? Name it .db, .jsonl or .csv, or write "
				"db:%s, jsonl:%s or csv:%s",
				name, name, name, name);
	return 0;
}

/* Stores first, then files, then standard output, which remembers nothing of earlier processes. */
static int rank(const struct writer *w)
{
	return w->kind->is_store ? 0 : strcmp(w->path, "-") != 0 ? 1 : 2;
}

static int place(struct outputs *o, const char *name, struct err *e)
{
	struct writer w = { 0 };
	size_t at = o->count;

	if (choose(&w, name, e) < 0)
		return -1;
	for (size_t i = 0; i < o->count; i++)
		if (strcmp(o->writer[i].path, w.path) == 0)
			return err_code(e, EX_USAGE, "'%s' is named twice", w.path);
	if (o->count == OUTPUTS_MAX)
		return err_code(e, EX_USAGE, "more than %d outputs", OUTPUTS_MAX);
	while (at > 0 && rank(&w) < rank(&o->writer[at - 1]))
		at--;
	memmove(&o->writer[at + 1], &o->writer[at], (o->count - at) * sizeof w);
	o->writer[at] = w;
	o->count++;
	return 0;
}

int outputs_open(struct outputs *o, char **names, size_t count, const char *pipeline, struct err *e)
{
	for (size_t i = 0; i < count; i++)
		if (place(o, names[i], e) < 0)
			return -1;
	for (size_t i = 0; i < o->count; i++) {
		struct writer *w = &o->writer[i];
		w->first = i == 0;
		w->alone = o->count == 1;
		w->pipeline = pipeline;
		if (w->kind->open(w, e) < 0)
			return -1;
	}
	return 0;
}

void outputs_close(struct outputs *o)
{
	for (size_t i = 0; i < o->count; i++)
		if (o->writer[i].state)
			o->writer[i].kind->close(&o->writer[i]);
	o->count = 0;
}

int outputs_write(struct outputs *o, struct row *rows, size_t count, struct err *e)
{
	for (; o->written < o->count; o->written++) {
		struct writer *w = &o->writer[o->written];
		if (w->kind->write(w, rows, count, e) < 0)
			return -1;
	}
	o->written = 0;
	return 0;
}

int outputs_note(struct outputs *o, const struct store_run *runs, size_t run_count,
		 const struct store_drop *drops, size_t drop_count, struct err *e)
{
	for (size_t i = 0; i < o->count; i++) {
		struct writer *w = &o->writer[i];
		if (w->kind->note && w->kind->note(w, runs, run_count, drops, drop_count, e) < 0)
			return -1;
	}
	return 0;
}

bool outputs_keep_drops(const struct outputs *o)
{
	for (size_t i = 0; i < o->count; i++)
		if (o->writer[i].kind->note)
			return true;
	return false;
}

int outputs_keys(struct outputs *o, struct store_run *run, struct keys *keys, struct err *e)
{
	return o->writer[0].kind->keys(&o->writer[0], run, keys, e);
}

void outputs_reopen(struct outputs *o)
{
	for (size_t i = 0; i < o->count; i++)
		if (o->writer[i].kind->reopen)
			o->writer[i].kind->reopen(&o->writer[i]);
}

uint64_t outputs_bytes(const struct outputs *o)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < o->count; i++)
		bytes += o->writer[i].bytes;
	return bytes;
}
