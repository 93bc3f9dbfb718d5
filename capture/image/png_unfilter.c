/* Undo PNG's row filters, quickly.
 *
 * Sub, Average and Paeth make each pixel wait for its left neighbour, so the bytes of one pixel are
 * all that can be computed at once. What costs is the length of that chain: the left and upper-left
 * pixels stay in registers, one lane of 16 bits per byte, and all choices are made without branches.
 * The vectors are the compiler's own (SSE2, NEON), so there is one source for every machine. */
#include "capture/image/png_unfilter.h"

#include <stdlib.h>
#include <string.h>

enum { FILTER_NONE, FILTER_SUB, FILTER_UP, FILTER_AVERAGE, FILTER_PAETH };

/* --- the specification, to the letter --------------------------------------------------------- */

static int paeth(int a, int b, int c)
{
	int p = a + b - c, pa = abs(p - a), pb = abs(p - b), pc = abs(p - c);

	if (pa <= pb && pa <= pc)
		return a;
	return pb <= pc ? b : c;
}

/* One byte: x filtered, a left, b above, c above left. */
static int unfilter_byte(int filter, int x, int a, int b, int c)
{
	switch (filter) {
	case FILTER_SUB:
		return x + a;
	case FILTER_UP:
		return x + b;
	case FILTER_AVERAGE:
		return x + (a + b) / 2;
	case FILTER_PAETH:
		return x + paeth(a, b, c);
	}
	return x;
}

/* Bytes [from, to) of a row; above is a row of zeroes for the first. */
static void row__reference(int filter, uint8_t *out, const uint8_t *raw, const uint8_t *above,
			   size_t from, size_t to, size_t bpp)
{
	for (size_t i = from; i < to; i++) {
		int a = i < bpp ? 0 : out[i - bpp], c = i < bpp ? 0 : above[i - bpp];
		out[i] = (uint8_t)unfilter_byte(filter, raw[i], a, above[i], c);
	}
}

/* --- grey: one byte per pixel, in registers ---------------------------------------------------- */

static int absolute(int v)
{
	return v < 0 ? -v : v;
}

static void grey_sub(uint8_t *out, const uint8_t *raw, size_t n)
{
	uint8_t a = 0;

	for (size_t i = 0; i < n; i++)
		out[i] = a = (uint8_t)(a + raw[i]);
}

static void grey_average(uint8_t *out, const uint8_t *raw, const uint8_t *above, size_t n)
{
	unsigned a = 0;

	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t)(a = (raw[i] + ((a + above[i]) >> 1)) & 255);
}

static void grey_paeth(uint8_t *out, const uint8_t *raw, const uint8_t *above, size_t n)
{
	int a = 0, c = 0;

	for (size_t i = 0; i < n; i++) {
		int b = above[i], pa = b - c, pb = a - c, pc = absolute(pa + pb);
		pa = absolute(pa);
		pb = absolute(pb);
		int best = pb <= pc ? b : c;
		int least = pb <= pc ? pb : pc;
		best = pa <= least ? a : best;
		c = b;
		out[i] = (uint8_t)(a = (raw[i] + best) & 255);
	}
}

/* --- two to eight bytes per pixel: a lane for each --------------------------------------------- */

typedef int16_t lanes __attribute__((vector_size(16)));
typedef uint8_t bytes8 __attribute__((vector_size(8)));

/* width: 4 or 8 bytes are touched, of which bpp matter; a constant wherever this is inlined. */
static inline lanes load(const uint8_t *p, size_t width)
{
	bytes8 v = { 0 };

	memcpy(&v, p, width);
	return __builtin_convertvector(v, lanes);
}

static inline void store(uint8_t *p, lanes v, size_t width)
{
	bytes8 b = __builtin_convertvector(v, bytes8);

	memcpy(p, &b, width);
}

static inline lanes magnitude(lanes v)
{
	lanes negative = v >> 15;

	return (v ^ negative) - negative;
}

static inline lanes choose(lanes mask, lanes yes, lanes no)
{
	return no ^ ((yes ^ no) & mask);
}

static inline lanes nearest(lanes a, lanes b, lanes c)
{
	lanes pa = b - c, pb = a - c, pc = magnitude(pa + pb);

	pa = magnitude(pa);
	pb = magnitude(pb);
	lanes b_or_c = choose(pb > pc, c, b), least = choose(pb > pc, pc, pb);
	return choose(pa > least, b_or_c, a);
}

