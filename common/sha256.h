/* SHA-256 in the processor's own instructions, where it has them: four times as fast, which shows when a
 * model of half a gigabyte is named. hash.c alone uses it. */
#ifndef COMMON_SHA256_H
#define COMMON_SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sha256 {
	uint32_t state[8];       /* as the instructions hold it */
	unsigned char block[64]; /* what does not fill one yet */
	uint64_t size;
};

bool sha256_quick(void); /* does the processor have them? The others ask for that. */
void sha256_init(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *data, size_t size);
void sha256_end(struct sha256 *s, unsigned char out[32]);

#endif
