#include "common/envelope.h"

#include <string.h>

#include "common/hash.h"

/* Little-endian numbers of the head: magic 8, header's size 4, mark 4, payload's size 8, hash of the
 * payload 8, hash of all that stands before it (the mark left out) and of the header 8. */
enum { AT_HEADER = 8, AT_MARK = ENVELOPE_MARK, AT_PAYLOAD = 16, AT_SUM = 24, AT_CHECK = 32 };

static void put(uint8_t *to, uint64_t value, int bytes)
{
	for (int i = 0; i < bytes; i++)
		to[i] = (uint8_t)(value >> 8 * i);
}

static uint64_t get(const uint8_t *from, int bytes)
{
	uint64_t value = 0;

	for (int i = 0; i < bytes; i++)
		value |= (uint64_t)from[i] << 8 * i;
	return value;
}

/* Of head and header, as they stand. */
static uint64_t check_of(const uint8_t *bytes, size_t header)
{
	uint8_t all[ENVELOPE_MOST];

	memcpy(all, bytes, AT_CHECK);
	memset(all + AT_MARK, 0, 4);
	memcpy(all + AT_CHECK, bytes + ENVELOPE_HEAD, header);
	return hash_quick(all, AT_CHECK + header);
}

int envelope_write(const struct frame *f, const void *payload, size_t size, bool dropped,
		   uint64_t last, uint8_t out[ENVELOPE_MOST], struct err *e)
{
	struct message m = { .kind = MESSAGE_FRAME,
			     .session = 1,
			     .link_seq = 1,
			     .frame = (struct frame *)f,
			     .has_payload = payload != NULL,
			     .payload_size = size,
			     .dropped = dropped,
			     .last = last };
	int n = wire_encode(&m, out + ENVELOPE_HEAD, WIRE_HEADER_MAX, e);

	if (n < 0)
		return -1;
	memcpy(out, ENVELOPE_MAGIC, 8);
	put(out + AT_HEADER, (uint64_t)n, 4);
	put(out + AT_MARK, 0, 4);
	put(out + AT_PAYLOAD, size, 8);
	put(out + AT_SUM, hash_quick(payload, size), 8);
	put(out + AT_CHECK, check_of(out, (size_t)n), 8);
	return ENVELOPE_HEAD + n;
}

bool envelope_head(const uint8_t *bytes, struct envelope *x)
{
	uint64_t header = get(bytes + AT_HEADER, 4), payload = get(bytes + AT_PAYLOAD, 8);

	if (memcmp(bytes, ENVELOPE_MAGIC, 8) != 0 || header > WIRE_HEADER_MAX ||
	    payload > FRAME_PAYLOAD_MAX)
		return false;
	x->header = (size_t)header;
	x->payload = (size_t)payload;
	return true;
}

int envelope_header(const uint8_t *bytes, const struct envelope *x, struct message *m,
		    struct err *e)
{
	if (get(bytes + AT_CHECK, 8) != check_of(bytes, x->header))
		return err_set(e, "its checksum is wrong");
	if (wire_decode(bytes + ENVELOPE_HEAD, x->header, m, e) < 0)
		return -1;
	if (m->kind != MESSAGE_FRAME)
		err_set(e, "it is no FRAME");
	else if (m->has_payload ? m->payload_size != x->payload : x->payload != 0)
		err_set(e, "two sizes of the payload contradict each other");
	else
		return 0;
	message_clear(m);
	return -1;
}

bool envelope_payload(const uint8_t *bytes, const void *payload, size_t size)
{
	return get(bytes + AT_SUM, 8) == hash_quick(payload, size);
}
