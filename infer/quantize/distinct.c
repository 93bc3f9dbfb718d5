/* The network's input has few different values: those that 256 levels of a picture become in each
 * channel. A scale that is a little off theirs would put most of them half a step wrong, which no
 * histogram shows; so each is tried. */
#include "infer/quantize/parts.h"

#include <math.h>
#include <string.h>

#define TRIES 16 /* scales for each zero point: some below and above what covers all values */

static int find(const struct distinct *d, float x)
{
	int low = 0, high = d->used;

	while (low < high) {
		int middle = (low + high) / 2;

		if (d->value[middle] < x)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void distinct_add(struct distinct *d, const float *x, size_t count)
{
	for (size_t i = 0; i < count && !d->over; i++) {
		int at = find(d, x[i]);

		if (at < d->used && d->value[at] == x[i]) {
			d->count[at]++;
			continue;
		}
		if (d->used == DISTINCT_MOST) {
			d->over = true;
			return;
		}
		memmove(d->value + at + 1, d->value + at,
			(size_t)(d->used - at) * sizeof *d->value);
		memmove(d->count + at + 1, d->count + at,
			(size_t)(d->used - at) * sizeof *d->count);
		d->value[at] = x[i];
		d->count[at] = 1;
		d->used++;
	}
}

/* Sum of squares of what scale and zero do to the values, if it is below best. */
static double error_of(const struct distinct *d, float scale, int zero, double best)
{
	double sum = 0;

	for (int i = 0; i < d->used && sum < best; i++) {
		float q = rintf(d->value[i] / scale) + (float)zero;
		double off;

		q = q < 0 ? 0 : q > 255 ? 255 : q;
		off = (double)(q - (float)zero) * (double)scale - (double)d->value[i];
		sum += (double)d->count[i] * off * off;
	}
	return sum;
}

/* The distance of the two that are nearest to each other: the step of one channel's levels. */
static float step_of(const struct distinct *d)
{
	float step = INFINITY;

	for (int i = 1; i < d->used; i++)
		step = fminf(step, d->value[i] - d->value[i - 1]);
	return step;
}

static void consider(const struct distinct *d, float scale, int zero, struct scale *s, double *best)
{
	double error =
	    scale > SCALE_LEAST && scale < INFINITY ? error_of(d, scale, zero, *best) : INFINITY;

	if (error >= *best)
		return;
	*best = error;
	s->scale = scale;
	s->zero = zero;
}

bool distinct_scale(const struct distinct *d, struct scale *s)
{
	double best = INFINITY;
	float least, most;

	if (d->over || d->used < 2)
		return false;
	least = fminf(d->value[0], 0);
	most = fmaxf(d->value[d->used - 1], 0);
	for (int zero = 0; zero < 256; zero++) {
		float below = zero > 0 ? -least / (float)zero : least < 0 ? INFINITY : 0;
		float above = zero < 255 ? most / (float)(255 - zero) : most > 0 ? INFINITY : 0;
		float cover = fmaxf(below, above);

		consider(d, step_of(d), zero, s, &best);
		for (int i = -TRIES / 4; i < TRIES; i++)
			consider(d, cover * (1 + (float)i / (255 * 8)), zero, s, &best);
	}
	return best < INFINITY;
}
