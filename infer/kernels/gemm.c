/* Which kernel computes a matrix product. */
#include "infer/kernels/gemm_kernel.h"

static const struct gemm_kernel *const table[] = { &gemm_igemm, &gemm_blis, &gemm_reference };

void gemm_choose(struct gemm *g, enum kernel_set set, int lanes)
{
	size_t i = 0;

	while (!(table[i]->sets & 1u << set))
		i++;
	g->kernel_used = table[i];
	table[i]->measure(g, lanes);
}

const char *gemm_kernel_name(const struct gemm *g)
{
	return g->kernel_used->name;
}

void gemm_pack(struct gemm *g, const float *w, ptrdiff_t k_stride, ptrdiff_t n_stride,
	       const float *bias, void *packed)
{
	g->packed = packed;
	g->bias = bias != NULL;
	g->kernel_used->pack(g, w, k_stride, n_stride, bias, packed);
}

void gemm_run(const struct gemm *g, const float *x, const float *residual, float *y, void *work,
	      struct crew *crew)
{
	g->kernel_used->run(g, x, residual, y, work, crew);
}

/* Row by row, so that a row does not depend on the others; vectors run along n. */
void gemm_plain(enum kernel_set set, size_t m, size_t n, size_t k, const float *x, ptrdiff_t x_m,
		ptrdiff_t x_k, const float *w, ptrdiff_t w_k, ptrdiff_t w_n, float *y,
		ptrdiff_t y_m)
{
	(void)set; /* one meaning in all sets, for now */
	for (size_t i = 0; i < m; i++, x += x_m, y += y_m) {
		for (size_t j = 0; j < n; j++)
			y[j] = 0;
		for (size_t l = 0; l < k; l++) {
			float a = x[(ptrdiff_t)l * x_k];
			const float *row = w + (ptrdiff_t)l * w_k;
			if (w_n == 1)
				for (size_t j = 0; j < n; j++)
					y[j] += a * row[j];
			else
				for (size_t j = 0; j < n; j++)
					y[j] += a * row[(ptrdiff_t)j * w_n];
		}
	}
}
