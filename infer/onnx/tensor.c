/* TensorProto to tensor: the values stand in raw_data (little-endian, at any alignment) or in the
 * field of their type, and must be exactly as many as the dims say. */
#include <stdlib.h>
#include <string.h>

#include "infer/half.h"
#include "infer/onnx/parts.h"

int read_type(int number, enum dtype *dtype, bool *half, struct err *e)
{
	*half = number == DTYPE_F16;
	*dtype = tensor_held((enum dtype)number);
	if (number <= 0 || number > 23)
		return err_set(e, "invalid: element type %d", number);
	if (dtype_size(*dtype) == 0)
		return err_set(e, "not supported: element type %d (%s)", number,
			       number == 8    ? "string"
			       : number == 12 ? "uint32"
			       : number == 13 ? "uint64"
			       : number == 16 ? "bfloat16"
					      : "complex or float8");
	return 0;
}

static int short_of(const struct tensor *t, size_t have, struct err *e)
{
	return err_set(e, "invalid: tensor '%.80s' holds %zu values, its shape asks for %zu",
		       t->name, have, tensor_count(t));
}

static int from_raw(struct tensor *t, const ProtobufCBinaryData *raw, struct err *e)
{
	size_t each = t->half ? 2 : dtype_size(t->dtype), count = tensor_count(t);

	if (raw->len != count * each)
		return short_of(t, raw->len / each, e);
	if (!t->half) {
		if (raw->len)
			memcpy(t->data, raw->data, raw->len);
		return 0;
	}
	half_to_float(raw->data, t->data, count);
	return 0;
}

static int from_int32(struct tensor *t, const Onnx__TensorProto *p, struct err *e)
{
	if (p->n_int32_data != tensor_count(t))
		return short_of(t, p->n_int32_data, e);
	for (size_t i = 0; i < p->n_int32_data; i++) {
		int32_t v = p->int32_data[i];

		if (t->half)
			((float *)t->data)[i] = half_value((uint16_t)v);
		else if (t->dtype == DTYPE_I32)
			((int32_t *)t->data)[i] = v;
		else if (t->dtype == DTYPE_BOOL)
			((uint8_t *)t->data)[i] = v != 0;
		else if (dtype_size(t->dtype) == 1)
			((uint8_t *)t->data)[i] = (uint8_t)v;
		else
			((uint16_t *)t->data)[i] = (uint16_t)v;
	}
	return 0;
}

static int from_field(struct tensor *t, size_t have, const void *data, struct err *e)
{
	if (have != tensor_count(t))
		return short_of(t, have, e);
	if (have)
		memcpy(t->data, data, tensor_bytes(t));
	return 0;
}

static int values(struct tensor *t, const Onnx__TensorProto *p, struct err *e)
{
	if (p->has_raw_data)
		return from_raw(t, &p->raw_data, e);
	if (t->half)
		return from_int32(t, p, e);
	switch (t->dtype) {
	case DTYPE_F32:
		return from_field(t, p->n_float_data, p->float_data, e);
	case DTYPE_F64:
		return from_field(t, p->n_double_data, p->double_data, e);
	case DTYPE_I64:
		return from_field(t, p->n_int64_data, p->int64_data, e);
	default:
		return from_int32(t, p, e);
	}
}

/* Bytes that the file brings for it: what its shape asks for is not taken before they are there. */
static size_t backing(const Onnx__TensorProto *p)
{
	return p->has_raw_data
		   ? p->raw_data.len
		   : p->n_float_data + p->n_double_data + p->n_int64_data + p->n_int32_data;
}

/* Raw values that lie in memory as t's do become t's, without a copy: 1 done, 0 they must be copied,
 * -1 with *e. */
static int take_over(struct graph *g, struct tensor *t, const Onnx__TensorProto *p, struct err *e)
{
	const ProtobufCBinaryData *raw = &p->raw_data;

	if (!g->reader || !p->has_raw_data || t->half || raw->len != tensor_bytes(t) ||
	    !reader_memory_give(g->reader, raw->data, raw->len))
		return 0;
	if (graph_adopt(g, t, raw->data, e) == 0)
		return 1;
	free(raw->data);
	return -1;
}

int read_tensor(struct graph *g, struct tensor *t, const Onnx__TensorProto *p, struct err *e)
{
	enum dtype dtype;
	int taken;

	if (p->n_external_data > 0 ||
	    (p->has_data_location &&
	     p->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL))
		return err_set(e,
			       "not supported: tensor '%.80s' keeps its values in another file "
			       "(external data); save the model as one file",
			       t->name);
	if (p->segment)
		return err_set(e, "not supported: tensor '%.80s' comes in segments", t->name);
	if (p->n_dims > TENSOR_RANK_MAX)
		return err_set(e, "not supported: tensor '%.80s' of rank %zu (at most %d)", t->name,
			       p->n_dims, TENSOR_RANK_MAX);
	if (read_type(p->data_type, &dtype, &t->half, e) < 0 ||
	    tensor_shape(t, dtype, (int)p->n_dims, p->dims, e) < 0)
		return err_at(e, "tensor '%.80s'", t->name);
	if (tensor_count(t) > backing(p))
		return short_of(t, backing(p), e);
	taken = take_over(g, t, p, e);
	if (taken < 0 || (!taken && (graph_fill(g, t, e) < 0 || values(t, p, e) < 0)))
		return -1;
	if (!taken && p->has_raw_data && g->reader) /* nobody reads them again */
		reader_memory_drop(g->reader, p->raw_data.data, p->raw_data.len);
	t->constant = true;
	return 0;
}
