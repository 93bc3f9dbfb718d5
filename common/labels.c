/* Class names from JSON in the spellings that people use, or from lines of text. */
#include "common/labels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"

#define LABEL_MAX 256 /* bytes of a name with the NUL: what a frame's meta can carry */

void labels_free(struct labels *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->name[i]);
	free(l->name);
	*l = (struct labels){ NULL, 0 };
}

static int reserve(struct labels *l, size_t count, struct err *e)
{
	*l = (struct labels){ NULL, 0 };
	if (count == 0 || count > LABELS_MAX)
		return err_set(e, "%zu labels, it must be 1 to %d", count, LABELS_MAX);
	l->name = calloc(count, sizeof *l->name);
	if (!l->name)
		return err_code(e, EX_TEMPFAIL, "no memory for %zu labels", count);
	l->count = count;
	return 0;
}

static int set(struct labels *l, size_t i, const char *name, struct err *e)
{
	char clean[LABEL_MAX];

	if (!name || !*name)
		return err_set(e, "label %zu is not a name", i);
	if (strlen(name) >= LABEL_MAX)
		return err_set(e, "label %zu is longer than %d bytes", i, LABEL_MAX - 1);
	l->name[i] = strdup(err_clean(clean, sizeof clean, name));
	return l->name[i] ? 0 : err_code(e, EX_TEMPFAIL, "no memory for labels");
}

static int from_list(struct labels *l, const struct json *list, struct err *e)
{
	if (reserve(l, json_count(list), e) < 0)
		return -1;
	for (size_t i = 0; i < l->count; i++)
		if (set(l, i, json_text(json_item(list, i)), e) < 0)
			return -1;
	return 1;
}

struct filling {
	struct labels *labels;
	struct err *e;
};

static int count_member(void *context, const char *key, const struct json *value)
{
	(void)key, (void)value;
	++*(size_t *)context;
	return 0;
}

static int fill_member(void *context, const char *key, const struct json *value)
{
	struct filling *f = context;
	char *end;
	unsigned long i = strtoul(key, &end, 10);

	if (*key < '0' || *key > '9' || *end || i >= f->labels->count || f->labels->name[i])
		return err_set(f->e, "'%s' is not one of the numbers 0 to %zu, each once", key,
			       f->labels->count - 1);
	return set(f->labels, i, json_text(value), f->e);
}

/* {"0": "good", "1": "scratch"}: every number from 0 once. */
static int from_numbered(struct labels *l, const struct json *object, struct err *e)
{
	struct filling f = { l, e };
	size_t count = 0;

	json_each(object, count_member, &count);
	if (reserve(l, count, e) < 0)
		return -1;
	return json_each(object, fill_member, &f) < 0 ? -1 : 1;
}

static int from_json(struct labels *l, const struct json *root, struct err *e)
{
	static const char *const keys[] = { "labels", "classes", "label_names", "id2label",
					    "names" };

	if (json_is_list(root))
		return from_list(l, root, e);
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		const struct json *value = json_member(root, keys[i]);
		int result = json_is_list(value)     ? from_list(l, value, e)
			     : json_is_object(value) ? from_numbered(l, value, e)
						     : 0;
		if (result < 0)
			return err_at(e, "\"%s\"", keys[i]);
		if (result)
			return 1;
	}
	return 0;
}

/* One a line; blank lines at the end are no labels, blank lines inside are a mistake. */
static int from_lines(struct labels *l, FILE *in, struct err *e)
{
	char line[LABEL_MAX + 2];
	size_t count = 0, i = 0;

	while (fgets(line, sizeof line, in)) {
		if (!strchr(line, '\n') && !feof(in))
			return err_set(e, "line %zu is longer than %d bytes", i + 1, LABEL_MAX - 1);
		i++;
		line[strcspn(line, "\r\n")] = '\0';
		if (*line)
			count = i;
	}
	if (reserve(l, count, e) < 0)
		return -1;
	rewind(in);
	for (i = 0; i < count && fgets(line, sizeof line, in); i++) {
		line[strcspn(line, "\r\n")] = '\0';
		if (set(l, i, line, e) < 0)
			return -1;
	}
	return i == count ? 1 : err_set(e, "it changed while it was read");
}

static int first_byte(FILE *in)
{
	int c;

	while ((c = getc(in)) == ' ' || c == '\n' || c == '\r' || c == '\t')
		;
	rewind(in);
	return c;
}

int labels_load(struct labels *l, const char *path, struct err *e)
{
	struct json *root = NULL;
	int result, first;

	*l = (struct labels){ NULL, 0 };
	FILE *in = fopen(path, "re");
	if (!in)
		return err_code(e, EX_NOINPUT, "cannot open '%s'", path);
	first = first_byte(in);
	if (first == '{' || first == '[')
		result = json_open(&root, path, e) < 0 ? -1 : 1;
	else if ((result = from_lines(l, in, e)) < 0)
		err_at(e, "%s", path);
	if (root && (result = from_json(l, root, e)) < 0)
		err_at(e, "%s", path);
	if (result < 0)
		labels_free(l);
	json_close(&root);
	fclose(in);
	return result;
}
