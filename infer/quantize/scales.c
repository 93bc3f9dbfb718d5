/* Scales from what was observed: one for each value, or for several that are moved about or put
 * together. */
#include "infer/quantize/parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What a Concat puts together should have one scale: then it only moves bytes. An input whose range is
 * less than this part of the common one keeps its own. */
#define SHARE 0.33f

/* u8 for a range. */
static struct scale scale_of(struct range r)
{
	struct scale s = { 0 };
	float width = r.high - r.low;

	s.scale = width > 0 ? fmaxf(width / 255, SCALE_LEAST) : 1.0f / 255;
	s.zero = (int)lrintf(-r.low / s.scale);
	s.zero = s.zero > 255 ? 255 : s.zero;
	/* The largest must not lie beyond a Clip's bound, or the Clip would be needed still. */
	while (r.low == 0 && width > 0 && 255 * s.scale > r.high && s.scale > SCALE_LEAST)
		s.scale = nextafterf(s.scale, 0);
	return s;
}

/* Of all values with the scale of i. */
static void add_up(struct histogram *sum, const struct places *p, const struct observed *o, int i)
{
	memset(sum, 0, sizeof *sum);
	for (int k = i; k <= p->count; k++)
		if (o->of[k] && places_root(p, k) == i)
			histogram_join(sum, o->of[k]);
}

static float width_of(struct range r)
{
	return r.high - r.low;
}

static struct range both(struct range a, struct range b)
{
	return (struct range){ fminf(a.low, b.low), fmaxf(a.high, b.high) };
}

/* Are the values of i, which nothing else has the scale of, those of the network's input? */
static bool is_input(const struct places *p, const struct observed *o, int i)
{
	const struct tensor *t = p->value[i].tensor;

	for (int k = 1; k <= p->count; k++)
		if (k != i && o->of[k] && places_root(p, k) == places_root(p, i))
			return false;
	while (t->maker && (node_is(t->maker, "Transpose") || node_is(t->maker, "Reshape")))
		t = t->maker->in[0];
	return t->input && t->dtype == DTYPE_F32 && places_root(p, i) == i;
}

/* Values that are never negative stay so, with 0 as their zero point: it does the work of the Relu
 * before it, and runtimes look for that. range: by root. */
static void join_inputs(struct places *p, const struct node *n, struct range *range)
{
	for (int i = 0; i < n->in_count; i++) {
		int in = places_root(p, n->in[i]->place), out = places_root(p, n->out[0]->place);
		struct range common = both(range[in], range[out]);

		if (n->in[i]->constant || in == out || (range[in].low == 0 && common.low < 0) ||
		    width_of(range[in]) < SHARE * width_of(common) ||
		    width_of(range[out]) < SHARE * width_of(common))
			continue;
		places_join(p, in, out);
		range[places_root(p, in)] = common;
	}
}

int scales_choose(struct scale *scale, struct places *places, const struct observed *o,
		  const struct graph *g, struct err *e)
{
	struct histogram *sum = malloc(sizeof *sum);
	struct range *range = calloc((size_t)places->count + 1, sizeof *range);
	int result = -1;

	if (!sum || !range) {
		err_code(e, EX_OSERR, "memory is short");
		goto out;
	}
	for (int i = 1; i <= places->count; i++) {
		if (!places_quantized(places, i) || places_root(places, i) != i)
			continue;
		add_up(sum, places, o, i);
		range[i] = histogram_range(sum);
	}
	for (const struct node *n = g->first; n; n = n->next)
		if (n->place && node_is(n, "Concat"))
			join_inputs(places, n, range);
	for (int i = 1; i <= places->count; i++) {
		if (!places_quantized(places, i) || places_root(places, i) != i)
			continue;
		add_up(sum, places, o, i);
		scale[i] = scale_of(histogram_range(sum));
	}
	for (int i = 1; i <= places->count; i++)
		if (o->of[i] && is_input(places, o, i))
			distinct_scale(o->input, &scale[i]);
	result = 0;
out:
	free(range);
	free(sum);
	return result;
}
