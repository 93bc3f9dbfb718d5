/* model.onnx → model.json, model.onnx.json, then the names that frameworks give to such files in the
 * same folder. */
#include "infer/beside.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/json.h"
#include "common/log.h"

/* The i-th place to look; false past the end. */
static bool place(const char *model, int i, char *out, size_t size)
{
	static const char *const names[] = { "preprocess.json", "preprocessor_config.json",
					     "config.json" };
	const char *slash = strrchr(model, '/'), *dot = strrchr(slash ? slash : model, '.');
	int folder = slash ? (int)(slash - model + 1) : 0;
	int stem = dot && strcmp(dot, ".onnx") == 0 ? (int)(dot - model) : (int)strlen(model);

	if (i == 0)
		return snprintf(out, size, "%.*s.json", stem, model) < (int)size;
	if (i == 1)
		return snprintf(out, size, "%s.json", model) < (int)size;
	if (i < 5)
		return snprintf(out, size, "%.*s%s", folder, model, names[i - 2]) < (int)size;
	return false;
}

int beside_recipe(struct recipe *r, const char *given, const char *path, const struct model *m,
		  struct err *e)
{
	char file[PATH_MAX];
	const char *text;

	if (given)
		return recipe_parse(r, given, e) < 0 ? err_at(e, "--recipe") : 1;
	for (int i = 0; place(path, i, file, sizeof file); i++) {
		struct err why;
		int found = access(file, R_OK) == 0 ? recipe_from_config(r, file, &why) : 0;

		if (found == 1)
			return 1;
		if (found < 0)
			log_warn("'%s' is no whole recipe: %s", file, why.text);
	}
	text = model_metadata(m, "recipe");
	if (!text)
		text = model_metadata(m, "andon.recipe");
	if (!text)
		return 0;
	return recipe_parse(r, text, e) < 0 ? err_at(e, "the model's metadata") : 1;
}

static int add(struct labels *l, const char *text, size_t length, struct err *e)
{
	char **name = realloc(l->name, (l->count + 1) * sizeof *name);
	char *copy = name ? malloc(length + 1) : NULL;

	if (name)
		l->name = name;
	if (!copy)
		return err_code(e, EX_OSERR, "memory is short");
	memcpy(copy, text, length);
	copy[length] = 0;
	err_clean(copy, length + 1, copy);
	l->name[l->count++] = copy;
	return 0;
}

/* ["a","b"], or names set apart by newlines, else by commas. */
static int from_metadata(struct labels *l, const char *text, struct err *e)
{
	const char *apart = strchr(text, '\n') ? "\n" : ",";
	struct json *root = NULL;
	int result = 0;

	if (*text == '[' && json_parse(&root, text, strlen(text), e) == 0) {
		for (size_t i = 0; i < json_count(root) && i < LABELS_MAX && result == 0; i++) {
			const char *name = json_text(json_item(root, i));

			result = name ? add(l, name, strlen(name), e)
				      : err_set(e, "label %zu is no text", i);
		}
		json_close(&root);
		return result;
	}
	while (*text && l->count < LABELS_MAX && result == 0) {
		size_t length = strcspn(text, apart);

		result = add(l, text, length, e);
		text += length + (text[length] != 0);
	}
	return result;
}

int beside_labels(struct labels *l, const char *given, const char *path, const struct model *m,
		  struct err *e)
{
	static const char *const keys[] = { "labels", "classes", "class_names" };
	char file[PATH_MAX];

	if (given)
		return labels_load(l, given, e) < 0 ? -1 : 1;
	for (int i = 0; place(path, i, file, sizeof file); i++) {
		struct err why;
		int found = access(file, R_OK) == 0 ? labels_load(l, file, &why) : 0;

		if (found == 1)
			return 1;
		if (found < 0)
			log_warn("no labels from '%s': %s", file, why.text);
	}
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		const char *text = model_metadata(m, keys[i]);

		if (!text)
			continue;
		if (from_metadata(l, text, e) < 0) {
			labels_free(l);
			return err_at(e, "metadata '%s'", keys[i]);
		}
		return 1;
	}
	return 0;
}
