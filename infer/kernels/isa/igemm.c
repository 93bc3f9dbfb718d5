/* The indirect matrix product: tiles of ROWS pixels by 2 vectors of columns are summed over all taps
 * and channels in registers, and stored once, finished. No packing of activations; at most 8 pixels,
 * since more streams than an L1 set has ways collapse when their distance is a multiple of 4096
 * bytes. */
#include "infer/kernels/igemm.h"

#include "infer/kernels/isa/isa.h"
#include "infer/kernels/isa/smooth.h"

#if VEC == 16
#define ROWS 8
#elif VEC == 8
#define ROWS 6
#else
#define ROWS 4
#endif
#define COLS (2 * VEC)

/* Finish a row of a tile and store its first n columns. */
INLINE void finish(const struct igemm *g, vec *sum, const int vectors, const float *bias, size_t i,
		   size_t column, size_t n)
{
	float *y = g->y + i * g->y_pitch + column;
	const float *r = g->residual ? g->residual + i * g->r_pitch + column : NULL;
	size_t last = n - (size_t)(vectors - 1) * VEC;

	sum[0] += load(bias);
	if (vectors > 1)
		sum[1] += load(bias + VEC);
	if (r) {
		if (vectors > 1)
			sum[0] += load(r);
		sum[vectors - 1] += last < VEC ? load_n(r + (vectors - 1) * VEC, last)
					       : load(r + (vectors - 1) * VEC);
	}
	activate_quick(g->epilogue, sum, vectors);
	if (vectors > 1)
		store(y, sum[0]);
	if (last < VEC)
		store_n(y + (vectors - 1) * VEC, sum[vectors - 1], last);
	else
		store(y + (vectors - 1) * VEC, sum[vectors - 1]);
}

/* Pixels [i, i + rows), `vectors` vectors of columns of one panel. */
INLINE void tile(const struct igemm *g, const int rows, const int vectors, const float *panel,
		 size_t i, size_t column, size_t n)
{
	vec sum[ROWS][2] = { 0 };
	const float *w = panel + COLS;

	for (size_t t = 0; t < g->taps; t++) {
		const float *p[ROWS];
#pragma GCC unroll 8
		for (int r = 0; r < rows; r++)
			p[r] = g->rows[t * g->count + i + (size_t)r] + g->offset;
		for (size_t c = 0; c < g->depth; c++, w += COLS) {
			vec w0 = load(w), w1 = vectors > 1 ? load(w + VEC) : w0;
#pragma GCC unroll 8
			for (int r = 0; r < rows; r++) {
				float x = p[r][c];
				sum[r][0] += x * w0;
				if (vectors > 1)
					sum[r][1] += x * w1;
			}
		}
	}
#pragma GCC unroll 8
	for (int r = 0; r < rows; r++)
		finish(g, sum[r], vectors, panel, i + (size_t)r, column, n);
}

INLINE void tiles(const struct igemm *g, const int vectors, const float *panel, size_t column,
		  size_t n)
{
	size_t i = 0;

	for (; i + ROWS <= g->count; i += ROWS)
		tile(g, ROWS, vectors, panel, i, column, n);
	switch (g->count - i) {
	case 7:
		tile(g, ROWS < 7 ? 1 : 7, vectors, panel, i, column, n);
		break;
	case 6:
		tile(g, ROWS < 6 ? 1 : 6, vectors, panel, i, column, n);
		break;
	case 5:
		tile(g, ROWS < 5 ? 1 : 5, vectors, panel, i, column, n);
		break;
	case 4:
		tile(g, 4, vectors, panel, i, column, n);
		break;
	case 3:
		tile(g, 3, vectors, panel, i, column, n);
		break;
	case 2:
		tile(g, 2, vectors, panel, i, column, n);
		break;
	case 1:
		tile(g, 1, vectors, panel, i, column, n);
		break;
	default:
		break;
	}
}

static void run(const struct igemm *g)
{
	size_t panel_floats = COLS * (1 + g->taps * g->depth);

	for (size_t column = 0; column < g->columns; column += COLS) {
		const float *panel = g->panel + column / COLS * panel_floats;
		size_t n = g->columns - column < COLS ? g->columns - column : COLS;
		if (n <= VEC)
			tiles(g, 1, panel, column, n);
		else
			tiles(g, 2, panel, column, n);
	}
	activate_rows(g->epilogue, g->y, g->y_pitch, g->count, g->columns);
}

const struct igemm_isa ISA_NAME(igemm) = { COLS, run };
