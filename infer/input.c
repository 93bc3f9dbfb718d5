/* Frames to a model's input. */
#include "infer/input.h"

#include <string.h>

#include "infer/tool.h"

int input_shape(const struct model *m, const char *text, const struct recipe *r, int64_t batch,
		struct tensor *t, struct err *e)
{
	int64_t side[4];

	if (model_inputs(m) != 1)
		return err_set(e, "not supported: %d inputs, a picture is one", model_inputs(m));
	*t = *model_input(m, 0);
	if (text && tool_shape(m, text, t, e) < 0)
		return -1;
	if (r && !text && t->rank == 4) {
		recipe_shape(r, side);
		for (int i = 1; i < 4; i++)
			if (t->dim[i] < 0)
				t->dim[i] = side[i];
	}
	for (int i = 1; i < t->rank; i++)
		if (t->dim[i] < 0)
			return err_code(e, EX_USAGE,
					"its input leaves side %d open: say it with --shape, or "
					"with the recipe",
					i);
	if (t->rank > 0 && t->dim[0] < 0)
		t->dim[0] = batch;
	if (batch > 1 && (t->rank == 0 || t->dim[0] != batch))
		return err_code(e, EX_USAGE, "--batch %d: the model takes %d at once", (int)batch,
				t->rank ? (int)t->dim[0] : 1);
	return 0;
}

void input_init(struct input *in, const struct tensor *x, int64_t batch, const struct recipe *r)
{
	*in = (struct input){ .x = x, .batch = batch };
	if (!r || x->dtype != DTYPE_F32 || !normalise_apart(r))
		return;
	in->normalises = true;
	recipe_hash(r, in->recipe);
	normaliser_init(&in->normaliser, r);
}

void input_want(struct stage *s, const struct tensor *x, const struct recipe *r, bool samples)
{
	struct wants w = { .dtype = r ? r->dtype : x->dtype, .rank = x->rank };

	for (int i = 0; i < x->rank; i++)
		w.shape[i] = i == 0 ? 1 : x->dim[i];
	if (r)
		recipe_format(r, w.recipe);
	w.samples = samples && r && x->dtype == DTYPE_F32 && normalise_apart(r);
	stage_want(s, &w);
}

/* u8 that is not an input of u8 is either samples, told by the recipe that they are under way to, or
 * values. */
static bool is_samples(const struct input *in, const struct frame *f)
{
	const char *hash = frame_text(f, "recipe_sha256");

	return in->normalises && hash && strcmp(hash, in->recipe) == 0;
}

static void convert(const struct input *in, const struct frame *f, float *to, size_t count)
{
	if (is_samples(in, f)) {
		normalise_all(&in->normaliser, to, f->payload->data,
			      count / (size_t)in->normaliser.channels);
		return;
	}
	for (size_t i = 0; i < count; i++)
		to[i] = f->payload->data[i];
}

int input_accept(const struct input *in, const struct frame *f, unsigned char *values, int place,
		 const void **from, struct err *e)
{
	const struct tensor *x = in->x;
	size_t count = tensor_count(x) / (size_t)in->batch;
	bool fits = f->kind == FRAME_TENSOR && f->rank == x->rank && f->payload;
	char text[128];

	for (int i = 0; fits && i < x->rank; i++)
		fits = f->shape[i] == (i == 0 ? x->dim[0] / in->batch : x->dim[i]);
	fits = fits && f->payload->size == count * dtype_size(f->dtype);
	if (fits && f->dtype == x->dtype && in->batch == 1)
		*from = f->payload->data;
	else if (fits && f->dtype == x->dtype)
		memcpy(values + (size_t)place * f->payload->size, f->payload->data,
		       f->payload->size);
	else if (fits && f->dtype == DTYPE_U8 && x->dtype == DTYPE_F32)
		convert(in, f, (float *)(void *)values + (size_t)place * count, count);
	else
		return err_set(e, "the model takes %s %s, and this frame is none",
			       dtype_name(x->dtype), tensor_text(x, text, sizeof text));
	return 0;
}
