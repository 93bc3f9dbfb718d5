/* A bump allocator: blocks of 64 kB for small things, one of its own for each large one. */
#include "infer/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES ((size_t)64 << 10)
#define LARGE_BYTES (BLOCK_BYTES / 4)

struct block {
	struct block *next;
	size_t used;
	_Alignas(64) unsigned char bytes[];
};

struct arena {
	size_t limit, used;
	struct block *blocks; /* the first is the one in use */
};

struct arena *arena_new(size_t limit)
{
	struct arena *a = calloc(1, sizeof *a);

	if (a)
		a->limit = limit;
	return a;
}

void arena_free(struct arena **a)
{
	if (!*a)
		return;
	while ((*a)->blocks) {
		struct block *b = (*a)->blocks;

		(*a)->blocks = b->next;
		free(b);
	}
	free(*a);
	*a = NULL;
}

static struct block *block_new(size_t bytes)
{
	struct block *b = NULL;
	size_t whole = (sizeof *b + bytes + 63) & ~(size_t)63;

	/* Large blocks come from mmap, zeroed; only the pages that are touched cost memory. */
	b = aligned_alloc(64, whole);
	if (b)
		memset(b, 0, whole);
	return b;
}

int arena_charge(struct arena *a, size_t bytes, struct err *e)
{
	if (bytes > a->limit || a->used > a->limit - bytes)
		return err_set(
		    e,
		    "not supported: needs more than %zu MB before it runs, which its size "
		    "does not explain",
		    a->limit >> 20);
	a->used += bytes;
	return 0;
}

void arena_return(struct arena *a, size_t bytes)
{
	a->used -= bytes < a->used ? bytes : a->used;
}

void arena_allow(struct arena *a, size_t more)
{
	a->limit += more;
}

size_t arena_used(const struct arena *a)
{
	return a->used;
}

void *arena_take(struct arena *a, size_t bytes, struct err *e)
{
	size_t align = bytes >= 64 ? 64 : 16;
	struct block *b = a->blocks;
	size_t at;

	if (bytes == 0)
		bytes = 1;
	if (arena_charge(a, bytes, e) < 0)
		return NULL;
	at = b ? (b->used + align - 1) & ~(align - 1) : 0;
	if (b && bytes < LARGE_BYTES && at + bytes <= BLOCK_BYTES) {
		b->used = at + bytes;
		return b->bytes + at;
	}
	b = block_new(bytes < LARGE_BYTES ? BLOCK_BYTES : bytes);
	if (!b) {
		err_code(e, EX_OSERR, "memory is short");
		return NULL;
	}
	b->used = bytes;
	if (bytes >= LARGE_BYTES && a->blocks) { /* keep the small one in use */
		b->used = BLOCK_BYTES;
		b->next = a->blocks->next;
		a->blocks->next = b;
	} else {
		if (bytes >= LARGE_BYTES)
			b->used = BLOCK_BYTES;
		b->next = a->blocks;
		a->blocks = b;
	}
	return b->bytes;
}

void *arena_array(struct arena *a, size_t count, size_t each, struct err *e)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, each, &bytes)) {
		err_set(e, "invalid: %zu elements of %zu bytes", count, each);
		return NULL;
	}
	return arena_take(a, bytes, e);
}

char *arena_text(struct arena *a, const char *text, struct err *e)
{
	size_t bytes = strlen(text) + 1;
	char *copy = arena_take(a, bytes, e);

	return copy ? memcpy(copy, text, bytes) : NULL;
}
