/* Which instruction set scales, and how the work is cut. */
#include "infer/kernels/scale.h"

#include "infer/kernels/isa.h"

#define BLOCK 28 /* pixels a task */

void scale_pixels(const struct scale *s, const float *x, float *y)
{
	switch (isa_best()) {
#ifdef __x86_64__
	case ISA_AVX512:
		scale_pixels__avx512(s, x, y);
		break;
	case ISA_AVX2:
		scale_pixels__avx2(s, x, y);
		break;
#endif
	default:
		scale_pixels__base(s, x, y);
	}
}

struct job {
	const struct scale *s;
	const float *x;
	float *y;
};

static void block(void *context, size_t i, int lane)
{
	const struct job *j = context;
	struct scale part = *j->s;
	size_t first = i * BLOCK;

	(void)lane;
	part.pixels = part.pixels - first < BLOCK ? part.pixels - first : BLOCK;
	scale_pixels(&part, j->x + first * part.x_pitch, j->y + first * part.y_pitch);
}

void scale_run(const struct scale *s, const float *x, float *y, struct crew *crew)
{
	struct job j = { s, x, y };

	crew_run(crew, block, &j, (s->pixels + BLOCK - 1) / BLOCK);
}
