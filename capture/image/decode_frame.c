/* Frames that killed their workers (--dead-letter, common/letter.h), to be sent again: pictures as
 * pixels, tensors as they are. They are new parts; meta says which they were. */
#include "capture/image/decode.h"

#include <string.h>

#include "common/envelope.h"
#include "common/letter.h"

static bool frame_begins(const uint8_t *bytes, size_t size)
{
	return size >= 8 && memcmp(bytes, ENVELOPE_MAGIC, 8) == 0;
}

static int frame_extent(struct extent *x, const uint8_t *bytes, size_t size, struct err *e)
{
	struct envelope envelope;

	if (size < ENVELOPE_HEAD)
		return 0;
	if (!envelope_head(bytes, &envelope))
		return err_set(e, "frame: sizes out of bounds");
	x->at = ENVELOPE_HEAD + envelope.header + envelope.payload;
	return x->at <= size;
}

/* Which part it was, and what had been said of it. */
static void remember(struct frame *f, const struct frame *dead)
{
	const char *path = frame_text(dead, "path");

	frame_meta_text(f, "dead_source", dead->source);
	frame_meta_int(f, "dead_run", (int64_t)dead->run);
	frame_meta_int(f, "dead_seq", (int64_t)dead->seq);
	frame_meta_int(f, "dead_ts", dead->captured_ns);
	if (path)
		frame_meta_text(f, "dead_path", path);
	for (int i = 0; i < dead->meta_count; i++) {
		const struct meta_item *item = &dead->meta[i];
		if (frame_meta(f, item->key))
			continue;
		if (item->kind == META_TEXT)
			frame_meta_text(f, item->key, item->as.text);
		else if (item->kind == META_INT)
			frame_meta_int(f, item->key, item->as.integer);
		else
			frame_meta_real(f, item->key, item->as.real);
	}
}

static int take(struct frame *f, const struct message *m, const uint8_t *payload, size_t size,
		struct err *e)
{
	const struct frame *dead = m->frame;

	if (m->dropped || dead->status != FRAME_OK || dead->dtype == DTYPE_NONE)
		return err_set(e, "it holds neither pixels nor a tensor");
	if (wire_check_payload(m, size, e) < 0 ||
	    frame_shape(f, dead->kind, dead->dtype, dead->rank, dead->shape, e) < 0)
		return -1;
	memcpy(f->payload->data, payload, size);
	remember(f, dead);
	return 0;
}

static int frame_decode(struct frame *f, const uint8_t *bytes, size_t size,
			const struct decode_options *options, struct err *e)
{
	struct envelope x;
	struct message m;
	int result = -1;

	(void)options;
	if (size < ENVELOPE_HEAD)
		return err_set(e, "the file ends too early");
	if (!envelope_head(bytes, &x))
		return err_set(e, "sizes out of bounds");
	if (size < ENVELOPE_HEAD + x.header + x.payload)
		return err_set(e, "the file ends too early");
	if (envelope_header(bytes, &x, &m, e) < 0)
		return -1;
	const uint8_t *payload = bytes + ENVELOPE_HEAD + x.header;
	if (!envelope_payload(bytes, payload, x.payload))
		err_set(e, "the checksum of its payload is wrong");
	else
		result = take(f, &m, payload, m.has_payload ? x.payload : SIZE_MAX, e);
	message_clear(&m);
	return result;
}

const struct decoder decoder_frame = {
	.name = "frame",
	.suffixes = LETTER_SUFFIX,
	.begins = frame_begins,
	.extent = frame_extent,
	.decode = frame_decode,
};
