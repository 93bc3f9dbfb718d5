/* Convolution and matrix kernels of every set against the reference loops, on seeded random shapes;
 * a picture's result must be the same bytes in any batch and with any number of threads.
 *
 *   infer_kernels            the test
 *   infer_kernels bench      GF/s on layers of ResNet-50 and MobileNetV2 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "infer/kernels/conv.h"
#include "infer/kernels/gemm.h"
#include "infer/kernels/pool.h"
#include "infer/tensor.h"

static uint32_t seed = 1;

static uint32_t random_below(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (uint32_t)(((uint64_t)(seed >> 4) * n) >> 28);
}

static float *floats(size_t n)
{
	float *p = aligned_alloc(TENSOR_ALIGN, (n * sizeof *p / TENSOR_ALIGN + 1) * TENSOR_ALIGN);

	for (size_t i = 0; i < n; i++)
		p[i] = (float)random_below(2001) / 1000 - 1;
	return p;
}

static void *bytes(size_t n)
{
	return aligned_alloc(TENSOR_ALIGN, (n / TENSOR_ALIGN + 1) * TENSOR_ALIGN);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Everything that a convolution needs; y has been computed once. */
struct run {
	struct conv c;
	float *y;
	void *packed, *work;
	size_t y_count;
};

static void compute(struct run *r, const struct conv *shape, enum kernel_set set, const float *w,
		    const float *bias, const float *x, const float *residual, struct crew *crew)
{
	r->c = *shape;
	conv_choose(&r->c, set, crew_lanes(crew));
	r->packed = bytes(r->c.packed_bytes);
	r->work = bytes(r->c.work_bytes);
	r->y_count = r->c.n * r->c.out[0] * r->c.out[1] * r->c.out[2] * r->c.y_pitch;
	r->y = bytes(r->y_count * sizeof(float));
	for (size_t i = 0; i < r->y_count; i++)
		r->y[i] = -77; /* gaps between pixels must stay as they are */
	conv_pack(&r->c, w, bias, r->packed);
	conv_run(&r->c, x, residual, r->y, r->work, crew);
}

static void end(struct run *r)
{
	free(r->y);
	free(r->packed);
	free(r->work);
}

static size_t conv_out(const struct conv *c)
{
	return c->out[0] * c->out[1] * c->out[2];
}

static double difference(const float *a, const float *b, size_t n)
{
	double most = 0;

	for (size_t i = 0; i < n; i++) {
		double d = fabs((double)a[i] - b[i]);
		if (!(d <= most))
			most = d;
	}
	return most;
}

static void random_shape(struct conv *c)
{
	static const enum activation acts[] = { ACT_NONE,        ACT_RELU,  ACT_CLIP, ACT_HARDSWISH,
						ACT_SILU,        ACT_LEAKY, ACT_GELU, ACT_SIGMOID,
						ACT_HARDSIGMOID, ACT_MISH };
	int dims = 1 + (int)random_below(3);

	memset(c, 0, sizeof *c);
	c->n = 1 + random_below(3);
	c->groups = random_below(3) ? 1 : 1 + random_below(9);
	c->c = c->groups * (random_below(3) ? 1 + random_below(40) : 1);
	c->k = c->groups * (c->c == c->groups && random_below(2) ? 1 : 1 + random_below(70));
	for (int a = 0; a < 3; a++) {
		bool used = a >= 3 - dims;
		c->kernel[a] = used ? 1 + random_below(4) : 1;
		c->stride[a] = used ? 1 + random_below(3) : 1;
		c->dilation[a] = used ? 1 + random_below(2) : 1;
		size_t reach = (c->kernel[a] - 1) * c->dilation[a] + 1;
		c->pad[a] = used ? (ptrdiff_t)random_below((uint32_t)reach) : 0;
		c->in[a] = used ? reach + random_below(a == 2 ? 30 : 9) : 1;
		size_t after = used ? random_below((uint32_t)reach) : 0;
		c->out[a] = (c->in[a] + (size_t)c->pad[a] + after - reach) / c->stride[a] + 1;
	}
	c->x_pitch = c->c + random_below(2) * 5;
	c->y_pitch = c->k + random_below(2) * 3;
	c->r_pitch = c->k + random_below(2) * 2;
	c->epilogue = (struct epilogue){ acts[random_below(10)], 0.1f, 0.7f };
}

