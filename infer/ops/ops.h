/* The rows that each file of this folder offers: arrays of pointers that end with NULL. */
#ifndef INFER_OPS_OPS_H
#define INFER_OPS_OPS_H

#include "infer/op.h"

/* Before a loop whose iterations touch nothing but their own elements, though input and output may be one
 * (OP_INPLACE): without the word compilers take such a loop one by one. */
#ifdef __clang__
#define EACH_ITS_OWN /* its word for it warns where a loop cannot become vectors */
#else
#define EACH_ITS_OWN _Pragma("GCC ivdep")
#endif

extern const struct op *const ops_activation[]; /* activation.c: Relu, Sigmoid, Clip, … */
extern const struct op *const ops_binary[];     /* binary.c: Add, Less, And, Max, … */
extern const struct op *const ops_cast[];       /* cast.c: Cast, Pow, Where */
extern const struct op *const ops_centre[];     /* centre.c: CenterCropPad */
extern const struct op *const ops_col2im[];     /* col2im.c: Col2Im */
extern const struct op *const ops_constant[];   /* constant.c: Constant, ConstantOfShape, Range */
extern const struct op *const ops_conv[];       /* conv.c: Conv */
extern const struct op *const ops_convtranspose[]; /* convtranspose.c: ConvTranspose */
extern const struct op *const ops_einsum[];        /* einsum.c: Einsum, Trilu */
extern const struct op *const ops_gather[];        /* gather.c: Gather, Scatter, OneHot, … */
extern const struct op *const ops_matmul[];        /* matmul.c: Gemm, MatMul */
extern const struct op *const ops_move[];          /* move.c: Transpose, Concat, Slice, … */
extern const struct op *const ops_norm[];          /* norm.c: BatchNormalization, … */
extern const struct op *const ops_norm_axes[];     /* norm_axes.c: LRN, LpNormalization, … */
extern const struct op *const ops_order[];         /* order.c: CumSum, TopK */
extern const struct op *const ops_pad[];           /* pad.c: Pad */
extern const struct op *const ops_pool[];          /* pool.c: MaxPool, GlobalAveragePool, … */
extern const struct op *const ops_qconv[];         /* qconv.c: QLinearConv, ConvInteger */
extern const struct op *const ops_qmatmul[];       /* qmatmul.c: QLinearMatMul, MatMulInteger */
extern const struct op *const ops_qcontrib[];      /* qcontrib.c: QLinearConcat, … */
extern const struct op *const ops_qelement[];      /* qelement.c: QLinearAdd, Lookup, … */
extern const struct op *const ops_qpool[];         /* qpool.c: QAveragePool, … */
extern const struct op *const ops_quant[];         /* quant.c: QuantizeLinear, … */
extern const struct op *const ops_reduce[];        /* reduce.c: ReduceMean, ArgMax, … */
extern const struct op *const ops_resize[];        /* resize.c: Resize, Upsample */
extern const struct op *const ops_softmax[];       /* softmax.c: Softmax, LogSoftmax, Hardmax */
extern const struct op *const ops_unary[];         /* unary.c: Abs, Exp, Elu, Not, … */
extern const struct op *const ops_view[]; /* view.c: Reshape, Flatten, Identity, Shape, … */

#endif
