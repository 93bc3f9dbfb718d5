/* getopt_long(3) driven by a table; option_help.c writes the manual from the same table. */
#include "common/option.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MAX 64

static size_t table_length(const struct option_row *table)
{
	size_t n = 0;

	while (table && table[n].name)
		n++;
	return n;
}

static bool takes_argument(const struct option_row *row)
{
	return row->kind != OPTION_FLAG && row->kind != OPTION_COUNT;
}

/* Milliseconds of "150ms", "2s", "1.5m", "1h"; a bare number is seconds. */
static int parse_time(const char *text, double *ms)
{
	static const struct {
		const char *suffix;
		double ms;
	} units[] = { { "", 1000 }, { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 } };
	char *end;

	*ms = strtod(text, &end);
	if (end == text)
		return -1;
	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
		if (strcmp(end, units[i].suffix) == 0) {
			*ms *= units[i].ms;
			return 0;
		}
	return -1;
}

/* Bytes of "64k", "500M", "1.5G", "2T", "4096"; a B behind it is fine. */
static int parse_size(const char *text, double *bytes)
{
	static const char units[] = "kMGT";
	const char *unit;
	char *end;

	*bytes = strtod(text, &end);
	if (end == text)
		return -1;
	if (*end && (unit = strchr(units, *end == 'K' ? 'k' : *end)))
		for (end++; unit >= units; unit--)
			*bytes *= 1024;
	return *end == '\0' || strcmp(end, "B") == 0 || strcmp(end, "iB") == 0 ? 0 : -1;
}

static int check_range(const struct option_row *row, double value, const char *text, struct err *e)
{
	if (!isfinite(value))
		return err_code(e, EX_USAGE, "--%s: '%s' is not a finite number", row->name, text);
	if ((row->least != 0 || row->most != 0) && (value < row->least || value > row->most))
		return err_code(e, EX_USAGE, "--%s: '%s' is not between %.15g and %.15g%s",
				row->name, text, row->least, row->most,
				row->kind == OPTION_TIME   ? " ms"
				: row->kind == OPTION_SIZE ? " bytes"
							   : "");
	return 0;
}

static int store(const struct option_row *row, const char *text, struct err *e)
{
	char *end;
	double real;

	switch (row->kind) {
	case OPTION_FLAG:
		*(bool *)row->value = true;
		return 0;
	case OPTION_COUNT:
		++*(int *)row->value;
		return 0;
	case OPTION_TEXT:
		*(const char **)row->value = text;
		return 0;
	case OPTION_INT:
		errno = 0;
		long long integer = strtoll(text, &end, 10);
		if (end == text || *end || errno)
			return err_code(e, EX_USAGE, "--%s: '%s' is not a whole number", row->name,
					text);
		*(int64_t *)row->value = integer;
		return check_range(row, (double)integer, text, e);
	case OPTION_REAL:
		real = strtod(text, &end);
		if (end == text || *end)
			return err_code(e, EX_USAGE, "--%s: '%s' is not a number", row->name, text);
		*(double *)row->value = real;
		return check_range(row, real, text, e);
	case OPTION_TIME:
	case OPTION_SIZE:
		if ((row->kind == OPTION_TIME ? parse_time : parse_size)(text, &real) < 0)
			return err_code(e, EX_USAGE, "--%s: '%s' is not a %s", row->name, text,
					row->kind == OPTION_TIME ? "time such as 150ms or 2s"
								 : "size such as 500M or 2G");
		if (check_range(row, real, text, e) < 0)
			return -1;
		if (real < 0 || real > 9e15)
			return err_code(e, EX_USAGE, "--%s: '%s' is out of range", row->name, text);
		*(int64_t *)row->value = (int64_t)real;
		return 0;
	case OPTION_LIST: {
		struct option_list *list = row->value;
		const char **more = realloc(list->item, (list->count + 1) * sizeof *more);
		if (!more)
			return err_code(e, EX_TEMPFAIL, "no memory for options");
		list->item = more;
		list->item[list->count++] = text;
		return 0;
	}
	}
	return 0;
}

