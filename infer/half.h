/* IEEE 754 binary16 and back. */
#ifndef INFER_HALF_H
#define INFER_HALF_H

#include <stddef.h>
#include <stdint.h>

float half_value(uint16_t h);
uint16_t half_of(float f); /* round to nearest, ties to even; overflow is infinite */

/* from may lie at any alignment. */
void half_to_float(const void *from, float *to, size_t count);
void float_round_half(float *x, size_t count); /* each to the nearest half */

#endif
