/* A file of lines that grows: made durable by fdatasync, mended at the start after a crash, and
 * without a key twice. Or a stream (standard output, a pipe), which can only be written. */
#ifndef SINK_TEXTFILE_H
#define SINK_TEXTFILE_H

#include "common/err.h"
#include "common/frame.h"
#include "common/text.h"
#include "sink/writer.h"

struct line_key {
	char source[FRAME_SOURCE_MAX];
	uint64_t run, seq;
};

/* How the lines of a format look. */
struct line_format {
	/* Before the first line; NULL for nothing. */
	void (*header)(struct text *to);
	void (*line)(struct text *to, const struct row *row);
	/* One record of a file at data: 1, *length and *key; 2 the same for a header, which has no
	 * key; 0 it ends beyond size; -1 it is not of this format. number counts from 0. */
	int (*read)(const char *data, size_t size, size_t number, size_t *length,
		    struct line_key *key);
	/* Could this be the beginning of a first record that was never finished? */
	bool (*begins)(const char *data, size_t size);
};

extern const struct line_format format_jsonl, format_csv;

/* For the hooks of struct writer_kind. */
int textfile_open(struct writer *w, const struct line_format *format, struct err *e);
int textfile_write(struct writer *w, struct row *rows, size_t count, struct err *e);
int textfile_keys(struct writer *w, struct store_run *run, struct keys *keys, struct err *e);
void textfile_reopen(struct writer *w);
void textfile_close(struct writer *w);

#endif
