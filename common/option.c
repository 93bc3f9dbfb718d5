/* getopt_long(3) driven by a table, and the manual written from the same table. */
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

static int check_range(const struct option_row *row, double value, const char *text, struct err *e)
{
	if (!isfinite(value))
		return err_code(e, EX_USAGE, "--%s: '%s' is not a finite number", row->name, text);
	if ((row->least != 0 || row->most != 0) && (value < row->least || value > row->most))
		return err_code(e, EX_USAGE, "--%s: '%s' is not between %.15g and %.15g%s",
				row->name, text, row->least, row->most,
				row->kind == OPTION_TIME ? " ms" : "");
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
		if (parse_time(text, &real) < 0)
			return err_code(e, EX_USAGE, "--%s: '%s' is not a time such as 150ms or 2s",
					row->name, text);
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

/* The default as --help shows it: "" where there is none worth a word. */
static const char *default_text(const struct option_row *row, char *out, size_t size)
{
	const char *text;
	int64_t ms;

	*out = '\0';
	switch (row->kind) {
	case OPTION_TEXT:
		text = *(const char **)row->value;
		if (text)
			snprintf(out, size, " [%s]", text);
		break;
	case OPTION_INT:
		snprintf(out, size, " [%lld]", (long long)*(int64_t *)row->value);
		break;
	case OPTION_REAL:
		snprintf(out, size, " [%.6g]", *(double *)row->value);
		break;
	case OPTION_TIME:
		ms = *(int64_t *)row->value;
		if (ms > 0)
			snprintf(out, size, ms % 1000 ? " [%lldms]" : " [%llds]",
				 (long long)(ms % 1000 ? ms : ms / 1000));
		break;
	default:
		break;
	}
	return out;
}

/* Lines of text, one after the other: calls back with each. */
static void each_line(const char *text, void (*line)(FILE *, const char *, size_t), FILE *out)
{
	while (text && *text) {
		size_t n = strcspn(text, "\n");
		line(out, text, n);
		text += n + (text[n] == '\n');
	}
}

/* Where --help breaks lines. */
#define WIDTH 88

/* Characters, not bytes, of UTF-8. */
static size_t columns_of(const char *text, size_t n)
{
	size_t columns = 0;

	for (size_t i = 0; i < n; i++)
		columns += (text[i] & 0xc0) != 0x80;
	return columns;
}

/* Words of text from `column` on, further lines from `indent` on; ends the line. */
static void wrap(FILE *out, const char *text, size_t n, size_t column, size_t indent)
{
	size_t at = 0;

	while (at < n) {
		size_t word = at + strspn(text + at, " ");
		size_t end = word;
		while (end < n && text[end] != ' ')
			end++;
		size_t width = columns_of(text + at, end - at);
		if (column + width > WIDTH && column > indent) {
			fprintf(out, "\n%*s", (int)indent, "");
			column = indent;
			width = columns_of(text + word, end - word);
			at = word;
		}
		fwrite(text + at, 1, end - at, out);
		column += width;
		at = end;
	}
	fputc('\n', out);
}

static void prose_line(FILE *out, const char *text, size_t n)
{
	fputs(n ? "  " : "", out);
	wrap(out, text, n, 2, 2);
}

/* As it stands: shell commands. */
static void plain_line(FILE *out, const char *text, size_t n)
{
	fprintf(out, n ? "  %.*s\n" : "\n", (int)n, text);
}

static const char common_exits[] =
    "0\tthe stream ended, or the program was asked to stop\n"
    "64\ta mistake on the command line\n"
    "65\tbad data: a model, a configuration or a stream that cannot be used\n"
    "66\tno such file, folder or device\n"
    "70\ta fault of the program itself\n"
    "71\tthe system refuses memory, threads or files\n"
    "73\tan output cannot be created\n"
    "74\treading or writing failed\n"
    "75\tsomething passing: a neighbour is gone or memory is short; try again\n"
    "77\ta key folder where others may read or write\n";

static void exit_line(FILE *out, const char *text, size_t n)
{
	size_t tab = strcspn(text, "\t");

	fprintf(out, "  %-4.*s", (int)tab, text);
	wrap(out, text + tab + 1, n - tab - 1, 6, 6);
}

static void help_table(FILE *out, const struct option_row *table)
{
	char left[64], preset[128], text[512];

	for (; table && table->name; table++) {
		int n = table->letter
			    ? snprintf(left, sizeof left, "-%c, --%s", table->letter, table->name)
			    : snprintf(left, sizeof left, "    --%s", table->name);
		if (table->argument)
			snprintf(left + n, sizeof left - (size_t)n, " %s", table->argument);
		fprintf(out, "  %-26s%s", left,
			strlen(left) > 25 ? "\n                            " : "");
		snprintf(text, sizeof text, "%s%s", table->help,
			 default_text(table, preset, sizeof preset));
		wrap(out, text, strlen(text), 28, 28);
	}
}

/* The common exit codes, but for those that the stage explains itself, and then these. */
static void each_exit(const char *own, void (*line)(FILE *, const char *, size_t), FILE *out)
{
	for (const char *c = common_exits; *c; c += strcspn(c, "\n") + 1) {
		const char *o = own;
		while (o && *o && strncmp(o, c, strcspn(c, "\t") + 1) != 0) {
			o += strcspn(o, "\n");
			o += *o == '\n';
		}
		if (!o || !*o)
			line(out, c, strcspn(c, "\n"));
	}
	each_line(own, line, out);
}

void option_help(FILE *out, const struct option_manual *m, const struct option_row *own,
		 const struct option_row *shared)
{
	fprintf(out, "%s - %s\n\nUsage: %s [OPTION…]%s%s\n\n", m->name, m->summary, m->name,
		m->operands ? " " : "", m->operands ? m->operands : "");
	each_line(m->description, prose_line, out);
	fprintf(out, "\nOptions:\n");
	help_table(out, own);
	if (table_length(own))
		fprintf(out, "\nOptions of every stage:\n");
	help_table(out, shared);
	fprintf(out, "\nExamples:\n");
	each_line(m->examples, plain_line, out);
	fprintf(out, "\nExit status:\n");
	each_exit(m->exits, exit_line, out);
}

/* roff: a backslash and a leading dot or quote mean something; '-' alone may become a hyphen. */
static void roff_text(FILE *out, const char *text, size_t n)
{
	if (n && (*text == '.' || *text == '\''))
		fputs("\\&", out);
	for (size_t i = 0; i < n; i++)
		if (text[i] == '\\')
			fputs("\\e", out);
		else if (text[i] == '-')
			fputs("\\-", out);
		else
			fputc(text[i], out);
}

static void roff_line(FILE *out, const char *text, size_t n)
{
	if (!n) {
		fputs(".PP\n", out);
		return;
	}
	roff_text(out, text, n);
	fputc('\n', out);
}

static void roff_exit(FILE *out, const char *text, size_t n)
{
	size_t tab = strcspn(text, "\t");

	fputs(".TP\n.B ", out);
	roff_text(out, text, tab);
	fputc('\n', out);
	roff_text(out, text + tab + 1, n - tab - 1);
	fputc('\n', out);
}

static void roff_table(FILE *out, const struct option_row *table)
{
	char preset[128];

	for (; table && table->name; table++) {
		fputs(".TP\n\\fB", out);
		if (table->letter)
			fprintf(out, "\\-%c\\fR, \\fB", table->letter);
		fputs("\\-\\-", out);
		roff_text(out, table->name, strlen(table->name));
		fputs("\\fR", out);
		if (table->argument)
			fprintf(out, " \\fI%s\\fR", table->argument);
		fputc('\n', out);
		roff_text(out, table->help, strlen(table->help));
		default_text(table, preset, sizeof preset);
		roff_text(out, preset, strlen(preset));
		fputc('\n', out);
	}
}

void option_man(FILE *out, const struct option_manual *m, const struct option_row *own,
		const struct option_row *shared)
{
	fprintf(out, ".TH ANDON-%s 1 \"\" andon \"andon manual\"\n.SH NAME\nandon-%s \\- ", m->name,
		m->name);
	roff_text(out, m->summary, strlen(m->summary));
	fprintf(out, "\n.SH SYNOPSIS\n.B %s\n[OPTION…] %s\n.SH DESCRIPTION\n", m->name,
		m->operands ? m->operands : "");
	each_line(m->description, roff_line, out);
	fputs(".SH OPTIONS\n", out);
	roff_table(out, own);
	if (table_length(own))
		fputs(".SS Of every stage\n", out);
	roff_table(out, shared);
	fputs(".SH EXAMPLES\n.nf\n", out);
	each_line(m->examples, roff_line, out);
	fputs(".fi\n.SH EXIT STATUS\n", out);
	each_exit(m->exits, roff_exit, out);
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
