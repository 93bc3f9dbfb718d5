/* Which kernel computes a convolution, and what they share: the table, the indirection. */
#include "infer/kernels/conv_kernel.h"

#include "infer/kernels/rows.h"
#include "infer/tensor.h" /* TENSOR_ALIGN */

/* First that fits wins. By shape and by set only: never by time, never by batch. */
static const struct conv_kernel *const table[] = { &conv_planar,   &conv_depthwise, &conv_grouped,
						   &conv_winograd, &conv_igemm,     &conv_blis,
						   &conv_reference };

void conv_choose(struct conv *c, enum kernel_set set, int lanes)
{
	for (size_t i = 0;; i++) {
		const struct conv_kernel *k = table[i];
		if ((k->sets & 1u << set) && (!k->fits || k->fits(c))) {
			c->kernel_used = k;
			k->measure(c, lanes);
			return;
		}
	}
}

const char *conv_kernel_name(const struct conv *c)
{
	return c->kernel_used->name;
}

void conv_pack(struct conv *c, const float *weights, const float *bias, void *packed)
{
	c->packed = packed;
	c->bias = bias != NULL;
	c->kernel_used->pack(c, weights, bias, packed);
}

void conv_run(const struct conv *c, const float *x, const float *residual, float *y, void *work,
	      struct crew *crew)
{
	c->kernel_used->run(c, x, residual, y, work, crew);
}

size_t conv_taps(const struct conv *c)
{
	return c->kernel[0] * c->kernel[1] * c->kernel[2];
}

size_t conv_pixels(const struct conv *c)
{
	return c->out[0] * c->out[1] * c->out[2];
}

size_t kernel_lines(size_t bytes)
{
	return (bytes + TENSOR_ALIGN - 1) / TENSOR_ALIGN * TENSOR_ALIGN;
}

static struct rows rows_of(const struct conv *c)
{
	struct rows r = { .pitch = c->x_pitch * sizeof(float) };

	for (int a = 0; a < 3; a++) {
		r.in[a] = c->in[a];
		r.out[a] = c->out[a];
		r.kernel[a] = c->kernel[a];
		r.stride[a] = c->stride[a];
		r.dilation[a] = c->dilation[a];
		r.pad[a] = c->pad[a];
	}
	return r;
}

void conv_rows(const struct conv *c, const float *x, size_t first, size_t count, const float *zeros,
	       const void **rows)
{
	struct rows r = rows_of(c);

	rows_point(&r, x, first, count, zeros, rows);
}

bool conv_has_runs(const struct conv *c)
{
	struct rows r = rows_of(c);

	return rows_run(&r, c->groups, c->c * sizeof(float));
}

size_t conv_run_floats(const struct conv *c)
{
	return c->kernel[2] * c->c;
}

void conv_runs(const struct conv *c, const float *x, size_t first, size_t count, const float *zeros,
	       float *spare, const void **rows)
{
	struct rows r = rows_of(c);

	rows_point_runs(&r, x, first, count, zeros, spare, rows);
}

size_t kernel_even(size_t all, size_t parts, size_t unit)
{
	size_t each = (all + parts - 1) / parts;

	return (each + unit - 1) / unit * unit;
}

/* About eight tasks, or sixteen where one more costs little, so that few lanes end together. A picture
 * with few pixels is cut along its channels as well; or into smaller blocks, where pixels are prepared, which
 * is to be done once for all channels. */
void conv_cut(const struct conv *c, size_t panels, size_t block, struct conv_cut *cut)
{
	size_t pixels = conv_pixels(c), least = conv_taps(c) == 1 ? 16 : 8, blocks;

	cut->blocks = (pixels + block - 1) / block;
	if (conv_prepares(c) && cut->blocks < least)
		cut->blocks = least;
	cut->block = kernel_even(pixels, cut->blocks, 8);
	cut->block = cut->block < pixels ? cut->block : pixels;
	cut->blocks = (pixels + cut->block - 1) / cut->block;
	blocks = cut->blocks * c->groups;
	cut->parts = blocks >= least || conv_prepares(c) ? 1 : (least + blocks - 1) / blocks;
	if (cut->parts > panels)
		cut->parts = panels;
	cut->part = kernel_even(panels, cut->parts, pixels == 1 ? IGEMM_WIDE : 1);
	cut->parts = (panels + cut->part - 1) / cut->part;
	cut->tasks = c->n * c->groups * cut->blocks * cut->parts;
}
