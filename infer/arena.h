/* Memory that is given back all at once: what belongs to a graph. A limit bounds what a hostile
 * model can make us take. */
#ifndef INFER_ARENA_H
#define INFER_ARENA_H

#include <stddef.h>

#include "common/err.h"

struct arena;

struct arena *arena_new(size_t limit); /* NULL when memory is short */
void arena_free(struct arena **a);

/* Zeroed bytes, aligned to 64 from 64 bytes on, else to 16. NULL with *e when memory is short or the
 * limit is reached. */
void *arena_take(struct arena *a, size_t bytes, struct err *e);
void *arena_array(struct arena *a, size_t count, size_t each, struct err *e);
char *arena_text(struct arena *a, const char *text, struct err *e);

/* Count bytes that are taken elsewhere on the graph's behalf (constants) against the limit: 0, or -1
 * with *e. arena_return takes them off again. */
int arena_charge(struct arena *a, size_t bytes, struct err *e);
void arena_return(struct arena *a, size_t bytes);

/* Let more be taken than arena_new was told. */
void arena_allow(struct arena *a, size_t more);

size_t arena_used(const struct arena *a);

/* Ask for huge pages for what lies here, before it is touched: fewer faults, fewer misses. */
void memory_huge(void *p, size_t bytes);

/* What lies between has been read and will not be read again: once it is much, its pages go back to the
 * system. Returns where that begins which has not gone yet. */
const char *memory_spend(const char *from, const char *to);

#endif
