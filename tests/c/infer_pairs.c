/* A convolution and the depthwise one behind it, computed row by row as a pair, give the same bytes as one
 * after the other, with any crew. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "infer/kernels/conv_pair.h"
#include "infer/tensor.h"

static uint32_t seed = 1;

static uint32_t random_below(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (uint32_t)(((uint64_t)(seed >> 4) * n) >> 28);
}

static void *bytes(size_t n)
{
	return aligned_alloc(TENSOR_ALIGN, (n / TENSOR_ALIGN + 1) * TENSOR_ALIGN);
}

static float *floats(size_t n)
{
	float *p = bytes(n * sizeof *p);

	for (size_t i = 0; i < n; i++)
		p[i] = (float)random_below(2001) / 1000 - 1;
	return p;
}

static struct conv square(size_t n, size_t c, size_t k, size_t in, size_t kernel, size_t stride)
{
	static const enum activation acts[] = { ACT_NONE, ACT_CLIP, ACT_SILU };
	size_t pad = kernel / 2, out = (in + 2 * pad - kernel) / stride + 1;

	return (struct conv){ .n = n,
			      .c = c,
			      .k = k,
			      .groups = 1,
			      .in = { 1, in, in + 3 },
			      .out = { 1, out, (in + 3 + 2 * pad - kernel) / stride + 1 },
			      .kernel = { 1, kernel, kernel },
			      .stride = { 1, stride, stride },
			      .dilation = { 1, 1, 1 },
			      .pad = { 0, (ptrdiff_t)pad, (ptrdiff_t)pad },
			      .x_pitch = c,
			      .y_pitch = k,
			      .epilogue = { acts[random_below(3)], 0, 1 } };
}

static void *packed(struct conv *c, const float *w, const float *bias)
{
	void *p = bytes(c->packed_bytes);

	conv_pack(c, w, bias, p);
	return p;
}

/* Random layers, the first of them the first of a network or of single pixels. */
static void shapes(struct conv *a, struct conv *b)
{
	size_t n = 1 + random_below(2), k = 24 + random_below(30);

	if (random_below(2)) {
		*a = square(n, 3, k, 210 + random_below(10), 3, 2);
		a->planar = true;
	} else {
		*a = square(n, 5 + random_below(30), k, 105 + random_below(10), 1, 1);
		a->x_pitch += random_below(2) * 3;
	}
	*b = square(n, k, k, a->out[1], 3 + 2 * random_below(2), 1 + random_below(2));
	b->in[2] = a->out[2];
	b->out[2] = (b->in[2] + 2 * (size_t)b->pad[2] - b->kernel[2]) / b->stride[2] + 1;
	b->groups = k;
	b->y_pitch += random_below(2) * 5;
}

/* 1 same, 0 not, -1 the shape is not computed as a pair. */
static int try(struct crew *crew)
{
	struct conv a, b;

	shapes(&a, &b);
	struct conv_pair p = { .first = a, .second = b };
	if (!conv_pair_fits(&a, &b))
		return -1;
	size_t in = a.n * a.in[1] * a.in[2] * a.x_pitch,
	       out = b.n * b.out[1] * b.out[2] * b.y_pitch;
	float *x = floats(in), *w = floats(a.k * a.c * 9), *v = floats(b.k * 25),
	      *bias = floats(a.k);
	float *between = floats(a.n * a.out[1] * a.out[2] * a.k), *y = floats(out),
	      *z = bytes(out * 4);
	int same;

	memcpy(z, y, out * sizeof *y); /* gaps stay */
	conv_pair_choose(&p, crew_lanes(crew));
	void *first = packed(&p.first, w, bias), *second = packed(&p.second, v, bias);
	void *work = bytes(p.work_bytes);
	conv_pair_run(&p, x, y, work, crew);

	conv_choose(&a, KERNELS_NATIVE, 1);
	conv_choose(&b, KERNELS_NATIVE, 1);
	a.packed = first;
	b.packed = second;
	void *other = bytes(a.work_bytes + b.work_bytes);
	conv_run(&a, x, NULL, between, other, NULL);
	conv_run(&b, between, NULL, z, other, NULL);
	same = memcmp(y, z, out * sizeof *y) == 0;
	free(x), free(w), free(v), free(bias), free(between), free(y), free(z);
	free(first), free(second), free(work), free(other);
	return same;
}

int main(void)
{
	struct crew *crew = crew_new(3);
	int count = 0, bad = 0;

	for (int i = 0; i < 24; i++) {
		int same = try(i % 3 ? crew : NULL);

		count += same >= 0;
		bad += same == 0;
	}
	crew_free(&crew);
	printf("%d pairs, %d differ\n", count, bad);
	return bad || count < 12;
}
