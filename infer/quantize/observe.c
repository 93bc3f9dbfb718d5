/* The model of floats runs on the pictures while its values are looked at. A second instance of the
 * file, simplified in the same way, so that values go by their names: what is looked at becomes an
 * output, and all else is fused and planned as ever. */
#include "infer/quantize/parts.h"

#include <stdlib.h>

/* The values that have a histogram, behind the outputs that the graph has anyway. */
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
		struct tensor *t = o->of[i] ? graph_find(g, name) : NULL;

		if (!o->of[i] || places->value[i].tensor->input)
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

static int look(const struct observed *o, const struct model *m, const struct places *places,
		const float *input, int outputs, struct err *e)
{
	for (int i = 1; i <= places->count; i++) {
		const struct tensor *t = places->value[i].tensor;
		const float *x = input;

		if (!o->of[i])
			continue;
		if (!t->input)
			x = m->graph->output[outputs++]->data;
		if (histogram_add(o->of[i], x, tensor_count(t)) < 0)
			return err_set(e, "'%.80s' is not finite", t->name);
	}
	return 0;
}

static int make_room(struct observed *o, const struct places *places, struct err *e)
{
	o->of = calloc((size_t)places->count + 1, sizeof(struct histogram *));
	if (!o->of)
		return err_code(e, EX_OSERR, "memory is short");
	for (int i = 1; i <= places->count; i++) {
		if (!places_observed(places, i))
			continue;
		o->of[i] = calloc(1, sizeof *o->of[i]);
		if (!o->of[i])
			return err_code(e, EX_OSERR, "memory is short");
	}
	return 0;
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
		for (size_t k = 0; k < o->classes; k++)
			o->scores[i * o->classes + k] = tensor_real(model_output(m, 0), k);
		if (look(o, m, places, input[0], outputs, e) < 0)
			result = err_at(e, "picture %llu of '%s'", (unsigned long long)p->seq,
					p->source);
	}
	model_free(&m);
	return result;
}

void observed_free(struct observed *o, const struct places *places)
{
	for (int i = 1; o->of && i <= places->count; i++)
		free(o->of[i]);
	free(o->of);
	free(o->scores);
	o->of = NULL;
	o->scores = NULL;
}
