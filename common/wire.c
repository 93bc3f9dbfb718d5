/* What a message must be beyond its bytes: sizes that agree, and what the encoder will need. */
#include "common/wire.h"

#include <math.h>
#include <string.h>

#include "common/wire_table.h"

const char *message_kind_name(enum message_kind kind)
{
	return kind > MESSAGE_UNKNOWN && kind <= MESSAGE_BYE ? wire_kinds[kind] : "?";
}

void message_clear(struct message *m)
{
	if (m->kind == MESSAGE_FRAME)
		frame_free(&m->frame);
}

bool wire_plain(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if ((unsigned char)text[i] < 0x20 || (unsigned char)text[i] >= 0x7f)
			return false;
	return true;
}

int wire_check_payload(const struct message *m, size_t size, struct err *e)
{
	const struct frame *f = m->frame;
	size_t wanted;

	if (m->has_payload != (size != SIZE_MAX))
		return err_set(e, "%s",
			       m->has_payload ? "the payload is missing"
					      : "a payload that the header does not name");
	if (m->has_payload && m->payload_size != size)
		return err_set(e, "'size' is %llu, but the payload has %zu bytes",
			       (unsigned long long)m->payload_size, size);
	if (m->dropped || f->status != FRAME_OK || f->dtype == DTYPE_NONE)
		return 0;
	if (frame_bytes(f, &wanted, e) < 0)
		return -1;
	if (!m->has_payload)
		return err_set(e, "'size' is missing, and the frame is ok");
	if (wanted != size)
		return err_set(e, "'shape' of %s asks for %zu bytes, but 'size' is %zu",
			       dtype_name(f->dtype), wanted, size);
	return 0;
}

int wire_check_frame(const struct message *m, struct err *e)
{
	const struct frame *f = m->frame;

	if (m->dropped && m->last < f->seq)
		return err_set(e, "'last' is before 'seq'");
	if (m->dropped && m->has_payload)
		return err_set(e, "'size' in a drop");
	if (m->has_payload && m->payload_size > FRAME_PAYLOAD_MAX)
		return err_set(e, "'size' %llu is more than %zu",
			       (unsigned long long)m->payload_size, FRAME_PAYLOAD_MAX);
	return wire_check_payload(m, m->has_payload ? (size_t)m->payload_size : SIZE_MAX, e);
}

/* Text of at most `most` bytes with the NUL: key and length aside, or SIZE_MAX if it has no end. */
static size_t text_bound(const char *text, size_t most)
{
	size_t n = strnlen(text, most);

	return n == most ? SIZE_MAX / 4 : n + 3;
}

static size_t meta_bound(const struct meta_item *item)
{
	size_t key = text_bound(item->key, sizeof item->key);

	if (item->kind == META_TEXT)
		return key + text_bound(item->as.text, sizeof item->as.text);
	if (item->kind == META_REAL && !isfinite(item->as.real))
		return SIZE_MAX / 4;
	return key + 9;
}

size_t wire_frame_bound(const struct frame *f)
{
	/* All keys, numbers at their longest, eight sides; text, times and meta come on top. */
	size_t bytes =
	    384 + text_bound(f->source, sizeof f->source) + text_bound(f->reason, sizeof f->reason);

	if (f->time_count > FRAME_TIMES_MAX || f->meta_count > FRAME_META_MAX)
		return SIZE_MAX;
	for (int i = 0; i < f->time_count && bytes < SIZE_MAX / 4; i++)
		bytes += text_bound(f->time[i].stage, sizeof f->time[i].stage) + 19;
	for (int i = 0; i < f->meta_count && bytes < SIZE_MAX / 4; i++)
		bytes += meta_bound(&f->meta[i]);
	return bytes;
}
