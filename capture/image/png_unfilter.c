/* Undo PNG's row filters, quickly.
 *
 * Sub, Average and Paeth make each pixel wait for its left neighbour, so the bytes of one pixel are
 * all that can be computed at once. What costs is the length of that chain: the left and upper-left
 * pixels stay in registers, one lane of 16 bits per byte, and all choices are made without branches.
 * The vectors are the compiler's own (SSE2, NEON), so there is one source for every machine. */
#include "capture/image/png_unfilter.h"

#ifdef __x86_64__
#include <emmintrin.h>
#endif
#include <stdbool.h>
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

static inline int paeth_grey(int x, int a, int b, int c)
{
	int pa = b - c, pb = a - c, far_c = absolute(pa + pb);
	int far_a = absolute(pa), far_b = absolute(pb);
	int best = far_b <= far_c ? b : c, least = far_b <= far_c ? far_b : far_c;

	return (x + (far_a <= least ? a : best)) & 255;
}

static void grey_paeth(uint8_t *out, const uint8_t *raw, const uint8_t *above, size_t n)
{
	int a = 0, c = 0;

	for (size_t i = 0; i < n; i++) {
		out[i] = (uint8_t)(a = paeth_grey(raw[i], a, above[i], c));
		c = above[i];
	}
}

/* Two rows at once, the second a pixel behind: what it needs of the first is in registers, and the
 * processor computes one while it waits for the other. All but the second's last pixel. */
static void grey_paeth_two(uint8_t *out, uint8_t *below, const uint8_t *raw,
			   const uint8_t *raw_below, const uint8_t *above, size_t n)
{
	int left = 0, a = 0, c = 0; /* of the second row: left; above it a, above left c */

	a = out[0] = (uint8_t)(raw[0] + above[0]);
	for (size_t i = 1; i < n; i++) {
		int next = paeth_grey(raw[i], a, above[i], above[i - 1]);
		left = paeth_grey(raw_below[i - 1], left, a, c);
		below[i - 1] = (uint8_t)left;
		out[i] = (uint8_t)next;
		c = a;
		a = next;
	}
}

/* --- two to eight bytes per pixel: a lane for each --------------------------------------------- */

typedef int16_t lanes __attribute__((vector_size(16)));
typedef uint8_t bytes8 __attribute__((vector_size(8)));

/* Three steps for which compilers find too long a way by themselves. */
#ifdef __x86_64__
static inline lanes widen(uint64_t bytes)
{
	return (lanes)_mm_unpacklo_epi8(_mm_cvtsi64_si128((long long)bytes), _mm_setzero_si128());
}

static inline uint64_t narrow(lanes v)
{
	return (uint64_t)_mm_cvtsi128_si64(_mm_packus_epi16((__m128i)v, (__m128i)v));
}

static inline lanes magnitude(lanes v)
{
	return (lanes)_mm_max_epi16((__m128i)v, (__m128i)-v);
}
#else
static inline lanes widen(uint64_t bytes)
{
	return __builtin_convertvector((bytes8)bytes, lanes);
}

static inline uint64_t narrow(lanes v)
{
	return (uint64_t) __builtin_convertvector(v, bytes8);
}

static inline lanes magnitude(lanes v)
{
	lanes negative = v >> 15;

	return (v ^ negative) - negative;
}
#endif

static inline uint64_t load4(const uint8_t *p)
{
	uint32_t word;

	memcpy(&word, p, 4);
	return word;
}

static inline uint64_t load8(const uint8_t *p)
{
	uint64_t word;

	memcpy(&word, p, 8);
	return word;
}

/* width: 4 or 8 bytes are touched, of which those of a pixel matter; a constant wherever this is
 * inlined. */
static inline lanes load(const uint8_t *p, size_t width)
{
	return widen(width == 8 ? load8(p) : load4(p));
}

static inline void store(uint8_t *p, lanes v, size_t width)
{
	uint64_t bytes = narrow(v);

	memcpy(p, &bytes, width);
}

static inline lanes choose(lanes mask, lanes yes, lanes no)
{
	return no ^ ((yes ^ no) & mask);
}

/* x + paeth(a, b, c), in 8 bits. a comes last, so all that can be done without it stands apart, and
 * the sums are made before the choice. */
