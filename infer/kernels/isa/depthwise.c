/* Depthwise convolution of one row: a vector of channels at a time, four output pixels in flight where
 * the whole window lies inside, one at the edges. */
#include "infer/kernels/depthwise.h"

#include "infer/kernels/isa/isa.h"

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

INLINE vec quick(const struct epilogue *e, vec v)
{
	if (e->act == ACT_RELU)
		return pick((vec_mask)(v < (vec){ 0 }), (vec){ 0 }, v);
	if (e->act == ACT_CLIP)
		return vec_clip(v, e->a, e->b);
	return v;
}

/* `flight` output pixels from w on, VEC channels from c on; all have the same taps. */
INLINE void pixels(const struct depthwise *d, const int flight, size_t w, size_t c, struct edge e)
{
	vec sum[FLIGHT];
	ptrdiff_t start =
	    ((ptrdiff_t)(w * d->stride) - d->pad) * (ptrdiff_t)d->x_pitch + (ptrdiff_t)c;
	size_t step = d->stride * d->x_pitch, hop = d->dilation * d->x_pitch;

#pragma GCC unroll 4
	for (int f = 0; f < flight; f++)
		sum[f] = load(d->bias + c);
	for (size_t l = 0; l < d->lines; l++) {
		const float *x = d->line[l] + start, *k = d->weight[l] + c;
		for (size_t t = e.first; t < e.last; t++) {
			vec weight = load(k + t * d->channels);
#pragma GCC unroll 4
			for (int f = 0; f < flight; f++)
				sum[f] += load(x + t * hop + (size_t)f * step) * weight;
		}
	}
#pragma GCC unroll 4
	for (int f = 0; f < flight; f++) {
		size_t at = w + (size_t)f;
		if (d->residual)
			sum[f] += load(d->residual + at * d->r_pitch + c);
		store(d->y + at * d->y_pitch + c, quick(d->epilogue, sum[f]));
	}
}

/* The channels that do not fill a vector, one by one, in the same order of sums. */
INLINE void single(const struct depthwise *d, size_t w, size_t c, struct edge e)
{
	float sum = d->bias[c];
	ptrdiff_t start =
	    ((ptrdiff_t)(w * d->stride) - d->pad) * (ptrdiff_t)d->x_pitch + (ptrdiff_t)c;

	for (size_t l = 0; l < d->lines; l++)
		for (size_t t = e.first; t < e.last; t++)
			sum += d->line[l][start + (ptrdiff_t)(t * d->dilation * d->x_pitch)] *
			       d->weight[l][t * d->channels + c];
	if (d->residual)
		sum += d->residual[w * d->r_pitch + c];
	activate(d->epilogue, &sum, d->y + w * d->y_pitch + c, 1);
}

static void run(const struct depthwise *d)
{
	size_t whole = d->channels / VEC * VEC, w = 0;
	size_t reach = (d->kernel_width - 1) * d->dilation;

	while (w < d->width) {
		struct edge e = inside(d, w);
		ptrdiff_t end = (ptrdiff_t)((w + FLIGHT - 1) * d->stride + reach) - d->pad;
		int flight = e.first == 0 && e.last == d->kernel_width && w + FLIGHT <= d->width &&
				     end < (ptrdiff_t)d->in_width
				 ? FLIGHT
				 : 1;
		for (size_t c = 0; c < whole; c += VEC) {
			if (flight == FLIGHT)
				pixels(d, FLIGHT, w, c, e);
			else
				pixels(d, 1, w, c, e);
		}
		for (int f = 0; f < flight; f++)
			for (size_t c = whole; c < d->channels; c++)
				single(d, w + (size_t)f, c, e);
		w += (size_t)flight;
	}
	if (d->epilogue->act == ACT_NONE || d->epilogue->act == ACT_RELU ||
	    d->epilogue->act == ACT_CLIP)
		return;
	for (w = 0; whole && w < d->width; w++)
		activate(d->epilogue, d->y + w * d->y_pitch, d->y + w * d->y_pitch, whole);
}

void (*const ISA_NAME(depthwise))(const struct depthwise *) = run;
