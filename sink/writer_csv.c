/* CSV by RFC 4180: a header line, CRLF, quotes doubled; columns as in common/SCHEMA.md. Missing
 * values are empty. When reading back, LF alone is taken too. */
#include <stdlib.h>
#include <string.h>

#include "sink/textfile.h"

static void put_value(struct text *to, const struct row *row, const struct column *c)
{
	switch (c->kind) {
	case COLUMN_TEXT:
	case COLUMN_JSON:
		text_csv(to, row_text(row, c));
		break;
	default:
		row_number(to, row, c);
	}
}

static void put_line(struct text *to, const struct row *row)
{
	for (size_t i = 0; i < row_column_count; i++) {
		if (i)
			text_putc(to, ',');
		if (row_has(row, &row_columns[i]))
			put_value(to, row, &row_columns[i]);
	}
	text_puts(to, "\r\n");
}

static void put_header(struct text *to)
{
	for (size_t i = 0; i < row_column_count; i++) {
		if (i)
			text_putc(to, ',');
		text_puts(to, row_columns[i].name);
	}
	text_puts(to, "\r\n");
}

/* Is data, as far as it goes, our header (without its line end)? */
static bool is_header(const char *data, size_t size)
{
	struct text header = { 0 };
	bool same;

	put_header(&header);
	if (size > header.used - 2)
		size = header.used - 2;
	same = !header.failed && memcmp(data, header.data, size) == 0;
	text_free(&header);
	return same;
}

/* --- reading back our own lines: just the key ---------------------------------------------------
 */

enum { FIELD_MAX = FRAME_SOURCE_MAX };

/* One field at *at: 1 and *at on the separator or line end, 0 the data ends first, -1 not CSV.
 * out gets what fits. */
static int read_field(const char *data, size_t size, size_t *at, char out[FIELD_MAX])
{
	size_t i = *at, used = 0;
	bool quoted = i < size && data[i] == '"';

	for (i += quoted; i < size; i++) {
		if (quoted && data[i] == '"') {
			if (i + 1 >= size)
				return 0;
			if (data[++i] != '"') {
				quoted = false;
				break;
			}
		} else if (!quoted && (data[i] == ',' || data[i] == '\r' || data[i] == '\n')) {
			break;
		} else if (!quoted && data[i] == '"') {
			return -1;
		}
		if (used + 1 < FIELD_MAX)
			out[used++] = data[i];
	}
	out[used] = '\0';
	if (i >= size)
		return 0;
	*at = i;
	return data[i] == ',' || data[i] == '\r' || data[i] == '\n' ? 1 : -1;
}

/* After the last field: LF or CRLF. */
static int read_end(const char *data, size_t size, size_t *at)
{
	if (data[*at] == '\r')
		(*at)++;
	if (*at >= size)
		return 0;
	if (data[(*at)++] != '\n')
		return -1;
	return 1;
}

static int read_number(const char *s, uint64_t *out)
{
	char *end;

	if (*s < '0' || *s > '9' || strlen(s) > 19)
		return -1;
	*out = strtoull(s, &end, 10);
	return *end || *out > INT64_MAX ? -1 : 0;
}

static int read_line(const char *data, size_t size, size_t number, size_t *length,
		     struct line_key *key)
{
	char field[3][FIELD_MAX], other[FIELD_MAX];
	size_t at = 0;
	int got;

	for (size_t i = 0; i < row_column_count; i++) {
		got = read_field(data, size, &at, i < 3 ? field[i] : other);
		if (got <= 0)
			return got;
		if ((data[at] == ',') != (i + 1 < row_column_count))
			return -1;
		at += data[at] == ',';
	}
	if ((got = read_end(data, size, &at)) <= 0)
		return got;
	*length = at;
	if (number == 0)
		return is_header(data, at) ? 2 : -1;
	memcpy(key->source, field[0], sizeof key->source);
	return read_number(field[1], &key->run) < 0 || read_number(field[2], &key->seq) < 0 ? -1
											    : 1;
}

const struct line_format format_csv = { put_header, put_line, read_line, is_header };

static int open_table(struct writer *w, struct err *e)
{
	return textfile_open(w, &format_csv, e);
}

const struct writer_kind writer_csv = {
	"csv",         { ".csv" }, false,           open_table,     textfile_write,
	textfile_keys, NULL,       textfile_reopen, textfile_close,
};
