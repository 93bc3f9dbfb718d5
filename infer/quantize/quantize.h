/* infer --quantize: a model of floats becomes one of small integers, as standard ONNX
 * (QuantizeLinear and DequantizeLinear around what is computed in integers), with scales found by
 * running it on pictures. */
#ifndef INFER_QUANTIZE_QUANTIZE_H
#define INFER_QUANTIZE_QUANTIZE_H

#include "common/option.h"
#include "common/stage.h"
#include "infer/model.h"

struct quantize {
	struct model_options model;
	const char *path, *output;
	const char *shape, *recipe; /* as for the stage; may be NULL */
	const struct option_list
	    *pictures; /* what capture reads; empty: tensors come on the link */
	int64_t most;  /* pictures to use */
};

/* Exit code; says itself what was wrong. The stage has been opened and not started. */
int quantize(const struct quantize *q, struct stage *s);

#endif
