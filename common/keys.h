/* The folder behind --keys: this machine's secret key, and the public keys of those it talks to.
 *
 *   DIR/secret.key        this machine's secret: 0600, ours
 *   DIR/peers/NAME.key    public keys, this machine's own among them. All of these may connect to us;
 *                         when we connect to tcp://NAME:PORT, this key is expected there, no other
 *
 * A key file has one line "public KEY" or "secret KEY", the key in Z85 (40 characters), and any
 * number of empty lines and lines that start with '#'. What is in these files is never printed. */
#ifndef COMMON_KEYS_H
#define COMMON_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

#define KEY_SIZE 41         /* with the NUL */
#define KEY_FILE_MAX 4096   /* bytes */
#define KEYS_PEERS_MAX 1000 /* files in DIR/peers */

struct key_peer {
	char *name; /* of the file, without ".key" */
	char key[KEY_SIZE];
};

struct keys {
	char *directory;
	char secret[KEY_SIZE];
	struct key_peer *peer;
	size_t peers;
};

/* The key in the text of a key file; kind is "public" or "secret". */
int key_parse(const char *text, size_t size, const char *kind, char key[KEY_SIZE], struct err *e);

/* The text of a key file, for keygen. Returns its length. */
int key_format(const char *kind, const char *key, const char *owner, char out[KEY_FILE_MAX]);

/* Read and check all of it: nobody else may be able to write there, or to read the secret. 0, or -1
 * with *e and nothing to free. */
int keys_read(struct keys *k, const char *directory, struct err *e);

/* Read the peers alone again. -1: something is wrong with them, and the old ones stay. */
int keys_read_peers(struct keys *k, struct err *e);

/* Is this key one of the peers'? Its name, or NULL. */
const char *keys_name(const struct keys *k, const char *key);

/* The key that belongs to a host, NULL: there is none. */
const char *keys_of_host(const struct keys *k, const char *host);

/* Free, and leave no secret in memory. */
void keys_wipe(struct keys *k);

#endif
