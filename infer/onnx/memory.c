/* Memory for protobuf-c: blocks in a list, freed together; a message of two bytes can cost it a
 * hundred, so what it may take is bounded by the file's size. */
#include <stdlib.h>

#include "infer/onnx/parts.h"

#define BLOCK_BYTES ((size_t)64 << 10)

struct block {
	struct block *next;
	_Alignas(16) unsigned char bytes[];
};

struct reader_memory {
	ProtobufCAllocator allocator;
	struct block *blocks;
	size_t used, room; /* of the first of them */
	size_t left;
	bool full, starved; /* at its limit; the system has no more */
};

/* What does not fit gets a block, and a large piece one of its own. */
static void *take(void *context, size_t bytes)
{
	struct reader_memory *m = context;
	size_t whole = (bytes + 15) & ~(size_t)15;
	struct block *b;

	if (whole < bytes || whole > m->left) {
		m->full = true;
		return NULL;
	}
	m->left -= whole;
	if (whole <= m->room - m->used) {
		m->used += whole;
		return m->blocks->bytes + m->used - whole;
	}
	b = malloc(sizeof *b + (whole > BLOCK_BYTES ? whole : BLOCK_BYTES));
	if (!b) {
		m->starved = true;
		return NULL;
	}
	b->next = m->blocks;
	m->blocks = b;
	m->used = whole;
	m->room = whole > BLOCK_BYTES ? whole : BLOCK_BYTES;
	return b->bytes;
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

void reader_memory_free(struct reader_memory **m)
{
	if (!*m)
		return;
	while ((*m)->blocks) {
		struct block *next = (*m)->blocks->next;

		free((*m)->blocks);
		(*m)->blocks = next;
	}
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

bool reader_memory_starved(const struct reader_memory *m)
{
	return m->starved;
}
