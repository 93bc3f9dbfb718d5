/* TensorProto to tensor: the values stand in raw_data (little-endian, at any alignment) or in the
 * field of their type, and must be exactly as many as the dims say. */
#include <string.h>
#include <sys/mman.h>

#include "infer/half.h"
#include "infer/onnx/parts.h"

#define PIECE ((size_t)256 << 10)
#define PAGES ((size_t)64 << 10)

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

/* Values are read piece by piece, and the file's own pages go as that goes on: else file and values would be
 * held at once. The system brings pages in groups. */
static void release(struct graph *g, const uint8_t *from, size_t bytes)
{
	uintptr_t low = (uintptr_t)from & ~(uintptr_t)(PAGES - 1);
	uintptr_t high = ((uintptr_t)from + bytes + PAGES - 1) & ~(uintptr_t)(PAGES - 1);
	uintptr_t first = (uintptr_t)g->file, end = first + g->file_size;

	g->read_low = g->read_bytes == 0 || low < g->read_low ? low : g->read_low;
	g->read_high = g->read_bytes == 0 || high > g->read_high ? high : g->read_high;
	g->read_bytes += bytes;
	if (!g->mapped || g->read_bytes < PIECE)
		return;
	low = g->read_low > first ? g->read_low : first;
	high = g->read_high < end ? g->read_high : end;
	madvise((void *)low, high - low, MADV_DONTNEED);
	g->read_bytes = 0;
}

static int from_raw(struct graph *g, struct tensor *t, const uint8_t *raw, size_t bytes,
		    struct err *e)
{
	size_t each = t->half ? 2 : dtype_size(t->dtype), count = tensor_count(t);
	size_t room = dtype_size(t->dtype), n;

	if (bytes != count * each)
		return short_of(t, bytes / each, e);
	for (size_t i = 0; i < count; i += n) {
		char *to = (char *)t->data + i * room;

		n = count - i < PIECE / each ? count - i : PIECE / each;
		if (t->half)
			half_to_float(raw + i * each, (float *)(void *)to, n);
		else
			memcpy(to, raw + i * each, n * each);
		release(g, raw + i * each, n * each);
	}
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

static int from_fields(struct tensor *t, const Onnx__TensorProto *p, struct err *e)
{
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

/* What its shape asks for is not taken before the bytes that the file brings for it are there. */
static int values(struct graph *g, struct tensor *t, const Onnx__TensorProto *p, struct err *e)
{
	size_t have = p->n_float_data + p->n_double_data + p->n_int64_data + p->n_int32_data;
	const uint8_t *raw = NULL;

	if (p->has_raw_data && raw_values(g, &p->raw_data, &raw, &have, e) < 0)
		return -1;
	if (tensor_count(t) > have)
		return short_of(t, have, e);
	if (graph_fill(g, t, e) < 0)
		return -1;
	return raw ? from_raw(g, t, raw, have, e) : from_fields(t, p, e);
}

int read_tensor(struct graph *g, struct tensor *t, const Onnx__TensorProto *p, struct err *e)
{
	enum dtype dtype;

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
	if (values(g, t, p, e) < 0)
		return -1;
	t->constant = true;
	return 0;
}
