/* Fingerprints are 63 bits of SHA-256: names come from outside, so a weaker hash could be made to
 * collide, and a file would be taken for another one. */
#include "capture/seen.h"

#include <stdlib.h>
#include <string.h>

#include "common/hash.h"

/* 0 when memory is short. */
static uint64_t fingerprint(const char *name, const struct stat *status)
{
	uint64_t facts[] = { (uint64_t)status->st_ino, (uint64_t)status->st_size,
			     (uint64_t)status->st_mtim.tv_sec, (uint64_t)status->st_mtim.tv_nsec };
	struct hash *h = hash_new();
	char hex[HASH_HEX];

	if (!h)
		return 0;
	hash_add(h, facts, sizeof facts);
	hash_add(h, name, strlen(name));
	hash_end(&h, hex);
	return hash_number(hex);
}

/* The place of a fingerprint, or the empty one where it belongs. */
static uint64_t *place(uint64_t *table, size_t capacity, uint64_t print)
{
	size_t i = print & (capacity - 1);

	while (table[i] != 0 && table[i] != print)
		i = (i + 1) & (capacity - 1);
	return &table[i];
}

static int grow(struct seen *s)
{
	size_t capacity = s->capacity ? 2 * s->capacity : 1024;
	uint64_t *table = calloc(capacity, sizeof *table);

	if (!table)
		return -1;
	for (size_t i = 0; i < s->capacity; i++)
		if (s->print[i])
			*place(table, capacity, s->print[i]) = s->print[i];
	free(s->print);
	s->print = table;
	s->capacity = capacity;
	return 0;
}

bool seen_before(struct seen *s, const char *name, const struct stat *status)
{
	uint64_t print = fingerprint(name, status), *at;

	if (print == 0 || (2 * s->count >= s->capacity && grow(s) < 0))
		return false;
	at = place(s->print, s->capacity, print);
	if (*at == print)
		return true;
	*at = print;
	s->count++;
	return false;
}

/* What stands behind the gap moves up if it is looked for at, or before, the gap: else a search would
 * end there and not find it. (Knuth, The Art of Computer Programming, volume 3, algorithm 6.4R.) */
static void close_gap(struct seen *s, size_t gap)
{
	size_t mask = s->capacity - 1;

	for (size_t i = (gap + 1) & mask; s->print[i]; i = (i + 1) & mask) {
		if (((i - (s->print[i] & mask)) & mask) < ((i - gap) & mask))
			continue;
		s->print[gap] = s->print[i];
		gap = i;
	}
	s->print[gap] = 0;
}

void seen_forget(struct seen *s, const char *name, const struct stat *status)
{
	uint64_t print = s->count ? fingerprint(name, status) : 0, *at;

	if (print == 0)
		return;
	at = place(s->print, s->capacity, print);
	if (*at == 0)
		return;
	close_gap(s, (size_t)(at - s->print));
	s->count--;
}

void seen_free(struct seen *s)
{
	free(s->print);
	memset(s, 0, sizeof *s);
}
