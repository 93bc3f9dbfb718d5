/* Options: what is taken, what is refused, and in which words. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/option.h"

static bool flag;
static int verbose;
static const char *text;
static int64_t number, span, room;
static double real;
static struct option_list list;

static const struct option_row own[] = {
	{ "model", 'm', OPTION_TEXT, "FILE", &text, "the model", 0, 0 },
	{ "count", 'n', OPTION_INT, "N", &number, "how many", 0, 1000 },
	{ "signed", 0, OPTION_INT, "N", &number, "any number", 0, 0 },
	{ "scale", 0, OPTION_REAL, "X", &real, "a factor", -2, 2 },
	{ "room", 0, OPTION_SIZE, "SIZE", &room, "how much", 1024, 1e15 },
	{ "wait", 0, OPTION_TIME, "TIME", &span, "how long", 1, 60000 },
	{ 0 },
};
static const struct option_row shared[] = {
	{ "in", 0, OPTION_LIST, "URL", &list, "where from", 0, 0 },
	{ "quiet", 'q', OPTION_FLAG, NULL, &flag, "say little", 0, 0 },
	{ "verbose", 'v', OPTION_COUNT, NULL, &verbose, "say more", 0, 0 },
	{ 0 },
};

static int checks, failures;
static char *argv[16];
static int argc;

static void check(bool good, const char *what)
{
	checks++;
	if (good)
		return;
	failures++;
	printf("FAILED: %s\n", what);
}

/* Parse words separated by blanks; returns what option_parse does. */
static int parse(const char *line, struct err *e)
{
	static char copy[500];

	snprintf(copy, sizeof copy, "%s", line);
	option_free(shared);
	flag = false;
	verbose = 0;
	text = NULL;
	number = span = -1;
	real = 0;
	argc = 0;
	argv[argc++] = (char *)"stage";
	for (char *word = strtok(copy, " "); word && argc < 15; word = strtok(NULL, " "))
		argv[argc++] = strcmp(word, "EMPTY") == 0 ? (char *)"" : word;
	argv[argc] = NULL;
	*e = (struct err){ 0 };
	return option_parse(own, shared, argc, argv, e);
}

static void good(const char *line, int operands)
{
	struct err e;
	int first = parse(line, &e);

	check(first >= 0 && argc - first == operands, line);
	if (first < 0)
		printf("  (%s)\n", e.text);
}

static void bad(const char *line, const char *word)
{
	struct err e;
	int first = parse(line, &e);

	check(first < 0 && e.code == EX_USAGE && strstr(e.text, word), line);
	if (first >= 0 || !strstr(e.text, word))
		printf("  (said: %s)\n", first < 0 ? e.text : "nothing");
}

static void check_values(void)
{
	struct err e;

	check(parse("--model a.onnx -n 5 -vv --in x --in=y pic.png", &e) == 9 &&
		  strcmp(text, "a.onnx") == 0 && number == 5 && verbose == 2 && list.count == 2 &&
		  strcmp(list.item[0], "x") == 0 && strcmp(list.item[1], "y") == 0,
	      "values of all kinds");
	check(parse("one --count=7 two -q three", &e) == 3 && number == 7 && flag &&
		  strcmp(argv[3], "one") == 0 && strcmp(argv[5], "three") == 0,
	      "operands and options may be mixed");
	check(parse("-mfile -n9 -- --quiet", &e) == 4 && strcmp(text, "file") == 0 && number == 9 &&
		  !flag && strcmp(argv[4], "--quiet") == 0,
	      "attached values; after -- all are operands");
	check(parse("--model= -", &e) == 2 && *text == '\0', "an empty value; - is an operand");
	check(parse("--model --quiet", &e) >= 0 && strcmp(text, "--quiet") == 0 && !flag,
	      "a value may look like an option");
	check(parse("--wait 150ms", &e) > 0 && span == 150, "150ms");
	check(parse("--wait 2s", &e) > 0 && span == 2000, "2s");
	check(parse("--wait 0.5m", &e) > 0 && span == 30000, "0.5m");
	check(parse("--wait 3", &e) > 0 && span == 3000, "a bare number is seconds");
	check(parse("--room 4096", &e) > 0 && room == 4096, "a bare number is bytes");
	check(parse("--room 500M", &e) > 0 && room == 500 << 20, "500M");
	check(parse("--room 1.5GB", &e) > 0 && room == 3ll << 29, "1.5GB");
	check(parse("--room 2KiB", &e) > 0 && room == 2048, "2KiB");
	check(parse("--scale -1.5", &e) > 0 && real == -1.5, "a negative real");
	check(parse("--signed -4", &e) > 0 && number == -4, "a negative number");
	check(parse("--count 0", &e) > 0 && number == 0, "the least");
}

static void check_refusals(void)
{
	bad("--nonsense", "'--nonsense'");
	bad("--nonsense=3 x", "--nonsense");
	bad("-x", "-x");
	bad("-qx", "-x");
	bad("--mod a", "--mod");
	bad("--verb", "--verb");
	bad("--mod=a pic", "--mod");
	bad("--quiet=yes", "--quiet");
	bad("pic --model", "--model");
	bad("-n", "-n");
	bad("pic -n", "-n");
	bad("--count five", "'five'");
	bad("--count 5x", "'5x'");
	bad("--count EMPTY", "--count");
	bad("--count 1001", "'1001'");
	bad("--count -1", "'-1'");
	bad("--count 99999999999999999999", "99999999999999999999");
	bad("--scale nan", "nan");
	bad("--scale inf", "inf");
	bad("--scale 2.5", "2.5");
	bad("--scale EMPTY", "--scale");
	bad("--wait 5y", "'5y'");
	bad("--wait 0", "--wait");
	bad("--wait 2m", "2m");
	bad("--wait nan", "--wait");
}

static bool contains(FILE *in, const char *wanted)
{
	char all[16384];

	rewind(in);
	size_t n = fread(all, 1, sizeof all - 1, in);
	all[n] = '\0';
	return strstr(all, wanted) != NULL;
}

static void check_manual(void)
{
	static const struct option_manual manual = { .name = "stage",
						     .summary = "does a thing",
						     .operands = "FILE…",
						     .description = "It does.\n\n.Well\\.",
						     .examples = "stage -n 3 x",
						     .exits = "99\tmore" };
	FILE *out = tmpfile();

	number = 3;
	option_help(out, &manual, own, shared);
	check(contains(out, "-m, --model FILE"), "help: an option");
	check(contains(out, "how many [3]"), "help: a default");
	check(contains(out, "    --in URL"), "help: a shared option");
	check(contains(out, "Usage: stage [OPTION…] FILE…"), "help: usage");
	check(contains(out, "99  more"), "help: an exit code of its own");
	check(contains(out, "75  "), "help: the common exit codes");
	fclose(out);
	out = tmpfile();
	option_man(out, &manual, own, shared);
	check(contains(out, "\\-\\-model"), "man: an option");
	check(contains(out, "\n\\&.Well\\e."), "man: what roff would take for a request is text");
	check(contains(out, ".TH ANDON-"), "man: the title");
	fclose(out);
}

int main(void)
{
	check_values();
	check_refusals();
	good("", 0);
	good("a b c", 3);
	good("- -", 2);
	check_manual();
	option_free(shared);
	printf("%d checks, %d failed\n", checks, failures);
	return failures > 0;
}