/* Few channels and a wide window, as in first layers. */
static void first_shape(struct conv *c)
{
	random_shape(c);
	c->groups = 1;
	c->c = 1 + random_below(6);
	c->k = 1 + random_below(70);
	c->x_pitch = c->c;
	for (int a = 1; a < 3; a++) {
		c->kernel[a] = 2 + random_below(6);
		c->dilation[a] = 1 + random_below(8) / 7;
		size_t reach = (c->kernel[a] - 1) * c->dilation[a] + 1;
		c->pad[a] = (ptrdiff_t)random_below((uint32_t)reach + 2);
		c->in[a] = 1 + random_below(30);
		size_t whole = c->in[a] + (size_t)c->pad[a] + random_below((uint32_t)reach + 2);
		whole = whole < reach ? reach : whole;
		c->out[a] = (whole - reach) / c->stride[a] + 1;
	}
	c->y_pitch = c->r_pitch = c->k;
}

/* Narrow groups, as many channels out as in. */
static void grouped_shape(struct conv *c)
{
	random_shape(c);
	c->groups = 2 + random_below(20);
	c->c = c->k = c->groups << (1 + random_below(4));
	c->kernel[0] = c->stride[0] = c->dilation[0] = c->in[0] = c->out[0] = 1;
	c->pad[0] = 0;
	c->x_pitch = c->c + random_below(2) * 5;
	c->y_pitch = c->k + random_below(2) * 3;
	c->r_pitch = c->k + random_below(2) * 2;
}

/* The shape that Winograd's kernel takes. */
static void winograd_shape(struct conv *c)
{
	random_shape(c);
	c->groups = 1;
	c->c = 16 + random_below(60);
	c->k = 16 + random_below(60);
	for (int a = 0; a < 3; a++) {
		c->kernel[a] = a ? 3 : 1;
		c->stride[a] = c->dilation[a] = 1;
		c->pad[a] = a ? (ptrdiff_t)random_below(3) : 0;
		c->in[a] = a ? 8 + random_below(20) : 1;
		c->out[a] = a ? c->in[a] + (size_t)c->pad[a] - 2 + random_below(2) : 1;
	}
	c->x_pitch = c->c;
	c->y_pitch = c->r_pitch = c->k + random_below(2);
}

/* The same pictures row-major, for the kernel that reads them so: the worst error, or -1 if the last
 * picture alone gives other bytes. */
static double try_planes(const struct run *oracle, const struct conv *shape, const float *w,
			 const float *b, const float *x, const float *r, struct crew *crew)
{
	struct conv c = *shape;
	size_t pixels = c.in[0] * c.in[1] * c.in[2], skip = (c.n - 1) * oracle->y_count / c.n;
	float *planes = floats(c.n * pixels * c.c);
	struct run all, one;
	double worst;

	for (size_t i = 0; i < c.n * pixels; i++)
		for (size_t k = 0; k < c.c; k++)
			planes[(i / pixels * c.c + k) * pixels + i % pixels] = x[i * c.x_pitch + k];
	c.planar = true;
	compute(&all, &c, KERNELS_NATIVE, w, b, planes, r, crew);
	worst = difference(oracle->y, all.y, all.y_count);
	c.n = 1;
	compute(&one, &c, KERNELS_NATIVE, w, b, planes + (shape->n - 1) * pixels * c.c,
		r ? r + (shape->n - 1) * conv_out(&c) * c.r_pitch : NULL, NULL);
	if (memcmp(one.y, all.y + skip, one.y_count * sizeof(float)) != 0)
		worst = -1;
	end(&all);
	end(&one);
	free(planes);
	return worst;
}

