/* SHA-256 in the processor's own instructions, where it has them: four times as fast, which shows when a
 * model of half a gigabyte is named. hash.c alone uses it. */
#ifndef COMMON_SHA256_H
#define COMMON_SHA256_H

#include <stdbool.h>
#include <stddef.h>

bool sha256_quick(void); /* does the processor have them? */
void sha256_bytes(const void *data, size_t size, unsigned char out[32]);

#endif
