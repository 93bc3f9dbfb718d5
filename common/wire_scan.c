/* Walks the bytes once, by the table of formats in the MessagePack specification. Costs about a
 * nanosecond per byte and allocates nothing; afterwards the decoder can neither be made to allocate
 * more than the bytes deserve nor to go deeper than its stack. */
#include "common/wire_scan.h"

#include <stdint.h>

enum form { NEVER, PLAIN, BYTES, ARRAY, MAP };

struct cursor {
	const uint8_t *at, *end;
	struct err *e;
};

/* What follows the first byte of the formats 0xc0 to 0xdf: count_bytes of big-endian length or
 * count, then extra bytes, then as many bytes or values as the count says. */
static const struct {
	uint8_t form, count_bytes, extra;
} heads[32] = {
	{ PLAIN, 0, 0 },  { NEVER, 0, 0 }, { PLAIN, 0, 0 },
	{ PLAIN, 0, 0 },                                    /* nil never false true */
	{ BYTES, 1, 0 },  { BYTES, 2, 0 }, { BYTES, 4, 0 }, /* bin */
	{ BYTES, 1, 1 },  { BYTES, 2, 1 }, { BYTES, 4, 1 }, /* ext: a type too */
	{ PLAIN, 0, 4 },  { PLAIN, 0, 8 },                  /* float */
	{ PLAIN, 0, 1 },  { PLAIN, 0, 2 }, { PLAIN, 0, 4 },
	{ PLAIN, 0, 8 }, /* uint */
	{ PLAIN, 0, 1 },  { PLAIN, 0, 2 }, { PLAIN, 0, 4 },
	{ PLAIN, 0, 8 }, /* int */
	{ PLAIN, 0, 2 },  { PLAIN, 0, 3 }, { PLAIN, 0, 5 },
	{ PLAIN, 0, 9 },                                    /* fixext */
	{ PLAIN, 0, 17 },                                   /* fixext 16 */
	{ BYTES, 1, 0 },  { BYTES, 2, 0 }, { BYTES, 4, 0 }, /* str */
	{ ARRAY, 2, 0 },  { ARRAY, 4, 0 }, { MAP, 2, 0 },
	{ MAP, 4, 0 },
};

static int short_of(struct cursor *c)
{
	return err_set(c->e, "the MessagePack ends in the middle of a value");
}

/* The head of one value: its form, and how many bytes or values follow. */
static int head(struct cursor *c, enum form *form, uint32_t *count)
{
	if (c->at == c->end)
		return short_of(c);
	uint8_t b = *c->at++;

	*count = 0;
	*form = PLAIN;
	if (b < 0x80 || b >= 0xe0)
		return 0;
	if (b < 0xc0) {
		*form = b < 0x90 ? MAP : b < 0xa0 ? ARRAY : BYTES;
		*count = b < 0xa0 ? b & 0x0f : b & 0x1f;
		return 0;
	}
	*form = heads[b & 0x1f].form;
	uint32_t n = heads[b & 0x1f].count_bytes, extra = heads[b & 0x1f].extra;
	if (*form == NEVER)
		return err_set(c->e, "byte 0xc1 is not MessagePack");
	if ((size_t)(c->end - c->at) < n + extra)
		return short_of(c);
	for (; n > 0; n--)
		*count = *count << 8 | *c->at++;
	c->at += extra;
	return 0;
}

static int value(struct cursor *c, int depth_left)
{
	enum form form = PLAIN;
	uint32_t count = 0;

	if (head(c, &form, &count) < 0)
		return -1;
	if (form == PLAIN)
		return 0;
	if (count > (size_t)(c->end - c->at) / (form == MAP ? 2 : 1))
		return form == BYTES ? short_of(c)
				     : err_set(c->e,
					       "a container claims %u items, but only %zu bytes "
					       "follow",
					       count, (size_t)(c->end - c->at));
	if (form == BYTES) {
		c->at += count;
		return 0;
	}
	if (depth_left == 0)
		return err_set(c->e, "containers are nested too deep");
	for (uint64_t n = (uint64_t)count * (form == MAP ? 2 : 1); n > 0; n--)
		if (value(c, depth_left - 1) < 0)
			return -1;
	return 0;
}

int wire_scan(const void *data, size_t size, int depth_most, struct err *e)
{
	struct cursor c = { data, (const uint8_t *)data + size, e };

	if (value(&c, depth_most) < 0)
		return -1;
	if (c.at != c.end)
		return err_set(e, "%zu bytes follow the MessagePack value", (size_t)(c.end - c.at));
	return 0;
}
