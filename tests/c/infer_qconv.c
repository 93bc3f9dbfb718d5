/* Convolutions of bytes: every kernel that the processor has against the plain loops, to the byte, on
 * seeded random shapes, types, zero points, weights that do not fit i8, residuals, tables, floats and sums
 * as results; in any batch, with one thread and three. The driver calls itself once per instruction set. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "infer/kernels/qconv.h"
#include "infer/kernels/qelement.h"
#include "infer/kernels/requant.h"

#define SHAPES 300
#define SLACK 64

static uint32_t seed = 7;

static uint32_t below(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (uint32_t)(((uint64_t)(seed >> 4) * n) >> 28);
}

static void *memory(size_t bytes)
{
	void *p = aligned_alloc(64, (bytes + SLACK) / 64 * 64 + 64);

	memset(p, 0xa5, bytes);
	return p;
}

static void *random_bytes(size_t count)
{
	uint8_t *p = memory(count);

	for (size_t i = 0; i < count; i++)
		p[i] = (uint8_t)below(256);
	return p;
}

struct layer {
	struct qconv q;
	struct qweights w;
	uint8_t *x, *residual, *weights, table[256];
	int32_t *zero, *bias;
	float *factor;
	size_t x_bytes, y_count;
};

static size_t pick(const size_t *of, size_t count)
{
	return of[below((uint32_t)count)];
}

static void random_window(struct rows *r)
{
	static const size_t kernels[] = { 1, 1, 2, 3, 3, 5, 7 };

	for (int a = 0; a < 3; a++) {
		bool flat = a == 0 && below(8) > 0;

		r->kernel[a] = flat ? 1 : pick(kernels, 7);
		r->stride[a] = flat ? 1 : 1 + below(3) / 2 + below(5) / 4;
		r->dilation[a] = flat ? 1 : 1 + below(5) / 4;
		size_t reach = (r->kernel[a] - 1) * r->dilation[a] + 1;
		r->pad[a] = flat ? 0 : (ptrdiff_t)below((uint32_t)(reach / 2 + 1));
		r->in[a] = flat ? 1 : reach + below(a == 0 ? 3 : 21);
		r->out[a] = (r->in[a] + 2 * (size_t)r->pad[a] - reach) / r->stride[a] + 1;
	}
}

static void random_channels(struct qconv *q)
{
	static const size_t some[] = { 1,  2,  3,  4,  5,  8,  13, 16, 17,
				       24, 32, 33, 48, 63, 64, 70, 96, 130 };

	switch (below(4)) {
	case 0: /* depthwise */
		q->groups = q->c = q->k = pick(some, 18);
		break;
	case 1:
		q->groups = 1 + below(5);
		q->c = q->groups * (1 + below(20));
		q->k = q->groups * (1 + below(40));
		break;
	default:
		q->groups = 1;
		q->c = pick(some, 18);
		q->k = pick(some, 18);
	}
}

static void random_requant(struct layer *l)
{
	struct requant *r = &l->q.requant;
	bool is_signed = below(3) == 0;

	r->out = below(6) ? QOUT_BYTES : below(2) ? QOUT_FLOATS : QOUT_SUMS;
	r->low = is_signed ? -128 : 0;
	r->high = is_signed ? 127 : 255;
	r->zero = r->low + (int32_t)below(256);
	if (below(3) == 0)
		r->low = r->zero;
	if (below(4) == 0)
		r->high -= (int32_t)below(40);
	r->residual = r->out == QOUT_BYTES && below(3) == 0;
	r->mine = (float)(1 + below(1000)) / 500;
	r->other = (float)(1 + below(1000)) / 500;
	r->other_flip = below(2) ? 0x80 : 0;
	r->other_zero = (int32_t)below(256);
	r->own_low = -(float)below(256);
	r->own_high = r->own_low + 255;
	r->table = r->out == QOUT_BYTES && below(4) == 0 ? l->table : NULL;
	r->epilogue.act = below(2) ? ACT_RELU : ACT_SIGMOID;
}

