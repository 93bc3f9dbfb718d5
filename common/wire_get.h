/* Single values out of msgpack-c. Only wire_decode.c includes this. All return 0, or -1 with *e in
 * words that go behind the key's name. */
#ifndef COMMON_WIRE_GET_H
#define COMMON_WIRE_GET_H

#include <msgpack.h>
#include <string.h>

#include "common/err.h"

/* Is it this text, of size bytes? Asked of each key of each header. */
static inline bool wire_is_text(const msgpack_object *o, const char *text, size_t size)
{
	return o->type == MSGPACK_OBJECT_STR && o->via.str.size == size &&
	       memcmp(o->via.str.ptr, text, size) == 0;
}

int wire_get_uint(const msgpack_object *o, uint64_t least, uint64_t most, uint64_t *value,
		  struct err *e);
int wire_get_int(const msgpack_object *o, int64_t least, int64_t most, int64_t *value,
		 struct err *e);

/* At least `least` bytes into out[most], as they may be printed: what is not becomes '?', a NUL
 * inside too. */
int wire_get_text(const msgpack_object *o, size_t least, char *out, size_t most, struct err *e);

/* Which of words[] it is; a word that is not there is `other`, or refused if that is negative. */
int wire_get_word(const msgpack_object *o, const char *const *words, int other, uint64_t *value,
		  struct err *e);

/* An array of count_least to count_most items: returns their number. */
int wire_get_array(const msgpack_object *o, int count_least, int count_most, struct err *e);

#endif
