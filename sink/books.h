/* The books: every frame that a source emitted is a row or a counted drop. */
#ifndef SINK_BOOKS_H
#define SINK_BOOKS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "sink/keys.h"
#include "sink/store.h"
#include "common/text.h"

/* Check one run against the keys that are there, drops included, and add a line to *words: what
 * balances, or which seqs are missing. A run whose end was never seen does not balance. */
bool books_check(const struct store_run *run, struct keys *have, struct text *words);

/* "cam/12: 4-9, 17; cam/13: 0" */
void books_drops(const struct keys *drops, struct text *words);

/* sink --audit: check all runs of a store, print a line for each. 0 all balance, 1 not, -1 *e. */
int books_audit(const char *path, struct err *e);

#endif