static void random_weights(struct layer *l)
{
	struct qconv *q = &l->q;
	size_t taps = rows_taps(&q->rows), depth = q->c / q->groups;
	bool wide = below(4) == 0;

	l->weights = random_bytes(q->k * depth * taps);
	l->zero = memory(q->k * 4);
	l->bias = memory(q->k * 4);
	l->factor = memory(q->k * 4);
	l->w.is_signed = below(2);
	for (size_t k = 0; k < q->k; k++) {
		l->zero[k] = wide             ? (int32_t)below(256) - (l->w.is_signed ? 128 : 0)
			     : l->w.is_signed ? 0
					      : 128;
		l->bias[k] = q->requant.out == QOUT_SUMS ? 0 : (int32_t)below(20000) - 10000;
		l->factor[k] = (float)(1 + below(10000)) / 1e7f;
		if (below(300) == 0)
			l->factor[k] = 1e6f; /* beyond what fits 32 bits */
	}
	l->w = (struct qweights){
		l->weights, l->w.is_signed, false,    (ptrdiff_t)(depth * taps), (ptrdiff_t)taps, 1,
		l->zero,    l->bias,        l->factor
	};
	q->parts = qweights_parts(q, &l->w);
}

static void random_layer(struct layer *l)
{
	struct qconv *q = &l->q;

	memset(l, 0, sizeof *l);
	q->n = 1 + below(3);
	random_window(&q->rows);
	random_channels(q);
	q->rows.pitch = q->c + (below(3) ? 0 : below(9));
	q->y_pitch = q->k + (below(3) ? 0 : below(9));
	q->r_pitch = q->k + below(3);
	q->x_signed = below(2);
	q->x_zero = (int32_t)below(256) - (q->x_signed ? 128 : 0);
	for (int i = 0; i < 256; i++)
		l->table[i] = (uint8_t)below(256);
	random_requant(l);
	random_weights(l);
	l->x_bytes = q->n * q->rows.in[0] * q->rows.in[1] * q->rows.in[2] * q->rows.pitch;
	l->y_count = q->n * rows_pixels(&q->rows) * q->y_pitch;
	l->x = random_bytes(l->x_bytes);
	l->residual = random_bytes(q->n * rows_pixels(&q->rows) * q->r_pitch);
}

static void free_layer(struct layer *l)
{
	free(l->x);
	free(l->residual);
	free(l->weights);
	free(l->zero);
	free(l->bias);
	free(l->factor);
}

/* y's bytes; gaps keep what memory() wrote. */
static uint8_t *compute(const struct layer *l, enum kernel_set set, struct crew *crew,
			const char **name)
{
	struct qconv q = l->q;
	uint8_t *y = memory(l->y_count * 4);
	void *packed, *work;

	qconv_choose(&q, set, false, crew_lanes(crew));
	packed = memory(q.packed_bytes);
	work = memory(q.work_bytes);
	if (q.requant.out == QOUT_SUMS && set == KERNELS_NATIVE) { /* its zero point comes later */
		q.x_zero = 3;
		qconv_pack(&q, &l->w, packed);
		q.x_zero = l->q.x_zero;
		qconv_rezero(&q, packed);
	} else {
		qconv_pack(&q, &l->w, packed);
	}
	qconv_run(&q, l->x, q.requant.residual ? l->residual : NULL, y, work, crew);
	*name = qconv_kernel_name(&q);
	free(packed);
	free(work);
	return y;
}

