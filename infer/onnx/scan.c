/* A walk over the wire format, guided by the message's description, before protobuf-c sees the
 * bytes: protobuf-c recurses as deep as the file says, and this does not; and it copies all it reads.
 * What it gets instead of the file is an extract: the same message, but for the raw values of tensors, which
 * are most of a file and stay where they are; the extract says where.
 * https://protobuf.dev/programming-guides/encoding/ */
#include <stdlib.h>
#include <string.h>

#include "infer/onnx/parts.h"

#define DEPTH_MAX 24   /* ModelProto → … → TensorProto takes 5; each nested If four more */
#define LENGTH_BYTES 5 /* of a length that is not known before what follows it is written */
#define RAW_DATA 9     /* TensorProto's field */
#define MESSAGE_MOST ((uint64_t)INT32_MAX) /* protobuf-c's own limit */

static const char broken[] = "invalid: no ONNX model: the file is cut short or broken";

struct cursor {
	const uint8_t *at, *end;
};

struct scan {
	const uint8_t *file;
	uint8_t *out; /* NULL: count only */
	size_t bytes;
};

static int varint(struct cursor *c, uint64_t *value)
{
	*value = 0;
	for (int shift = 0; shift < 70 && c->at < c->end; shift += 7) {
		uint8_t byte = *c->at++;

		if (shift == 63 && byte > 1)
			return -1;
		*value |= (uint64_t)(byte & 127) << shift;
		if (byte < 128)
			return 0;
	}
	return -1;
}

static int skip(struct cursor *c, uint64_t count)
{
	if (count > (uint64_t)(c->end - c->at))
		return -1;
	c->at += count;
	return 0;
}

/* Past a value that is no run of bytes. */
static int skip_value(struct cursor *c, int wire_type, struct err *e)
{
	uint64_t value;

	if (wire_type != 0 && wire_type != 1 && wire_type != 5)
		return err_set(e, "invalid: no ONNX model (wire type %d)", wire_type);
	if (wire_type == 0 ? varint(c, &value) < 0 : skip(c, wire_type == 1 ? 8 : 4) < 0)
		return err_set(e, "%s", broken);
	return 0;
}

static const ProtobufCMessageDescriptor *submessage(const ProtobufCMessageDescriptor *d,
						    uint64_t number)
{
	const ProtobufCFieldDescriptor *f =
	    number < INT32_MAX ? protobuf_c_message_descriptor_get_field(d, (unsigned)number)
			       : NULL;

	return f && f->type == PROTOBUF_C_TYPE_MESSAGE ? f->descriptor : NULL;
}

/* --- the extract ---------------------------------------------------------------------------------- */

static void put(struct scan *s, const void *from, size_t bytes)
{
	if (s->out)
		memcpy(s->out + s->bytes, from, bytes);
	s->bytes += bytes;
}

/* As a varint that is padded to a fixed width. */
static void put_length(uint8_t *to, size_t value)
{
	for (int i = 0; i < LENGTH_BYTES; i++, value >>= 7)
		to[i] = (uint8_t)((value & 127) | (i < LENGTH_BYTES - 1 ? 128 : 0));
}

/* Instead of raw values: where they lie, if that is shorter, else themselves; a byte says which. */
static void put_raw(struct scan *s, struct cursor raw)
{
	struct raw_place place = { (uint64_t)(raw.at - s->file), (uint64_t)(raw.end - raw.at) };
	uint8_t here = place.bytes <= sizeof place;
	uint8_t length = (uint8_t)(1 + (here ? place.bytes : sizeof place));

	put(s, &length, 1);
	put(s, &here, 1);
	put(s, here ? (const void *)raw.at : &place, length - 1u);
}

int raw_values(const struct graph *g, const ProtobufCBinaryData *p, const uint8_t **values,
	       size_t *bytes, struct err *e)
{
	struct raw_place place;

	if (p->len >= 1 && p->data[0]) {
		*values = p->data + 1;
		*bytes = p->len - 1;
		return 0;
	}
	if (p->len != 1 + sizeof place)
		return err_set(e, "%s", broken);
	memcpy(&place, p->data + 1, sizeof place);
	if (place.at > g->file_size || place.bytes > g->file_size - place.at)
		return err_set(e, "%s", broken);
	*values = g->file + place.at;
	*bytes = place.bytes;
	return 0;
}

/* --- the walk ------------------------------------------------------------------------------------- */

static int scan(struct scan *s, const ProtobufCMessageDescriptor *d, struct cursor *c, int depth,
		struct err *e)
{
	if (depth > DEPTH_MAX)
		return err_set(e, "not supported: graphs nested deeper than %d levels", DEPTH_MAX);
	while (c->at < c->end) {
		const ProtobufCMessageDescriptor *sub;
		const uint8_t *field = c->at, *behind_key;
		struct cursor inner;
		uint64_t key, value;
		size_t length;

		if (varint(c, &key) < 0 || key >> 3 == 0)
			return err_set(e, "%s", broken);
		behind_key = c->at;
		if ((key & 7) != 2) {
			if (skip_value(c, (int)(key & 7), e) < 0)
				return -1;
			put(s, field, (size_t)(c->at - field));
			continue;
		}
		if (varint(c, &value) < 0)
			return err_set(e, "%s", broken);
		inner = (struct cursor){ c->at, c->at };
		if (skip(c, value) < 0)
			return err_set(e, "%s", broken);
		inner.end = c->at;
		if (value > MESSAGE_MOST)
			return err_set(e, "invalid: no ONNX model");
		if (d == &onnx__tensor_proto__descriptor && key >> 3 == RAW_DATA) {
			put(s, field, (size_t)(behind_key - field));
			put_raw(s, inner);
			continue;
		}
		sub = submessage(d, key >> 3);
		if (!sub) {
			put(s, field, (size_t)(c->at - field));
			continue;
		}
		put(s, field, (size_t)(behind_key - field));
		length = s->bytes;
		s->bytes += LENGTH_BYTES;
		if (scan(s, sub, &inner, depth + 1, e) < 0)
			return -1;
		if (s->out)
			put_length(s->out + length, s->bytes - length - LENGTH_BYTES);
	}
	return 0;
}

uint8_t *scan_message(const ProtobufCMessageDescriptor *d, const uint8_t *bytes, size_t size,
		      size_t *extract_bytes, struct err *e)
{
	struct cursor c = { bytes, bytes + size };
	struct scan s = { .file = bytes };

	if (scan(&s, d, &c, 0, e) < 0)
		return NULL;
	s.out = malloc(s.bytes + 1);
	if (!s.out) {
		err_code(e, EX_OSERR, "memory is short");
		return NULL;
	}
	*extract_bytes = s.bytes;
	c.at = bytes;
	s.bytes = 0;
	scan(&s, d, &c, 0, e);
	return s.out;
}
