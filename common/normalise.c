/* value = ((float)(sample × up ÷ down) − mean) ÷ std, the first step in double and rounded once: for
 * 1/255 that is torchvision's v / 255, for 1/127.5 Keras's, and for a decimal factor what transformers
 * compute. Eight bits have 256 values, so a table per channel is exact, and fast. */
#include "common/normalise.h"

float normalise(const struct normaliser *n, int channel, uint32_t sample)
{
	float x = (float)((double)sample * n->up / n->down);

	return (x - n->mean[channel]) / n->std[channel];
}

void normaliser_init(struct normaliser *n, const struct recipe *r)
{
	*n = (struct normaliser){ .layout = r->layout,
				  .channels = recipe_channels(r),
				  .up = r->scale_up,
				  .down = r->scale_down };
	for (int c = 0; c < n->channels; c++) {
		n->mean[c] = (float)r->mean[c];
		n->std[c] = (float)r->std[c];
		for (uint32_t sample = 0; sample < 256; sample++)
			n->table[c][sample] = normalise(n, c, sample);
	}
}

static void plane(float *out, const uint8_t *in, const float *table, size_t count)
{
	for (size_t i = 0; i < count; i++)
		out[i] = table[in[i]];
}

void normalise_all(const struct normaliser *n, float *out, const uint8_t *in, size_t pixels)
{
	if (n->layout == LAYOUT_NCHW || n->channels == 1) {
		for (int c = 0; c < n->channels; c++)
			plane(out + (size_t)c * pixels, in + (size_t)c * pixels, n->table[c],
			      pixels);
		return;
	}
	for (size_t i = 0; i < 3 * pixels; i += 3) {
		out[i] = n->table[0][in[i]];
		out[i + 1] = n->table[1][in[i + 1]];
		out[i + 2] = n->table[2][in[i + 2]];
	}
}

bool normalise_apart(const struct recipe *r)
{
	return r->dtype == DTYPE_F32 && r->depth == 8;
}
