/* What a matrix kernel gives to gemm.c's table. */
#ifndef INFER_KERNELS_GEMM_KERNEL_H
#define INFER_KERNELS_GEMM_KERNEL_H

#include "infer/kernels/gemm.h"

struct gemm_kernel {
	const char *name;
	unsigned sets; /* bits 1u << KERNELS_… in which it may be chosen */
	void (*measure)(struct gemm *g, int lanes);
	void (*pack)(const struct gemm *g, const float *w, ptrdiff_t k_stride, ptrdiff_t n_stride,
		     const float *bias, void *packed);
	void (*run)(const struct gemm *g, const float *x, const float *residual, float *y,
		    void *work, struct crew *crew);
};

extern const struct gemm_kernel gemm_reference, gemm_blis, gemm_igemm;

#endif
