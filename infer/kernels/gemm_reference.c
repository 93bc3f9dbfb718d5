/* The matrix product as it is defined: sums over k in order, from zero; then bias, residual,
 * activation. */
#include "infer/kernels/gemm_kernel.h"

/* Packed: w[k][n], then the bias. */
static void pack(const struct gemm *g, const float *w, ptrdiff_t k_stride, ptrdiff_t n_stride,
		 const float *bias, void *packed)
{
	float *out = packed;

	for (size_t k = 0; k < g->k; k++)
		for (size_t n = 0; n < g->n; n++)
			*out++ = w[(ptrdiff_t)k * k_stride + (ptrdiff_t)n * n_stride];
	for (size_t n = 0; n < g->n; n++)
		*out++ = bias ? bias[n] : 0;
}

static void measure(struct gemm *g, int lanes)
{
	(void)lanes;
	g->packed_bytes = (g->k + 1) * g->n * sizeof(float);
	g->work_bytes = 0;
}

static void run(const struct gemm *g, const float *x, const float *residual, float *y, void *work,
		struct crew *crew)
{
	const float *bias = (const float *)g->packed + g->k * g->n;

	(void)work;
	(void)crew;
	gemm_plain(KERNELS_REFERENCE, g->m, g->n, g->k, x, (ptrdiff_t)g->x_pitch, 1, g->packed,
		   (ptrdiff_t)g->n, 1, y, (ptrdiff_t)g->y_pitch);
	for (size_t i = 0; i < g->m; i++, y += g->y_pitch) {
		for (size_t n = 0; n < g->n; n++) {
			y[n] += bias[n];
			if (residual)
				y[n] += residual[i * g->r_pitch + n];
		}
		activate(&g->epilogue, y, y, g->n);
	}
}

const struct gemm_kernel gemm_reference = {
	.name = "reference",
	.sets = 1u << KERNELS_REFERENCE | 1u << KERNELS_BLIS | 1u << KERNELS_NATIVE,
	.measure = measure,
	.pack = pack,
	.run = run,
};