/* Worst error of one random layer over the sets, relative to the size of its sums. */
static double try_conv(bool *same, struct crew *crew, void (*choose)(struct conv *))
{
	static const enum kernel_set sets[] = { KERNELS_NATIVE, KERNELS_BLIS };
	struct conv c;
	choose(&c);
	size_t pixels = c.n * c.in[0] * c.in[1] * c.in[2], depth = c.c / c.groups;
	size_t taps = c.kernel[0] * c.kernel[1] * c.kernel[2];
	size_t out = conv_out(&c);
	float *x = floats(pixels * c.x_pitch), *w = floats(c.k * depth * taps), *bias = floats(c.k);
	float *residual = floats(c.n * out * c.r_pitch);
	const float *b = random_below(2) ? bias : NULL, *r = random_below(2) ? residual : NULL;
	double worst = 0;
	struct run oracle, other, one;

	c.residual = r != NULL;
	compute(&oracle, &c, KERNELS_REFERENCE, w, b, x, r, NULL);
	for (int s = 0; s < 2; s++) {
		compute(&other, &c, sets[s], w, b, x, r, crew);
		double d = difference(oracle.y, other.y, oracle.y_count) /
			   sqrt((double)(taps * depth) + 1);
		if (!(d <= worst))
			worst = d;
		/* The last picture alone, without threads. */
		struct conv single = c;
		single.n = 1;
		size_t skip = (c.n - 1) * pixels / c.n * c.x_pitch;
		compute(&one, &single, sets[s], w, b, x + skip,
			r ? r + (c.n - 1) * out * c.r_pitch : NULL, NULL);
		if (memcmp(one.y, other.y + (c.n - 1) * out * c.y_pitch,
			   one.y_count * sizeof(float)) != 0)
			*same = false;
		end(&one);
		end(&other);
	}
	if (conv_takes_planes(&c)) {
		double d = try_planes(&oracle, &c, w, b, x, r, crew);
		*same &= d >= 0;
		d /= sqrt((double)(taps * depth) + 1);
		worst = d <= worst ? worst : d;
	}
	end(&oracle);
	free(x);
	free(w);
	free(bias);
	free(residual);
	return worst;
}

static void gemm_with(struct gemm *g, enum kernel_set set, const float *w, bool across,
		      const float *bias, const float *x, const float *r, float *y,
		      struct crew *crew)
{
	gemm_choose(g, set, crew_lanes(crew));
	void *packed = bytes(g->packed_bytes), *work = bytes(g->work_bytes);

	gemm_pack(g, w, across ? 1 : (ptrdiff_t)g->n, across ? (ptrdiff_t)g->k : 1, bias, packed);
	gemm_run(g, x, r, y, work, crew);
	free(packed);
	free(work);
}

static double try_gemm(bool *same, struct crew *crew)
{
	struct gemm g = { .m = 1 + random_below(150),
			  .n = 1 + random_below(90),
			  .k = 1 + random_below(200) };
	bool across = random_below(2);

	g.x_pitch = g.k;
	g.y_pitch = g.r_pitch = g.n;
	g.epilogue = (struct epilogue){ random_below(2) ? ACT_RELU : ACT_SIGMOID, 0, 0 };
	float *x = floats(g.m * g.k), *w = floats(g.n * g.k), *bias = floats(g.n),
	      *r = floats(g.m * g.n);
	float *oracle = floats(g.m * g.n), *y = floats(g.m * g.n), *row = floats(g.n);
	double worst = 0;

	gemm_with(&g, KERNELS_REFERENCE, w, across, bias, x, r, oracle, NULL);
	for (int s = KERNELS_NATIVE; s <= KERNELS_BLIS; s++) {
		gemm_with(&g, (enum kernel_set)s, w, across, bias, x, r, y, crew);
		double d = difference(oracle, y, g.m * g.n) / sqrt((double)g.k + 1);
		if (!(d <= worst))
			worst = d;
		struct gemm last = g;
		last.m = 1;
		gemm_with(&last, (enum kernel_set)s, w, across, bias, x + (g.m - 1) * g.k,
			  r + (g.m - 1) * g.n, row, NULL);
		if (memcmp(row, y + (g.m - 1) * g.n, g.n * sizeof *row) != 0)
			*same = false;
	}
	free(x), free(w), free(bias), free(r), free(oracle), free(y), free(row);
	return worst;
}

