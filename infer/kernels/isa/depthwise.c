/* Depthwise convolution of one row: a vector of channels at a time, several output pixels in flight. Each
 * input value is loaded once for all pixels of the flight that see it. Where the row does not part
 * evenly the last flight computes some pixels again, to the same bytes. */
#include "infer/kernels/depthwise.h"

#include "infer/kernels/isa/isa.h"
#include "infer/kernels/isa/smooth.h"

#define FLIGHT 8
#define WIDE 7 /* the widest kernel known to the compiler */

/* Which pixels and channels: `flight` pixels from w on, n channels from c on (VEC, or fewer: !whole). */
struct part {
	size_t w, c, n;
};

INLINE vec take(const float *p, const int whole, size_t n)
{
	return whole ? load(p) : load_n(p, n);
}

INLINE void finish(const struct depthwise *d, const int flight, const int whole, struct part p,
		   vec *sum)
{
	float *y = d->y + p.w * d->y_pitch + p.c;
	const float *r = d->residual ? d->residual + p.w * d->r_pitch + p.c : NULL;

	if (r) {
#pragma GCC unroll 8
		for (int f = 0; f < flight; f++, r += d->r_pitch)
			sum[f] += take(r, whole, p.n);
	}
	activate_quick(d->epilogue, sum, flight);
#pragma GCC unroll 8
	for (int f = 0; f < flight; f++, y += d->y_pitch) {
		if (whole)
			store(y, sum[f]);
		else
			store_n(y, sum[f], p.n);
	}
}

/* Kernel width and stride are known to the compiler, dilation is 1. Without `edge` all lies inside. */
INLINE void pixels(const struct depthwise *d, const int flight, const int stride, const int wide,
		   const int edge, const int whole, struct part p)
{
	vec sum[FLIGHT], weight[WIDE];
	ptrdiff_t first = (ptrdiff_t)(p.w * (size_t)stride) - d->pad;

#pragma GCC unroll 8
	for (int f = 0; f < flight; f++)
		sum[f] = take(d->bias + p.c, whole, p.n);
	for (size_t l = 0; l < d->lines; l++) {
		const float *x = d->line[l] + p.c, *k = d->weight[l] + p.c;
#pragma GCC unroll 7
		for (int t = 0; t < wide; t++)
			weight[t] = take(k + (size_t)t * d->channels, whole, p.n);
#pragma GCC unroll 24
		for (int i = 0; i < (flight - 1) * stride + wide; i++) {
			if (edge && (size_t)(first + i) >= d->in_width) /* negative ones wrap */
				continue;
			vec v = held(take(x + (first + i) * (ptrdiff_t)d->x_pitch, whole, p.n));
#pragma GCC unroll 7
			for (int t = 0; t < wide; t++)
				if (i >= t && (i - t) % stride == 0 && (i - t) / stride < flight)
					sum[(i - t) / stride] += v * weight[t];
		}
	}
	finish(d, flight, whole, p, sum);
}

/* Any window, one pixel. */
INLINE void pixel(const struct depthwise *d, const int whole, struct part p)
{
	ptrdiff_t first = (ptrdiff_t)(p.w * d->stride) - d->pad;
	vec sum = take(d->bias + p.c, whole, p.n);

	for (size_t l = 0; l < d->lines; l++) {
		const float *x = d->line[l] + p.c, *k = d->weight[l] + p.c;
		for (size_t t = 0; t < d->kernel_width; t++, k += d->channels) {
			ptrdiff_t i = first + (ptrdiff_t)(t * d->dilation);
			if ((size_t)i < d->in_width)
				sum += take(x + i * (ptrdiff_t)d->x_pitch, whole, p.n) *
				       take(k, whole, p.n);
		}
	}
	finish(d, 1, whole, p, &sum);
}

/* All channels of a flight; the last ones may not fill a vector. */
INLINE void channels(const struct depthwise *d, const int flight, const int stride, const int wide,
		     const int edge, size_t w)
{
	struct part p = { w, 0, VEC };

	for (; p.c + VEC <= d->channels; p.c += VEC)
		pixels(d, flight, stride, wide, edge, 1, p);
	p.n = d->channels - p.c;
	if (p.n)
		pixels(d, flight, stride, wide, 1, 0, p);
}

INLINE void flights(const struct depthwise *d, const int flight, const int stride, const int wide)
{
	for (size_t w = 0; w < d->width; w += (size_t)flight) {
		if (w + (size_t)flight > d->width)
			w = d->width - (size_t)flight;
		size_t end = (w + (size_t)flight - 1) * (size_t)stride + (size_t)wide;
		if ((ptrdiff_t)(w * (size_t)stride) < d->pad ||
		    (ptrdiff_t)end - d->pad > (ptrdiff_t)d->in_width)
			channels(d, flight, stride, wide, 1, w);
		else
			channels(d, flight, stride, wide, 0, w);
		activate_rows(d->epilogue, d->y + w * d->y_pitch, d->y_pitch, (size_t)flight,
			      d->channels);
	}
}

static void any(const struct depthwise *d)
{
	for (size_t w = 0; w < d->width; w++) {
		struct part p = { w, 0, VEC };

		for (; p.c + VEC <= d->channels; p.c += VEC)
			pixel(d, 1, p);
		p.n = d->channels - p.c;
		if (p.n)
			pixel(d, 0, p);
	}
	activate_rows(d->epilogue, d->y, d->y_pitch, d->width, d->channels);
}

/* As many pixels at a time as part the row evenly, if there are such. */
INLINE void row(const struct depthwise *d, const int stride, const int wide)
{
	if (d->width % 8 == 0 || (d->width > 8 && d->width % 7 != 0))
		flights(d, 8, stride, wide);
	else if (d->width % 7 == 0)
		flights(d, 7, stride, wide);
	else if (d->width >= 4)
		flights(d, 4, stride, wide);
	else
		any(d);
}

#define ROW(wide, stride)                                            \
	static void row_##wide##_##stride(const struct depthwise *d) \
	{                                                            \
		row(d, stride, wide);                                \
	}
ROW(3, 1)
ROW(3, 2)
ROW(5, 1)
ROW(5, 2)
ROW(7, 1)

static void run(const struct depthwise *d)
{
	switch (d->dilation == 1 && d->stride < 10 ? d->kernel_width * 10 + d->stride : 0) {
	case 31:
		row_3_1(d);
		break;
	case 32:
		row_3_2(d);
		break;
	case 51:
		row_5_1(d);
		break;
	case 52:
		row_5_2(d);
		break;
	case 71:
		row_7_1(d);
		break;
	default:
		any(d);
	}
}

void (*const ISA_NAME(depthwise))(const struct depthwise *) = run;
