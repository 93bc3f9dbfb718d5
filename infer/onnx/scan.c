/* A walk over the wire format, guided by the message's description, before protobuf-c sees the
 * bytes: protobuf-c recurses as deep as the file says, and this does not.
 * https://protobuf.dev/programming-guides/encoding/ */
#include "infer/onnx/parts.h"

#define DEPTH_MAX 24 /* ModelProto → … → TensorProto takes 5; each nested If four more */

struct cursor {
	const uint8_t *at, *end;
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

static const ProtobufCMessageDescriptor *submessage(const ProtobufCMessageDescriptor *d,
						    uint64_t number)
{
	const ProtobufCFieldDescriptor *f =
	    number < INT32_MAX ? protobuf_c_message_descriptor_get_field(d, (unsigned)number)
			       : NULL;

	return f && f->type == PROTOBUF_C_TYPE_MESSAGE ? f->descriptor : NULL;
}

static int scan(const ProtobufCMessageDescriptor *d, struct cursor *c, int depth, struct err *e)
{
	static const char broken[] = "invalid: no ONNX model: the file is cut short or broken";
	uint64_t key, value;

	if (depth > DEPTH_MAX)
		return err_set(e, "not supported: graphs nested deeper than %d levels", DEPTH_MAX);
	while (c->at < c->end) {
		const ProtobufCMessageDescriptor *sub;
		struct cursor inner;

		if (varint(c, &key) < 0 || key >> 3 == 0)
			return err_set(e, "%s", broken);
		switch (key & 7) {
		case 0:
			if (varint(c, &value) < 0)
				return err_set(e, "%s", broken);
			continue;
		case 1:
			if (skip(c, 8) < 0)
				return err_set(e, "%s", broken);
			continue;
		case 5:
			if (skip(c, 4) < 0)
				return err_set(e, "%s", broken);
			continue;
		case 2:
			break;
		default:
			return err_set(e, "invalid: no ONNX model (wire type %d)", (int)(key & 7));
		}
		if (varint(c, &value) < 0)
			return err_set(e, "%s", broken);
		inner = (struct cursor){ c->at, c->at };
		if (skip(c, value) < 0)
			return err_set(e, "%s", broken);
		inner.end = c->at;
		sub = submessage(d, key >> 3);
		if (sub && scan(sub, &inner, depth + 1, e) < 0)
			return -1;
	}
	return 0;
}

int scan_message(const ProtobufCMessageDescriptor *d, const uint8_t *bytes, size_t size,
		 struct err *e)
{
	struct cursor c = { bytes, bytes + size };

	return scan(d, &c, 0, e);
}
