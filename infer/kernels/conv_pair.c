/* Each lane computes a band of the second convolution's rows, and for them what it needs of the first's,
 * which stay in a ring of as many rows as the window is high. Bands meet in rows that both lanes
 * compute; so there are no more of them than lanes. */
#include "infer/kernels/conv_pair.h"

#include "infer/kernels/conv_kernel.h"

#define LEAST ((size_t)1 << 18) /* floats between the two: fewer stay in the cache by themselves */
#define HIGH_MOST 5

static bool is_pointwise(const struct conv *c)
{
	for (int a = 0; a < 3; a++)
		if (c->kernel[a] != 1 || c->stride[a] != 1 || c->pad[a] != 0 ||
		    c->in[a] != c->out[a])
			return false;
	return c->groups == 1 && c->c > 4;
}

bool conv_pair_fits(const struct conv *first, const struct conv *second)
{
	return (first->planar || is_pointwise(first)) && first->in[0] == 1 && !first->residual &&
	       !conv_prepares(first) && second->groups > 1 && second->groups == second->c &&
	       second->groups == second->k && second->kernel[0] == 1 && second->out[0] == 1 &&
	       second->pad[1] >= 0 && (size_t)second->pad[1] < second->kernel[1] &&
	       second->kernel[1] <= HIGH_MOST && second->dilation[1] == 1 && !second->residual &&
	       conv_pixels(first) * first->k >= LEAST;
}

static size_t ring_bytes(const struct conv_pair *p)
{
	const struct conv *c = &p->second;

	return kernel_lines(c->kernel[1] * c->in[2] * c->x_pitch * sizeof(float));
}

static size_t lane_bytes(const struct conv_pair *p)
{
	return ring_bytes(p) + kernel_lines(p->first.in[2] * sizeof(float *));
}

void conv_pair_choose(struct conv_pair *p, int lanes)
{
	p->first.y_pitch = p->second.x_pitch = p->first.k;
	conv_choose(&p->first, KERNELS_NATIVE, 1);
	conv_choose(&p->second, KERNELS_NATIVE, 1);
	p->work_bytes = (size_t)lanes * lane_bytes(p);
}

struct job {
	const struct conv_pair *p;
	const float *x;
	float *y;
	char *work;
	size_t bands;
};

/* Row r of the first convolution. */
static void first_row(const struct job *j, size_t picture, size_t r, float *y, const void **rows)
{
	const struct conv *c = &j->p->first;
	size_t in = c->in[1] * c->in[2];

	if (c->planar)
		conv_planar_row(c, j->x + picture * in * c->c, r, NULL, y);
	else
		conv_igemm_row(c, j->x + (picture * in + r * c->in[2]) * c->x_pitch, rows, y);
}

static void band(void *context, size_t task, int lane)
{
	const struct job *j = context;
	const struct conv *c = &j->p->second;
	size_t picture = task / j->bands, b = task % j->bands;
	size_t h = b * c->out[1] / j->bands, end = (b + 1) * c->out[1] / j->bands;
	char *work = j->work + (size_t)lane * lane_bytes(j->p);
	float *ring = (float *)(void *)work;
	const void **rows = (const void **)(void *)(work + ring_bytes(j->p));
	size_t line = c->in[2] * c->x_pitch, high = c->kernel[1], done = 0;

	for (; h < end; h++) {
		ptrdiff_t top = (ptrdiff_t)(h * c->stride[1]) - c->pad[1];
		size_t first = top > 0 ? (size_t)top : 0, last = (size_t)(top + (ptrdiff_t)high);

		last = last > c->in[1] ? c->in[1] : last;
		for (done = done > first ? done : first; done < last; done++)
			first_row(j, picture, done, ring + done % high * line, rows);
		conv_depthwise_row(c, ring, high, h, NULL,
				   j->y + (picture * c->out[1] + h) * c->out[2] * c->y_pitch);
	}
}

void conv_pair_run(const struct conv_pair *p, const float *x, float *y, void *work,
		   struct crew *crew)
{
	struct job j = { p, x, y, work, (size_t)crew_lanes(crew) };

	if (j.bands > p->second.out[1])
		j.bands = p->second.out[1];
	crew_run(crew, band, &j, p->second.n * j.bands);
}
