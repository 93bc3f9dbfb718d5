#include "common/program.h"

#include <stdlib.h>

#include "common/log.h"

static bool help, man, version;

static const struct option_row shared[] = {
	{ "help", 'h', OPTION_FLAG, NULL, &help, "print this and exit", 0, 0 },
	{ "man", 0, OPTION_FLAG, NULL, &man, "print the manual page (roff) and exit", 0, 0 },
	{ "version", 0, OPTION_FLAG, NULL, &version, "print the version and exit", 0, 0 },
	{ 0 },
};

int program_fail(const struct err *e)
{
	log_error("%s", e->text);
	return e->code;
}

static void print_and_exit(const struct option_manual *manual, const struct option_row *options)
{
	if (help)
		option_help(stdout, manual, options, shared);
	else if (man)
		option_man(stdout, manual, options, shared);
	else if (version)
		printf("%s (andon) %s\n", manual->name, ANDON_VERSION);
	else
		return;
	exit(fflush(stdout) == 0 ? 0 : EX_IOERR);
}

int program_open(const struct option_manual *manual, const struct option_row *options,
		 int operands_least, int operands_most, int argc, char **argv)
{
	struct err e;

	log_open(manual->name, 0);
	int first = option_parse(options, shared, argc, argv, &e);
	if (first < 0)
		exit(program_fail(&e));
	print_and_exit(manual, options);
	int n = argc - first;
	if (n > operands_most)
		err_code(&e, EX_USAGE, "'%s' is one argument too many; try --help",
			 argv[first + operands_most]);
	else if (n < operands_least)
		err_code(&e, EX_USAGE, "%s is missing; try --help", manual->operands);
	else
		return first;
	exit(program_fail(&e));
}
