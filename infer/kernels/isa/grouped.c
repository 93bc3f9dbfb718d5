/* Convolution of one row in narrow groups: a vector of channels at a time. The lines of the window are
 * copied with their zeros first, so that all pixels are alike; weights stay in the first cache. */
#include "infer/kernels/grouped.h"

#include "infer/kernels/isa/isa.h"
#include "infer/kernels/isa/smooth.h"

#define FLIGHT GROUPED_FLIGHT

/* x[i] = v[at[i]] */
INLINE vec spread(vec v, vec_mask at)
{
#if VEC == 16
	return (vec)_mm512_permutexvar_ps((__m512i)at, (__m512)v);
#elif VEC == 8
	return (vec)_mm256_permutevar8x32_ps((__m256)v, (__m256i)at);
#else
	vec x;

	for (int i = 0; i < VEC; i++)
		x[i] = v[at[i]];
	return x;
#endif
}

static void copy_lines(const struct grouped *g, size_t c, size_t n)
{
	size_t wide = grouped_spare(g->width, g->kernel_width, g->stride, g->dilation);
	size_t end = g->pad + g->in_width < wide ? g->pad + g->in_width : wide;
	const vec zero = { 0 };
	float *to = g->spare;

	for (size_t l = 0; l < g->lines; l++) {
		const float *x = g->line[l] + c;
		size_t i = 0;

		for (; i < g->pad && i < wide; i++, to += VEC)
			store(to, zero);
		if (n == VEC)
			for (; i < end; i++, to += VEC, x += g->x_pitch)
				store(to, load(x));
		else
			for (; i < end; i++, to += VEC, x += g->x_pitch)
				store(to, load_n(x, n));
		for (; i < wide; i++, to += VEC)
			store(to, zero);
	}
}

/* Output pixels [w, w + FLIGHT) of n channels from c on; panel: their bias and weights. */
INLINE void pixels(const struct grouped *g, const size_t group, const float *panel, size_t w,
		   size_t c, size_t n)
{
	size_t wide = grouped_spare(g->width, g->kernel_width, g->stride, g->dilation);
	vec_mask at[VEC], first;
	vec sum[FLIGHT];

	for (int i = 0; i < VEC; i++)
		first[i] = i / (int)group * (int)group;
#pragma GCC unroll 16
	for (size_t i = 0; i < group; i++)
		at[i] = first + (int)i;
#pragma GCC unroll 4
	for (int f = 0; f < FLIGHT; f++)
		sum[f] = load(panel);
	for (size_t l = 0; l < g->lines; l++) {
		const float *x = g->spare + (l * wide + w * g->stride) * VEC;
		const float *k = panel + (1 + g->tap[l] * group) * VEC;
		for (size_t t = 0; t < g->kernel_width; t++, x += g->dilation * VEC) {
			vec v[FLIGHT];
#pragma GCC unroll 4
			for (size_t f = 0; f < FLIGHT; f++)
				v[f] = load(x + f * g->stride * VEC);
#pragma GCC unroll 16
			for (size_t i = 0; i < group; i++, k += VEC) {
				vec weight = load(k);
#pragma GCC unroll 4
				for (int f = 0; f < FLIGHT; f++)
					sum[f] += spread(v[f], at[i]) * weight;
			}
		}
	}
	for (size_t f = 0; f < FLIGHT && w + f < g->width; f++) {
		if (g->residual)
			sum[f] += load_n(g->residual + (w + f) * g->r_pitch + c, n);
		activate_quick(g->epilogue, &sum[f], 1);
		store_n(g->y + (w + f) * g->y_pitch + c, sum[f], n);
	}
}

INLINE void row(const struct grouped *g, const size_t group)
{
	const float *panel = g->packed;

	for (size_t c = 0; c < g->channels; c += VEC, panel += (1 + g->taps * group) * VEC) {
		size_t n = g->channels - c < VEC ? g->channels - c : VEC;

		copy_lines(g, c, n);
		for (size_t w = 0; w < g->width; w += FLIGHT)
			pixels(g, group, panel, w, c, n);
	}
}

static void run(const struct grouped *g)
{
	switch (g->group) {
	case 2:
		row(g, 2);
		break;
	case 4:
		row(g, 4);
		break;
#if VEC >= 8
	case 8:
		row(g, 8);
		break;
#endif
#if VEC >= 16
	case 16:
		row(g, 16);
		break;
#endif
	default:
		return; /* conv_grouped.c does not choose others */
	}
	activate_rows(g->epilogue, g->y, g->y_pitch, g->width, g->channels);
}

const struct grouped_isa ISA_NAME(grouped) = { VEC, run };
