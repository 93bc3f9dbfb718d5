/* Which instruction set multiplies, and how the work is cut. */
#include "infer/kernels/gate.h"

#include "infer/kernels/isa.h"

#define BLOCK 64 /* pixels a task */

void gate_pixels(const struct gate *g)
{
	switch (isa_best()) {
#ifdef __x86_64__
	case ISA_AVX512:
		gate_pixels__avx512(g);
		break;
	case ISA_AVX2:
		gate_pixels__avx2(g);
		break;
#endif
	default:
		gate_pixels__base(g);
	}
}

static size_t blocks_of(const struct gate *g)
{
	return (g->pixels + BLOCK - 1) / BLOCK;
}

static void task(void *context, size_t i, int lane)
{
	const struct gate *g = context;
	size_t picture = i / blocks_of(g), first = i % blocks_of(g) * BLOCK;
	struct gate part = *g;

	(void)lane;
	part.pixels = g->pixels - first < BLOCK ? g->pixels - first : BLOCK;
	part.x += (picture * g->pixels + first) * g->x_pitch;
	part.y += (picture * g->pixels + first) * g->y_pitch;
	part.gate += picture * g->channels;
	gate_pixels(&part);
}

void gate_run(const struct gate *g, size_t pictures, struct crew *crew)
{
	struct gate whole = *g;

	crew_run(crew, task, &whole, pictures * blocks_of(g));
}
