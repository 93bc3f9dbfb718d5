/* Reading lists of true labels. */
#include "sink/truth.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char *truth_base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static char *unquote(char *s)
{
	size_t n = strlen(s);

	if (n < 2 || s[0] != '"' || s[n - 1] != '"')
		return s;
	s[n - 1] = '\0';
	char *to = s;
	for (const char *from = s + 1; *from; from++) {
		if (from[0] == '"' && from[1] == '"')
			from++;
		*to++ = *from;
	}
	*to = '\0';
	return s;
}

static bool is_heading(const char *name)
{
	static const char *const words[] = { "file", "filename", "name", "image", "path" };

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strcasecmp(name, words[i]) == 0)
			return true;
	return false;
}

/* Split at the tab, or at the last comma. */
static int add_line(struct truth *t, char *line, size_t number, struct err *e)
{
	char *separator = strchr(line, '\t');

	line[strcspn(line, "\r\n")] = '\0';
	if (*line == '\0' || *line == '#')
		return 0;
	if (!separator)
		separator = strrchr(line, ',');
	if (!separator)
		return err_set(e, "line %zu has neither tab nor comma", number);
	*separator = '\0';
	const char *name = truth_base_name(unquote(line)), *label = unquote(separator + 1);
	if (number == 1 && is_heading(name))
		return 0;
	if (*name == '\0' || *label == '\0')
		return err_set(e, "line %zu lacks a name or a label", number);
	if (t->count == t->capacity) {
		size_t more = t->capacity ? t->capacity * 2 : 256;
		void *moved = reallocarray(t->part, more, sizeof *t->part);
		if (!moved)
			return err_code(e, EX_OSERR, "out of memory");
		t->part = moved;
		t->capacity = more;
	}
	struct truth_part *part = &t->part[t->count++];
	*part = (struct truth_part){ strdup(name), strdup(label) };
	return part->name && part->label ? 0 : err_code(e, EX_OSERR, "out of memory");
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct truth_part *)a)->name, ((const struct truth_part *)b)->name);
}

int truth_load(struct truth *t, const char *path, struct err *e)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t capacity = 0, number = 0;
	int result = 0;

	if (!file)
		return err_code(e, EX_NOINPUT, "%s: %s", path, strerror(errno));
	while (result == 0 && getline(&line, &capacity, file) >= 0)
		result = add_line(t, line, ++number, e);
	if (result == 0 && ferror(file))
		result = err_code(e, EX_IOERR, "%s", strerror(errno));
	free(line);
	fclose(file);
	if (result == 0 && t->count == 0)
		result = err_set(e, "no labels in it");
	if (result < 0)
		return err_at(e, "%s", path);
	qsort(t->part, t->count, sizeof *t->part, by_name);
	for (size_t i = 1; i < t->count; i++)
		if (strcmp(t->part[i - 1].name, t->part[i].name) == 0)
			return err_set(e, "%s: '%s' stands there twice", path, t->part[i].name);
	return 0;
}

void truth_free(struct truth *t)
{
	for (size_t i = 0; i < t->count; i++) {
		free(t->part[i].name);
		free(t->part[i].label);
	}
	free(t->part);
	*t = (struct truth){ 0 };
}
