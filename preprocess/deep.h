/* The two passes of a resize over 16-bit samples. */
#ifndef PREPROCESS_DEEP_H
#define PREPROCESS_DEEP_H

#include <stddef.h>
#include <stdint.h>

#include "preprocess/filter.h"

void deep_across(const struct filter *f, int channels, const uint8_t *row, uint8_t *out);
void deep_down(const double *weight, int taps, const uint8_t *const *row, size_t samples,
	       uint8_t *out);

#endif