static float larger(float best, float v)
{
	return v > best || isnan(v) ? v : best;
}

/* A row of MaxPool with windows three wide, some values not numbers, against plain loops. */
static bool try_pool_with(void (*pool)(const struct pool_row *), const struct pool_row *shape)
{
	struct pool_row p = *shape;
	float *y = floats(p.width * p.y_pitch);
	bool same = true;

	p.y = y;
	pool(&p);
	for (size_t w = 0; w < p.width; w++)
		for (size_t c = 0; c < p.channels; c++) {
			float best = -INFINITY, found = y[w * p.y_pitch + c];
			for (size_t l = 0; l < p.lines; l++)
				for (ptrdiff_t t = 0; t < 3; t++) {
					size_t i = (size_t)((ptrdiff_t)(w * p.stride) + t - p.pad);
					const float *x = p.x + (ptrdiff_t)l * p.line_step + c;
					if (i < p.in_width)
						best = larger(best, x[i * p.x_pitch]);
				}
			same &= found == best || (isnan(found) && isnan(best));
		}
	free(y);
	return same;
}

static bool try_pool(void)
{
	struct pool_row p = { .lines = 1 + random_below(3),
			      .in_width = 3 + random_below(20),
			      .stride = 1 + random_below(2),
			      .pad = (ptrdiff_t)random_below(3),
			      .channels = 1 + random_below(150) };
	bool same;

	p.width = (p.in_width + (size_t)p.pad + random_below(2) - 3) / p.stride + 1;
	p.x_pitch = p.channels + random_below(3);
	p.y_pitch = p.channels + random_below(3);
	p.line_step = (ptrdiff_t)(p.in_width * p.x_pitch);
	float *x = floats(p.lines * p.in_width * p.x_pitch);
	for (size_t i = 0; i < p.lines * p.in_width * p.x_pitch; i++)
		x[i] = random_below(50) ? x[i] : NAN;
	p.x = x;
	same = try_pool_with(pool_max_row__base, &p) && try_pool_with(pool_max_row, &p);
	free(x);
	return same;
}

static void bench_layer(const char *name, enum kernel_set set, size_t side, size_t c, size_t k,
			size_t kernel, size_t groups)
{
	struct conv shape = { .n = 1,
			      .c = c,
			      .k = k,
			      .groups = groups,
			      .in = { 1, side, side },
			      .out = { 1, side, side },
			      .kernel = { 1, kernel, kernel },
			      .stride = { 1, 1, 1 },
			      .dilation = { 1, 1, 1 },
			      .pad = { 0, (ptrdiff_t)kernel / 2, (ptrdiff_t)kernel / 2 },
			      .x_pitch = c,
			      .y_pitch = k,
			      .epilogue = { ACT_RELU, 0, 0 } };
	float *x = floats(side * side * c), *w = floats(k * c / groups * kernel * kernel),
	      *b = floats(k);
	double best = 1e9, flops = 2.0 * (double)(side * side * k * c / groups * kernel * kernel);
	struct run r;

	compute(&r, &shape, set, w, b, x, NULL, NULL);
	for (double until = now() + 0.15; now() < until;) {
		double start = now();
		conv_run(&r.c, x, NULL, r.y, r.work, NULL);
		if (now() - start < best)
			best = now() - start;
	}
	printf("%-10s %-12s %8.3f ms %7.1f GF/s\n", name, conv_kernel_name(&r.c), best * 1e3,
	       flops / best / 1e9);
	end(&r);
	free(x), free(w), free(b);
}

