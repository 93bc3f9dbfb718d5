/* SHA-256 (FIPS 180-4), as lower-case hexadecimal: names models, recipes and recorded sources. */
#ifndef COMMON_HASH_H
#define COMMON_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_HEX 65 /* bytes with the NUL */

struct hash;

struct hash *hash_new(void); /* NULL when memory is short */
void hash_add(struct hash *h, const void *data, size_t size);
void hash_end(struct hash **h, char hex[HASH_HEX]); /* frees; leaves NULL */

void hash_bytes(const void *data, size_t size, char hex[HASH_HEX]);

/* The first 63 bits of a hash as a number that every database can hold; never 0. */
uint64_t hash_number(const char hex[HASH_HEX]);

/* A quick checksum (SipHash-2-4 with a key of zeroes): against damage, not against malice. */
uint64_t hash_quick(const void *data, size_t size);

/* size random bytes from the system. */
void hash_random(void *data, size_t size);

#endif
