/* A factor and a summand per channel, and an activation. */
#include "infer/kernels/scale.h"

#include "infer/kernels/isa/isa.h"
#include "infer/kernels/isa/smooth.h"

INLINE vec scaled(vec x, vec scale, vec shift, const int relu)
{
	vec v = x * scale + shift;

	return relu ? vec_least(v, (vec){ 0 }) : v;
}

INLINE void pixel(const struct scale *s, const float *x, float *y, const int relu)
{
	size_t c = 0, left = s->channels % VEC;

	for (; c + VEC <= s->channels; c += VEC)
		store(y + c, scaled(load(x + c), load(s->scale + c), load(s->shift + c), relu));
	if (left)
		store_n(y + c,
			scaled(load_n(x + c, left), load_n(s->scale + c, left),
			       load_n(s->shift + c, left), relu),
			left);
}

void ISA_NAME(scale_pixels)(const struct scale *s, const float *x, float *y)
{
	const struct epilogue *e = &s->epilogue;

	for (size_t i = 0; i < s->pixels; i++, x += s->x_pitch, y += s->y_pitch) {
		if (e->act == ACT_RELU)
			pixel(s, x, y, 1);
		else
			pixel(s, x, y, 0);
		if (quick(e) && e->act != ACT_NONE && e->act != ACT_RELU)
			activate(e, y, y, s->channels);
		else
			activate_rows(e, y, s->channels, 1, s->channels);
	}
}
