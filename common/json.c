/* The one place that knows jansson. A struct json is a json_t under another name. */
#include "common/json.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* json_is_object is a macro of jansson's and a function of ours. */
#undef json_is_object

static json_t *in(const struct json *j)
{
	return (json_t *)(uintptr_t)j;
}

int json_parse(struct json **root, const char *text, size_t size, struct err *e)
{
	json_error_t why;

	*root = (struct json *)json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);
	return *root ? 0 : err_set(e, "not JSON: line %d: %s", why.line, why.text);
}

/* All bytes of a regular file of bounded size. */
static int read_all(int fd, char **text, size_t *size, struct err *e)
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_code(e, EX_NOINPUT, "not a regular file");
	if ((uint64_t)st.st_size > JSON_BYTES_MAX)
		return err_set(e, "larger than %zu bytes", JSON_BYTES_MAX);
	*text = malloc((size_t)st.st_size + 1);
	if (!*text)
		return err_code(e, EX_TEMPFAIL, "no memory for %lld bytes", (long long)st.st_size);
	for (*size = 0; *size < (size_t)st.st_size; *size += (size_t)n) {
		n = read(fd, *text + *size, (size_t)st.st_size - *size);
		if (n < 0)
			return err_code(e, EX_IOERR, "%s", strerror(errno));
		if (n == 0)
			break;
	}
	return 0;
}

int json_open(struct json **root, const char *path, struct err *e)
{
	char *text = NULL;
	size_t size = 0;
	int result, fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	*root = NULL;
	if (fd < 0)
		return err_code(e, EX_NOINPUT, "%s: %s", path, strerror(errno));
	result = read_all(fd, &text, &size, e);
	if (result == 0)
		result = json_parse(root, text, size, e);
	if (result < 0)
		err_at(e, "%s", path);
	free(text);
	close(fd);
	return result;
}

void json_close(struct json **root)
{
	json_decref(in(*root));
	*root = NULL;
}

const struct json *json_member(const struct json *j, const char *key)
{
	const json_t *value = json_object_get(in(j), key);

	return value && !json_is_null(value) ? (const struct json *)value : NULL;
}

int json_each(const struct json *j,
	      int (*visit)(void *context, const char *key, const struct json *value), void *context)
{
	const char *key;
	json_t *value;

	json_object_foreach(in(j), key, value)
	{
		int result = visit(context, key, (const struct json *)value);
		if (result)
			return result;
	}
	return 0;
}

bool json_is_object(const struct json *j)
{
	return j && json_typeof(in(j)) == JSON_OBJECT;
}

bool json_is_list(const struct json *j)
{
	return j && json_typeof(in(j)) == JSON_ARRAY;
}

size_t json_count(const struct json *j)
{
	return json_array_size(in(j));
}

const struct json *json_item(const struct json *j, size_t i)
{
	return (const struct json *)json_array_get(in(j), i);
}

const char *json_text(const struct json *j)
{
	return json_string_value(in(j));
}

int json_whole(const struct json *j, int64_t *value)
{
	if (!j || !json_is_integer(in(j)))
		return -1;
	*value = json_integer_value(in(j));
	return 0;
}

int json_decimal(const struct json *j, double *value)
{
	if (!j || !json_is_number(in(j)))
		return -1;
	*value = json_number_value(in(j));
	return isfinite(*value) ? 0 : -1;
}

int json_flag(const struct json *j, bool *value)
{
	if (!j || !json_is_boolean(in(j)))
		return -1;
	*value = json_is_true(in(j));
	return 0;
}
