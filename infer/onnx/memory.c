/* Memory for protobuf-c: blocks in a list, freed together; a message of two bytes can cost it a
 * hundred, so what it may take is bounded by the file's size. Large pieces, the values of weights,
 * are allocated alone, as a tensor's values are: they can be given back, or become a tensor's. What
 * protobuf-c has copied it does not read again, so the file's own pages go as it goes on: else file
 * and copy would be held at once. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "infer/onnx/parts.h"

#define BLOCK_BYTES ((size_t)64 << 10)
#define LARGE_BYTES (BLOCK_BYTES / 4)
#define PAGES_BYTES ((size_t)1 << 20) /* of the file, until they are released */

struct block {
	struct block *next;
	_Alignas(16) unsigned char bytes[];
};

/* Stands behind a large piece, in its last line, so that the piece begins where the allocation does. */
struct large {
	struct large *prev, *next;
	void *piece;
};

struct reader_memory {
	ProtobufCAllocator allocator;
	struct block *blocks; /* of small pieces */
	struct large *large;
	size_t used, room; /* of the first of blocks */
	size_t left;
	bool full, starved; /* at its limit; the system has no more */
	void *file;         /* pages that can be read again; NULL: there are none */
	size_t file_bytes, copied;
};

static size_t lines(size_t bytes)
{
	return (bytes + TENSOR_ALIGN - 1) & ~(size_t)(TENSOR_ALIGN - 1);
}

static struct large *behind(void *piece, size_t bytes)
{
	return (struct large *)(void *)((char *)piece + lines(bytes));
}

static void *take_large(struct reader_memory *m, size_t bytes)
{
	void *piece = aligned_alloc(TENSOR_ALIGN, lines(bytes) + TENSOR_ALIGN);
	struct large *l;

	if (!piece) {
		m->starved = true;
		return NULL;
	}
	l = behind(piece, bytes);
	*l = (struct large){ NULL, m->large, piece };
	if (l->next)
		l->next->prev = l;
	m->large = l;
	m->copied += bytes;
	if (m->file && m->copied > PAGES_BYTES) {
		madvise(m->file, m->file_bytes, MADV_DONTNEED);
		m->copied = 0;
	}
	return piece;
}

static void unlink_large(struct reader_memory *m, struct large *l)
{
	if (l->next)
		l->next->prev = l->prev;
	*(l->prev ? &l->prev->next : &m->large) = l->next;
}

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
	if (bytes > LARGE_BYTES)
		return take_large(m, bytes);
	if (whole <= m->room - m->used) {
		m->used += whole;
		return m->blocks->bytes + m->used - whole;
	}
	b = malloc(sizeof *b + BLOCK_BYTES);
	if (!b) {
		m->starved = true;
		return NULL;
	}
	b->next = m->blocks;
	m->blocks = b;
	m->used = whole;
	m->room = BLOCK_BYTES;
	return b->bytes;
}

void reader_memory_drop(struct reader_memory *m, void *piece, size_t bytes)
{
	if (bytes <= LARGE_BYTES)
		return;
	unlink_large(m, behind(piece, bytes));
	free(piece);
}

bool reader_memory_give(struct reader_memory *m, void *piece, size_t bytes)
{
	if (bytes <= LARGE_BYTES)
		return false;
	unlink_large(m, behind(piece, bytes));
	memset((char *)piece + bytes, 0, lines(bytes) + TENSOR_ALIGN - bytes);
	return true;
}

void reader_memory_file(struct reader_memory *m, void *file, size_t bytes)
{
	m->file = file;
	m->file_bytes = bytes;
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
	while ((*m)->large) {
		struct large *next = (*m)->large->next;

		free((*m)->large->piece);
		(*m)->large = next;
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
