/* A convolution that multiplies its pixels by one factor per channel while it fetches them gives the same
 * bytes as the multiplication and then the convolution; and that one is the same with any crew. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "infer/kernels/conv.h"
#include "infer/kernels/gate.h"
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

static void convolve(struct conv *c, const float *w, const float *x, float *y, struct crew *crew)
{
	conv_choose(c, KERNELS_NATIVE, crew_lanes(crew));
	void *packed = bytes(c->packed_bytes), *work = bytes(c->work_bytes);

	conv_pack(c, w, NULL, packed);
	conv_run(c, x, NULL, y, work, crew);
	free(packed);
	free(work);
}

/* 1 same, 0 not, -1 the shape does not take gates. */
static int try(struct crew *crew)
{
	size_t high = 20 + random_below(20), wide = 30 + random_below(20), pixels = high * wide;
	struct conv c = { .n = 1 + random_below(3),
			  .c = 5 + random_below(70),
			  .k = 1 + random_below(70),
			  .groups = 1,
			  .in = { 1, high, wide },
			  .out = { 1, high, wide },
			  .kernel = { 1, 1, 1 },
			  .stride = { 1, 1, 1 },
			  .dilation = { 1, 1, 1 } };

	c.x_pitch = c.c + random_below(2) * 3;
	c.y_pitch = c.k;
	if (!conv_takes_gate(&c))
		return -1;
	float *x = floats(c.n * pixels * c.x_pitch), *w = floats(c.k * c.c);
	float *factors = floats(c.n * c.c), *product = floats(c.n * pixels * c.x_pitch);
	float *y = floats(c.n * pixels * c.k), *expected = floats(c.n * pixels * c.k);
	struct gate g = { .x = x,
			  .gate = factors,
			  .y = product,
			  .pixels = pixels,
			  .channels = c.c,
			  .x_pitch = c.x_pitch,
			  .y_pitch = c.x_pitch };
	struct conv gated = c;
	int same = 1;

	gate_run(&g, c.n, crew);
	for (size_t i = 0; i < c.n * pixels * c.c; i++) {
		size_t at = i / c.c * c.x_pitch + i % c.c;
		float v = x[at] * factors[i / c.c / pixels * c.c + i % c.c];
		same &= memcmp(&v, &product[at], sizeof v) == 0;
	}
	convolve(&c, w, product, expected, NULL);
	gated.gated = true;
	gated.gate = factors;
	convolve(&gated, w, x, y, crew);
	same &= memcmp(y, expected, c.n * pixels * c.k * sizeof *y) == 0;
	free(x), free(w), free(factors), free(product), free(y), free(expected);
	return same;
}

int main(void)
{
	struct crew *crew = crew_new(3);
	int count = 0, bad = 0;

	for (int i = 0; i < 60; i++) {
		int same = try(crew);

		count += same >= 0;
		bad += same == 0;
	}
	crew_free(&crew);
	printf("%d gated convolutions, %d differ\n", count, bad);
	return bad || count < 20;
}