static int check(int number, struct crew *crew, int used[4])
{
	struct layer l;
	const char *name, *plain_name;
	uint8_t *plain, *fast, *threads;
	int bad = 0;

	random_layer(&l);
	plain = compute(&l, KERNELS_REFERENCE, NULL, &plain_name);
	fast = compute(&l, KERNELS_NATIVE, NULL, &name);
	threads = compute(&l, KERNELS_NATIVE, crew, &name);
	if (memcmp(plain, fast, l.y_count * 4) != 0 || memcmp(plain, threads, l.y_count * 4) != 0) {
		printf("shape %d, %s: n %zu, %zu to %zu in %zu, kernel %zux%zux%zu, out %d, "
		       "residual %d, x %s, weights in %d parts: differs from %s\n",
		       number, name, l.q.n, l.q.c, l.q.k, l.q.groups, l.q.rows.kernel[0],
		       l.q.rows.kernel[1], l.q.rows.kernel[2], (int)l.q.requant.out,
		       l.q.requant.residual, l.q.x_signed ? "i8" : "u8", l.q.parts, plain_name);
		bad = 1;
	}
	used[strcmp(name, "int words") == 0 ? 1 : strcmp(name, "int vnni") == 0 ? 2 : 3]++;
	free(plain);
	free(fast);
	free(threads);
	free_layer(&l);
	return bad;
}

/* --- element by element, against their definitions ------------------------------------------------------ */

static int check_elements(void)
{
	size_t n = 1 + below(300);
	uint8_t *x = random_bytes(n), *b = random_bytes(n), *y = memory(n), table[256];
	struct qoperand a = { (int32_t)below(256), below(2) ? 0x80 : 0 };
	struct qoperand o = { (int32_t)below(256), below(2) ? 0x80 : 0 };
	struct requant r = { .zero = 30,
			     .low = 0,
			     .high = 255,
			     .mine = 0.7f,
			     .other = 1.3f,
			     .residual = true,
			     .own_low = -255,
			     .own_high = 255 };
	float factor = (float)below(1000) / 20000;
	int bad = 0;

	for (int i = 0; i < 256; i++)
		table[i] = (uint8_t)below(256);
	r.other_zero = o.zero;
	r.other_flip = o.flip;
	qelement_add(&r, a, x, b, y, n);
	for (size_t i = 0; i < n; i++)
		bad |= y[i] != requant_byte(&r, (float)((x[i] ^ a.flip) - a.zero), b[i]);
	qelement_mul(&r, factor, a, x, o, b, 1, y, n);
	for (size_t i = 0; i < n; i++) {
		int32_t v = ((x[i] ^ a.flip) - a.zero) * ((b[i] ^ o.flip) - o.zero);
		bad |= y[i] != round_to((float)v * factor, r.zero, r.low, r.high);
	}
	qelement_lookup(table, x, y, n);
	for (size_t i = 0; i < n; i++)
		bad |= y[i] != table[x[i]];
	free(x);
	free(b);
	free(y);
	if (bad)
		printf("%zu elements differ from their definition\n", n);
	return bad;
}

static int run_all(const char *set)
{
	struct crew *crew = crew_new(3);
	int bad = 0, used[4] = { 0 };

	for (int i = 0; i < SHAPES; i++)
		bad += check(i, crew, used);
	for (int i = 0; i < 200; i++)
		bad += check_elements();
	crew_free(&crew);
	printf("%s: %d shapes (words %d, vnni %d, vnni depthwise %d), %d differ\n", set, SHAPES,
	       used[1], used[2], used[3], bad);
	return bad != 0;
}

int main(int argc, char **argv)
{
	static const char *const sets[] = { "base", "avx2", "avx512", "vnni" };
	int bad = 0;

#ifndef __x86_64__
	return run_all("base"); /* there is no other */
#endif
	if (argc > 1)
		return run_all(argv[1]);
	for (int i = 0; i < 4; i++) {
		int status = 0;
		pid_t child = fork();

		if (child == 0) {
			setenv("ANDON_ISA", sets[i], 1);
			execl("/proc/self/exe", argv[0], sets[i], (char *)NULL);
			_exit(127);
		}
		if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0)
			bad = 1;
	}
	return bad;
}
