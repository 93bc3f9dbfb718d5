/* Bytes to graph. Only this folder knows protobuf. The bytes are untrusted. */
#ifndef INFER_ONNX_ONNX_H
#define INFER_ONNX_ONNX_H

#include "infer/graph.h"

/* Fill an empty graph. Nodes are in order, each names an operator set; tensors have the shapes that
 * are declared (inputs: dim -1 where it is open). 0, or -1 with *e. */
int onnx_read(struct graph *g, const void *bytes, size_t size, struct err *e);

/* One TensorProto by itself: t gets its values in memory of its own (graph_fill). */
int onnx_read_tensor(struct graph *g, struct tensor *t, const void *bytes, size_t size,
		     struct err *e);

/* The bytes of a model that holds what the graph holds: nodes in their order, constants that they
 * read, inputs, outputs (a dim of -1 is left open, by the name that `open` gives or "batch"),
 * metadata, opsets. All is written as f32 that is held so. Constants without a name of their own
 * get one. The caller frees *bytes. 0, or -1 with *e. */
int onnx_write(struct graph *g, uint8_t **bytes, size_t *size, struct err *e);

#endif
