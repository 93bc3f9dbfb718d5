/* Payload bytes, shared by reference count, 64-byte aligned, recycled through a small pool.
 * Every function may be called from any thread: ZeroMQ drops its reference in its I/O thread. */
#ifndef COMMON_BUFFER_H
#define COMMON_BUFFER_H

#include <stddef.h>
#include <stdint.h>

#define BUFFER_ALIGN 64

struct buffer {
	uint8_t *data; /* BUFFER_ALIGN aligned if buffer_new made it */
	size_t size;   /* bytes in use */
	/* what follows belongs to buffer.c */
	size_t capacity;
	int references;
	void (*release)(void *room);
	struct buffer *next;
};

/* size bytes, not cleared, one reference; NULL when memory is short. size 0 is fine. */
struct buffer *buffer_new(size_t size);

/* Bytes that somebody else holds, and room for what it holds them by: release(room) is called with the last
 * reference. The caller sets data and size. NULL when memory is short. */
struct buffer *buffer_wrap(size_t room, void (*release)(void *room));
void *buffer_room(struct buffer *b);

struct buffer *buffer_ref(struct buffer *b); /* NULL gives NULL */
void buffer_unref(struct buffer **b);        /* leaves NULL; takes NULL inside */

/* Is the caller the only holder, and the memory the pool's own, so that it may write into it? */
int buffer_is_own(const struct buffer *b);

/* Give the pool's idle memory back to the system (tests, end of program). */
void buffer_pool_drain(void);

#endif
