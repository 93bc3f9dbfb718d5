/* The one file that knows libsodium. */
#include "common/hash.h"

#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/sha256.h"

struct hash {
	bool quick;
	union {
		struct sha256 own;
		crypto_hash_sha256_state library;
	};
};

static void begin(struct hash *h)
{
	h->quick = sha256_quick();
	if (h->quick)
		sha256_init(&h->own);
	else
		crypto_hash_sha256_init(&h->library);
}

static void finish(struct hash *h, char hex[HASH_HEX])
{
	unsigned char raw[crypto_hash_sha256_BYTES];

	if (h->quick)
		sha256_end(&h->own, raw);
	else
		crypto_hash_sha256_final(&h->library, raw);
	sodium_bin2hex(hex, HASH_HEX, raw, sizeof raw);
}

struct hash *hash_new(void)
{
	struct hash *h = malloc(sizeof *h);

	if (h)
		begin(h);
	return h;
}

void hash_add(struct hash *h, const void *data, size_t size)
{
	if (h->quick)
		sha256_add(&h->own, data, size);
	else
		crypto_hash_sha256_update(&h->library, data, size);
}

void hash_end(struct hash **h, char hex[HASH_HEX])
{
	finish(*h, hex);
	free(*h);
	*h = NULL;
}

void hash_bytes(const void *data, size_t size, char hex[HASH_HEX])
{
	struct hash h;

	begin(&h);
	hash_add(&h, data, size);
	finish(&h, hex);
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

uint64_t hash_quick(const void *data, size_t size)
{
	static const unsigned char key[crypto_shorthash_KEYBYTES];
	unsigned char raw[crypto_shorthash_BYTES];
	uint64_t n = 0;

	crypto_shorthash(raw, data, size, key);
	for (size_t i = 0; i < sizeof raw; i++)
		n |= (uint64_t)raw[i] << 8 * i;
	return n;
}

void hash_random(void *data, size_t size)
{
	randombytes_buf(data, size);
}
