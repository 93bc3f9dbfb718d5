/* A pool of aligned buffers. A stage sees the same few sizes again and again; taking them from
 * malloc would map and unmap (and clear) megabytes for each picture. */
#include "common/buffer.h"

#include <pthread.h>
#include <stdlib.h>

/* Idle memory is bounded by count and by bytes. */
#define POOL_COUNT 64
#define POOL_BYTES ((size_t)64 << 20)

static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static struct buffer *pool;
static size_t pool_count, pool_bytes;

/* First idle buffer that is large enough without wasting more than it uses. */
static struct buffer *pool_take(size_t size)
{
	struct buffer *found = NULL;

	pthread_mutex_lock(&pool_lock);
	for (struct buffer **at = &pool; *at; at = &(*at)->next) {
		if ((*at)->capacity < size || (*at)->capacity / 2 > size)
			continue;
		found = *at;
		*at = found->next;
		pool_count--;
		pool_bytes -= found->capacity;
		break;
	}
	pthread_mutex_unlock(&pool_lock);
	return found;
}

static void destroy(struct buffer *b)
{
	free(b->data);
	free(b);
}

static void pool_give(struct buffer *b)
{
	pthread_mutex_lock(&pool_lock);
	if (pool_count < POOL_COUNT && b->capacity <= POOL_BYTES - pool_bytes) {
		b->next = pool;
		pool = b;
		pool_count++;
		pool_bytes += b->capacity;
		b = NULL;
	}
	pthread_mutex_unlock(&pool_lock);
	if (b)
		destroy(b);
}

struct buffer *buffer_new(size_t size)
{
	if (size > SIZE_MAX - BUFFER_ALIGN)
		return NULL;
	size_t capacity = (size + BUFFER_ALIGN) / BUFFER_ALIGN * BUFFER_ALIGN;
	struct buffer *b = pool_take(capacity);

	if (!b) {
		b = calloc(1, sizeof *b);
		if (!b)
			return NULL;
		b->data = aligned_alloc(BUFFER_ALIGN, capacity);
		if (!b->data) {
			free(b);
			return NULL;
		}
		b->capacity = capacity;
	}
	b->size = size;
	b->next = NULL;
	__atomic_store_n(&b->references, 1, __ATOMIC_RELAXED);
	return b;
}

struct buffer *buffer_wrap(size_t room, void (*release)(void *room))
{
	struct buffer *b = calloc(1, sizeof *b + room);

	if (!b)
		return NULL;
	b->references = 1;
	b->release = release;
	return b;
}

void *buffer_room(struct buffer *b)
{
	return b + 1;
}

struct buffer *buffer_ref(struct buffer *b)
{
	if (b)
		__atomic_add_fetch(&b->references, 1, __ATOMIC_RELAXED);
	return b;
}

void buffer_unref(struct buffer **b)
{
	struct buffer *gone = *b;

	*b = NULL;
	if (!gone || __atomic_sub_fetch(&gone->references, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	if (gone->release) {
		gone->release(buffer_room(gone));
		free(gone);
	} else {
		pool_give(gone);
	}
}

int buffer_is_own(const struct buffer *b)
{
	return !b->release && __atomic_load_n(&b->references, __ATOMIC_ACQUIRE) == 1;
}

void buffer_pool_drain(void)
{
	pthread_mutex_lock(&pool_lock);
	while (pool) {
		struct buffer *next = pool->next;
		destroy(pool);
		pool = next;
	}
	pool_count = pool_bytes = 0;
	pthread_mutex_unlock(&pool_lock);
}
