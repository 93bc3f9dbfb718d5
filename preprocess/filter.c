/* The arithmetic follows Pillow's resampling step by step, because the last bit of a weight decides
 * pixels: doubles, in this order of operations, without contraction (-ffp-contract=off). */
#include "preprocess/filter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double box(double x)
{
	return x > -0.5 && x <= 0.5 ? 1 : 0;
}

static double bilinear(double x)
{
	x = fabs(x);
	return x < 1 ? 1 - x : 0;
}

static double hamming(double x)
{
	x = fabs(x);
	if (x == 0)
		return 1;
	if (x >= 1)
		return 0;
	x *= M_PI;
	return sin(x) / x * (0.54f + 0.46f * cos(x)); /* Pillow's constants are floats */
}

/* Keys' cubic with a = -1/2. */
static double bicubic(double x)
{
	const double a = -0.5;

	x = fabs(x);
	if (x < 1)
		return ((a + 2) * x - (a + 3)) * x * x + 1;
	if (x < 2)
		return (((x - 5) * x + 8) * x - 4) * a;
	return 0;
}

static double sinc(double x)
{
	if (x == 0)
		return 1;
	x *= M_PI;
	return sin(x) / x;
}

static double lanczos(double x)
{
	return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0;
}

static const struct {
	double (*at)(double x);
	double support;
} kernels[] = {
	[INTERP_BOX] = { box, 0.5 },       [INTERP_BILINEAR] = { bilinear, 1 },
	[INTERP_HAMMING] = { hamming, 1 }, [INTERP_BICUBIC] = { bicubic, 2 },
	[INTERP_LANCZOS] = { lanczos, 3 },
};

static bool same_extent(const struct extent *a, const struct extent *b)
{
	return a->size == b->size && a->box0 == b->box0 && a->box1 == b->box1 &&
	       a->full == b->full && a->first == b->first && a->count == b->count;
}

void filter_free(struct filter *f)
{
	free(f->start);
	free(f->count);
	free(f->weight);
	free(f->fixed);
	free(f->packed);
	*f = (struct filter){ 0 };
}

static int reserve(struct filter *f, int pixels, int stride, struct err *e)
{
	size_t n = (size_t)pixels, weights;

	if (__builtin_mul_overflow(n, (size_t)stride, &weights))
		return err_set(e, "the resize needs too many weights");
	f->stride = stride;
	f->start = malloc(n * sizeof *f->start);
	f->count = malloc(n * sizeof *f->count);
	f->weight = calloc(weights, sizeof *f->weight);
	f->fixed = calloc(weights, sizeof *f->fixed);
	if (!f->start || !f->count || !f->weight || !f->fixed)
		return err_memory(e, weights * sizeof *f->weight, "weights");
	return 0;
}

/* Away from zero, as a cast after adding half does. */
static int32_t to_fixed(double weight)
{
	double scaled = weight * (1 << FILTER_BITS);

	return (int32_t)(weight < 0 ? scaled - 0.5 : scaled + 0.5);
}

/* The weights of kept pixel i. */
static void fill_pixel(struct filter *f, int i, double scale, double stretch)
{
	double support = kernels[f->interp].support * stretch, inverse = 1 / stretch, sum = 0;
	double centre = f->of.box0 + (f->of.first + i + 0.5) * scale;
	int from = (int)(centre - support + 0.5), to = (int)(centre + support + 0.5);
	double *weight = f->weight + (size_t)i * (size_t)f->stride;
	int32_t *fixed = f->fixed + (size_t)i * (size_t)f->stride;

	if (from < 0)
		from = 0;
	if (to > f->of.size)
		to = f->of.size;
	f->start[i] = from;
	f->count[i] = to - from;
	for (int k = 0; k < to - from; k++) {
		weight[k] = kernels[f->interp].at((k + from - centre + 0.5) * inverse);
		sum += weight[k];
	}
	for (int k = 0; k < to - from; k++) {
		if (sum != 0)
			weight[k] /= sum;
		fixed[k] = to_fixed(weight[k]);
	}
}

int filter_plan(struct filter *f, const struct extent *of, enum recipe_interp interp, struct err *e)
{
	if (f->of.count && f->interp == interp && same_extent(&f->of, of))
		return 0;
	filter_free(f);
	f->interp = interp;
	f->identity = of->full == of->size && of->box0 == 0 && of->box1 == (float)of->size;
	if (!f->identity) {
		double scale = (double)(of->box1 - of->box0) / of->full;
		double stretch = scale < 1 ? 1 : scale;
		int stride = (int)ceil(kernels[interp].support * stretch) * 2 + 1;
		stride = stride < of->size ? stride : of->size;
		if (reserve(f, of->count, stride, e) < 0) {
			filter_free(f);
			return -1;
		}
		f->of = *of;
		for (int i = 0; i < of->count; i++)
			fill_pixel(f, i, scale, stretch);
	}
	f->of = *of;
	return 0;
}

/* A weight of pixel i, tap k, as two halves in the places that the kernels multiply. */
static void pack_weight(struct filter *f, int i, int k, int32_t weight)
{
	int per_group = f->channels == 1 ? 16 : 4, place = k % per_group;
	int16_t *group = f->packed + ((size_t)i * (size_t)f->groups + (size_t)(k / per_group)) * 32;
	int16_t high = (int16_t)(weight >> 15), low = weight & 0x7fff;

	if (f->channels == 1) {
		group[place] = high;
		group[16 + place] = low;
		return;
	}
	for (int c = 0; c < 3; c++) {
		int at = place / 2 * 8 + c * 2 + place % 2;
		group[at] = high;
		group[16 + at] = low;
	}
}

int filter_pack(struct filter *f, int channels, struct err *e)
{
	int most = 0, last = 0;

	if (f->identity || (f->packed && f->channels == channels))
		return 0;
	for (int i = 0; i < f->of.count; i++) {
		most = f->count[i] > most ? f->count[i] : most;
		last = f->start[i] > last ? f->start[i] : last;
	}
	free(f->packed);
	f->channels = channels;
	f->groups = channels == 1 ? (most + 15) / 16 : (most + 3) / 4;
	f->reach = channels == 1 ? (size_t)last + (size_t)f->groups * 16
				 : (size_t)last * 3 + (size_t)f->groups * 12 + 4;
	f->packed = calloc((size_t)f->of.count * (size_t)f->groups, 32 * sizeof *f->packed);
	if (!f->packed)
		return err_code(e, EX_TEMPFAIL, "no memory for weights");
	for (int i = 0; i < f->of.count; i++)
		for (int k = 0; k < f->count[i]; k++)
			pack_weight(f, i, k, f->fixed[(size_t)i * (size_t)f->stride + (size_t)k]);
	return 0;
}

/* Pillow's affine transform steps by adding, from the first pixel of the whole. */
void filter_nearest(const struct extent *of, int *index)
{
	double step = (double)(of->box1 - of->box0) / of->full;
	double at = of->box0 + step * 0.5;

	for (int i = 0; i < of->first + of->count; i++, at += step)
		if (i >= of->first) {
			int sample = (int)at;
			index[i - of->first] = sample < of->size ? sample : of->size - 1;
		}
}
