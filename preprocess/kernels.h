/* The two passes of a resize over 8-bit samples. All sets give the same bytes.
 *
 * A weight of 2^22 does not fit the CPU's 16-bit multiply-add, so it is packed as two halves,
 * weight = high × 2^15 + low with 0 <= low < 2^15; a sum is (sum of high) × 2^15 + (sum of low).
 * A group of packed weights is 32 numbers, 16 high and then 16 low. For 1 channel a group holds 16
 * taps in order; for 3 channels 4 taps as the pairs that meet RGB samples: 0 1 0 1 0 1 - - 2 3 2 3
 * 2 3 - -. */
#ifndef PREPROCESS_KERNELS_H
#define PREPROCESS_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "preprocess/filter.h"

#define KERNEL_ROWS 4   /* rows that one call of `across` works on */
#define KERNEL_SLACK 64 /* bytes that may be read behind a row, and written behind a result */

struct kernels {
	const char *name;
	/* f: packed for `channels`. row: where the picture's row begins. */
	void (*across)(const struct filter *f, int channels, const uint8_t *const row[KERNEL_ROWS],
		       uint8_t *const out[KERNEL_ROWS]);
	/* The weighted sum of `taps` rows of `bytes` samples each. */
	void (*down)(const int32_t *weight, int taps, const uint8_t *const *row, size_t bytes,
		     uint8_t *out);
};

/* The fastest set that this CPU runs; the i-th of those that it runs, NULL past the end (the first
 * is the plain one, which defines what is right). */
const struct kernels *kernels_best(void);
const struct kernels *kernels_get(size_t i);

extern const struct kernels kernels_plain;
#if defined(__x86_64__)
extern const struct kernels kernels_sse2, kernels_avx2;
#endif

#endif
