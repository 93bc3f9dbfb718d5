/* The command line of a program that is no stage. */
#ifndef COMMON_PROGRAM_H
#define COMMON_PROGRAM_H

#include "common/option.h"

#ifndef ANDON_VERSION
#define ANDON_VERSION "0.1"
#endif

/* Parse options (--help, --man and --version are added) and want so many operands; opens the log.
 * --help and the like, and mistakes, end the program here. Returns where the operands begin in
 * argv. */
int program_open(const struct option_manual *manual, const struct option_row *options,
		 int operands_least, int operands_most, int argc, char **argv);

/* Say why it failed; returns the exit code. */
int program_fail(const struct err *e);

#endif
