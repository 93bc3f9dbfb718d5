/* Winograd's transforms, a vector of channels at a time. */
#include "infer/kernels/winograd.h"

#include <string.h>

#include "infer/kernels/isa/isa.h"
#include "infer/kernels/isa/smooth.h"

/* Bᵀ for one line of 4 or 6 values, in place, `step` apart. Interpolation points 0, 1, -1 and
 * 0, 1, -1, 2, -2, each with infinity. */
INLINE void in_line(const int side, vec *d, const int step)
{
	if (side == 4) {
		vec a = d[0], b = d[step], c = d[2 * step], e = d[3 * step];
		d[0] = a - c;
		d[step] = b + c;
		d[2 * step] = c - b;
		d[3 * step] = b - e;
		return;
	}
	vec d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step],
	    d5 = d[5 * step];
	vec p = d4 - 4 * d2, q = d3 - 4 * d1, r = d4 - d2, s = 2 * (d3 - d1);
	d[0] = 4 * d0 - 5 * d2 + d4;
	d[step] = p + q;
	d[2 * step] = p - q;
	d[3 * step] = r + s;
	d[4 * step] = r - s;
	d[5 * step] = 4 * d1 - 5 * d3 + d5;
}

/* Aᵀ for one line: side values in, side - 2 out, in place. */
INLINE void out_line(const int side, vec *m, const int step)
{
	if (side == 4) {
		vec a = m[0], b = m[step], c = m[2 * step], e = m[3 * step];
		m[0] = a + b + c;
		m[step] = b - c - e;
		return;
	}
	vec p = m[step] + m[2 * step], q = m[step] - m[2 * step];
	vec r = m[3 * step] + m[4 * step], s = m[3 * step] - m[4 * step];
	m[0] = m[0] + p + r;
	m[step] = q + 2 * s;
	m[2 * step] = p + 4 * r;
	m[3 * step] = q + 8 * s + m[5 * step];
}

INLINE void in_tile(const int side, vec *d)
{
#pragma GCC unroll 6
	for (int x = 0; x < side; x++)
		in_line(side, d + x, side);
#pragma GCC unroll 6
	for (int y = 0; y < side; y++)
		in_line(side, d + y * side, 1);
}

/* n channels from c on: VEC, or fewer and then not `whole`. All indices are known to the compiler: the
 * tile is in registers, as far as there are enough. */
INLINE void in_at(const int side, const struct winograd_in *t, size_t c, size_t n, const int whole)
{
	vec d[WINOGRAD_SIDE_MAX * WINOGRAD_SIDE_MAX];
	float *v = t->v + c;

#pragma GCC unroll 36
	for (int i = 0; i < side * side; i++)
		d[i] = whole ? load(t->pixel[i] + c) : load_n(t->pixel[i] + c, n);
	in_tile(side, d);
#pragma GCC unroll 36
	for (int i = 0; i < side * side; i++, v += t->v_step) {
		if (whole)
			store(v, d[i]);
		else
			store_n(v, d[i], n);
	}
}

INLINE void in(const int side, const struct winograd_in *t)
{
	size_t c = 0;

	for (; c + VEC <= t->channels; c += VEC)
		in_at(side, t, c, VEC, 1);
	if (c < t->channels)
		in_at(side, t, c, t->channels - c, 0);
}

/* Aᵀ m A: rows first, the result in the upper left (side - 2)² of the tile. */
INLINE void out_tile(const int side, vec *m)
{
#pragma GCC unroll 6
	for (int x = 0; x < side; x++)
		out_line(side, m + x, side);
#pragma GCC unroll 4
	for (int y = 0; y < side - 2; y++)
		out_line(side, m + y * side, 1);
}

/* n channels from c on, as in in_at. m's rows are whole vectors, whatever the channels: see
 * conv_winograd.c. */
