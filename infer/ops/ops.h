/* The rows that each file of this folder offers: arrays of pointers that end with NULL. */
#ifndef INFER_OPS_OPS_H
#define INFER_OPS_OPS_H

#include "infer/op.h"

extern const struct op *const ops_activation[]; /* activation.c: Relu, Sigmoid, … */
extern const struct op *const ops_conv[];       /* conv.c: Conv */

#endif