static int bench(void)
{
	for (int set = KERNELS_NATIVE; set <= KERNELS_BLIS; set++) {
		bench_layer("56 3x3 64", (enum kernel_set)set, 56, 64, 64, 3, 1);
		bench_layer("56 1x1 256", (enum kernel_set)set, 56, 64, 256, 1, 1);
		bench_layer("28 3x3 128", (enum kernel_set)set, 28, 128, 128, 3, 1);
		bench_layer("14 3x3 256", (enum kernel_set)set, 14, 256, 256, 3, 1);
		bench_layer("14 1x1", (enum kernel_set)set, 14, 1024, 256, 1, 1);
		bench_layer("7 3x3 512", (enum kernel_set)set, 7, 512, 512, 3, 1);
		bench_layer("7 1x1", (enum kernel_set)set, 7, 512, 2048, 1, 1);
		bench_layer("56 1x1 24", (enum kernel_set)set, 56, 144, 24, 1, 1);
	}
	bench_layer("55 3x3 16 64", KERNELS_NATIVE, 55, 16, 64, 3, 1);
	bench_layer("14 3x3 64 256", KERNELS_NATIVE, 14, 64, 256, 3, 1);
	bench_layer("112 16 96", KERNELS_NATIVE, 112, 16, 96, 1, 1);
	bench_layer("112 32 16", KERNELS_NATIVE, 112, 32, 16, 1, 1);
	bench_layer("56 24 144", KERNELS_NATIVE, 56, 24, 144, 1, 1);
	bench_layer("14 96 576", KERNELS_NATIVE, 14, 96, 576, 1, 1);
	bench_layer("7 160 960", KERNELS_NATIVE, 7, 160, 960, 1, 1);
	bench_layer("112 3 32", KERNELS_NATIVE, 112, 3, 32, 3, 1);
	bench_layer("28 g8 104", KERNELS_NATIVE, 28, 104, 104, 3, 13);
	bench_layer("14 g8 208", KERNELS_NATIVE, 14, 208, 208, 3, 26);
	bench_layer("112 dw 32", KERNELS_NATIVE, 112, 32, 32, 3, 32);
	bench_layer("28 dw 192", KERNELS_NATIVE, 28, 192, 192, 3, 192);
	bench_layer("7 dw 960", KERNELS_NATIVE, 7, 960, 960, 3, 960);
	return 0;
}

int main(int argc, char **argv)
{
	struct crew *crew = crew_new(3);
	bool same = true, pools = true;
	double conv = 0, gemm = 0;

	if (argc > 1 && strcmp(argv[1], "bench") == 0)
		return bench();
	for (int i = 0; i < 500; i++) {
		double d = try_conv(&same, crew,
				    i % 5 == 0   ? winograd_shape
				    : i % 5 == 1 ? first_shape
				    : i % 5 == 2 ? grouped_shape
						 : random_shape);
		conv = d <= conv ? conv : d;
	}
	for (int i = 0; i < 100; i++) {
		double d = try_gemm(&same, crew);
		gemm = d <= gemm ? gemm : d;
	}
	for (int i = 0; i < 200; i++)
		pools &= try_pool();
	crew_free(&crew);
	/* f32 rounding of sums of n terms in [-1, 1] grows with sqrt(n); Winograd's F(4x4) has the largest
	 * factor before it: its transforms multiply by up to 8 and subtract again. */
	bool good = conv < 3e-5 && gemm < 1e-5 && same && pools;
	printf("worst error over sqrt(terms): conv %.2g, gemm %.2g; bytes %s in any batch and "
	       "crew; pools %s\n",
	       conv, gemm, same ? "equal" : "DIFFER", pools ? "agree" : "DIFFER");
	return good ? 0 : 1;
}
