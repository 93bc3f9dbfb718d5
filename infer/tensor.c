/* Shapes, strides and layouts of tensors; no arithmetic on their values. */
#include "infer/tensor.h"

#include <stdio.h>
#include <string.h>

#include "infer/kernels/qelement.h"

enum dtype tensor_held(enum dtype t)
{
	return t == DTYPE_F16 ? DTYPE_F32 : t;
}

size_t tensor_count(const struct tensor *t)
{
	size_t count = 1;

	for (int i = 0; i < t->rank; i++)
		count *= (size_t)t->dim[i];
	return count;
}

size_t tensor_bytes(const struct tensor *t)
{
	return tensor_count(t) * dtype_size(t->dtype);
}

int tensor_shape(struct tensor *t, enum dtype dtype, int rank, const int64_t *dim, struct err *e)
{
	size_t bytes = dtype_size(dtype);

	if (bytes == 0)
		return err_set(e, "invalid: no element type %d", (int)dtype);
	if (rank < 0 || rank > TENSOR_RANK_MAX)
		return err_set(e, "not supported: a tensor of rank %d (at most %d)", rank,
			       TENSOR_RANK_MAX);
	for (int i = 0; i < rank; i++)
		if (dim[i] < 0)
			return err_set(e, "invalid: dimension %d is %lld", i, (long long)dim[i]);
	/* As if no dimension were 0: loops over the others of an empty tensor must end too. */
	for (int i = 0; i < rank; i++)
		if (__builtin_mul_overflow(bytes, dim[i] ? (size_t)dim[i] : 1, &bytes) ||
		    bytes > TENSOR_BYTES_MAX)
			return err_set(e, "not supported: a tensor of more than %zu MB",
				       TENSOR_BYTES_MAX >> 20);
	t->dtype = dtype;
	t->rank = rank;
	for (int i = 0; i < rank; i++)
		t->dim[i] = dim[i];
	tensor_layout(t, LAYOUT_PLAIN);
	return 0;
}

void tensor_layout(struct tensor *t, enum layout layout)
{
	int64_t step = 1;

	t->layout = t->rank >= 3 && t->rank <= 5 ? layout : LAYOUT_PLAIN;
	if (t->layout == LAYOUT_LAST) {
		t->stride[1] = 1;
		step = t->dim[1];
	}
	for (int i = t->rank - 1; i >= 0; i--) {
		if (i == 1 && t->layout == LAYOUT_LAST)
			continue;
		t->stride[i] = step;
		step *= t->dim[i];
	}
}

bool tensor_layouts_agree(const struct tensor *t)
{
	int64_t pixels = 1;

	if (t->rank < 3 || t->rank > 5)
		return true;
	for (int i = 2; i < t->rank; i++)
		pixels *= t->dim[i];
	return pixels <= 1 || t->dim[1] <= 1;
}

bool tensor_same_shape(const struct tensor *a, const struct tensor *b)
{
	return a->rank == b->rank &&
	       (a->rank == 0 || memcmp(a->dim, b->dim, (size_t)a->rank * sizeof a->dim[0]) == 0);
}

char *tensor_text(const struct tensor *t, char *out, size_t size)
{
	size_t used = 0;

	snprintf(out, size, "scalar");
	for (int i = 0; i < t->rank && used < size; i++) {
		int n = t->dim[i] < 0 ? snprintf(out + used, size - used, "%s?", i ? "x" : "")
				      : snprintf(out + used, size - used, "%s%lld", i ? "x" : "",
						 (long long)t->dim[i]);
		used += n > 0 ? (size_t)n : 0;
	}
	return out;
}

/* y: b, columns, rows   x: b, rows, columns; in tiles, so that both sides stay in the cache. */
#define TRANSPOSE(type)                                                                      \
	static void transpose_##type(const type *x, type *y, size_t rows, size_t columns)    \
	{                                                                                    \
		for (size_t r0 = 0; r0 < rows; r0 += 16)                                     \
			for (size_t c0 = 0; c0 < columns; c0 += 16)                          \
				for (size_t r = r0; r < rows && r < r0 + 16; r++)            \
					for (size_t c = c0; c < columns && c < c0 + 16; c++) \
						y[c * rows + r] = x[r * columns + c];        \
	}
TRANSPOSE(uint8_t)
TRANSPOSE(uint16_t)
TRANSPOSE(uint32_t)
TRANSPOSE(uint64_t)

/* Colour pictures, the most frequent case. */
static void interleave(const uint32_t *x, uint32_t *restrict y, size_t pixels)
{
	const uint32_t *b = x + pixels, *c = b + pixels;

	for (size_t i = 0; i < pixels; i++) {
		y[3 * i] = x[i];
		y[3 * i + 1] = b[i];
		y[3 * i + 2] = c[i];
	}
}

void tensor_relayout(struct tensor *to, const struct tensor *from)
{
	size_t each = dtype_size(from->dtype), total = tensor_bytes(from);
	size_t channels, pixels = 1, picture;

	if (to->layout == from->layout || tensor_layouts_agree(from) || total == 0) {
		memcpy(to->data, from->data, total);
		return;
	}
	channels = (size_t)from->dim[1];
	for (int i = 2; i < from->rank; i++)
		pixels *= (size_t)from->dim[i];
	picture = channels * pixels * each;
	for (int64_t i = 0; i < from->dim[0]; i++) {
		const void *x = (const char *)from->data + (size_t)i * picture;
		void *y = (char *)to->data + (size_t)i * picture;
		size_t rows = from->layout == LAYOUT_LAST ? pixels : channels;
		size_t columns = channels * pixels / rows;

		if (each == 4 && rows == 3)
			interleave(x, y, columns);
		else if (each == 1 && rows == 3)
			qelement_interleave(x, y, columns);
		else if (each == 1)
			transpose_uint8_t(x, y, rows, columns);
		else if (each == 2)
			transpose_uint16_t(x, y, rows, columns);
		else if (each == 4)
			transpose_uint32_t(x, y, rows, columns);
		else
			transpose_uint64_t(x, y, rows, columns);
	}
}

int64_t tensor_int(const struct tensor *t, size_t i)
{
	switch (t->dtype) {
	case DTYPE_U8:
	case DTYPE_BOOL:
		return ((const uint8_t *)t->data)[i];
	case DTYPE_I8:
		return ((const int8_t *)t->data)[i];
	case DTYPE_U16:
		return ((const uint16_t *)t->data)[i];
	case DTYPE_I16:
		return ((const int16_t *)t->data)[i];
	case DTYPE_I32:
		return ((const int32_t *)t->data)[i];
	case DTYPE_I64:
		return ((const int64_t *)t->data)[i];
	default:
		return 0;
	}
}

int64_t tensor_whole(double v, double low, double high)
{
	if (v != v)
		return 0;
	if (v <= low)
		return (int64_t)low;
	return v >= high ? (high >= 0x1p63 ? INT64_MAX : (int64_t)high) : (int64_t)v;
}

double tensor_real(const struct tensor *t, size_t i)
{
	switch (t->dtype) {
	case DTYPE_F32:
		return (double)((const float *)t->data)[i];
	case DTYPE_F64:
		return ((const double *)t->data)[i];
	default:
		return (double)tensor_int(t, i);
	}
}
