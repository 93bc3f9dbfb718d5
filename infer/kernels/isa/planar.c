/* Row-major pictures with few channels: tiles as in igemm.c, and twice as high
 * where there is but one vector of columns. Where the row does not part evenly the last tile computes some pixels again, to the same bytes. */
#include "infer/kernels/planar.h"

#include "infer/kernels/isa/tile.h"

#define SPAN (15 * 4 + PLANAR_WIDE) /* floats of a line that the longest tile sees */

/* What the tile will read and write when it is summed up: it may come from far. */
INLINE void expect(const struct igemm *g, const struct spot *s, const int rows, const int vectors)
{
	const float *y = g->y + s->i * g->y_pitch + s->column;
	const float *r = g->residual ? g->residual + s->i * g->r_pitch + s->column : y;

#pragma GCC unroll 16
	for (int i = 0; i < rows; i++, y += g->y_pitch, r += g->r_pitch) {
		__builtin_prefetch(y, 1);
		if (vectors > 1)
			__builtin_prefetch(y + VEC, 1);
		if (!g->residual)
			continue;
		__builtin_prefetch(r);
		if (vectors > 1)
			__builtin_prefetch(r + VEC);
	}
}

/* line[l] points at what the tile's first pixel sees of line l. */
INLINE void tile(const struct planar *p, const float *const *line, const struct spot *s,
		 const int rows, const int stride, const int full, const int part)
{
	vec sum[ROWS * 2];
	half tail[ROWS];
	const float *w = s->panel + COLS;
	const int vectors = full + part;

	expect(&p->out, s, rows, vectors);
#pragma GCC unroll 16
	for (int r = 0; r < rows; r++) {
		for (int v = 0; v < full; v++)
			sum[r * vectors + v] = load(s->panel + v * VEC);
		if (part)
			tail[r] = load_half(s->panel + full * VEC);
	}
	for (size_t l = 0; l < p->lines; l++) {
		const float *x = line[l];
		for (size_t k = 0; k < p->kernel_width; k++, w += COLS) {
			vec w0 = full ? load(w) : (vec){ 0 }, w1 = full > 1 ? load(w + VEC) : w0;
			half wh = part ? load_half(w + full * VEC) : (half){ 0 };
#pragma GCC unroll 16
			for (int r = 0; r < rows; r++) {
				float v = x[k + (size_t)(r * stride)];
				if (full)
					sum[r * vectors] += v * w0;
				if (full > 1)
					sum[r * vectors + 1] += v * w1;
				if (part)
					tail[r] += v * wh;
			}
		}
	}
#pragma GCC unroll 8
	for (int r = 0; part && r < rows; r++)
		sum[r * vectors + full] = widen(tail[r]);
	finish(&p->out, s, rows, vectors, sum);
	if (!has_silu(&p->out, rows * vectors))
		activate_rows(p->out.epilogue, p->out.y + s->i * p->out.y_pitch + s->column,
			      p->out.y_pitch, (size_t)rows, s->n);
}

/* Where the lines of the tile at pixel i lie: in the picture, or, at its edges, in a copy. */
INLINE void find(const struct planar *p, size_t i, size_t span, float copy[][SPAN],
		 const float **line)
{
	ptrdiff_t first = (ptrdiff_t)(i * p->stride) - p->pad;
	int inside = first >= 0 && first + (ptrdiff_t)span <= (ptrdiff_t)p->in_width;

	for (size_t l = 0; l < p->lines; l++) {
		line[l] = inside ? p->line[l] + first : copy[l];
		for (size_t k = 0; !inside && k < span; k++) {
			size_t at = (size_t)(first + (ptrdiff_t)k); /* negative ones wrap */
			copy[l][k] = at < p->in_width ? p->line[l][at] : 0;
		}
	}
}

INLINE void tiles(const struct planar *p, struct spot s, const int rows, const int stride,
		  const int full, const int part)
{
	size_t count = p->out.count, many = count < (size_t)rows ? 1 : (size_t)rows;
	size_t span = (many - 1) * (size_t)stride + p->kernel_width;
	float copy[PLANAR_LINES][SPAN];
	const float *line[PLANAR_LINES];

	for (size_t i = 0; i < count; i += many) {
		s.i = i + many > count ? count - many : i;
		find(p, s.i, span, copy, line);
		if (many == 1)
			tile(p, line, &s, 1, stride, full, part);
		else
			tile(p, line, &s, rows, stride, full, part);
	}
}

INLINE void panels(const struct planar *p, const int stride)
{
	size_t panel_floats = COLS * (1 + p->lines * p->kernel_width), columns = p->out.columns;

	for (size_t column = 0; column < columns; column += COLS) {
		struct spot s = { .panel = p->out.panel + column / COLS * panel_floats,
				  .column = column,
				  .n = columns - column < COLS ? columns - column : COLS };
		switch (kind_of(s.n)) {
		case 0:
			tiles(p, s, ROWS, stride, 2, 0);
			break;
		case 1:
			tiles(p, s, ROWS, stride, 1, HALF > 0);
			break;
		case 2:
			tiles(p, s, 2 * ROWS, stride, 1, 0);
			break;
		default:
			tiles(p, s, ROWS, stride, HALF == 0, HALF > 0);
		}
	}
}

static void run(const struct planar *p)
{
	if (p->stride == 1)
		panels(p, 1);
	else if (p->stride == 2)
		panels(p, 2);
	else
		panels(p, 4);
}

void (*const ISA_NAME(planar))(const struct planar *) = run;
