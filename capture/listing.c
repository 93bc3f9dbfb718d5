/* From operands to a sorted list of files. */
#include "capture/listing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "capture/image/decode.h"
#include "common/hash.h"

#define DEPTH_MOST 64 /* of folders in folders */

static int no_memory(struct err *e)
{
	return err_code(e, EX_TEMPFAIL, "no memory for the list of files");
}

/* Takes path over, even when it fails. status: NULL if the file could not be looked at. */
static int append(struct listing *l, char *path, const struct stat *status, struct err *e)
{
	if (path && l->count == l->capacity) {
		size_t capacity = l->capacity ? 2 * l->capacity : 64;
		struct listing_item *more = realloc(l->item, capacity * sizeof *more);
		if (!more) {
			free(path);
			return no_memory(e);
		}
		l->item = more;
		l->capacity = capacity;
	}
	if (!path)
		return no_memory(e);
	struct listing_item *item = &l->item[l->count++];
	item->path = path;
	item->size = status ? (int64_t)status->st_size : -1;
	item->mtime_ns =
	    status ? (int64_t)status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec : -1;
	return 0;
}

static char *join(const char *folder, const char *name)
{
	size_t length = strlen(folder);
	char *path;

	while (length > 1 && folder[length - 1] == '/')
		length--;
	const char *slash = length == 1 && folder[0] == '/' ? "" : "/";
	return asprintf(&path, "%.*s%s%s", (int)length, folder, slash, name) < 0 ? NULL : path;
}

static int add_folder(struct listing *l, const char *folder, bool recursive, int depth,
		      struct err *e);

/* An entry of a folder. Links to folders are not followed, so there are no loops. */
static int add_entry(struct listing *l, const char *folder, int fd, const char *name,
		     bool recursive, int depth, struct err *e)
{
	struct stat own, status;
	bool known = fstatat(fd, name, &own, AT_SYMLINK_NOFOLLOW) == 0;
	int result = 0;

	if (known && S_ISDIR(own.st_mode)) {
		char *path = recursive ? join(folder, name) : NULL;
		if (!recursive)
			l->folders++;
		else
			result = path ? add_folder(l, path, true, depth + 1, e) : no_memory(e);
		free(path);
		return result;
	}
	if (!image_name(name)) {
		l->skipped++;
		return 0;
	}
	known = known && fstatat(fd, name, &status, 0) == 0;
	if (known && S_ISDIR(status.st_mode)) { /* through a link */
		l->folders++;
		return 0;
	}
	return append(l, join(folder, name), known ? &status : NULL, e);
}

static int add_folder(struct listing *l, const char *folder, bool recursive, int depth,
		      struct err *e)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	int result = 0;

	if (!dir)
		return err_code(e, err_of_errno(errno, EX_NOINPUT), "cannot open folder '%s': %s",
				folder, strerror(errno));
	if (depth > DEPTH_MOST)
		result = err_code(e, EX_NOINPUT, "'%s' is more than %d folders deep", folder,
				  DEPTH_MOST);
	while (result == 0 && (errno = 0, entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			result =
			    add_entry(l, folder, dirfd(dir), entry->d_name, recursive, depth, e);
	if (result == 0 && errno != 0)
		result =
		    err_code(e, EX_NOINPUT, "cannot read folder '%s': %s", folder, strerror(errno));
	closedir(dir);
	return result;
}

static int add_existing(struct listing *l, const char *path, const struct stat *status,
			bool recursive, struct err *e)
{
	if (S_ISDIR(status->st_mode))
		return add_folder(l, path, recursive, 0, e);
	return append(l, strdup(path), status, e);
}

static int add_pattern(struct listing *l, const char *pattern, bool recursive, struct err *e)
{
	glob_t found;
	struct stat status;
	int result = 0, got = glob(pattern, GLOB_NOSORT | GLOB_BRACE, NULL, &found);

	if (got == GLOB_NOMATCH)
		return err_code(e, EX_NOINPUT, "no file matches '%s'", pattern);
	if (got != 0)
		return no_memory(e);
	for (size_t i = 0; i < found.gl_pathc && result == 0; i++) {
		const char *path = found.gl_pathv[i];
		if (stat(path, &status) == 0)
			result = add_existing(l, path, &status, recursive, e);
		else
			result = append(l, strdup(path), NULL, e);
	}
	globfree(&found);
	return result;
}

int listing_add(struct listing *l, const char *operand, bool recursive, struct err *e)
{
	struct stat status;

	if (stat(operand, &status) == 0)
		return add_existing(l, operand, &status, recursive, e);
	if (errno == ENOENT && strpbrk(operand, "*?[{"))
		return add_pattern(l, operand, recursive, e);
	return err_code(e, EX_NOINPUT, "'%s': %s", operand, strerror(errno));
}

static int by_path(const void *a, const void *b)
{
	const struct listing_item *x = a, *y = b;

	return strcmp(x->path, y->path);
}

void listing_sort(struct listing *l)
{
	size_t kept = 0;

	if (l->count == 0)
		return;
	qsort(l->item, l->count, sizeof *l->item, by_path);
	for (size_t i = 1; i < l->count; i++)
		if (strcmp(l->item[i].path, l->item[kept].path) == 0)
			free(l->item[i].path);
		else
			l->item[++kept] = l->item[i];
	l->count = kept + 1;
}

/* The real path of the folder that the path names a file of; the caller frees it. As it stands where
 * it cannot be followed; NULL when memory is short: never another name by accident, it is in the key. */
static char *real_folder(const char *path, size_t length)
{
	char *folder = length > 0 ? strndup(path, length) : strdup(path[0] == '/' ? "/" : ".");
	char *real = folder ? realpath(folder, NULL) : NULL;

	if (folder && !real && errno != ENOMEM)
		return folder;
	free(folder);
	return real;
}

int listing_id(const struct listing *l, uint64_t *id, struct err *e)
{
	struct hash *h = hash_new();
	char hex[HASH_HEX], *folder = NULL;
	const char *last = NULL; /* the path whose folder that is */
	size_t last_length = 0;

	for (size_t i = 0; h && i < l->count; i++) {
		const struct listing_item *item = &l->item[i];
		const char *slash = strrchr(item->path, '/');
		const char *name = slash ? slash + 1 : item->path;
		size_t length = slash ? (size_t)(slash - item->path) : 0;
		if (!last || length != last_length || strncmp(last, item->path, length) != 0) {
			free(folder);
			folder = real_folder(item->path, length);
			if (!folder) {
				hash_end(&h, hex);
				return no_memory(e);
			}
			last = item->path;
			last_length = length;
		}
		int64_t numbers[] = { (int64_t)htobe64((uint64_t)item->size),
				      (int64_t)htobe64((uint64_t)item->mtime_ns) };
		hash_add(h, folder, strlen(folder) + 1);
		hash_add(h, name, strlen(name) + 1);
		hash_add(h, numbers, sizeof numbers);
	}
	free(folder);
	if (!h)
		return no_memory(e);
	hash_end(&h, hex);
	*id = hash_number(hex);
	return 0;
}

void listing_free(struct listing *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->item[i].path);
	free(l->item);
	memset(l, 0, sizeof *l);
}
