/* What all kernels share: which set is in use, the epilogue that is fused into stores, the crew of
 * threads. Kernels know pointers, sizes and strides; no node, no ONNX. */
#ifndef INFER_KERNELS_KERNELS_H
#define INFER_KERNELS_KERNELS_H

#include <stddef.h>
#include <stdint.h>

enum kernel_set {
	KERNELS_NATIVE,    /* the fastest that we have for this processor */
	KERNELS_BLIS,      /* BLIS for all matrix products, plain loops for the rest */
	KERNELS_REFERENCE, /* plain loops: the same bytes on every machine, and the oracle */
};

enum activation {
	ACT_NONE,
	ACT_RELU,
	ACT_CLIP,        /* between a and b */
	ACT_LEAKY,       /* x < 0: a x */
	ACT_HARDSIGMOID, /* clip(a x + b, 0, 1) */
	ACT_HARDSWISH,   /* x clip(x/6 + 1/2, 0, 1) */
	ACT_SIGMOID,
	ACT_SILU, /* x sigmoid(x) */
	ACT_TANH,
	ACT_GELU,      /* exact, with erf */
	ACT_GELU_TANH, /* the approximation */
	ACT_MISH,
};

/* y = act(x + residual): what a kernel does to its result before storing it. */
struct epilogue {
	enum activation act;
	float a, b;
};

/* y[i] = act(x[i]); x may be y. */
void activate(const struct epilogue *e, const float *x, float *y, size_t count);

/* The same transcendental functions everywhere, whatever the C library: accurate to 2 ulp or so,
 * and the same bytes on every machine. */
float kernel_exp(float x);
float kernel_tanh(float x);
float kernel_erf(float x);

/* --- threads
 * ---------------------------------------------------------------------------------------
 *
 * crew_run calls task(context, i, lane) for i in [0, count), spread over the crew's lanes, and
 * returns when all are done. How work is cut into tasks must not depend on the number of lanes, so
 * that results do not either. lane is in [0, crew_lanes): workspace may be per lane. A NULL crew
 * has one lane. */
struct crew;

struct crew *crew_new(int lanes); /* NULL when threads cannot be had */
void crew_free(struct crew **c);
int crew_lanes(const struct crew *c);
void crew_run(struct crew *c, void (*task)(void *context, size_t i, int lane), void *context,
	      size_t count);

#endif
