/* The indirect matrix product: tiles of at most ROWS pixels by 2 vectors of columns are summed over
 * all taps and channels in registers, and stored once, finished. No packing of activations; at most
 * 8 pixels, since more streams than an L1 set has ways collapse when their distance is a multiple of
 * 4096 bytes. Half a vector of columns is summed as such where the processor has vectors of 512
 * bits: it takes half the time there. */
#include "infer/kernels/igemm.h"

#include "infer/kernels/isa/tile.h"

#define NEAR 131072 /* floats of weights that are read again for each few pixels */

/* One tile: `full` whole vectors of columns, and a half one if `part`, for some pixels. What lies between one
 * tile's sums and the next ones' has to be short: the processor looks ahead some 300 instructions. */
INLINE void tile(const struct igemm *g, const struct spot *s, const int rows, const int full,
		 const int part)
{
	vec sum[ROWS * 2];
	half tail[ROWS];
	const float *w = s->panel + COLS;
	const int vectors = full + part;

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
	if (!quick(g->epilogue) && !has_silu(g, rows * vectors))
		activate_rows(g->epilogue, g->y + s->i * g->y_pitch + s->column, g->y_pitch,
			      (size_t)rows, s->n);
}

/* As many panels as s.n columns take. */
INLINE void tiles_full(const struct igemm *g, struct spot s, const int rows)
{
	size_t panel_floats = COLS * (1 + g->taps * g->depth), end = s.column + s.n;

	for (; s.column < end; s.column += COLS, s.panel += panel_floats) {
		s.n = end - s.column < COLS ? end - s.column : COLS;
		tile(g, &s, rows, 2, 0);
	}
}

#define TILE(rows)                                                           \
	static void full_##rows(const struct igemm *g, const struct spot *s) \
	{                                                                    \
		tiles_full(g, *s, rows);                                     \
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

/* One pixel by several panels: two sums side by side would wait for each other, and one stream of weights for
 * the memory. */
INLINE void wide(const struct igemm *g, struct spot s, const int panels)
{
	size_t panel_floats = COLS * (1 + g->taps * g->depth), end = s.column + s.n;
	const float *w = s.panel + COLS;
	vec sum[2 * IGEMM_WIDE];

#pragma GCC unroll 8
	for (int v = 0; v < 2 * panels; v++)
		sum[v] = load(s.panel + (size_t)(v / 2) * panel_floats + v % 2 * VEC);
	for (size_t t = 0; t < g->taps; t++) {
		const float *p = (const float *)g->rows[t * g->count + s.i] + g->offset;
		for (size_t c = 0; c < g->depth; c++, w += COLS) {
			vec x = (vec){ 0 } + p[c];
#pragma GCC unroll 8
			for (int v = 0; v < 2 * panels; v++)
				sum[v] +=
				    x * load(w + (size_t)(v / 2) * panel_floats + v % 2 * VEC);
		}
	}
#pragma GCC unroll 4
	for (int k = 0; k < panels; k++, s.column += COLS) {
		s.n = end - s.column < COLS ? end - s.column : COLS;
		if (s.n > VEC)
			finish(g, &s, 1, 2, sum + 2 * k);
		else
			finish(g, &s, 1, 1, sum + 2 * k);
		activate_rows(g->epilogue, g->y + s.i * g->y_pitch + s.column, g->y_pitch, 1, s.n);
	}
}

static void wide_2(const struct igemm *g, const struct spot *s)
{
	wide(g, *s, 2);
}

static void wide_4(const struct igemm *g, const struct spot *s)
{
	wide(g, *s, IGEMM_WIDE);
}

static void one_pixel(const struct igemm *g, struct spot s, size_t end)
{
	size_t panel_floats = COLS * (1 + g->taps * g->depth);

	for (size_t panels; s.column < end; s.column += panels * COLS) {
		size_t left = (end - s.column + COLS - 1) / COLS;

		panels = left >= IGEMM_WIDE ? IGEMM_WIDE : left >= 2 ? 2 : 1;
		s.panel = g->panel + s.column / COLS * panel_floats;
		s.n = end - s.column < panels * COLS ? end - s.column : panels * COLS;
		if (panels == 1)
			tiles[0][kind_of(s.n)](g, &s);
		else
			(panels == 2 ? wide_2 : wide_4)(g, &s);
	}
}

/* Some pixels by columns [column, column + n): panels of two vectors, and a narrower one that is left. */
static void strip(const struct igemm *g, size_t i, size_t rows, size_t column, size_t n)
{
	size_t panel_floats = COLS * (1 + g->taps * g->depth), left = n % COLS;
	struct spot s = { .panel = g->panel + column / COLS * panel_floats,
			  .i = i,
			  .column = column };

	if (rows == 1) {
		one_pixel(g, s, column + n);
		return;
	}
	if (left && kind_of(left) == 0)
		left = 0;
	s.n = n - left;
	if (s.n)
		tiles[rows - 1][0](g, &s);
	s.panel += s.n / COLS * panel_floats;
	s.column += s.n;
	s.n = left;
	if (left)
		tiles[rows - 1][kind_of(left)](g, &s);
}

/* Pixels are parted evenly: 49 are seven times seven. The weights that are read again and again
 * should stay near: all panels for each few pixels where they are small, else panel by panel. */
static void run(const struct igemm *g)
{
	size_t count = (g->count + ROWS - 1) / ROWS, rows = g->count / count,
	       more = g->count % count;
	size_t panels = (g->columns + COLS - 1) / COLS;
	size_t at_once =
	    g->count == 1 || panels * COLS * g->taps * g->depth <= NEAR ? g->columns : COLS;

	for (size_t column = 0, n; column < g->columns; column += n) {
		n = g->columns - column < at_once ? g->columns - column : at_once;
		for (size_t k = 0, i = 0; k < count; k++) {
			strip(g, i, rows + (k < more), column, n);
			i += rows + (k < more);
		}
	}
}

const struct igemm_isa ISA_NAME(igemm) = { COLS, run };
