/* The arithmetic of cv2.resize(…, interpolation=cv2.INTER_LINEAR) on bytes, versions 3 and 4: sample
 * positions in float, weights of 11 bits rounded half to even, the horizontal sum whole, the vertical
 * one with the lowest four bits cut off before and sixteen after the multiplication. Shrinking to exactly half
 * in both directions is INTER_AREA there, a mean of four. Nothing is antialiased. */
#include "preprocess/opencv.h"

#include <math.h>
#include <stdlib.h>

static void plan(struct opencv_tap *tap, const struct extent *of, bool clamp_weights)
{
	double scale = 1 / ((double)of->full / of->size);
	int last = of->size - 1;

	for (int i = 0; i < of->count; i++, tap++) {
		float at = (float)((of->first + i + 0.5) * scale - 0.5);
		int sample = (int)floorf(at);
		float part = at - (float)sample;
		if (clamp_weights && (sample < 0 || sample >= last)) {
			sample = sample < 0 ? 0 : last;
			part = 0;
		}
		tap->first = (int32_t)rintf((1 - part) * 2048);
		tap->second = (int32_t)rintf(part * 2048);
		tap->at = sample < 0 ? 0 : sample > last ? last : sample;
		tap->next = sample + 1 > last ? last : sample + 1;
	}
}

/* Rows and columns 2i and 2i + 1. */
static void plan_half(struct opencv_tap *tap, const struct extent *of)
{
	for (int i = 0; i < of->count; i++, tap++)
		*tap = (struct opencv_tap){ .at = 2 * (of->first + i),
					    .next = 2 * (of->first + i) + 1 };
}

int opencv_open(struct opencv *o, const struct geometry *g, int channels, struct err *e)
{
	*o = (struct opencv){ .pixels = g->x.count, .held = { -1, -1 } };
	o->samples = (size_t)g->x.count * (size_t)channels;
	o->across = calloc((size_t)g->x.count, sizeof *o->across);
	o->down = calloc((size_t)g->y.count, sizeof *o->down);
	for (int i = 0; i < 2; i++)
		o->row[i] = calloc(o->samples, sizeof *o->row[i]);
	if (!o->across || !o->down || !o->row[0] || !o->row[1]) {
		opencv_close(o);
		return err_code(e, EX_TEMPFAIL, "no memory for rows");
	}
	o->halves = g->x.size == 2 * g->x.full && g->y.size == 2 * g->y.full;
	if (o->halves) {
		plan_half(o->across, &g->x);
		plan_half(o->down, &g->y);
	} else {
		plan(o->across, &g->x, true);
		plan(o->down, &g->y, false);
	}
	return 0;
}

void opencv_close(struct opencv *o)
{
	free(o->across);
	free(o->down);
	free(o->row[0]);
	free(o->row[1]);
	*o = (struct opencv){ 0 };
}

void opencv_across(const struct opencv *o, int channels, const uint8_t *row, int32_t *out)
{
	const struct opencv_tap *tap = o->across;

	for (int i = 0; i < o->pixels; i++, tap++)
		for (int c = 0; c < channels; c++)
			*out++ = row[tap->at * channels + c] * tap->first +
				 row[tap->next * channels + c] * tap->second;
}

void opencv_down(const struct opencv_tap *tap, const int32_t *upper, const int32_t *lower,
		 size_t samples, uint8_t *out)
{
	for (size_t i = 0; i < samples; i++) {
		int32_t sum =
		    (tap->first * (upper[i] >> 4) >> 16) + (tap->second * (lower[i] >> 4) >> 16);
		sum = (sum + 2) >> 2;
		out[i] = (uint8_t)(sum > 255 ? 255 : sum);
	}
}

void opencv_halve(const struct opencv *o, int channels, const uint8_t *upper, const uint8_t *lower,
		  uint8_t *out)
{
	for (int i = 0; i < o->pixels; i++)
		for (int c = 0; c < channels; c++) {
			int at = o->across[i].at * channels + c, next = at + channels;
			*out++ =
			    (uint8_t)((upper[at] + upper[next] + lower[at] + lower[next] + 2) >> 2);
		}
}
