/* Command-line options from one table: parsing, --help and the man page cannot disagree. */
#ifndef COMMON_OPTION_H
#define COMMON_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/err.h"

enum option_kind {
	OPTION_FLAG,  /* bool *           set to true; takes no argument              */
	OPTION_COUNT, /* int *            one more each time                          */
	OPTION_TEXT,  /* const char **    the argument as it stands                   */
	OPTION_INT,   /* int64_t *        a whole number in [least, most]             */
	OPTION_REAL,  /* double *         a finite number in [least, most]            */
	OPTION_TIME,  /* int64_t *        milliseconds: "150ms", "2s", "1m", in [least, most] ms */
	OPTION_SIZE, /* int64_t *        bytes: "4096", "64k", "500M", "1G" (1024 each), in [least, most] */
	OPTION_LIST, /* struct option_list *  one more entry each time it is given   */
};

struct option_list {
	const char **item; /* point into argv */
	size_t count;
};

/* A table ends with a row whose name is NULL. What stands in *value before parsing is the default,
 * and --help shows it. */
struct option_row {
	const char *name; /* long name, without dashes */
	char letter;      /* short name, or 0 */
	enum option_kind kind;
	const char *argument; /* placeholder in --help, NULL for a flag */
	void *value;
	const char *help;   /* one sentence, no full stop */
	double least, most; /* both 0: any */
};

/* What --help and the man page say beside the options. */
struct option_manual {
	const char *name;        /* "capture" */
	const char *summary;     /* "turn pictures into frames": completes "NAME - …" */
	const char *operands;    /* "SOURCE…", or NULL */
	const char *description; /* paragraphs, separated by an empty line */
	const char
	    *examples; /* lines: shell commands; a line that starts with '#' explains the next */
	const char
	    *exits; /* exit codes beyond the common ones: lines "CODE TAB meaning"; or NULL */
};

/* Parse argv against up to two tables (own first, then what all stages share; either may be NULL).
 * argv is permuted so that the operands come last; returns the index of the first, or -1 with *e
 * (code EX_USAGE) naming the culprit. Abbreviations of long names are refused: scripts that use
 * them break when an option is added. */
int option_parse(const struct option_row *own, const struct option_row *shared, int argc,
		 char **argv, struct err *e);

/* Write --help as text, or as a man page (roff, man(7) macros). */
void option_help(FILE *out, const struct option_manual *manual, const struct option_row *own,
		 const struct option_row *shared);
void option_man(FILE *out, const struct option_manual *manual, const struct option_row *own,
		const struct option_row *shared);

/* Free the arrays of OPTION_LIST rows. */
void option_free(const struct option_row *table);

#endif
