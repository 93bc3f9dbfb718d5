/* The activations of isa/activate.c, one function per instruction set; activate() chooses. */
#ifndef INFER_KERNELS_ACTIVATE_H
#define INFER_KERNELS_ACTIVATE_H

#include "infer/kernels/kernels.h"

void activate__base(const struct epilogue *e, const float *x, float *y, size_t count);
void activate__avx2(const struct epilogue *e, const float *x, float *y, size_t count);
void activate__avx512(const struct epilogue *e, const float *x, float *y, size_t count);

#endif
