/* The model of floats runs on the pictures while its values are looked at. A second instance of the
 * file, simplified in the same way, so that values go by their names: what is looked at becomes an
 * output, and all else is fused and planned as ever. */
#include "infer/quantize/parts.h"

#include <stdlib.h>

static bool asked(const struct observed *o, int i)
{
	return o->of[i] || o->mean[i];
}

/* The values that are looked at, behind the outputs that the graph has anyway. */
static int ask_for(struct graph *g, const struct observed *o, const struct places *places,
		   struct err *e)
{
	struct tensor **out = arena_array(g->arena, (size_t)(places->count + g->output_count) + 1,
					  sizeof(struct tensor *), e);

	if (!out)
		return -1;
	for (int i = 0; i < g->output_count; i++)
		out[i] = g->output[i];
	for (int i = 1; i <= places->count; i++) {
		const char *name = places->value[i].tensor->name;
		struct tensor *t = asked(o, i) ? graph_find(g, name) : NULL;

		if (!asked(o, i) || places->value[i].tensor->input)
			continue;
		if (!t)
			return err_code(e, EX_SOFTWARE, "'%.80s' is not there twice", name);
		out[g->output_count++] = t;
		t->output = true;
	}
	g->output = out;
	return 0;
}

static struct model *instance(const struct observed *o, const struct model_options *options,
			      const char *path, const struct tensor *shape,
			      const struct places *places, int *outputs, struct err *e)
{
	struct model *m = model_open(path, options, e);

	if (!m)
		return NULL;
	*outputs = m->graph->output_count;
	if (simplify(m, shape, e) == 0 && ask_for(m->graph, o, places, e) == 0 &&
	    model_finish(m, e) == 0)
		return m;
	model_free(&m);
	return NULL;
}

/* x: outer, channels, inner; channels at axis. The means of one picture are added. */
static void add_means(double *mean, const struct tensor *t, int axis, const float *x)
{
	size_t outer = 1, inner = 1, channels = (size_t)t->dim[axis];

	for (int i = 0; i < t->rank; i++)
		*(i < axis ? &outer : &inner) *= i == axis ? 1 : (size_t)t->dim[i];
	for (size_t o = 0; o < outer; o++) {
		for (size_t c = 0; c < channels; c++) {
			double sum = 0;

			for (size_t i = 0; i < inner; i++)
				sum += (double)*x++;
			mean[c] += sum / (double)(outer * inner);
		}
	}
}

static int look(const struct observed *o, const struct model *m, const struct places *places,
		const float *input, int outputs, struct err *e)
{
	for (int i = 1; i <= places->count; i++) {
		const struct tensor *t = places->value[i].tensor;
		const float *x = input;

		if (!asked(o, i))
			continue;
		if (!t->input)
			x = m->graph->output[outputs++]->data;
		if (o->of[i] && histogram_add(o->of[i], x, tensor_count(t)) < 0)
			return err_set(e, "'%.80s' is not finite", t->name);
		if (o->mean[i])
			add_means(o->mean[i], t, places->value[i].axis, x);
	}
	return 0;
}

static int make_room(struct observed *o, const struct places *places, struct err *e)
{
	size_t count = (size_t)places->count + 1;

	o->of = calloc(count, sizeof(struct histogram *));
	o->mean = calloc(count, sizeof(double *));
	o->input = calloc(1, sizeof *o->input);
	if (!o->of || !o->mean || !o->input)
		return err_code(e, EX_OSERR, "memory is short");
	for (int i = 1; i <= places->count; i++) {
		const struct value *v = &places->value[i];
		size_t channels = v->axis ? (size_t)v->tensor->dim[v->axis] + 1 : 0;

		if ((places_observed(places, i) && !(o->of[i] = calloc(1, sizeof *o->of[i]))) ||
		    (channels && !(o->mean[i] = calloc(channels, sizeof(double)))))
			return err_code(e, EX_OSERR, "memory is short");
	}
	return 0;
}

static void divide_means(const struct observed *o, const struct places *places, size_t pictures)
{
	for (int i = 1; i <= places->count; i++) {
		const struct value *v = &places->value[i];

		for (int64_t c = 0; o->mean[i] && c < v->tensor->dim[v->axis]; c++)
			o->mean[i][c] /= (double)pictures;
	}
}

int observe(struct observed *o, const struct model_options *options, const char *path,
	    const struct tensor *shape, const struct places *places,
	    const struct pictures *pictures, struct err *e)
{
	struct model *m;
	int outputs, result = 0;

	if (make_room(o, places, e) < 0)
		return -1;
	m = instance(o, options, path, shape, places, &outputs, e);
	if (!m)
		return -1;
	o->classes = tensor_count(model_output(m, 0));
	o->scores = calloc(pictures->count * o->classes + 1, sizeof *o->scores);
	if (!o->scores)
		result = err_code(e, EX_OSERR, "memory is short");
	for (size_t i = 0; i < pictures->count && result == 0; i++) {
		const struct picture *p = &pictures->picture[i];
		const void *input[1] = { p->values->data };

		model_run(m, input);
		if (shape->dtype == DTYPE_F32)
			distinct_add(o->input, input[0], tensor_count(shape));
		for (size_t k = 0; k < o->classes; k++)
			o->scores[i * o->classes + k] = tensor_real(model_output(m, 0), k);
		if (look(o, m, places, input[0], outputs, e) < 0)
			result = err_at(e, "picture %llu of '%s'", (unsigned long long)p->seq,
					p->source);
	}
	divide_means(o, places, pictures->count);
	model_free(&m);
	return result;
}

void observed_free(struct observed *o, const struct places *places)
{
	for (int i = 1; o->of && o->mean && i <= places->count; i++) {
		free(o->of[i]);
		free(o->mean[i]);
	}
	free(o->of);
	free(o->mean);
	free(o->input);
	free(o->scores);
	o->of = NULL;
	o->mean = NULL;
	o->input = NULL;
	o->scores = NULL;
}
