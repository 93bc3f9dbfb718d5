/* Errors as values: a library function fills one and returns -1, the stage prints it, once. */
#include "common/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LARGE_BYTES ((size_t)64 << 20)

/* Length of the well-formed UTF-8 sequence at s, or 0 (Unicode 15, table 3-7). */
static size_t utf8_length(const unsigned char *s)
{
	if (s[0] < 0x80)
		return 1;
	size_t n = s[0] >= 0xc2 && s[0] <= 0xdf   ? 2
		   : (s[0] & 0xf0) == 0xe0        ? 3
		   : s[0] >= 0xf0 && s[0] <= 0xf4 ? 4
						  : 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

char *err_clean(char *out, size_t size, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t used = 0;

	while (*s) {
		size_t n = utf8_length(s);
		/* C0 and DEL move the cursor of a terminal; so do the C1 controls, U+0080 to
		 * U+009F. */
		bool plain = n > 0 && !(n == 1 && (*s < 0x20 || *s == 0x7f)) &&
			     !(n == 2 && s[0] == 0xc2 && s[1] < 0xa0);
		size_t put = plain ? n : 1;
		if (used + put + 1 > size)
			break;
		if (plain)
			memcpy(out + used, s, n);
		else
			out[used] = '?';
		used += put;
		s += n ? n : 1;
	}
	if (size)
		out[used] = '\0';
	return out;
}

static void fill(struct err *e, int code, const char *format, va_list args)
{
	char raw[ERR_TEXT_MAX];

	vsnprintf(raw, sizeof raw, format, args);
	e->code = code;
	err_clean(e->text, sizeof e->text, raw);
}

int err_set(struct err *e, const char *format, ...)
{
	va_list args;

	if (!e)
		return -1;
	va_start(args, format);
	fill(e, EX_DATAERR, format, args);
	va_end(args);
	return -1;
}

int err_code(struct err *e, int code, const char *format, ...)
{
	va_list args;

	if (!e)
		return -1;
	va_start(args, format);
	fill(e, code, format, args);
	va_end(args);
	return -1;
}

int err_memory(struct err *e, size_t bytes, const char *something)
{
	return err_code(e, bytes < LARGE_BYTES ? EX_TEMPFAIL : EX_DATAERR,
			"no memory for %zu bytes of %s", bytes, something);
}

int err_of_errno(int number, int otherwise)
{
	return number == EMFILE || number == ENFILE || number == ENOMEM ? EX_OSERR : otherwise;
}

bool err_is_of_system(const struct err *e)
{
	return e->code == EX_TEMPFAIL || e->code == EX_OSERR;
}

int err_at(struct err *e, const char *format, ...)
{
	char raw[ERR_TEXT_MAX], where[ERR_TEXT_MAX], whole[ERR_TEXT_MAX * 2 + 4];
	va_list args;

	if (!e)
		return -1;
	va_start(args, format);
	vsnprintf(raw, sizeof raw, format, args);
	va_end(args);
	snprintf(whole, sizeof whole, "%s: %s", err_clean(where, sizeof where, raw), e->text);
	err_clean(e->text, sizeof e->text, whole);
	return -1;
}
