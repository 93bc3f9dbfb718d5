/* Single values out of msgpack-c, each within its bounds or refused in words. */
#include "common/wire_get.h"

#include "common/wire_table.h"

int wire_get_uint(const msgpack_object *o, uint64_t least, uint64_t most, uint64_t *value,
		  struct err *e)
{
	if (o->type != MSGPACK_OBJECT_POSITIVE_INTEGER || o->via.u64 < least || o->via.u64 > most)
		return err_set(e, "not a whole number from %llu to %llu", (unsigned long long)least,
			       (unsigned long long)most);
	*value = o->via.u64;
	return 0;
}

int wire_get_int(const msgpack_object *o, int64_t least, int64_t most, int64_t *value,
		 struct err *e)
{
	int64_t v;

	if (o->type == MSGPACK_OBJECT_NEGATIVE_INTEGER)
		v = o->via.i64;
	else if (o->type == MSGPACK_OBJECT_POSITIVE_INTEGER && o->via.u64 <= INT64_MAX)
		v = (int64_t)o->via.u64;
	else
		return err_set(e, "not a whole number from %lld to %lld", (long long)least,
			       (long long)most);
	if (v < least || v > most)
		return err_set(e, "%lld is not from %lld to %lld", (long long)v, (long long)least,
			       (long long)most);
	*value = v;
	return 0;
}

int wire_get_text(const msgpack_object *o, size_t least, char *out, size_t most, struct err *e)
{
	char raw[WIRE_TEXT_MAX];

	if (o->type != MSGPACK_OBJECT_STR)
		return err_set(e, "not text");
	size_t n = o->via.str.size;
	if (n < least)
		return err_set(e, "empty");
	if (n >= most)
		return err_set(e, "longer than %zu bytes", most - 1);
	if (wire_plain(o->via.str.ptr, n)) {
		memcpy(out, o->via.str.ptr, n);
		out[n] = '\0';
		return 0;
	}
	for (size_t i = 0; i < n; i++)
		raw[i] = o->via.str.ptr[i] ? o->via.str.ptr[i] : '?';
	raw[n] = '\0';
	err_clean(out, most, raw);
	return 0;
}

int wire_get_word(const msgpack_object *o, const char *const *words, int other, uint64_t *value,
		  struct err *e)
{
	if (o->type != MSGPACK_OBJECT_STR)
		return err_set(e, "not text");
	for (uint64_t i = 0; words[i]; i++)
		if (words[i][0] && wire_is_text(o, words[i], strlen(words[i]))) {
			*value = i;
			return 0;
		}
	if (other < 0)
		return err_set(e, "a word that is not known");
	*value = (uint64_t)other;
	return 0;
}

int wire_get_array(const msgpack_object *o, int count_least, int count_most, struct err *e)
{
	if (o->type != MSGPACK_OBJECT_ARRAY)
		return err_set(e, "not an array");
	if (o->via.array.size < (uint32_t)count_least || o->via.array.size > (uint32_t)count_most)
		return err_set(e, "%u items, not %d to %d", o->via.array.size, count_least,
			       count_most);
	return (int)o->via.array.size;
}
