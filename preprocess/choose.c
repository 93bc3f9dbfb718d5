#include "preprocess/choose.h"

#include <stdio.h>
#include <string.h>

static void list_presets(char *names, size_t size)
{
	*names = '\0';
	for (size_t i = 0; recipe_preset_name(i); i++)
		snprintf(names + strlen(names), size - strlen(names), "%s%s", i ? ", " : "",
			 recipe_preset_name(i));
}

static int no_recipe(struct err *e)
{
	char names[256];

	list_presets(names, sizeof names);
	return err_code(e, EX_USAGE,
			"no recipe: the model says none; give --recipe, --config or --preset (%s)",
			names);
}

static int no_preset(const char *name, struct err *e)
{
	char names[256];

	list_presets(names, sizeof names);
	return err_code(e, EX_USAGE, "--preset: '%s' is none of %s", name, names);
}

static int from_config(struct recipe *r, const char *path, struct err *e)
{
	int result = recipe_config_merge(r, path, e);

	return result == 0 ? err_set(e, "%s: it does not speak of a recipe", path) : result;
}

/* The words that the most trusted speaker said. */
static int take_base(struct recipe *r, const struct choice *c, const char *wanted, struct err *e)
{
	if (c->recipe)
		return recipe_merge(r, c->recipe, e);
	if (c->config)
		return from_config(r, c->config, e);
	if (wanted && *wanted) {
		if (recipe_merge(r, wanted, e) == 0)
			return 0;
		e->code = EX_DATAERR;
		return err_at(e, "what the model wants");
	}
	if (!c->preset)
		return no_recipe(e);
	if (!recipe_preset(c->preset))
		return no_preset(c->preset, e);
	return recipe_merge(r, recipe_preset(c->preset), e);
}

static int take_changes(struct recipe *r, const struct choice *c, struct err *e)
{
	char words[RECIPE_TEXT_MAX];

	for (size_t i = 0; i < c->set.count; i++)
		if (recipe_merge(r, c->set.item[i], e) < 0)
			return err_at(e, "--set");
	if (!c->roi)
		return 0;
	snprintf(words, sizeof words, "roi=%s", c->roi);
	return recipe_merge(r, words, e) < 0 ? err_at(e, "--roi") : 0;
}

int choose_recipe(struct recipe *r, const struct choice *c, const char *wanted, struct err *e)
{
	recipe_init(r);
	if (take_base(r, c, wanted, e) < 0 || take_changes(r, c, e) < 0)
		return -1;
	if (recipe_check(r, e) == 0)
		return 0;
	if (c->config && !c->recipe) {
		e->code = EX_DATAERR;
		return err_at(e, "%s", c->config);
	}
	return -1;
}

int choose_flags(const struct choice *c, struct err *e)
{
	struct recipe r;

	if (c->recipe || c->config)
		return choose_recipe(&r, c, NULL, e);
	recipe_init(&r);
	if (c->preset && take_base(&r, c, NULL, e) < 0)
		return -1;
	return take_changes(&r, c, e);
}

bool choose_ignores_preset(const struct choice *c, const char *recipe)
{
	char text[RECIPE_TEXT_MAX];
	struct choice alone = { .preset = c->preset, .set = c->set, .roi = c->roi };
	struct recipe r;
	struct err why;

	if (!c->preset || c->recipe || c->config || choose_recipe(&r, &alone, NULL, &why) < 0)
		return false;
	recipe_format(&r, text);
	return strcmp(text, recipe) != 0;
}

static void shape_text(char *text, size_t size, const int64_t *shape, int rank)
{
	*text = '\0';
	for (int i = 0; i < rank; i++) {
		size_t used = strlen(text);
		if (shape[i] < 0)
			snprintf(text + used, size - used, "%s?", i ? "x" : "");
		else
			snprintf(text + used, size - used, "%s%lld", i ? "x" : "",
				 (long long)shape[i]);
	}
}

int choose_check(const struct recipe *r, const struct wants *w, struct err *e)
{
	int64_t shape[4];
	char ours[128], theirs[256];
	bool fits = w->rank == 0 || w->rank == 4;

	recipe_shape(r, shape);
	/* The batch is infer's own business: what is sent is one part. */
	for (int i = 1; fits && i < w->rank; i++)
		fits = shape[i] < 0 || w->shape[i] < 0 || shape[i] == w->shape[i];
	if (fits && (w->dtype == DTYPE_NONE || w->dtype == r->dtype))
		return 0;
	shape_text(ours, sizeof ours, shape, 4);
	shape_text(theirs, sizeof theirs, w->shape, w->rank);
	return err_set(e, "the recipe makes %s %s, the model takes %s %s", dtype_name(r->dtype),
		       ours, w->dtype == DTYPE_NONE ? "any type," : dtype_name(w->dtype),
		       w->rank ? theirs : "of any shape");
}
