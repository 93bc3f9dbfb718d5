/* Which keys (source, run, seq) are there: as ranges of seq, because they come nearly in order. */
#ifndef SINK_KEYS_H
#define SINK_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct key_range {
	uint64_t first, last;
};

/* The seqs of one (source, run): ranges in rising order, never touching. */
struct key_run {
	char *source;
	uint64_t run;
	struct key_range *range;
	size_t count, capacity;
};

/* All zeroes is an empty set. */
struct keys {
	struct key_run *run;
	size_t count, capacity;
	size_t last; /* where the last search ended: most are for the same run */
};

/* NULL if nothing of it is there. Borrowed, until the next addition. */
const struct key_run *keys_run(struct keys *k, const char *source, uint64_t run);
bool keys_have(struct keys *k, const char *source, uint64_t run, uint64_t seq);

/* Add first to last: 0, or -1 out of memory. */
int keys_add(struct keys *k, const char *source, uint64_t run, uint64_t first, uint64_t last);

uint64_t keys_count(const struct key_run *r); /* NULL has none */

/* What of first to last is not there: the number of seqs; up to max ranges are written to out and
 * *ranges says how many there are in all. r may be NULL. */
uint64_t keys_missing(const struct key_run *r, uint64_t first, uint64_t last, struct key_range *out,
		      size_t max, size_t *ranges);

void keys_free(struct keys *k); /* leaves an empty set */

#endif