static inline lanes paeth_lanes(lanes x, lanes a, lanes b, lanes c)
{
	lanes xb = (x + b) & 255, xc = (x + c) & 255, pa = b - c, far_a = magnitude(pa);
	lanes pb = a - c, far_b = magnitude(pb), far_c = magnitude(pa + pb);
	lanes b_or_c = choose(far_b > far_c, xc, xb);
	lanes not_a = (far_a > far_b) | (far_a > far_c);

	return choose(not_a, b_or_c, (x + a) & 255);
}

/* One row; above is read only where the filter asks for it. Returns how many bytes were done: the
 * last pixels, where a load would leave the row, are not. */
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
			a = (x + a) & 255;
		else if (filter == FILTER_AVERAGE)
			a = (x + ((a + b) >> 1)) & 255;
		else
			a = paeth_lanes(x, a, b, c);
		c = b;
		store(out + i, a, width);
	}
	return i;
}

/* Two rows of Paeth at once, the second a pixel behind: what it needs of the first is in registers.
 * Returns how many bytes of the first were done; of the second, it is a pixel less.
 *
 * Pixels of up to 4 bytes: the two rows share a vector, low half and high half. What is above both
 * pixels (b) is half loaded, half the first row's last pixel; what is above left (c) was b before. */
static inline __attribute__((always_inline)) size_t two_narrow(uint8_t *out, uint8_t *below,
							       const uint8_t *raw,
							       const uint8_t *raw_below,
							       const uint8_t *above, size_t n,
							       size_t bpp)
{
	lanes a, b, c;
	size_t i = bpp;

	if (n < bpp + 4)
		return 0;
	c = widen(load4(above));
	a = (widen(load4(raw)) + c) & 255;
	store(out, a, 4);
	/* The high half holds a row that has not begun. */
	a = __builtin_shufflevector(a, (lanes){ 0 }, 0, 1, 2, 3, 8, 9, 10, 11);
	for (; i + 4 <= n; i += bpp) {
		lanes x = widen(load4(raw + i) | load4(raw_below + i - bpp) << 32);
		b = __builtin_shufflevector(widen(load4(above + i)), a, 0, 1, 2, 3, 8, 9, 10, 11);
		a = paeth_lanes(x, a, b, c);
		c = b;
		uint64_t both = narrow(a), high = both >> 32;
		memcpy(below + i - bpp, &high, 4);
		memcpy(out + i, &both, 4);
	}
	return i;
}

/* The same with a vector for each row: the processor computes one while it waits for the other. */
static inline __attribute__((always_inline)) size_t two_wide(uint8_t *out, uint8_t *below,
							     const uint8_t *raw,
							     const uint8_t *raw_below,
							     const uint8_t *above, size_t n,
							     size_t bpp)
{
	lanes left = { 0 }, a, c = { 0 }, above_left;
	size_t i = bpp;

	if (n < bpp + 8)
		return 0;
	above_left = widen(load8(above));
	a = (widen(load8(raw)) + above_left) & 255;
	store(out, a, 8);
	for (; i + 8 <= n; i += bpp) {
		lanes b = widen(load8(above + i));
		lanes next = paeth_lanes(widen(load8(raw + i)), a, b, above_left);
		left = paeth_lanes(widen(load8(raw_below + i - bpp)), left, a, c);
		store(below + i - bpp, left, 8);
		store(out + i, next, 8);
		above_left = b;
		c = a;
		a = next;
	}
	return i;
}

/* For each pixel size: one row, and two. */
#define FOR_PIXELS_OF(bpp, width, two)                                                    \
	static size_t row_##bpp(int filter, uint8_t *out, const uint8_t *raw,             \
				const uint8_t *above, size_t n)                           \
	{                                                                                 \
		if (filter == FILTER_SUB)                                                 \
			return row_lanes(FILTER_SUB, out, raw, above, n, bpp, width);     \
		if (filter == FILTER_AVERAGE)                                             \
			return row_lanes(FILTER_AVERAGE, out, raw, above, n, bpp, width); \
		return row_lanes(FILTER_PAETH, out, raw, above, n, bpp, width);           \
	}                                                                                 \
	static size_t two_##bpp(uint8_t *out, uint8_t *below, const uint8_t *raw,         \
				const uint8_t *raw_below, const uint8_t *above, size_t n) \
	{                                                                                 \
		return two(out, below, raw, raw_below, above, n, bpp);                    \
	}