/* The options of both tables in getopt's own form; rows[i] belongs to long_options[i]. */
static void getopt_tables(const struct option_row *own, const struct option_row *shared,
			  const struct option_row **rows, struct option *long_options,
			  char *letters)
{
	const struct option_row *tables[] = { own, shared };
	size_t n = 0;

	*letters++ = ':'; /* tell a missing argument from an unknown option */
	for (int t = 0; t < 2; t++)
		for (size_t i = 0; i < table_length(tables[t]) && n < ROWS_MAX; i++, n++) {
			const struct option_row *row = &tables[t][i];
			rows[n] = row;
			long_options[n] =
			    (struct option){ row->name, takes_argument(row), NULL, 256 + (int)n };
			if (row->letter) {
				*letters++ = row->letter;
				if (takes_argument(row))
					*letters++ = ':';
			}
		}
	rows[n] = NULL;
	long_options[n] = (struct option){ NULL, 0, NULL, 0 };
	*letters = '\0';
}

static const struct option_row *row_of(const struct option_row **rows, int code)
{
	if (code >= 256)
		return rows[code - 256];
	for (; *rows; rows++)
		if ((*rows)->letter == code)
			return *rows;
	return NULL;
}

/* getopt_long takes any unambiguous beginning of a long name for the name: find out what was typed.
 */
static int check_spelt_out(const char *typed, const struct option_row *row, struct err *e)
{
	size_t n = strlen(row->name);

	if (strncmp(typed, "--", 2) != 0)
		return 0;
	if (strncmp(typed + 2, row->name, n) == 0 && (typed[2 + n] == '\0' || typed[2 + n] == '='))
		return 0;
	return err_code(e, EX_USAGE, "option '%s' is not known (did you mean --%s?); try --help",
			typed, row->name);
}

int option_parse(const struct option_row *own, const struct option_row *shared, int argc,
		 char **argv, struct err *e)
{
	const struct option_row *rows[ROWS_MAX + 1];
	struct option long_options[ROWS_MAX + 1];
	char letters[2 * ROWS_MAX + 2];
	int code, index;

	getopt_tables(own, shared, rows, long_options, letters);
	opterr = 0;
	optind = 0; /* GNU: start afresh, also after an earlier call */
	for (;;) {
		int before = optind ? optind : 1;
		index = -1;
		code = getopt_long(argc, argv, letters, long_options, &index);
		if (code < 0)
			return optind;
		const char *typed = argv[optind - 1 > before ? before : optind - 1];
		if (index >= 0) {
			/* With a detached argument the option stands one place earlier. */
			int at = optind - 1;
			if (takes_argument(rows[index]) && optarg == argv[at])
				at--;
			if (check_spelt_out(argv[at], rows[index], e) < 0)
				return -1;
		}
		if (code == ':')
			return err_code(e, EX_USAGE, "option '%s' needs an argument; try --help",
					argv[optind - 1]);
		if (code == '?' && optopt >= 256)
			return err_code(e, EX_USAGE, "option '--%s' takes no argument; try --help",
					rows[optopt - 256]->name);
		if (code == '?' && optopt)
			return err_code(e, EX_USAGE, "option '-%c' is not known; try --help",
					optopt);
		if (code == '?')
			return err_code(e, EX_USAGE, "option '%s' is not known; try --help",
					argv[optind - 1] ? argv[optind - 1] : typed);
		if (store(row_of(rows, code), optarg, e) < 0)
			return -1;
	}
}

void option_free(const struct option_row *table)
{
	for (; table && table->name; table++)
		if (table->kind == OPTION_LIST) {
			struct option_list *list = table->value;
			free(list->item);
			*list = (struct option_list){ NULL, 0 };
		}
}
