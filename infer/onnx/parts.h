/* What the files of this folder share. */
#ifndef INFER_ONNX_PARTS_H
#define INFER_ONNX_PARTS_H

#include "infer/onnx/onnx.h"
#include "onnx/onnx.pb-c.h"

/* scan.c: walk a message by its description before protobuf-c does: wire format, nesting. */
int scan_message(const ProtobufCMessageDescriptor *d, const uint8_t *bytes, size_t size,
		 struct err *e);

/* memory.c: an allocator for protobuf-c that stops at a limit and frees all at once. */
struct reader_memory;
struct reader_memory *reader_memory_new(size_t limit);
void reader_memory_free(struct reader_memory **m);
ProtobufCAllocator *reader_memory_allocator(struct reader_memory *m);
/* Give back a piece of this size, if it is a large one; it must not be touched again. */
void reader_memory_drop(struct reader_memory *m, void *piece, size_t bytes);
/* Let the caller have a piece for good, to be freed with free(): aligned and with zeros behind it as a
 * tensor's values are. False if it is too small for that. */
bool reader_memory_give(struct reader_memory *m, void *piece, size_t bytes);
/* What is unpacked is a mapped file: its pages may go once they have been copied. */
void reader_memory_file(struct reader_memory *m, void *file, size_t bytes);
bool reader_memory_full(const struct reader_memory *m);    /* its limit was reached */
bool reader_memory_starved(const struct reader_memory *m); /* the system had no more */

/* tensor.c: values and shape of a TensorProto; what names it in words. */
int read_tensor(struct graph *g, struct tensor *t, const Onnx__TensorProto *p, struct err *e);

/* Our element type for ONNX's number, with *half set for its f16. -1 with *e if there is none. */
int read_type(int number, enum dtype *dtype, bool *half, struct err *e);

/* node.c: attributes and connections of a NodeProto, appended to the graph. */
int read_node(struct graph *g, const Onnx__NodeProto *p, int index, struct err *e);

#endif
