/* Matrix product with fused epilogue: y[m][n] = act(Σ x[m][k] w[k][n] + bias[n] + residual[m][n]).
 *
 * One side, w, is known at load and packed then (gemm_pack); where it is not (MatMul of two
 * activations), gemm_plain computes without packing. A row's result does not depend on m or on the
 * other rows. */
#ifndef INFER_KERNELS_GEMM_H
#define INFER_KERNELS_GEMM_H

#include <stdbool.h>

#include "infer/kernels/kernels.h"

struct gemm {
	size_t m, n, k;
	size_t x_pitch, y_pitch, r_pitch; /* elements from row to row */
	struct epilogue epilogue;
	bool bias, residual;
	bool use_up; /* gemm_pack may destroy w: its pages go as they are packed */
	/* set by gemm_choose */
	const struct gemm_kernel *kernel_used;
	size_t packed_bytes, work_bytes;
	/* set by gemm_pack */
	const void *packed;
};

void gemm_choose(struct gemm *g, enum kernel_set set, int lanes);
const char *gemm_kernel_name(const struct gemm *g);

/* w[k][n] at w[k * k_stride + n * n_stride]; bias: n values or NULL. */
void gemm_pack(struct gemm *g, const float *w, ptrdiff_t k_stride, ptrdiff_t n_stride,
	       const float *bias, void *packed);
void gemm_run(const struct gemm *g, const float *x, const float *residual, float *y, void *work,
	      struct crew *crew);

/* y[m][n] = Σ x[m][k] w[k][n], any strides for x and w, y with n contiguous. */
void gemm_plain(enum kernel_set set, size_t m, size_t n, size_t k, const float *x, ptrdiff_t x_m,
		ptrdiff_t x_k, const float *w, ptrdiff_t w_k, ptrdiff_t w_n, float *y,
		ptrdiff_t y_m);

#endif
