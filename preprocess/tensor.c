#include "preprocess/tensor.h"

#include <string.h>

void tensor_values_init(struct tensor_values *v, const struct recipe *r, enum dtype dtype)
{
	*v = (struct tensor_values){
		.layout = r->layout, .dtype = dtype, .channels = recipe_channels(r), .pad = r->pad
	};
	normaliser_init(&v->normaliser, r);
	for (int c = 0; c < v->channels; c++)
		v->order[c] = r->color == COLOR_BGR ? 2 - c : c;
}

/* Where channel c of pixel (x, y) stands, in elements, and how far its right neighbour is. */
static size_t place_of(const struct tensor *t, int c, int x, int y, size_t *step)
{
	size_t channels = (size_t)t->values->channels, width = (size_t)t->width;
	size_t pixel = (size_t)y * width + (size_t)x;

	if (t->values->layout == LAYOUT_NHWC) {
		*step = channels;
		return pixel * channels + (size_t)c;
	}
	*step = 1;
	return (size_t)c * width * (size_t)t->height + pixel;
}

static void row_u8(uint8_t *out, size_t step, const uint8_t *in, size_t pixel, size_t count)
{
	for (size_t i = 0; i < count; i++)
		out[i * step] = in[i * pixel];
}

static void row_f32(float *out, size_t step, const float *table, const uint8_t *in, size_t pixel,
		    size_t count)
{
	for (size_t i = 0; i < count; i++)
		out[i * step] = table[in[i * pixel]];
}

static void row_deep(float *out, size_t step, const struct tensor_values *v, int c,
		     const uint8_t *in, size_t pixel, size_t count)
{
	uint16_t sample;

	for (size_t i = 0; i < count; i++) {
		memcpy(&sample, in + i * pixel * 2, 2);
		out[i * step] = normalise(&v->normaliser, c, sample);
	}
}

void tensor_row(const struct tensor *t, int x, int y, const uint8_t *samples, int count)
{
	const struct tensor_values *v = t->values;
	size_t step, pixel = (size_t)t->samples.channels;

	if (v->dtype == DTYPE_U8 && v->layout == LAYOUT_NHWC && v->order[0] == 0 &&
	    t->samples.channels == v->channels) { /* the very bytes */
		memcpy(t->data + place_of(t, 0, x, y, &step), samples, (size_t)count * pixel);
		return;
	}
	for (int c = 0; c < v->channels; c++) {
		size_t at = place_of(t, c, x, y, &step);
		size_t from = pixel == 1 ? 0 : (size_t)v->order[c];
		if (v->dtype == DTYPE_U8)
			row_u8(t->data + at, step, samples + from, pixel, (size_t)count);
		else if (t->samples.depth == 8)
			row_f32((float *)(void *)t->data + at, step, v->normaliser.table[c],
				samples + from, pixel, (size_t)count);
		else
			row_deep((float *)(void *)t->data + at, step, v, c, samples + from * 2,
				 pixel, (size_t)count);
	}
}

static void fill(const struct tensor *t, int x, int y, int count)
{
	size_t step;

	for (int c = 0; c < t->values->channels; c++) {
		size_t at = place_of(t, c, x, y, &step);
		float value = normalise(&t->values->normaliser, c, (uint32_t)t->values->pad);
		for (int i = 0; i < count; i++, at += step)
			if (t->values->dtype == DTYPE_U8)
				t->data[at] = (uint8_t)t->values->pad;
			else
				((float *)(void *)t->data)[at] = value;
	}
}

void tensor_border(const struct tensor *t, const struct geometry *g)
{
	int right = g->x.at + g->x.count;

	if (g->x.count == t->width && g->y.count == t->height)
		return;
	for (int y = 0; y < t->height; y++) {
		if (y < g->y.at || y >= g->y.at + g->y.count) {
			fill(t, 0, y, t->width);
			continue;
		}
		fill(t, 0, y, g->x.at);
		fill(t, right, y, t->width - right);
	}
}
