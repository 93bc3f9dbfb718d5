/* Depthwise convolution of one row: a vector of channels at a time, four output pixels in flight where
 * the whole window lies inside, one at the edges. */
#include "infer/kernels/depthwise.h"

#include "infer/kernels/isa/isa.h"
#include "infer/kernels/isa/smooth.h"

#define FLIGHT 4

struct edge {
	size_t first, last; /* taps of the kernel's width that lie inside, [first, last) */
};

/* The same rule for all pixels: which taps of output pixel w lie inside. */
INLINE struct edge inside(const struct depthwise *d, size_t w)
{
	ptrdiff_t at = (ptrdiff_t)(w * d->stride) - d->pad;
	struct edge e = { 0, d->kernel_width };

	while (e.first < e.last && at + (ptrdiff_t)(e.first * d->dilation) < 0)
		e.first++;
	while (e.last > e.first &&
	       at + (ptrdiff_t)((e.last - 1) * d->dilation) >= (ptrdiff_t)d->in_width)
		e.last--;
	return e;
}

/* `flight` output pixels from w on, n channels (VEC, or fewer: then !whole) from c on; all have the
 * same taps. stride and taps are 0 where they are not known to the compiler. */
INLINE void pixels(const struct depthwise *d, const int flight, const size_t stride,
		   const size_t taps, const int whole, size_t w, size_t c, size_t n, struct edge e)
{
	vec sum[FLIGHT];
	ptrdiff_t start =
	    ((ptrdiff_t)(w * d->stride) - d->pad) * (ptrdiff_t)d->x_pitch + (ptrdiff_t)c;
	size_t hop = taps ? d->x_pitch : d->dilation * d->x_pitch;
	size_t step = (stride ? stride : d->stride) * d->x_pitch;
	size_t first = taps ? 0 : e.first, last = taps ? taps : e.last;

#pragma GCC unroll 4
	for (int f = 0; f < flight; f++)
		sum[f] = whole ? load(d->bias + c) : load_n(d->bias + c, n);
	for (size_t l = 0; l < d->lines; l++) {
		const float *x = d->line[l] + start, *k = d->weight[l] + c;
#pragma GCC unroll 7
		for (size_t t = first; t < last; t++) {
			const float *p = k + t * d->channels;
			vec weight = whole ? load(p) : load_n(p, n);
#pragma GCC unroll 4
			for (int f = 0; f < flight; f++) {
				p = x + t * hop + (size_t)f * step;
				sum[f] += (whole ? load(p) : load_n(p, n)) * weight;
			}
		}
	}
	if (d->residual) {
		const float *r = d->residual + w * d->r_pitch + c;
#pragma GCC unroll 4
		for (int f = 0; f < flight; f++, r += d->r_pitch)
			sum[f] += whole ? load(r) : load_n(r, n);
	}
	activate_quick(d->epilogue, sum, flight);
#pragma GCC unroll 4
	for (int f = 0; f < flight; f++) {
		float *y = d->y + (w + (size_t)f) * d->y_pitch + c;
		if (whole)
			store(y, sum[f]);
		else
			store_n(y, sum[f], n);
	}
}

/* All channels of `flight` pixels; the last ones may not fill a vector. */
INLINE void channels(const struct depthwise *d, const int flight, const size_t stride,
		     const size_t taps, size_t w, struct edge e)
{
	size_t c = 0;

	for (; c + VEC <= d->channels; c += VEC)
		pixels(d, flight, stride, taps, 1, w, c, VEC, e);
	if (c < d->channels)
		pixels(d, flight, stride, taps, 0, w, c, d->channels - c, e);
}

/* The common windows, whole, are known to the compiler: neighbours share what they load then. */
static void flight_of(const struct depthwise *d, size_t w, struct edge e)
{
	size_t kind = d->dilation == 1 && d->stride < 3 ? d->kernel_width * 2 + d->stride : 0;

	switch (kind) {
	case 3 * 2 + 1:
		channels(d, FLIGHT, 1, 3, w, e);
		break;
	case 3 * 2 + 2:
		channels(d, FLIGHT, 2, 3, w, e);
		break;
	case 5 * 2 + 1:
		channels(d, FLIGHT, 1, 5, w, e);
		break;
	case 5 * 2 + 2:
		channels(d, FLIGHT, 2, 5, w, e);
		break;
	case 7 * 2 + 1:
		channels(d, FLIGHT, 1, 7, w, e);
		break;
	default:
		channels(d, FLIGHT, 0, 0, w, e);
	}
}

static void run(const struct depthwise *d)
{
	size_t w = 0, reach = (d->kernel_width - 1) * d->dilation;

	while (w < d->width) {
		struct edge e = inside(d, w);
		ptrdiff_t end = (ptrdiff_t)((w + FLIGHT - 1) * d->stride + reach) - d->pad;
		if (e.first == 0 && e.last == d->kernel_width && w + FLIGHT <= d->width &&
		    end < (ptrdiff_t)d->in_width) {
			flight_of(d, w, e);
			w += FLIGHT;
		} else {
			channels(d, 1, 0, 0, w, e);
			w++;
		}
	}
	activate_rows(d->epilogue, d->y, d->y_pitch, d->width, d->channels);
}

void (*const ISA_NAME(depthwise))(const struct depthwise *) = run;
