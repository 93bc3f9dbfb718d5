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

void input_want(struct stage *s, const struct tensor *x, const struct recipe *r)
{
	struct wants w = { .dtype = r ? r->dtype : x->dtype, .rank = x->rank };

	for (int i = 0; i < x->rank; i++)
		w.shape[i] = i == 0 ? 1 : x->dim[i];
	if (r)
		recipe_format(r, w.recipe);
	stage_want(s, &w);
}

int input_accept(const struct tensor *x, int64_t batch, const struct frame *f, unsigned char *input,
		 int place, const void **in, struct err *e)
{
	size_t count = tensor_count(x) / (size_t)batch;
	bool fits = f->kind == FRAME_TENSOR && f->rank == x->rank && f->payload;
	char text[128];

	for (int i = 0; fits && i < x->rank; i++)
		fits = f->shape[i] == (i == 0 ? x->dim[0] / batch : x->dim[i]);
	fits = fits && f->payload->size == count * dtype_size(f->dtype);
	if (fits && f->dtype == x->dtype && batch == 1) {
		*in = f->payload->data;
	} else if (fits && f->dtype == x->dtype) {
		memcpy(input + (size_t)place * f->payload->size, f->payload->data,
		       f->payload->size);
	} else if (fits && f->dtype == DTYPE_U8 && x->dtype == DTYPE_F32) {
		float *to = (float *)input + (size_t)place * count;

		for (size_t i = 0; i < count; i++)
			to[i] = f->payload->data[i];
	} else {
		return err_set(e, "the model takes %s %s, and this frame is none",
			       dtype_name(x->dtype), tensor_text(x, text, sizeof text));
	}
	return 0;
}
