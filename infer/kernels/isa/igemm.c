/* The indirect matrix product: tiles of at most ROWS pixels by 2 vectors of columns are summed over
 * all taps and channels in registers, and stored once, finished. No packing of activations; at most
 * 8 pixels, since more streams than an L1 set has ways collapse when their distance is a multiple of
 * 4096 bytes. Half a vector of columns is summed as such where the processor has vectors of 512
 * bits: it takes half the time there. */
#include "infer/kernels/igemm.h"

#include "infer/kernels/isa/tile.h"

#define NEAR 131072 /* floats of weights that are read again for each few pixels */

/* `full` whole vectors of columns, and a half one if `part`, for some pixels. */
INLINE void tile(const struct igemm *g, const struct spot *s, const int rows, const int full,
		 const int part)
{
	vec sum[ROWS * 2];
	half tail[ROWS];
	const float *w = s->panel + COLS;
	const int vectors = full + part;

	expect(g, s, rows, vectors);
#pragma GCC unroll 16
	for (int r = 0; r < rows; r++) {
		for (int v = 0; v < full; v++)
			sum[r * vectors + v] = load(s->panel + v * VEC);
		if (part)
			tail[r] = load_half(s->panel + full * VEC);
	}
	for (size_t t = 0; t < g->taps; t++) {
		const float *p[ROWS];
#pragma GCC unroll 8
		for (int r = 0; r < rows; r++)
			p[r] = (const float *)g->rows[t * g->count + s->i + (size_t)r] + g->offset;
		for (size_t c = 0; c < g->depth; c++, w += COLS) {
			vec w0 = full ? load(w) : (vec){ 0 }, w1 = full > 1 ? load(w + VEC) : w0;
			half wh = part ? load_half(w + full * VEC) : (half){ 0 };
#pragma GCC unroll 8
			for (int r = 0; r < rows; r++) {
				float x = p[r][c];
				if (full)
					sum[r * vectors] += x * w0;
				if (full > 1)
					sum[r * vectors + 1] += x * w1;
				if (part)
					tail[r] += x * wh;
			}
		}
	}
#pragma GCC unroll 8
	for (int r = 0; part && r < rows; r++)
		sum[r * vectors + full] = widen(tail[r]);
	finish(g, s, rows, vectors, sum);
	if (!has_silu(g, rows * vectors))
		activate_rows(g->epilogue, g->y + s->i * g->y_pitch + s->column, g->y_pitch,
			      (size_t)rows, s->n);
}

#define TILE(rows)                                                           \
	static void full_##rows(const struct igemm *g, const struct spot *s) \
	{                                                                    \
		tile(g, s, rows, 2, 0);                                      \
	}                                                                    \
	static void more_##rows(const struct igemm *g, const struct spot *s) \
	{                                                                    \
		tile(g, s, rows, 1, HALF > 0);                               \
	}                                                                    \
	static void one_##rows(const struct igemm *g, const struct spot *s)  \
	{                                                                    \
		tile(g, s, rows, 1, 0);                                      \
	}                                                                    \
	static void less_##rows(const struct igemm *g, const struct spot *s) \
	{                                                                    \
		tile(g, s, rows, HALF == 0, HALF > 0);                       \
	}

typedef void tile_function(const struct igemm *g, const struct spot *s);

TILE(1)
TILE(2)
TILE(3)
TILE(4)
#if ROWS > 4
TILE(5)
TILE(6)
#endif
#if ROWS > 6
TILE(7)
TILE(8)
#endif

#define KINDS(rows)                                               \
	{                                                         \
		full_##rows, more_##rows, one_##rows, less_##rows \
	}
static tile_function *const tiles[ROWS][4] = {
	KINDS(1), KINDS(2), KINDS(3), KINDS(4),
#if ROWS > 4
	KINDS(5), KINDS(6),
#endif
#if ROWS > 6
	KINDS(7), KINDS(8),
#endif
};

INLINE struct spot spot_of(const struct igemm *g, size_t column)
{
	size_t panel_floats = COLS * (1 + g->taps * g->depth);

	return (struct spot){
		.panel = g->panel + column / COLS * panel_floats,
		.column = column,
		.n = g->columns - column < COLS ? g->columns - column : COLS,
	};
}

/* Pixels are parted evenly: 49 are seven times seven. The weights that are read again and again
 * should stay near: all panels for each few pixels where they are small, else panel by panel. */
static void run(const struct igemm *g)
{
	size_t count = (g->count + ROWS - 1) / ROWS, rows = g->count / count,
	       more = g->count % count;
	size_t panels = (g->columns + COLS - 1) / COLS;
	int near = panels * COLS * g->taps * g->depth <= NEAR;

	for (size_t outer = 0; outer < (near ? 1 : panels); outer++) {
		for (size_t k = 0, i = 0; k < count; k++) {
			size_t n = rows + (k < more);
			for (size_t inner = 0; inner < (near ? panels : 1); inner++) {
				struct spot s = spot_of(g, (outer + inner) * COLS);
				s.i = i;
				tiles[n - 1][kind_of(s.n)](g, &s);
			}
			i += n;
		}
	}
}

const struct igemm_isa ISA_NAME(igemm) = { COLS, run };
