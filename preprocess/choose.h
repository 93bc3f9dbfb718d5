/* Which recipe: what was said on the command line, in files, and by the model downstream. */
#ifndef PREPROCESS_CHOOSE_H
#define PREPROCESS_CHOOSE_H

#include "common/err.h"
#include "common/option.h"
#include "common/recipe.h"
#include "common/stage.h"

/* The flags, as typed; NULL where not given. */
struct choice {
	const char *recipe, *config, *preset, *roi;
	struct option_list set;
};

/* In this order of trust: --recipe, --config, what the model wants (NULL or "" if it says nothing),
 * --preset; then --roi and --set change single words of it. 0, or -1 with *e: nobody said a recipe
 * (EX_USAGE), or it is wrong. */
int choose_recipe(struct recipe *r, const struct choice *c, const char *wanted, struct err *e);

/* What is wrong with the flags whatever the model may want: so that a mistake is told at once, not
 * when a model turns up. */
int choose_flags(const struct choice *c, struct err *e);

/* Is there a --preset, and the chosen recipe (canonical) another, because the model said one? */
bool choose_ignores_preset(const struct choice *c, const char *recipe);

/* Does the recipe make what the model takes? -1 with *e naming both. */
int choose_check(const struct recipe *r, const struct wants *w, struct err *e);

#endif
