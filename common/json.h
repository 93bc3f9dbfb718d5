/* Reading JSON files that people lay beside their models. Read only, bounded, never trusted. */
#ifndef COMMON_JSON_H
#define COMMON_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define JSON_BYTES_MAX ((size_t)16 << 20)

struct json; /* a value; what is inside it is borrowed from the root */

/* The root of a file or of a text; the caller closes it. 0, or -1 with *e (EX_NOINPUT: no such
 * file; EX_DATAERR: not JSON, said with its line). */
int json_open(struct json **root, const char *path, struct err *e);
int json_parse(struct json **root, const char *text, size_t size, struct err *e);
void json_close(struct json **root); /* leaves NULL; takes NULL inside */

/* The member of an object. NULL: j is no object, or has no such member, or it is null. */
const struct json *json_member(const struct json *j, const char *key);

/* Call back with each member of an object until one returns other than 0; that value, or 0. */
int json_each(const struct json *j,
	      int (*visit)(void *context, const char *key, const struct json *value),
	      void *context);

bool json_is_object(const struct json *j); /* NULL is no object, no list, no anything */
bool json_is_list(const struct json *j);
size_t json_count(const struct json *j); /* of a list; 0 for anything else */
const struct json *json_item(const struct json *j, size_t i);

/* The value as what it is: NULL or -1 if it is something else. */
const char *json_text(const struct json *j);
int json_whole(const struct json *j, int64_t *value);
int json_decimal(const struct json *j, double *value); /* whole numbers too */
int json_flag(const struct json *j, bool *value);

#endif
