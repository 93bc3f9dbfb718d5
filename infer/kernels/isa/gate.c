/* A factor per channel; one multiplication, so that every instruction set gives the same bytes. */
#include "infer/kernels/gate.h"

#include "infer/kernels/isa/isa.h"

void ISA_NAME(gate_pixels)(const struct gate *g)
{
	const float *x = g->x;
	float *y = g->y;

	for (size_t i = 0; i < g->pixels; i++, x += g->x_pitch, y += g->y_pitch) {
		size_t c = 0;

		for (; c + VEC <= g->channels; c += VEC)
			store(y + c, load(x + c) * load(g->gate + c));
		if (c < g->channels)
			store_n(y + c,
				load_n(x + c, g->channels - c) *
				    load_n(g->gate + c, g->channels - c),
				g->channels - c);
	}
}
