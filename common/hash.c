/* The one file that knows libsodium. */
#include "common/hash.h"

#include <sodium.h>
#include <stdlib.h>

#include "common/sha256.h"

struct hash {
	crypto_hash_sha256_state state;
};

struct hash *hash_new(void)
{
	struct hash *h = malloc(sizeof *h);

	if (h)
		crypto_hash_sha256_init(&h->state);
	return h;
}

void hash_add(struct hash *h, const void *data, size_t size)
{
	crypto_hash_sha256_update(&h->state, data, size);
}

void hash_end(struct hash **h, char hex[HASH_HEX])
{
	unsigned char raw[crypto_hash_sha256_BYTES];

	crypto_hash_sha256_final(&(*h)->state, raw);
	sodium_bin2hex(hex, HASH_HEX, raw, sizeof raw);
	free(*h);
	*h = NULL;
}

void hash_bytes(const void *data, size_t size, char hex[HASH_HEX])
{
	unsigned char raw[crypto_hash_sha256_BYTES];

	if (sha256_quick())
		sha256_bytes(data, size, raw);
	else
		crypto_hash_sha256(raw, data, size);
	sodium_bin2hex(hex, HASH_HEX, raw, sizeof raw);
}

uint64_t hash_number(const char hex[HASH_HEX])
{
	char first[17];

	for (int i = 0; i < 16; i++)
		first[i] = hex[i];
	first[16] = '\0';
	uint64_t n = strtoull(first, NULL, 16) >> 1;
	return n ? n : 1;
}

void hash_random(void *data, size_t size)
{
	randombytes_buf(data, size);
}
