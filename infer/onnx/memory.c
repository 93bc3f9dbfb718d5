/* Memory for protobuf-c: blocks in a list, freed together; a message of two bytes can cost it a
 * hundred, so what it may take is bounded by the file's size. Large pieces, the values of weights,
 * have a block each and can be given back alone. */
#include <stddef.h>
#include <stdlib.h>

#include "infer/onnx/parts.h"

#define BLOCK_BYTES ((size_t)64 << 10)
#define LARGE_BYTES (BLOCK_BYTES / 4)

struct block {
	struct block *prev, *next;
	_Alignas(16) unsigned char bytes[];
};

struct reader_memory {
	ProtobufCAllocator allocator;
	struct block *blocks; /* of small pieces */
	struct block *large;
	size_t used, room; /* of the first of blocks */
	size_t left;
	bool full;
};

static void push(struct block **list, struct block *b)
{
	b->prev = NULL;
	b->next = *list;
	if (b->next)
		b->next->prev = b;
	*list = b;
}

static void *take(void *context, size_t bytes)
{
	struct reader_memory *m = context;
	size_t whole = (bytes + 15) & ~(size_t)15, size;
	struct block *b;

	if (whole < bytes || whole > m->left) {
		m->full = true;
		return NULL;
	}
	m->left -= whole;
	if (whole <= LARGE_BYTES && whole <= m->room - m->used) {
		m->used += whole;
		return m->blocks->bytes + m->used - whole;
	}
	size = whole > LARGE_BYTES ? whole : BLOCK_BYTES;
	b = malloc(sizeof *b + size);
	if (!b)
		return NULL;
	push(whole > LARGE_BYTES ? &m->large : &m->blocks, b);
	if (whole <= LARGE_BYTES) {
		m->used = whole;
		m->room = size;
	}
	return b->bytes;
}

void reader_memory_drop(struct reader_memory *m, void *piece, size_t bytes)
{
	struct block *b;

	if (bytes <= LARGE_BYTES)
		return;
	b = (struct block *)(void *)((char *)piece - offsetof(struct block, bytes));
	if (b->next)
		b->next->prev = b->prev;
	*(b->prev ? &b->prev->next : &m->large) = b->next;
	free(b);
}

static void leave(void *context, void *pointer)
{
	(void)context;
	(void)pointer;
}

struct reader_memory *reader_memory_new(size_t limit)
{
	struct reader_memory *m = calloc(1, sizeof *m);

	if (m) {
		m->allocator = (ProtobufCAllocator){ take, leave, m };
		m->left = limit;
	}
	return m;
}

static void free_all(struct block *b)
{
	while (b) {
		struct block *next = b->next;

		free(b);
		b = next;
	}
}

void reader_memory_free(struct reader_memory **m)
{
	if (!*m)
		return;
	free_all((*m)->blocks);
	free_all((*m)->large);
	free(*m);
	*m = NULL;
}

ProtobufCAllocator *reader_memory_allocator(struct reader_memory *m)
{
	return &m->allocator;
}

bool reader_memory_full(const struct reader_memory *m)
{
	return m->full;
}