INLINE void out_at(const int side, const struct winograd_out *t, size_t c, size_t n,
		   const int whole)
{
	vec m[WINOGRAD_SIDE_MAX * WINOGRAD_SIDE_MAX], done[16];
	vec bias = whole ? load(t->bias + c) : load_n(t->bias + c, n);
	const int size = side - 2;

#pragma GCC unroll 36
	for (int i = 0; i < side * side; i++)
		m[i] = load(t->m + (size_t)i * t->m_step + c);
	out_tile(side, m);
#pragma GCC unroll 16
	for (int i = 0; i < size * size; i++) {
		done[i] = m[i / size * side + i % size] + bias;
		if (t->residual[i])
			done[i] += whole ? load(t->residual[i] + c) : load_n(t->residual[i] + c, n);
	}
	activate_quick(t->epilogue, done, size * size);
#pragma GCC unroll 16
	for (int i = 0; i < size * size; i++) {
		if (!t->pixel[i])
			continue;
		if (whole)
			store(t->pixel[i] + c, done[i]);
		else
			store_n(t->pixel[i] + c, done[i], n);
	}
}

INLINE void out(const int side, const struct winograd_out *t)
{
	size_t c = 0;

	for (; c + VEC <= t->channels; c += VEC)
		out_at(side, t, c, VEC, 1);
	if (c < t->channels)
		out_at(side, t, c, t->channels - c, 0);
	if (quick(t->epilogue))
		return;
	for (int i = 0; i < (side - 2) * (side - 2); i++)
		if (t->pixel[i])
			activate_rows(t->epilogue, t->pixel[i], 0, 1, t->channels);
}

#define WIDE (VEC / 2)

/* As many doubles as a vector holds. */
typedef double wide __attribute__((vector_size(WIDE * sizeof(double))));

/* G for one line: three values in, side out. */
INLINE void weight_line(const int side, wide a, wide b, wide c, wide *out, const int step)
{
	wide sum = a + c;

	if (side == 4) {
		out[0] = a;
		out[step] = (sum + b) * 0.5;
		out[2 * step] = (sum - b) * 0.5;
		out[3 * step] = c;
		return;
	}
	wide far = a * (1.0 / 24) + c * (1.0 / 6), b12 = b * (1.0 / 12);
	out[0] = a * 0.25;
	out[step] = (sum + b) * (-1.0 / 6);
	out[2 * step] = (sum - b) * (-1.0 / 6);
	out[3 * step] = far + b12;
	out[4 * step] = far - b12;
	out[5 * step] = c;
}

INLINE void weights(const int side, const float *window, size_t columns, float *out, size_t step)
{
	for (size_t i = 0; i < columns; i += WIDE) {
		wide g[9], half[WINOGRAD_SIDE_MAX * 3], row[WINOGRAD_SIDE_MAX];

		for (size_t t = 0; t < 9; t++) {
			double lane[WIDE];
			for (size_t k = 0; k < WIDE; k++)
				lane[k] = window[t * columns + i + k];
			memcpy(&g[t], lane, sizeof lane);
		}
		for (int x = 0; x < 3; x++)
			weight_line(side, g[x], g[3 + x], g[6 + x], half + x, 3);
		for (int y = 0; y < side; y++) {
			const wide *h = half + 3 * y;
			weight_line(side, h[0], h[1], h[2], row, 1);
			for (int x = 0; x < side; x++)
				for (size_t k = 0; k < WIDE; k++)
					out[(size_t)(y * side + x) * step + i + k] =
					    (float)row[x][k];
		}
	}
}

static void weights2(const float *window, size_t columns, float *out, size_t step)
{
	weights(4, window, columns, out, step);
}

static void weights4(const float *window, size_t columns, float *out, size_t step)
{
	weights(6, window, columns, out, step);
}

static void in2(const struct winograd_in *t)
{
	in(4, t);
}

static void in4(const struct winograd_in *t)
{
	in(6, t);
}

static void out2(const struct winograd_out *t)
{
	out(4, t);
}

static void out4(const struct winograd_out *t)
{
	out(6, t);
}

const struct winograd_isa ISA_NAME(winograd) = { in2, in4, out2, out4, weights2, weights4 };
