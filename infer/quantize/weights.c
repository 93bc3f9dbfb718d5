/* Weights as small integers, one scale for each channel of the result. */
#include "infer/quantize/parts.h"

#include <float.h>
#include <math.h>

#define BIAS_MOST 1073741824.0 /* half of what i32 holds is left to the sum of products */

static size_t place(const struct weights *w, size_t outer, size_t c, size_t inner)
{
	return (outer * w->channels + c) * w->inner + inner;
}

/* Large enough for the weights, and for a bias in multiples of it and the input's scale. */
static float scale_for(const struct weights *w, size_t c)
{
	float most = 0, least = fmaxf(SCALE_LEAST, FLT_MIN / w->x_scale);

	for (size_t o = 0; o < w->outer; o++)
		for (size_t i = 0; i < w->inner; i++)
			most = fmaxf(most, fabsf(w->w[place(w, o, c, i)]));
	if (w->bias)
		least = fmaxf(least,
			      (float)(fabs((double)w->bias[c]) / ((double)w->x_scale * BIAS_MOST)));
	return fmaxf(most / 127, least);
}

/* Which channel of the input this weight is for. */
static size_t input_of(const struct weights *w, size_t outer, size_t c, size_t inner)
{
	size_t group = c / (w->channels / w->groups);

	return w->outer > 1 ? outer : (group * w->inner + inner) / w->taps;
}

static double round_channel(const struct weights *w, size_t c, float scale, int8_t *rounded)
{
	double off = 0;

	for (size_t o = 0; o < w->outer; o++) {
		for (size_t i = 0; i < w->inner; i++) {
			size_t at = place(w, o, c, i);
			float q = rintf(w->w[at] / scale);

			q = q > 127 ? 127 : q < -127 ? -127 : q;
			rounded[at] = (int8_t)q;
			if (w->mean)
				off += ((double)q * (double)scale - (double)w->w[at]) *
				       w->mean[input_of(w, o, c, i)];
		}
	}
	return off;
}

static bool finite_values(const float *x, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!isfinite(x[i]))
			return false;
	return true;
}

int32_t weights_bias(const struct weights *w, size_t c, float step, double off)
{
	double steps = ((w->bias ? (double)w->bias[c] : 0) - off) / (double)step;

	return (int32_t)lrint(fmax(fmin(steps, 2 * BIAS_MOST - 1), -2 * BIAS_MOST));
}

int weights_round(const struct weights *w, float *scale, int8_t *rounded, double *off,
		  struct err *e)
{
	if (!finite_values(w->w, w->outer * w->channels * w->inner) ||
	    (w->bias && !finite_values(w->bias, w->channels)))
		return err_set(e, "invalid: weights that are not finite");
	for (size_t c = 0; c < w->channels; c++) {
		scale[c] = scale_for(w, c);
		if (!isfinite(scale[c] * w->x_scale))
			return err_set(e, "not supported: weights as large as %g",
				       (double)scale[c]);
		off[c] = round_channel(w, c, scale[c], rounded);
	}
	return 0;
}
