/* How the values of a tensor are spread, and what range of them 256 steps represent best. */
#include "infer/quantize/parts.h"

#include <math.h>
#include <string.h>

#define BINS (2 * HISTOGRAM_HALF)

/* --- counting ------------------------------------------------------------------------------------- */

/* The least exponent with which x has a bin. */
static int exponent_for(float x)
{
	int exponent;
	float fraction = frexpf(fabsf(x), &exponent); /* x = fraction · 2^exponent, [0.5, 1) */

	exponent -= 12; /* HISTOGRAM_HALF is 2^12 */
	return x < 0 && fraction == 0.5f ? exponent - 1 : exponent;
}

/* Bins twice as wide, steps times. */
static void coarsen(struct histogram *h, int steps)
{
	for (; steps > 0; steps--) {
		for (int i = HISTOGRAM_HALF; i < BINS; i += 2) {
			uint64_t both = h->count[i] + h->count[i + 1];
			int to = HISTOGRAM_HALF + (i - HISTOGRAM_HALF) / 2;

			h->count[i] = h->count[i + 1] = 0;
			h->count[to] = both;
		}
		for (int i = HISTOGRAM_HALF - 1; i > 0; i -= 2) {
			uint64_t both = h->count[i] + h->count[i - 1];
			int to = HISTOGRAM_HALF - 1 - (HISTOGRAM_HALF - 1 - i) / 2;

			h->count[i] = h->count[i - 1] = 0;
			h->count[to] = both;
		}
		h->exponent++;
	}
}

static void reach(struct histogram *h, float x)
{
	int exponent;

	if (x == 0)
		return;
	exponent = exponent_for(x);
	if (!h->any) {
		h->any = true;
		h->exponent = exponent;
	} else if (exponent - h->exponent > 64) { /* all in the innermost bins */
		coarsen(h, 64);
		h->exponent = exponent;
	} else {
		coarsen(h, exponent - h->exponent);
	}
}

int histogram_add(struct histogram *h, const float *x, size_t count)
{
	float least = 0, most = 0, sum = 0;
	float inverse;

	for (size_t i = 0; i < count; i++) {
		least = x[i] < least ? x[i] : least;
		most = x[i] > most ? x[i] : most;
		sum += x[i] * 0; /* NaN if any is not finite */
	}
	if (sum != 0)
		return -1;
	reach(h, least);
	reach(h, most);
	h->least = least < h->least ? least : h->least;
	h->most = most > h->most ? most : h->most;
	/* Powers of two: the product is exact, but where it underflows, to 0. */
	inverse = h->any ? ldexpf(1, -(h->exponent < -126 ? -126 : h->exponent)) : 0;
	for (size_t i = 0; i < count; i++) {
		float place = x[i] * inverse;
		int bin = (int)place;

		if (x[i] == 0) {
			h->zeros++;
			continue;
		}
		bin -= (float)bin > place;
		h->count[(bin + HISTOGRAM_HALF) & (BINS - 1)]++;
	}
	return 0;
}

void histogram_join(struct histogram *h, const struct histogram *other)
{
	int shift;

	h->zeros += other->zeros;
	reach(h, other->least);
	reach(h, other->most);
	h->least = other->least < h->least ? other->least : h->least;
	h->most = other->most > h->most ? other->most : h->most;
	if (!other->any)
		return;
	shift = h->exponent - other->exponent;
	shift = shift > 31 ? 31 : shift;
	for (int i = 0; i < BINS; i++) {
		int away = i - HISTOGRAM_HALF;
		/* Rounded down, as bins are. */
		int to = away >= 0 ? away >> shift : -((-away - 1) >> shift) - 1;

		h->count[to + HISTOGRAM_HALF] += other->count[i];
	}
}

/* --- choosing ------------------------------------------------------------------------------------- */

/* Sums over the bins from one end: of counts, of count · distance from 0, of its square. */
struct tail {
	double count[HISTOGRAM_HALF + 1], first[HISTOGRAM_HALF + 1], second[HISTOGRAM_HALF + 1];
};

/* t->…[i]: over the bins i and beyond, on one side. */
static void sum_tail(struct tail *t, const struct histogram *h, bool below)
{
	t->count[HISTOGRAM_HALF] = t->first[HISTOGRAM_HALF] = t->second[HISTOGRAM_HALF] = 0;
	for (int i = HISTOGRAM_HALF - 1; i >= 0; i--) {
		double n = (double)h->count[below ? HISTOGRAM_HALF - 1 - i : HISTOGRAM_HALF + i];
		double x = i + 0.5;

		t->count[i] = t->count[i + 1] + n;
		t->first[i] = t->first[i + 1] + n * x;
		t->second[i] = t->second[i + 1] + n * x * x;
	}
}

/* Squared error of all that lies beyond `bound` (in bins) and is drawn in to it. */
static double clipped(const struct tail *t, double bound)
{
	int i = (int)ceil(bound);

	if (i >= HISTOGRAM_HALF)
		return 0;
	return t->second[i] - 2 * bound * t->first[i] + bound * bound * t->count[i];
}

static double inside(const struct tail *t, double bound)
{
	int i = (int)ceil(bound);

	return t->count[0] - (i < HISTOGRAM_HALF ? t->count[i] : 0);
}

/* Few values lie far out, but scores hang on them more than on their number: counted singly, the
 * measured agreement is worse on some networks, and so it is if nothing is clipped on others. */
#define CLIPPED_WEIGHT 2
#define SHRINKS 64 /* candidates on each side: 64/64 … 1/64 of what was seen */

struct range histogram_range(const struct histogram *h)
{
	static struct tail above, below;
	double width = ldexp(1, h->exponent), best = INFINITY;
	double most = h->most / width, least = -(double)h->least / width;
	double best_high = most, best_low = least;

	if (!h->any)
		return (struct range){ 0, 0 };
	sum_tail(&above, h, false);
	sum_tail(&below, h, true);
	for (int i = SHRINKS; i > 0; i--) {
		for (int k = SHRINKS; k > (h->least < 0 ? 0 : SHRINKS - 1); k--) {
			double high = most * i / SHRINKS, low = least * k / SHRINKS;
			double step = (high + low) / 255;
			double error =
			    CLIPPED_WEIGHT * (clipped(&above, high) + clipped(&below, low)) +
			    step * step / 12 * (inside(&above, high) + inside(&below, low));

			if (error >= best)
				continue;
			best = error;
			best_high = high;
			best_low = low;
		}
		if (h->most <= 0)
			break;
	}
	return (struct range){ (float)(-best_low * width), (float)(best_high * width) };
}
