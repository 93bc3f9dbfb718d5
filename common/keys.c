/* Key files are read with read(2) into memory that is wiped: stdio's buffers are not ours to clean. */
#include "common/keys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SUFFIX ".key"
#define SUFFIX_LENGTH (sizeof SUFFIX - 1)
#define PATH_MOST 4096

/* --- the text of a file ------------------------------------------------------------------------- */

/* ZeroMQ's RFC 32: five characters are a number below 2^32 in base 85. */
static const char z85[] =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

static bool is_z85(const char *text)
{
	for (size_t i = 0; i < KEY_SIZE - 1; i += 5) {
		uint64_t number = 0;
		for (size_t j = 0; j < 5; j++) {
			const char *at = strchr(z85, text[i + j]);
			if (!at || !*at)
				return false;
			number = number * 85 + (uint64_t)(at - z85);
		}
		if (number > UINT32_MAX)
			return false;
	}
	return true;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* "KIND KEY" in a line without blanks around it. The line may be a secret: no message quotes it. */
static int parse_line(const char *line, size_t size, int number, const char *kind, char *key,
		      struct err *e)
{
	bool is_public = size > 6 && memcmp(line, "public", 6) == 0 && is_blank(line[6]);
	bool is_secret = size > 6 && memcmp(line, "secret", 6) == 0 && is_blank(line[6]);

	if (!is_public && !is_secret)
		return err_set(e, "line %d is neither '%s KEY' nor a comment", number, kind);
	if (is_secret && strcmp(kind, "public") == 0)
		return err_set(e, "a secret key, where a public one belongs: it is no secret any "
				  "more, make a new pair on the machine that it came from");
	if (is_public && strcmp(kind, "secret") == 0)
		return err_set(e, "a public key, where the secret one belongs");
	const char *text = line + 6;
	while (is_blank(*text))
		text++;
	size_t length = size - (size_t)(text - line);
	if (length != KEY_SIZE - 1)
		return err_set(e, "line %d: a key has %d characters, this one has %zu", number,
			       KEY_SIZE - 1, length);
	if (*key)
		return err_set(e, "line %d is a second key: one file holds one", number);
	memcpy(key, text, length);
	key[length] = '\0';
	if (!is_z85(key))
		return err_set(e, "line %d: this is no key: not Z85", number);
	return 0;
}

int key_parse(const char *text, size_t size, const char *kind, char key[KEY_SIZE], struct err *e)
{
	const char *end = text + size;

	memset(key, 0, KEY_SIZE);
	if (memchr(text, '\0', size))
		return err_set(e, "this is no text");
	for (int number = 1; text < end; number++) {
		const char *next = memchr(text, '\n', (size_t)(end - text));
		const char *last = next ? next : end;
		while (last > text && is_blank(last[-1]))
			last--;
		while (text < last && is_blank(*text))
			text++;
		if (text < last && *text != '#' &&
		    parse_line(text, (size_t)(last - text), number, kind, key, e) < 0) {
			explicit_bzero(key, KEY_SIZE);
			return -1;
		}
		text = next ? next + 1 : end;
	}
	return *key ? 0 : err_set(e, "there is no line '%s KEY'", kind);
}

int key_format(const char *kind, const char *key, const char *owner, char out[KEY_FILE_MAX])
{
	char date[32], clean[256];
	time_t now = time(NULL);

	strftime(date, sizeof date, "%Y-%m-%d", gmtime(&now));
	err_clean(clean, sizeof clean, owner);
	return snprintf(out, KEY_FILE_MAX, "# andon: the %s key of %s, made %s.%s\n%s %s\n", kind,
			clean, date,
			strcmp(kind, "secret") == 0
			    ? " Whoever reads it can pass for this machine."
			    : " It belongs into peers/ of the machines that talk to it.",
			kind, key);
}

/* --- files and folders -------------------------------------------------------------------------- */

/* Ours, and nobody else can write (or, a secret, read) there. */
static int check_mode(const struct stat *st, bool secret, struct err *e)
{
	unsigned mode = st->st_mode & 07777;

	if (st->st_uid != geteuid() && st->st_uid != 0)
		return err_code(e, EX_NOPERM,
				"belongs to user %u, not to the one who runs this (%u)",
				(unsigned)st->st_uid, (unsigned)geteuid());
	if (secret && (mode & 077))
		return err_code(e, EX_NOPERM,
				"others may read it (mode %04o): chmod 600; and if they have, make "
				"a new pair",
				mode);
	if (mode & 022)
		return err_code(e, EX_NOPERM, "others may write there (mode %04o): chmod go-w",
				mode);
	return 0;
}

static int check_folder(const char *path, struct err *e)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return err_code(e, EX_NOINPUT, "%s: %s", path, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return err_code(e, EX_NOINPUT, "%s: not a folder", path);
	if (check_mode(&st, false, e) < 0)
		return err_at(e, "%s", path);
	return 0;
}

/* All of a small file; its size. */
static ssize_t read_all(int fd, char *text, size_t most)
{
	size_t used = 0;

	while (used < most) {
		ssize_t n = read(fd, text + used, most - used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		used += (size_t)n;
	}
	return (ssize_t)used;
}

static int read_open(int fd, const char *kind, char key[KEY_SIZE], struct err *e)
{
	char text[KEY_FILE_MAX + 1];
	struct stat st;
	int result = -1;

	if (fstat(fd, &st) < 0)
		return err_code(e, EX_NOINPUT, "%s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_code(e, EX_NOINPUT, "not a file");
	if (check_mode(&st, strcmp(kind, "secret") == 0, e) < 0)
		return -1;
	ssize_t size = read_all(fd, text, sizeof text);
	if (size < 0)
		err_code(e, EX_NOINPUT, "%s", strerror(errno));
	else if (size > KEY_FILE_MAX)
		err_set(e, "a key file has %d bytes at most", KEY_FILE_MAX);
	else
		result = key_parse(text, (size_t)size, kind, key, e);
	explicit_bzero(text, sizeof text);
	return result;
}

static int read_key(const char *path, const char *kind, char key[KEY_SIZE], struct err *e)
{
	/* A FIFO put there must not hold us up. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return err_code(e, errno == EACCES ? EX_NOPERM : EX_NOINPUT, "%s: %s", path,
				strerror(errno));
	int result = read_open(fd, kind, key, e);
	close(fd);
	return result < 0 ? err_at(e, "%s", path) : 0;
}

/* --- peers -------------------------------------------------------------------------------------- */

static void free_peers(struct key_peer *peer, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(peer[i].name);
	free(peer);
}

/* "NAME.key", not hidden. */
static bool is_key_file(const char *name)
{
	size_t n = strlen(name);

	return n > SUFFIX_LENGTH && *name != '.' && strcmp(name + n - SUFFIX_LENGTH, SUFFIX) == 0;
}

static int add_peer(struct keys *k, const char *folder, const char *name, struct err *e)
{
	char path[PATH_MOST + 300];
	struct key_peer *more = realloc(k->peer, (k->peers + 1) * sizeof *more);

	if (!more)
		return err_code(e, EX_OSERR, "no memory for keys");
	k->peer = more;
	struct key_peer *p = &more[k->peers];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	if (read_key(path, "public", p->key, e) < 0)
		return -1;
	p->name = strndup(name, strlen(name) - SUFFIX_LENGTH);
	if (!p->name)
		return err_code(e, EX_OSERR, "no memory for keys");
	k->peers++;
	return 0;
}

static int list_peers(struct keys *k, DIR *dir, const char *folder, struct err *e)
{
	struct dirent *entry;

	while ((entry = readdir(dir))) {
		if (!is_key_file(entry->d_name))
			continue;
		if (k->peers == KEYS_PEERS_MAX)
			return err_set(e, "%s: more than %d keys", folder, KEYS_PEERS_MAX);
		if (add_peer(k, folder, entry->d_name, e) < 0)
			return -1;
	}
	return 0;
}

int keys_read_peers(struct keys *k, struct err *e)
{
	struct keys fresh = { 0 };
	char folder[PATH_MOST];

	snprintf(folder, sizeof folder, "%s/peers", k->directory);
	if (check_folder(folder, e) < 0)
		return -1;
	DIR *dir = opendir(folder);
	if (!dir)
		return err_code(e, EX_NOINPUT, "%s: %s", folder, strerror(errno));
	int result = list_peers(&fresh, dir, folder, e);
	closedir(dir);
	if (result < 0) {
		free_peers(fresh.peer, fresh.peers);
		return -1;
	}
	free_peers(k->peer, k->peers);
	k->peer = fresh.peer;
	k->peers = fresh.peers;
	return 0;
}

/* --- all of it ---------------------------------------------------------------------------------- */

static int read_folder(struct keys *k, struct err *e)
{
	char path[PATH_MOST];

	if (check_folder(k->directory, e) < 0)
		return -1;
	snprintf(path, sizeof path, "%s/secret" SUFFIX, k->directory);
	if (read_key(path, "secret", k->secret, e) < 0)
		return -1;
	return keys_read_peers(k, e);
}

int keys_read(struct keys *k, const char *directory, struct err *e)
{
	*k = (struct keys){ 0 };
	if (strlen(directory) > PATH_MOST - 32)
		return err_code(e, EX_USAGE, "the path of the key folder is too long");
	k->directory = strdup(directory);
	if (!k->directory)
		return err_code(e, EX_OSERR, "no memory for keys");
	if (read_folder(k, e) == 0)
		return 0;
	keys_wipe(k);
	return -1;
}

const char *keys_name(const struct keys *k, const char *key)
{
	for (size_t i = 0; i < k->peers; i++)
		if (strcmp(k->peer[i].key, key) == 0)
			return k->peer[i].name;
	return NULL;
}

const char *keys_of_host(const struct keys *k, const char *host)
{
	for (size_t i = 0; i < k->peers; i++)
		if (strcasecmp(k->peer[i].name, host) == 0)
			return k->peer[i].key;
	return NULL;
}

void keys_wipe(struct keys *k)
{
	free_peers(k->peer, k->peers);
	free(k->directory);
	explicit_bzero(k, sizeof *k);
}
