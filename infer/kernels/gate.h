/* y[pixel][c] = x[pixel][c] · gate[c]: squeeze and excite, channels last. */
#ifndef INFER_KERNELS_GATE_H
#define INFER_KERNELS_GATE_H

#include <stddef.h>

#include "infer/kernels/kernels.h"

/* Pixels of one picture; x may be y. */
struct gate {
	const float *x, *gate;
	float *y;
	size_t pixels, channels, x_pitch, y_pitch;
};

void gate_pixels(const struct gate *g);

/* Pictures of `pixels` each, without gaps between them, with their gates one after the other. */
void gate_run(const struct gate *g, size_t pictures, struct crew *crew);

void gate_pixels__base(const struct gate *g);
void gate_pixels__avx2(const struct gate *g);
void gate_pixels__avx512(const struct gate *g);

#endif
