/* Convolution in one to three dimensions, channels last, and what is chosen for a shape.
 *
 * x: n, d, h, w, c      y: n, od, oh, ow, k      weights as ONNX has them: k, c/groups, kd, kh, kw
 * Fewer dimensions than three: the leading ones are 1. */
#ifndef INFER_KERNELS_CONV_H
#define INFER_KERNELS_CONV_H

#include <stdbool.h>

#include "infer/kernels/kernels.h"

struct scale;

struct conv {
	size_t n, c, k, groups;
	size_t in[3], out[3]; /* d h w */
	size_t kernel[3], stride[3], dilation[3];
	ptrdiff_t pad[3];                 /* before; what is read beyond the end is zero too */
	size_t x_pitch, y_pitch, r_pitch; /* elements from pixel to pixel: c, k, k without gaps */
	struct epilogue epilogue;
	bool bias, residual;
	bool gated; /* x is multiplied by gate first: only in KERNELS_NATIVE, if conv_takes_gate */
	const struct scale *before; /* x is scaled so first, or NULL: likewise */
	bool planar; /* x is n, c, h, w: only in KERNELS_NATIVE, if conv_takes_planes */
	bool use_up; /* conv_pack may destroy the weights: their pages go as they are packed */
	/* set by conv_choose */
	const struct conv_kernel *kernel_used;
	size_t packed_bytes; /* conv_pack's memory, TENSOR_ALIGN aligned */
	size_t work_bytes;   /* workspace of conv_run, for this many lanes */
	/* set by conv_pack */
	const void *packed;
	/* set before conv_run, if gated: n x c factors */
	const float *gate;
};

/* Is there a kernel for this shape that reads row-major pictures as they are? */
bool conv_takes_planes(const struct conv *c);

/* Is there a kernel for this shape that multiplies or scales pixels while it fetches them, and fetches each
 * pixel once? */
bool conv_takes_gate(const struct conv *c);

/* Choose a kernel by shape and set (never by n), and say what memory it takes. */
void conv_choose(struct conv *c, enum kernel_set set, int lanes);
const char *conv_kernel_name(const struct conv *c);

/* Bring weights and bias (k values or NULL) into the kernel's order, in packed_bytes of memory. */
void conv_pack(struct conv *c, const float *weights, const float *bias, void *packed);

/* residual: as y, or NULL. work: work_bytes. */
void conv_run(const struct conv *c, const float *x, const float *residual, float *y, void *work,
	      struct crew *crew);

#endif
