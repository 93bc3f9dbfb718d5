/* A model, from bytes to results: read (onnx/), planned for the shapes of its inputs (graph,
 * passes, plan), run. What cannot run is refused at load, in words. */
#ifndef INFER_MODEL_H
#define INFER_MODEL_H

#include <stdio.h>

#include "common/hash.h"
#include "infer/kernels/kernels.h"
#include "infer/tensor.h"

struct model;

struct model_options {
	enum kernel_set kernels;
	int threads;       /* 0: 1 */
	size_t memory_max; /* for folded constants and packed weights, and as much again for what
			    * lives while running; 0: by the file's size, and 8 GB */
};

/* Read a file, or bytes that the caller keeps until model_plan has returned. NULL with *e: code
 * EX_NOINPUT if the file cannot be read, EX_DATAERR if it is no model that can run. */
struct model *model_open(const char *path, const struct model_options *o, struct err *e);
struct model *model_read(const void *bytes, size_t size, const struct model_options *o,
			 struct err *e);
void model_free(struct model **m);

/* Inputs that must be given (initialisers are not among them), as declared: dim -1 where the model
 * leaves it open, dtype f16 told by half. Outputs: shapes are known once it is planned. */
int model_inputs(const struct model *m);
const struct tensor *model_input(const struct model *m, int i);
int model_outputs(const struct model *m);
const struct tensor *model_output(const struct model *m, int i);

/* Plan for these input shapes: shape[i] for input i, NULL for what is declared, with 1 wherever
 * that is open and first. Once per model. What folding needs to know may be given as values: where
 * shape[i].data is set and shape[i].constant, the input is taken for a constant. */
int model_plan(struct model *m, const struct tensor *shape, struct err *e);

/* Every refusal at once, a line each, to out: how many. Instead of model_plan. */
int model_check(struct model *m, const struct tensor *shape, FILE *out);

/* Run once. input[i] holds input i in row-major order, of the planned dtype and shape (for an
 * f16 input: as f32); then model_output(m, i)->data holds the results, row-major, until
 * the next run; outputs that the model calls f16 are held as f32 (half is set), rounded to f16. */
void model_run(struct model *m, const void *const *input);

/* metadata_props: NULL if there is no such key. */
const char *model_metadata(const struct model *m, const char *key);
const char *model_sha256(const struct model *m);
const char *model_kernels(const struct model *m); /* "zen3-blis-0.9.0", "reference" */
/* Are the first output's values probabilities already (the last node is a Softmax or Sigmoid)? */
bool model_gives_probabilities(const struct model *m);

/* The plan: a line per node. profile: nanoseconds spent per node are told too, after runs. */
void model_explain(const struct model *m, FILE *out);
void model_profile(struct model *m, bool on);
double model_flops(const struct model *m);
size_t model_arena_bytes(const struct model *m);
size_t model_weight_bytes(const struct model *m);

/* Read one serialised TensorProto (the .pb files of ONNX's test cases): free with tensor_free.
 * f16 arrives as f32 with half set. NULL with *e. */
struct tensor *tensor_read(const void *bytes, size_t size, struct err *e);
void tensor_free(struct tensor **t);

#endif
