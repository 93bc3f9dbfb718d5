/* Which instruction set interleaves two groups; plain loops for more of them. */
#include "infer/kernels/shuffle.h"

#include "infer/kernels/isa.h"

#define BLOCK 64 /* pixels a task */

struct job {
	const struct shuffle *s;
	const void *x;
	void *y;
};

static void (*two(void))(const float *, const float *, float *, size_t)
{
#ifdef __x86_64__
	if (isa_best() == ISA_AVX512)
		return shuffle_two__avx512;
	if (isa_best() == ISA_AVX2)
		return shuffle_two__avx2;
#endif
	return shuffle_two__base;
}

#define ANY(type)                                                               \
	static void any_##type(const struct shuffle *s, const type *x, type *y) \
	{                                                                       \
		size_t each = s->channels / s->groups;                          \
                                                                                \
		for (size_t g = 0; g < s->groups; g++)                          \
			for (size_t c = 0; c < each; c++)                       \
				y[c * s->groups + g] = x[g * each + c];         \
	}
ANY(float)
ANY(uint8_t)

static void two_bytes(const uint8_t *restrict a, const uint8_t *restrict b, uint8_t *restrict y,
		      size_t n)
{
	for (size_t i = 0; i < n; i++) {
		y[2 * i] = a[i];
		y[2 * i + 1] = b[i];
	}
}

static void block_of_floats(void *context, size_t i, int lane)
{
	const struct job *j = context;
	const struct shuffle *s = j->s;
	size_t end = (i + 1) * BLOCK < s->pixels ? (i + 1) * BLOCK : s->pixels;

	(void)lane;
	for (size_t p = i * BLOCK; p < end; p++) {
		const float *x = (const float *)j->x + p * s->x_pitch;
		float *y = (float *)j->y + p * s->y_pitch;

		if (s->groups == 2)
			two()(x, x + s->channels / 2, y, s->channels / 2);
		else
			any_float(s, x, y);
	}
}

static void block_of_bytes(void *context, size_t i, int lane)
{
	const struct job *j = context;
	const struct shuffle *s = j->s;
	size_t end = (i + 1) * BLOCK < s->pixels ? (i + 1) * BLOCK : s->pixels;

	(void)lane;
	for (size_t p = i * BLOCK; p < end; p++) {
		const uint8_t *x = (const uint8_t *)j->x + p * s->x_pitch;
		uint8_t *y = (uint8_t *)j->y + p * s->y_pitch;

		if (s->groups == 2)
			two_bytes(x, x + s->channels / 2, y, s->channels / 2);
		else
			any_uint8_t(s, x, y);
	}
}

void shuffle_floats(const struct shuffle *s, const void *x, void *y, struct crew *crew)
{
	struct job j = { s, x, y };

	crew_run(crew, block_of_floats, &j, (s->pixels + BLOCK - 1) / BLOCK);
}

void shuffle_bytes(const struct shuffle *s, const void *x, void *y, struct crew *crew)
{
	struct job j = { s, x, y };

	crew_run(crew, block_of_bytes, &j, (s->pixels + BLOCK - 1) / BLOCK);
}
