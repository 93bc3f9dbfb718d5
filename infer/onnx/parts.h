/* What the files of this folder share. */
#ifndef INFER_ONNX_PARTS_H
#define INFER_ONNX_PARTS_H

#include "infer/onnx/onnx.h"
#include "onnx/onnx.pb-c.h"

/* scan.c: walk a message by its description before protobuf-c does: wire format, nesting. What protobuf-c
 * may unpack is the extract that this returns, to be freed with free(): every TensorProto's raw_data says in it
 * where the values lie. NULL with *e. */
uint8_t *scan_message(const ProtobufCMessageDescriptor *d, const uint8_t *bytes, size_t size,
		      size_t *extract_bytes, struct err *e);

/* In an extract's raw_data, behind a byte that is 0; behind one that is not, the values themselves. */
struct raw_place {
	uint64_t at, bytes; /* in the file */
};

/* The values that a TensorProto's raw_data in an extract of g's file stands for. */
int raw_values(const struct graph *g, const ProtobufCBinaryData *p, const uint8_t **values,
	       size_t *bytes, struct err *e);

/* memory.c: an allocator for protobuf-c that stops at a limit and frees all at once. */
struct reader_memory;
struct reader_memory *reader_memory_new(size_t limit);
void reader_memory_free(struct reader_memory **m);
ProtobufCAllocator *reader_memory_allocator(struct reader_memory *m);
bool reader_memory_full(const struct reader_memory *m);    /* its limit was reached */
bool reader_memory_starved(const struct reader_memory *m); /* the system had no more */

/* tensor.c: values and shape of a TensorProto; what names it in words. */
int read_tensor(struct graph *g, struct tensor *t, const Onnx__TensorProto *p, struct err *e);

/* Our element type for ONNX's number, with *half set for its f16. -1 with *e if there is none. */
int read_type(int number, enum dtype *dtype, bool *half, struct err *e);

/* node.c: attributes and connections of a NodeProto, appended to the graph. */
int read_node(struct graph *g, const Onnx__NodeProto *p, int index, struct err *e);

#endif
