/* What a model wants of its pictures and how its classes are called: from the command line, else
 * from a JSON file beside it, else from its metadata_props; never guessed. */
#ifndef INFER_BESIDE_H
#define INFER_BESIDE_H

#include "common/labels.h"
#include "common/recipe.h"
#include "infer/model.h"

/* given: --recipe, or NULL. 1 and *r filled, 0 nobody says, -1 *e. A file beside the model that
 * speaks of a recipe but not of all of it is told as a warning, and the next place is asked. */
int beside_recipe(struct recipe *r, const char *given, const char *path, const struct model *m,
		  struct err *e);

/* given: --labels, or NULL. The same; labels stay empty if nobody says. */
int beside_labels(struct labels *l, const char *given, const char *path, const struct model *m,
		  struct err *e);

#endif
