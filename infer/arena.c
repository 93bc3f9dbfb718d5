/* A bump allocator: blocks that grow with what has been taken. Large ones are mapped, so that what is
 * never touched costs nothing, and in huge pages where the system has them: packed weights are
 * written once and then read again and again. */
#include "infer/arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define BLOCK_BYTES ((size_t)64 << 10)
#define BLOCK_MOST ((size_t)32 << 20)
#define MAPPED_LEAST ((size_t)1 << 20)
#define SPEND_LEAST ((size_t)1 << 18)
#define PAGE ((size_t)4096)
#define HUGE_PAGE ((size_t)2 << 20)

struct block {
	struct block *next;
	size_t used, room;
	bool mapped;
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
		if (b->mapped)
			munmap(b, sizeof *b + b->room);
		else
			free(b);
	}
	free(*a);
	*a = NULL;
}

void memory_huge(void *p, size_t bytes)
{
	uintptr_t first = ((uintptr_t)p + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1);
	uintptr_t end = ((uintptr_t)p + bytes) & ~(uintptr_t)(HUGE_PAGE - 1);

	if (first < end)
		madvise((void *)first, end - first, MADV_HUGEPAGE);
}

const char *memory_spend(const char *from, const char *to)
{
	uintptr_t first = ((uintptr_t)from + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
	uintptr_t end = (uintptr_t)to & ~(uintptr_t)(PAGE - 1);

	if (end < first + SPEND_LEAST || madvise((void *)first, end - first, MADV_DONTNEED) != 0)
		return from;
	return (const char *)end;
}

/* Zeroed memory that begins where a huge page does. */
static void *map(size_t bytes)
{
	unsigned char *p = mmap(NULL, bytes + HUGE_PAGE, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t before;

	if (p == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)p & (HUGE_PAGE - 1);
	if (before)
		munmap(p, before);
	munmap(p + before + bytes, HUGE_PAGE - before);
	memory_huge(p + before, bytes);
	return p + before;
}

static struct block *block_new(size_t bytes)
{
	size_t whole = (sizeof(struct block) + bytes + PAGE - 1) & ~(PAGE - 1);
	struct block *b;

	if (whole < bytes)
		return NULL;
	b = whole >= MAPPED_LEAST ? map(whole) : aligned_alloc(64, whole);
	if (!b)
		return NULL;
	if (whole < MAPPED_LEAST)
		memset(b, 0, whole);
	b->mapped = whole >= MAPPED_LEAST;
	b->room = whole - sizeof *b;
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

/* What does not fit gets a block; the one that has more room left stays in use. */
static struct block *block_for(struct arena *a, size_t bytes)
{
	size_t size = a->used / 4;
	struct block *b, *old = a->blocks;

	size = size < BLOCK_BYTES ? BLOCK_BYTES : size > BLOCK_MOST ? BLOCK_MOST : size;
	b = block_new(bytes > size ? bytes : size);
	if (!b)
		return NULL;
	if (old && old->room - old->used > b->room - bytes) {
		b->next = old->next;
		old->next = b;
	} else {
		b->next = old;
		a->blocks = b;
	}
	return b;
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
	if (!b || at > b->room || bytes > b->room - at) {
		b = block_for(a, bytes);
		at = 0;
	}
	if (!b) {
		err_code(e, EX_OSERR, "memory is short");
		return NULL;
	}
	b->used = at + bytes;
	return b->bytes + at;
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
