/* --help and the man page, from the table that parses the command line. */
#include "common/option.h"

#include <string.h>

static void size_text(int64_t bytes, char *out, size_t size)
{
	static const char units[] = "kMGT";
	int unit = -1;

	if (bytes <= 0)
		return;
	for (; unit < 3 && bytes % 1024 == 0; unit++)
		bytes /= 1024;
	snprintf(out, size, unit < 0 ? " [%lld]" : " [%lld%c]", (long long)bytes,
		 units[unit < 0 ? 0 : unit]);
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
	case OPTION_SIZE:
		size_text(*(int64_t *)row->value, out, size);
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
	if (own && own->name)
		fprintf(out, "\nCommon options:\n");
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
	if (own && own->name)
		fputs(".SS Common to all\n", out);
	roff_table(out, shared);
	fputs(".SH EXAMPLES\n.nf\n", out);
	each_line(m->examples, roff_line, out);
	fputs(".fi\n.SH EXIT STATUS\n", out);
	each_exit(m->exits, roff_exit, out);
}
