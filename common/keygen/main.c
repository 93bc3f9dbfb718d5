/* keygen: a machine's pair of keys, in the folder that --keys wants (common/keys.h). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/curve.h"
#include "common/folder.h"
#include "common/program.h"

#define PATH_MOST 4096

static const char *name;

static const struct option_row options[] = {
	{ "name", 'n', OPTION_TEXT, "NAME", &name,
	  "what the others call this machine in addresses, as in tcp://NAME:5601; without it, its "
	  "host name",
	  0, 0 },
	{ 0 },
};

static const struct option_manual manual = {
	.name = "keygen",
	.summary = "make the keys with which machines know each other",
	.operands = "DIR",
	.description =
	    "Makes the folder DIR, for the option --keys of all stages: this machine's secret key "
	    "in "
	    "DIR/secret.key, and in DIR/peers the public keys of all machines that may talk to it, "
	    "to begin with its own, DIR/peers/NAME.key. Run it once on each machine, and copy each "
	    "machine's public key into the peers folder of those that it talks to. The secret key "
	    "never leaves its machine.\n\n"
	    "Whoever binds an address lets in all keys of its peers folder. Whoever connects to "
	    "tcp://NAME:PORT takes for NAME only what has the key of DIR/peers/NAME.key; a machine "
	    "that is called by its number needs a file 10.0.0.7.key (a copy will do).\n\n"
	    "To let a machine in later, or to shut one out, add or remove its file and send the "
	    "stages SIGHUP: connections of keys that are gone end at once.\n\n"
	    "A key file is text: a line 'public KEY' or 'secret KEY', and comments that start with "
	    "'#'. Keys are those of CurveZMQ (Curve25519), written in Z85.",
	.examples = "# on the machine head, and the same on line1\n"
		    "andon keygen keys\n"
		    "# then exchange the public keys\n"
		    "scp keys/peers/head.key line1:keys/peers/\n"
		    "scp line1:keys/peers/line1.key keys/peers/\n"
		    "andon sink results.db --in bind:tcp://*:5602 --keys keys",
	.exits = "0\tthe keys are made\n"
		 "73\tthere are keys already, or the folder cannot be made",
};

/* A new file with these bytes, on disk, or none. */
static int write_file(const char *path, mode_t mode, const char *text, size_t size, struct err *e)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);

	if (fd < 0)
		return err_code(e, EX_CANTCREAT, "%s: %s%s", path, strerror(errno),
				errno == EEXIST ? ": keys are never written over" : "");
	bool good = fchmod(fd, mode) == 0 && file_write(fd, text, size) == 0 && fsync(fd) == 0;
	int why = errno;
	if (close(fd) == 0 && good)
		return 0;
	unlink(path);
	return err_code(e, EX_IOERR, "%s: %s", path, strerror(why));
}

static int make_folder(const char *path, struct err *e)
{
	struct stat st;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_code(e, EX_CANTCREAT, "%s: %s", path, strerror(errno));
	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return err_code(e, EX_CANTCREAT, "%s: not a folder", path);
	if (st.st_uid != geteuid())
		return err_code(e, EX_CANTCREAT, "%s belongs to somebody else", path);
	/* One that was there, made with any umask. */
	if (chmod(path, 0700) < 0)
		return err_code(e, EX_CANTCREAT, "%s: %s", path, strerror(errno));
	return 0;
}

static int write_key(const char *path, const char *kind, const char *key, struct err *e)
{
	char text[KEY_FILE_MAX];
	int size = key_format(kind, key, name, text);
	mode_t mode = strcmp(kind, "secret") == 0 ? 0600 : 0644;
	int result = write_file(path, mode, text, (size_t)size, e);

	explicit_bzero(text, sizeof text);
	return result;
}

/* The public key first: a folder with a secret key is complete. */
static int make_keys(const char *secret_path, const char *public_path, struct err *e)
{
	char public[KEY_SIZE], secret[KEY_SIZE];

	if (curve_pair(public, secret, e) < 0)
		return -1;
	int result = write_key(public_path, "public", public, e);
	if (result == 0) {
		result = write_key(secret_path, "secret", secret, e);
		if (result < 0)
			unlink(public_path);
	}
	explicit_bzero(secret, sizeof secret);
	return result;
}

/* A file's name in peers, and a host's name in an address. */
static int check_name(struct err *e)
{
	char clean[256];

	err_clean(clean, sizeof clean, name);
	if (!*name || *name == '.' || strlen(name) > 200 || strpbrk(name, "/ \\;*") ||
	    strcmp(clean, name) != 0)
		return err_code(e, EX_USAGE, "--name '%s' cannot be a host's name or number",
				clean);
	return 0;
}

static int keygen(const char *dir, struct err *e)
{
	char folder[PATH_MOST], secret[PATH_MOST], public[PATH_MOST + 256];

	if (check_name(e) < 0)
		return -1;
	if (!*dir || strlen(dir) > PATH_MOST - 300)
		return err_code(e, EX_USAGE, "'%.60s' cannot be a folder", dir);
	snprintf(folder, sizeof folder, "%s/peers", dir);
	snprintf(secret, sizeof secret, "%s/secret.key", dir);
	snprintf(public, sizeof public, "%s/%s.key", folder, name);
	if (access(secret, F_OK) == 0)
		return err_code(e, EX_CANTCREAT, "%s is there already: keys are never written over",
				secret);
	if (make_folder(dir, e) < 0 || make_folder(folder, e) < 0 ||
	    make_keys(secret, public, e) < 0)
		return -1;
	printf("%s\n    stays on this machine, and nobody else may read it\n", secret);
	printf("%s\n    belongs on each machine that this one talks to, in the same place:\n",
	       public);
	printf("    scp %s MACHINE:%s/\n", public, folder);
	return 0;
}

int main(int argc, char **argv)
{
	static char host[256];
	struct err e;

	gethostname(host, sizeof host - 1);
	name = host;
	int first = program_open(&manual, options, 1, 1, argc, argv);
	if (keygen(argv[first], &e) < 0)
		return program_fail(&e);
	return fflush(stdout) == 0 ? 0 : EX_IOERR;
}
