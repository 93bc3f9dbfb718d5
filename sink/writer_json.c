/* JSON Lines: one object a line, UTF-8, fields as in common/SCHEMA.md. */
#include <string.h>

#include "sink/textfile.h"

static const char start[] = "{\"v\":1,\"source\":";

static void put_value(struct text *to, const struct row *row, const struct column *c)
{
	switch (c->kind) {
	case COLUMN_TEXT:
		text_json(to, row_text(row, c));
		break;
	case COLUMN_JSON:
		text_puts(to, row_text(row, c));
		break;
	default:
		row_number(to, row, c);
	}
}

static void put_line(struct text *to, const struct row *row)
{
	text_puts(to, "{\"v\":1");
	for (size_t i = 0; i < row_column_count; i++) {
		const struct column *c = &row_columns[i];
		bool has = row_has(row, c);
		if (!has && strcmp(c->name, "verdict") != 0)
			continue;
		text_puts(to, ",\"");
		text_puts(to, c->name);
		text_puts(to, "\":");
		if (has)
			put_value(to, row, c);
		else
			text_puts(to, "null");
	}
	text_puts(to, "}\n");
}

/* --- reading back our own lines: just the key ---------------------------------------------------
 */

static bool skip(const char **s, const char *end, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(end - *s) < n || memcmp(*s, word, n) != 0)
		return false;
	*s += n;
	return true;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A string as text_json writes it. */
static bool read_string(const char **s, const char *end, char *out, size_t size)
{
	size_t used = 0;

	if (!skip(s, end, "\""))
		return false;
	while (*s < end && **s != '"') {
		char c = *(*s)++;
		if (c == '\\' && *s < end && (**s == '"' || **s == '\\')) {
			c = *(*s)++;
		} else if (c == '\\') {
			if (!skip(s, end, "u00") || end - *s < 2 || hex_digit((*s)[0]) < 0 ||
			    hex_digit((*s)[1]) < 0)
				return false;
			c = (char)(hex_digit((*s)[0]) * 16 + hex_digit((*s)[1]));
			*s += 2;
		}
		if (c == '\0' || used + 1 >= size)
			return false;
		out[used++] = c;
	}
	out[used] = '\0';
	return skip(s, end, "\"");
}

static bool read_number(const char **s, const char *end, uint64_t *out)
{
	const char *begin = *s;
	uint64_t value = 0;

	for (; *s < end && **s >= '0' && **s <= '9'; (*s)++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(**s - '0'), &value))
			return false;
	*out = value;
	return *s > begin && value <= INT64_MAX;
}

static int read_line(const char *data, size_t size, size_t number, size_t *length,
		     struct line_key *key)
{
	const char *end = memchr(data, '\n', size), *s = data;

	(void)number;
	if (!end)
		return 0;
	*length = (size_t)(end - data) + 1;
	if (!skip(&s, end, start) || !read_string(&s, end, key->source, sizeof key->source) ||
	    !skip(&s, end, ",\"run\":") || !read_number(&s, end, &key->run) ||
	    !skip(&s, end, ",\"seq\":") || !read_number(&s, end, &key->seq) || s >= end ||
	    *s != ',' || end[-1] != '}')
		return -1;
	return 1;
}

static bool begins(const char *data, size_t size)
{
	size_t n = size < sizeof start - 1 ? size : sizeof start - 1;

	return memcmp(data, start, n) == 0;
}

const struct line_format format_jsonl = { NULL, put_line, read_line, begins };

static int open_lines(struct writer *w, struct err *e)
{
	return textfile_open(w, &format_jsonl, e);
}

const struct writer_kind writer_jsonl = {
	"jsonl", { ".jsonl", ".ndjson" }, false,          open_lines, textfile_write, textfile_keys,
	NULL,    textfile_reopen,         textfile_close,
};