/* Returns how many bytes were done: the last pixels, where a load would leave the row, are not. */
static inline __attribute__((always_inline)) size_t row_lanes(int filter, uint8_t *out,
							      const uint8_t *raw,
							      const uint8_t *above, size_t n,
							      size_t bpp, size_t width)
{
	lanes a = { 0 }, c = { 0 };
	size_t i = 0;

	for (; i + width <= n; i += bpp) {
		lanes x = load(raw + i, width);
		lanes b = filter == FILTER_SUB ? c : load(above + i, width);
		if (filter == FILTER_SUB)
			x += a;
		else if (filter == FILTER_AVERAGE)
			x += (a + b) >> 1;
		else
			x += nearest(a, b, c);
		a = x & 255;
		c = b;
		store(out + i, a, width);
	}
	return i;
}

#define ROW_LANES(name, bpp, width)                                                            \
	static size_t name(int filter, uint8_t *out, const uint8_t *raw, const uint8_t *above, \
			   size_t n)                                                           \
	{                                                                                      \
		if (filter == FILTER_SUB)                                                      \
			return row_lanes(FILTER_SUB, out, raw, above, n, bpp, width);          \
		if (filter == FILTER_AVERAGE)                                                  \
			return row_lanes(FILTER_AVERAGE, out, raw, above, n, bpp, width);      \
		return row_lanes(FILTER_PAETH, out, raw, above, n, bpp, width);                \
	}
ROW_LANES(row_2, 2, 4)
ROW_LANES(row_3, 3, 4)
ROW_LANES(row_4, 4, 4)
ROW_LANES(row_6, 6, 8)
ROW_LANES(row_8, 8, 8)

/* --- rows -------------------------------------------------------------------------------------- */

static void row_up(uint8_t *restrict out, const uint8_t *restrict raw, const uint8_t *above,
		   size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t)(raw[i] + above[i]);
}

static void row_grey(int filter, uint8_t *out, const uint8_t *raw, const uint8_t *above, size_t n)
{
	if (filter == FILTER_SUB)
		grey_sub(out, raw, n);
	else if (filter == FILTER_AVERAGE)
		grey_average(out, raw, above, n);
	else
		grey_paeth(out, raw, above, n);
}

static void row_pixels(int filter, uint8_t *out, const uint8_t *raw, const uint8_t *above, size_t n,
		       size_t bpp)
{
	size_t done;

	switch (bpp) {
	case 2:
		done = row_2(filter, out, raw, above, n);
		break;
	case 3:
		done = row_3(filter, out, raw, above, n);
		break;
	case 4:
		done = row_4(filter, out, raw, above, n);
		break;
	case 6:
		done = row_6(filter, out, raw, above, n);
		break;
	default:
		done = row_8(filter, out, raw, above, n);
	}
	row__reference(filter, out, raw, above, done, n, bpp);
}

static void row_fast(int filter, uint8_t *out, const uint8_t *raw, const uint8_t *above, size_t n,
		     size_t bpp)
{
	if (filter == FILTER_NONE)
		memcpy(out, raw, n);
	else if (filter == FILTER_UP)
		row_up(out, raw, above, n);
	else if (bpp == 1)
		row_grey(filter, out, raw, above, n);
	else
		row_pixels(filter, out, raw, above, n, bpp);
}

static void row_slow(int filter, uint8_t *out, const uint8_t *raw, const uint8_t *above, size_t n,
		     size_t bpp)
{
	row__reference(filter, out, raw, above, 0, n, bpp);
}

static int all_rows(uint8_t *out, const uint8_t *raw, size_t rows, size_t row_bytes, size_t bpp,
		    void (*row)(int filter, uint8_t *out, const uint8_t *raw, const uint8_t *above,
				size_t n, size_t bpp))
{
	uint8_t *zeroes = calloc(1, row_bytes + sizeof(lanes));
	const uint8_t *above = zeroes;

	if (!zeroes)
		return -1;
	for (size_t y = 0; y < rows; y++, raw += row_bytes + 1, out += row_bytes) {
		if (raw[0] > FILTER_PAETH) {
			free(zeroes);
			return -1;
		}
		row(raw[0], out, raw + 1, above, row_bytes, bpp);
		above = out;
	}
	free(zeroes);
	return 0;
}

int png_unfilter(uint8_t *out, const uint8_t *raw, size_t rows, size_t row_bytes,
		 size_t pixel_bytes)
{
	return all_rows(out, raw, rows, row_bytes, pixel_bytes, row_fast);
}

int png_unfilter__reference(uint8_t *out, const uint8_t *raw, size_t rows, size_t row_bytes,
			    size_t pixel_bytes)
{
	return all_rows(out, raw, rows, row_bytes, pixel_bytes, row_slow);
}
