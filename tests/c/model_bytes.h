/* ONNX models as bytes, for drivers that must run without files: just enough of protobuf to write a
 * graph of a node or two. */
#ifndef TESTS_MODEL_BYTES_H
#define TESTS_MODEL_BYTES_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bytes {
	unsigned char at[16384];
	size_t size;
};

static void put(struct bytes *b, const void *data, size_t size)
{
	if (b->size + size > sizeof b->at)
		abort();
	memcpy(b->at + b->size, data, size);
	b->size += size;
}

static void put_varint(struct bytes *b, uint64_t v)
{
	do {
		unsigned char c = (unsigned char)((v & 127) | (v > 127 ? 128 : 0));
		put(b, &c, 1);
	} while (v >>= 7);
}

static void put_int(struct bytes *b, int field, int64_t v)
{
	put_varint(b, (uint64_t)field << 3);
	put_varint(b, (uint64_t)v);
}

static void put_data(struct bytes *b, int field, const void *data, size_t size)
{
	put_varint(b, (uint64_t)field << 3 | 2);
	put_varint(b, size);
	put(b, data, size);
}

static void put_text(struct bytes *b, int field, const char *text)
{
	put_data(b, field, text, strlen(text));
}

/* "name=i1", "name=f0.5", "name=stext", "name=I1,2,3", "name=F1,2.5" */
static void put_attribute(struct bytes *node, const char *spec)
{
	struct bytes *a = calloc(1, sizeof *a);
	const char *value = strchr(spec, '=') + 1;
	char name[64];
	float f;

	snprintf(name, sizeof name, "%.*s", (int)(value - 1 - spec), spec);
	put_text(a, 1, name);
	switch (*value++) {
	case 'i':
		put_int(a, 3, atoll(value));
		put_int(a, 20, 2);
		break;
	case 'f':
		f = strtof(value, NULL);
		put_varint(a, 2 << 3 | 5);
		put(a, &f, 4);
		put_int(a, 20, 1);
		break;
	case 's':
		put_text(a, 4, value);
		put_int(a, 20, 3);
		break;
	case 'F':
		for (const char *p = value; p && *p;
		     p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL) {
			f = strtof(p, NULL);
			put_varint(a, 7 << 3 | 5);
			put(a, &f, 4);
		}
		put_int(a, 20, 6);
		break;
	default:
		for (const char *p = value; p && *p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
			put_int(a, 8, atoll(p));
		put_int(a, 20, 7);
	}
	put_data(node, 5, a->at, a->size);
	free(a);
}

static void put_tensor(struct bytes *graph, const char *name, int type, int rank,
		       const int64_t *dim, const void *data, size_t size)
{
	struct bytes *t = calloc(1, sizeof *t);

	for (int i = 0; i < rank; i++)
		put_int(t, 1, dim[i]);
	put_int(t, 2, type);
	put_text(t, 8, name);
	put_data(t, 9, data, size);
	put_data(graph, 5, t->at, t->size);
	free(t);
}

static void put_value(struct bytes *graph, int field, const char *name, int rank,
		      const int64_t *dim)
{
	struct bytes value = { .size = 0 }, type = { .size = 0 }, tensor = { .size = 0 },
		     shape = { .size = 0 };

	put_int(&tensor, 1, 1);
	for (int i = 0; i < rank; i++) {
		struct bytes d = { .size = 0 };
		put_int(&d, 1, dim[i]);
		put_data(&shape, 1, d.at, d.size);
	}
	if (dim)
		put_data(&tensor, 2, shape.at, shape.size);
	put_data(&type, 1, tensor.at, tensor.size);
	put_text(&value, 1, name);
	put_data(&value, 2, type.at, type.size);
	put_data(graph, field, value.at, value.size);
}

static uint32_t seed = 1;

static float random_float(void)
{
	seed = seed * 1664525 + 1013904223;
	return (float)(seed >> 8) / (1 << 23) - 1;
}

/* "I1,2,3" a list of i64; "N4" one i64 without dims; "F0.5" one f32 without dims; "C" one positive f32
 * per channel; "B" C,1,1; "X" as the input; "W" W alone; "P" C,H,W without the batch; "U3" one u8. */
static void put_input(struct bytes *graph, const char *name, const char *spec, int rank,
		      const int64_t *dim)
{
	int64_t list[16], sizes[8], one = 0;
	float values[4096], f = strtof(spec + 1, NULL);
	size_t count = 1;
	uint8_t u = (uint8_t)atoi(spec + 1);
	int from = *spec == 'X' ? 0 : *spec == 'W' ? rank - 1 : 1, ranks = rank - from;

	if (*spec == 'I') {
		for (const char *p = spec + 1; p && *p;
		     p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
			list[one++] = atoll(p);
		put_tensor(graph, name, 7, 1, &one, list, (size_t)one * 8);
	} else if (*spec == 'N') {
		one = atoll(spec + 1);
		put_tensor(graph, name, 7, 0, NULL, &one, 8);
	} else if (*spec == 'F' && strchr(spec, ',')) {
		for (const char *p = spec + 1; p && *p;
		     p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
			values[one++] = strtof(p, NULL);
		put_tensor(graph, name, 1, 1, &one, values, (size_t)one * 4);
	} else if (*spec == 'F') {
		put_tensor(graph, name, 1, 0, NULL, &f, 4);
	} else if (*spec == 'U') {
		put_tensor(graph, name, 2, 0, NULL, &u, 1);
	} else {
		for (int i = 0; i < ranks; i++) {
			sizes[i] = *spec == 'B' && i > 0 ? 1 : dim[from + i];
			ranks = *spec == 'C' ? 1 : ranks;
		}
		for (int i = 0; i < ranks; i++)
			count *= (size_t)sizes[i];
		for (size_t i = 0; i < count; i++)
			values[i] = *spec == 'C' ? fabsf(random_float()) + 0.5f : random_float();
		put_tensor(graph, name, 1, ranks, sizes, values, count * 4);
	}
}

/* A node that reads x and the tensors that inputs specifies, and writes y0, y1 …, which are the graph's
 * outputs. Attributes and inputs are separated by blanks. */
static void put_node(struct bytes *graph, const char *op, const char *x, const char *attributes,
		     const char *inputs, int outputs, int rank, const int64_t *dim)
{
	struct bytes node = { .size = 0 };
	char words[256], name[16], *save, *word;
	int count = 1;

	put_text(&node, 1, x);
	snprintf(words, sizeof words, "%s", inputs);
	for (word = strtok_r(words, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		snprintf(name, sizeof name, "i%d", count++);
		put_text(&node, 1, name);
		put_input(graph, name, word, rank, dim);
	}
	for (int i = 0; i < outputs; i++) {
		snprintf(name, sizeof name, "y%d", i);
		put_text(&node, 2, name);
		put_value(graph, 12, name, 0, NULL);
	}
	put_text(&node, 4, op);
	snprintf(words, sizeof words, "%s", attributes);
	for (word = strtok_r(words, " ", &save); word; word = strtok_r(NULL, " ", &save))
		put_attribute(&node, word);
	put_data(graph, 1, node.at, node.size);
}

/* The graph, with its input x, into a whole model. */
static void put_model(struct bytes *model, struct bytes *graph, int opset, int rank,
		      const int64_t *dim)
{
	struct bytes set = { .size = 0 };

	put_value(graph, 11, "x", rank, dim);
	put_text(graph, 2, "g");
	put_int(&set, 2, opset);
	model->size = 0;
	put_int(model, 1, 7);
	put_data(model, 7, graph->at, graph->size);
	put_data(model, 8, set.at, set.size);
}

#endif
