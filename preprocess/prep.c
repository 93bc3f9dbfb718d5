#include "preprocess/prep.h"

#include <stdlib.h>
#include <string.h>

#include "preprocess/geometry.h"
#include "preprocess/picture.h"
#include "preprocess/resample.h"
#include "preprocess/tensor.h"

struct prep {
	struct recipe recipe;
	char hash[HASH_HEX];
	struct tensor_values values;
	struct resampler *resampler;
	int64_t expected[4]; /* 0 and -1: any */
};

struct prep *prep_new(const struct recipe *r, const struct kernels *kernels)
{
	struct prep *p = calloc(1, sizeof *p);

	if (!p)
		return NULL;
	p->recipe = *r;
	recipe_hash(r, p->hash);
	tensor_values_init(&p->values, r, r->dtype);
	p->resampler = resampler_new(kernels);
	if (!p->resampler)
		prep_free(&p);
	return p;
}

void prep_free(struct prep **p)
{
	if (*p)
		resampler_free(&(*p)->resampler);
	free(*p);
	*p = NULL;
}

void prep_expect(struct prep *p, const int64_t shape[4])
{
	memcpy(p->expected, shape, sizeof p->expected);
}

void prep_samples(struct prep *p)
{
	tensor_values_init(&p->values, &p->recipe, DTYPE_U8);
}

static int check_expected(const struct prep *p, const int64_t shape[4], struct err *e)
{
	for (int i = 1; i < 4; i++)
		if (p->expected[i] > 0 && shape[i] != p->expected[i])
			return err_set(e,
				       "the picture becomes %lldx%lldx%lld, the model takes "
				       "%lldx%lldx%lld (%s), and the recipe does not resize it",
				       (long long)shape[1], (long long)shape[2],
				       (long long)shape[3], (long long)p->expected[1],
				       (long long)p->expected[2], (long long)p->expected[3],
				       p->recipe.layout == LAYOUT_NCHW ? "nchw" : "nhwc");
	return 0;
}

/* The frame's new shape and payload; the pixels must be held by somebody else. */
static int make_tensor(struct prep *p, struct frame *f, const struct geometry *g, struct tensor *t,
		       struct err *e)
{
	int64_t shape[4];

	recipe_shape(&p->recipe, shape);
	shape[p->recipe.layout == LAYOUT_NCHW ? 2 : 1] = g->y.side;
	shape[p->recipe.layout == LAYOUT_NCHW ? 3 : 2] = g->x.side;
	if (check_expected(p, shape, e) < 0)
		return -1;
	if (frame_shape(f, FRAME_TENSOR, p->values.dtype, 4, shape, e) < 0)
		return -1;
	t->values = &p->values;
	t->width = g->x.side;
	t->height = g->y.side;
	t->data = f->payload->data;
	return 0;
}

/* A tensor comes when a frame is sent again that died behind us: it is what we would make, or it is
 * refused. */
static int pass_on(const struct prep *p, const struct frame *f, struct err *e)
{
	const char *hash = frame_text(f, "recipe_sha256");

	if (!hash || strcmp(hash, p->hash) != 0 || f->rank != 4 ||
	    (f->dtype != p->recipe.dtype && f->dtype != p->values.dtype))
		return err_set(e, "the frame is a tensor of another recipe, not a picture");
	return check_expected(p, f->shape, e);
}

int prep_apply(struct prep *p, struct frame *f, struct err *e)
{
	struct picture in;
	struct geometry g;
	struct tensor t;

	if (f->kind == FRAME_TENSOR)
		return pass_on(p, f, e);
	if (picture_of(&in, f, e) < 0 || geometry_of(&g, &p->recipe, in.width, in.height, e) < 0)
		return -1;
	struct buffer *pixels = buffer_ref(f->payload);
	t.samples = picture_samples(&in, &p->recipe);
	int result = make_tensor(p, f, &g, &t, e);
	if (result == 0)
		result = resampler_run(p->resampler, &in, &g, p->recipe.interp, &t, e);
	if (result == 0) {
		tensor_border(&t, &g);
		frame_meta_text(f, "recipe_sha256", p->hash);
	}
	buffer_unref(&pixels);
	return result;
}
