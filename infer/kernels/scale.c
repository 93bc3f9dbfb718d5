/* A factor and a summand per channel, with its activation: what is left of a BatchNormalization that
 * no convolution could take in. Bound by memory, so plain vector extensions do. */
#include "infer/kernels/scale.h"

#define VEC 8
#define BLOCK 28 /* pixels a task */

typedef float vec __attribute__((vector_size(VEC * sizeof(float)), aligned(4), may_alias));

struct job {
	const struct scale *s;
	const float *x;
	float *y;
};

static void pixel(const struct scale *s, const float *x, float *y)
{
	size_t c = 0;

	for (; c + VEC <= s->channels; c += VEC)
		*(vec *)(y + c) = *(const vec *)(x + c) * *(const vec *)(s->scale + c) +
				  *(const vec *)(s->shift + c);
	for (; c < s->channels; c++)
		y[c] = x[c] * s->scale[c] + s->shift[c];
	if (s->epilogue.act != ACT_NONE)
		activate(&s->epilogue, y, y, s->channels);
}

static void block(void *context, size_t i, int lane)
{
	const struct job *j = context;
	const struct scale *s = j->s;
	size_t end = (i + 1) * BLOCK < s->pixels ? (i + 1) * BLOCK : s->pixels;

	(void)lane;
	for (size_t p = i * BLOCK; p < end; p++)
		pixel(s, j->x + p * s->x_pitch, j->y + p * s->y_pitch);
}

void scale_run(const struct scale *s, const float *x, float *y, struct crew *crew)
{
	struct job j = { s, x, y };

	crew_run(crew, block, &j, (s->pixels + BLOCK - 1) / BLOCK);
}