FOR_PIXELS_OF(2, 4, two_narrow)
FOR_PIXELS_OF(3, 4, two_narrow)
FOR_PIXELS_OF(4, 4, two_narrow)
FOR_PIXELS_OF(6, 8, two_wide)
FOR_PIXELS_OF(8, 8, two_wide)

static const struct {
	size_t (*row)(int filter, uint8_t *out, const uint8_t *raw, const uint8_t *above, size_t n);
	size_t (*two)(uint8_t *out, uint8_t *below, const uint8_t *raw, const uint8_t *raw_below,
		      const uint8_t *above, size_t n);
} by_pixel_bytes[] = {
	[2] = { row_2, two_2 }, [3] = { row_3, two_3 }, [4] = { row_4, two_4 },
	[6] = { row_6, two_6 }, [8] = { row_8, two_8 },
};

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

static void row_fast(int filter, uint8_t *out, const uint8_t *raw, const uint8_t *above, size_t n,
		     size_t bpp)
{
	size_t done;

	if (filter == FILTER_NONE)
		memcpy(out, raw, n);
	else if (filter == FILTER_UP)
		row_up(out, raw, above, n);
	else if (bpp == 1)
		row_grey(filter, out, raw, above, n);
	else {
		done = by_pixel_bytes[bpp].row(filter, out, raw, above, n);
		row__reference(filter, out, raw, above, done, n, bpp);
	}
}

/* Two rows, both Paeth: out and the one after it. */
static void two_fast(uint8_t *out, const uint8_t *raw, const uint8_t *above, size_t n, size_t bpp)
{
	uint8_t *below = out + n;
	const uint8_t *raw_below = raw + n + 1;
	size_t done = n;

	if (bpp == 1)
		grey_paeth_two(out, below, raw, raw_below, above, n);
	else
		done = by_pixel_bytes[bpp].two(out, below, raw, raw_below, above, n);
	row__reference(FILTER_PAETH, out, raw, above, done, n, bpp);
	row__reference(FILTER_PAETH, below, raw_below, out, done > 0 ? done - bpp : 0, n, bpp);
}

static bool filters_known(const uint8_t *raw, size_t rows, size_t row_bytes)
{
	for (size_t y = 0; y < rows; y++)
		if (raw[y * (row_bytes + 1)] > FILTER_PAETH)
			return false;
	return true;
}

static int all_rows(uint8_t *out, const uint8_t *raw, size_t rows, size_t row_bytes, size_t bpp,
		    bool fast)
{
	uint8_t *zeroes = calloc(1, row_bytes);
	const uint8_t *above = zeroes;
	size_t step;

	if (!zeroes || !filters_known(raw, rows, row_bytes)) {
		free(zeroes);
		return -1;
	}
	for (size_t y = 0; y < rows; y += step) {
		bool two = fast && y + 1 < rows && raw[0] == FILTER_PAETH &&
			   raw[row_bytes + 1] == FILTER_PAETH;
		step = two ? 2 : 1;
		if (two)
			two_fast(out, raw + 1, above, row_bytes, bpp);
		else if (fast)
			row_fast(raw[0], out, raw + 1, above, row_bytes, bpp);
		else
			row__reference(raw[0], out, raw + 1, above, 0, row_bytes, bpp);
		raw += step * (row_bytes + 1);
		out += step * row_bytes;
		above = out - row_bytes;
	}
	free(zeroes);
	return 0;
}

int png_unfilter(uint8_t *out, const uint8_t *raw, size_t rows, size_t row_bytes,
		 size_t pixel_bytes)
{
	return all_rows(out, raw, rows, row_bytes, pixel_bytes, true);
}

int png_unfilter__reference(uint8_t *out, const uint8_t *raw, size_t rows, size_t row_bytes,
			    size_t pixel_bytes)
{
	return all_rows(out, raw, rows, row_bytes, pixel_bytes, false);
}
