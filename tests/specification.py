#!/usr/bin/python3
"""Operators against the specification, opset 7 to 21, beyond ONNX's own cases: numpy computes what must come.

    specification.py FOLDER     write a case per line of the tables below, as onnx-cases reads them (needs python3-onnx)

The formulas are written down from ONNX's operator documentation, with plain loops over axes; none is andon's. A case
whose name begins with `refused-` must be refused at load.
"""
import itertools
import math
import os
import sys

import numpy as np
import onnx
import onnx.numpy_helper
from onnx import TensorProto as T, helper as h

import specification_resize as resizing

F, D, I64, I32, U8, I8 = np.float32, np.float64, np.int64, np.int32, np.uint8, np.int8
RNG = np.random.default_rng(20)
TYPES = {np.dtype(k): v for k, v in {F: 1, U8: 2, I8: 3, np.uint16: 4, np.int16: 5, I32: 6, I64: 7, np.bool_: 9,
                                     np.float16: 10, D: 11}.items()}
CASES = {}


def case(name, op, inputs, wanted, opset, known=None, **attributes):
    """One node. inputs: arrays, None for those left out. known: which stand in the model as initialisers (all but the first)."""
    known = range(1, len(inputs)) if known is None else known
    wanted = [wanted] if isinstance(wanted, np.ndarray) or wanted is None else list(wanted)
    names = [f"i{k}" if v is not None else "" for k, v in enumerate(inputs)]
    node = h.make_node(op, names, [f"o{k}" if w is not None or wanted[0] is None else "" for k, w in enumerate(wanted)], **attributes)
    inits = [onnx.numpy_helper.from_array(v, names[k]) for k, v in enumerate(inputs) if k in known and v is not None]
    free = [(names[k], v) for k, v in enumerate(inputs) if k not in known and v is not None]
    outs = [(f"o{k}", w) for k, w in enumerate(wanted) if w is not None] or [("o0", np.zeros((), F))]
    info = lambda n, v: h.make_tensor_value_info(n, TYPES[v.dtype], v.shape)
    g = h.make_graph([node], "g", [info(n, v) for n, v in free], [info(n, v) for n, v in outs], inits)
    CASES[f"{'refused-' if wanted[0] is None else ''}{op}{opset}-{name}-{len(CASES)}"] = (h.make_model(g, opset_imports=[h.make_opsetid("", opset)]), [v for _, v in free], [w for _, w in outs])


def rand(*shape):
    return RNG.standard_normal(shape).astype(F)


def ints(low, high, *shape, dtype=I64):
    return RNG.integers(low, high, shape).astype(dtype)


# --- activations -----------------------------------------------------------------------------------------------------

def erf(x):
    return np.vectorize(math.erf)(x)


def activations():
    x = (rand(2, 3, 4, 5) * 3)
    d = x.astype(D)
    sigmoid = lambda v: 1 / (1 + np.exp(-v))
    softplus = np.log1p(np.exp(d))
    rows = [("Gelu", 20, {}, 0.5 * d * (1 + erf(d / math.sqrt(2)))),
            ("Gelu", 20, {"approximate": "tanh"}, 0.5 * d * (1 + np.tanh(math.sqrt(2 / math.pi) * (d + 0.044715 * d ** 3)))),
            ("Mish", 18, {}, d * np.tanh(softplus)),
            ("HardSwish", 14, {}, d * np.clip(d / 6 + 0.5, 0, 1)),
            ("HardSigmoid", 6, {}, np.clip(0.2 * d + 0.5, 0, 1)),
            ("HardSigmoid", 6, {"alpha": 0.3, "beta": 0.1}, np.clip(0.3 * d + 0.1, 0, 1)),
            ("Shrink", 9, {}, np.where(d < -0.5, d, np.where(d > 0.5, d, 0))),
            ("Shrink", 9, {"lambd": 1.5, "bias": 0.25}, np.where(d < -1.5, d + 0.25, np.where(d > 1.5, d - 0.25, 0))),
            ("Celu", 12, {}, np.maximum(d, 0) + np.minimum(0, np.exp(d) - 1)),
            ("Celu", 12, {"alpha": 2.0}, np.maximum(d, 0) + np.minimum(0, 2 * (np.exp(d / 2) - 1))),
            ("Elu", 6, {"alpha": 0.7}, np.where(d < 0, 0.7 * (np.exp(d) - 1), d)),
            ("Selu", 6, {}, 1.0507009873554805 * np.where(d < 0, 1.6732632423543772 * (np.exp(d) - 1), d)),
            ("ThresholdedRelu", 10, {}, np.where(d > 1, d, 0)),
            ("ThresholdedRelu", 10, {"alpha": -0.5}, np.where(d > -0.5, d, 0)),
            ("LeakyRelu", 16, {"alpha": 0.2}, np.where(d < 0, 0.2 * d, d)),
            ("LeakyRelu", 6, {}, np.where(d < 0, 0.01 * d, d)),
            ("Softplus", 1, {}, softplus), ("Softsign", 1, {}, d / (1 + abs(d))), ("Sigmoid", 13, {}, sigmoid(d)),
            ("Tanh", 13, {}, np.tanh(d)), ("Erf", 13, {}, erf(d)), ("Relu", 14, {}, np.maximum(d, 0)),
            ("Round", 11, {}, np.rint(d)), ("Sign", 13, {}, np.sign(d)), ("Ceil", 13, {}, np.ceil(d)),
            ("Floor", 13, {}, np.floor(d)), ("Abs", 13, {}, abs(d)), ("Neg", 13, {}, -d), ("Exp", 13, {}, np.exp(d)),
            ("Atan", 7, {}, np.arctan(d)), ("Sinh", 9, {}, np.sinh(d)), ("Cosh", 9, {}, np.cosh(d)),
            ("Asinh", 9, {}, np.arcsinh(d)), ("Sin", 7, {}, np.sin(d)), ("Cos", 7, {}, np.cos(d)), ("Tan", 7, {}, np.tan(d))]
    for op, opset, attributes, want in rows:
        for at in sorted({max(opset, 7), 21}):
            case("f32", op, [x], want.astype(F), at, **attributes)
    halves = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5, np.nan, np.inf, -np.inf, -0.0], F)
    case("halves", "Round", [halves], np.rint(halves), 11)
    case("special", "IsNaN", [halves], np.isnan(halves), 13)
    case("positive", "IsInf", [halves], halves == np.inf, 10, detect_negative=0)
    case("both", "IsInf", [halves], np.isinf(halves), 20)
    for shape in [(3, 1, 1), (1,), (2, 3, 4, 5), (5,), (1, 3, 1, 1), (4, 1)]:
        slope = rand(*shape)
        for at in (9, 16):
            case("slope" + "x".join(map(str, shape)), "PRelu", [x, slope], np.where(x < 0, x * slope, x), at)
    case("attributes", "Clip", [x], np.clip(x, -1, 2), 7, min=-1.0, max=2.0)
    for at in (11, 13):
        case("no min", "Clip", [x, None, np.array(1, F)], np.minimum(x, 1), at)
        case("no max", "Clip", [x, np.array(-1, F)], np.maximum(x, -1), at)
    for t in (I32, I64, U8, I8):
        v = ints(0, 100, 2, 7, dtype=t)
        case(f"{np.dtype(t)}", "Clip", [v, np.array(20, t), np.array(60, t)], np.clip(v, 20, 60), 13)
        case(f"{np.dtype(t)}", "Clip", [v, np.array(20, t), np.array(60, t)], np.clip(v, 20, 60), 12)
    for t in (I32, I64, I8, np.int16):
        v = ints(-100, 100, 2, 7, dtype=t)
        case(f"{np.dtype(t)}", "Abs", [v], abs(v), 13)
        case(f"{np.dtype(t)}", "Neg", [v], -v, 13)
        case(f"{np.dtype(t)}", "Sign", [v], np.sign(v), 13)
        case(f"{np.dtype(t)}", "Relu", [v], np.maximum(v, 0), 14)
    for axis in range(-4, 4):
        e = np.exp(d - d.max(axis, keepdims=True))
        soft = e / e.sum(axis, keepdims=True)
        case(f"axis{axis}", "Softmax", [x], soft.astype(F), 13, axis=axis)
        case(f"axis{axis}", "LogSoftmax", [x], np.log(soft).astype(F), 13, axis=axis)
        hard = (np.arange(x.shape[axis]).reshape([-1 if k == axis % 4 else 1 for k in range(4)])
                == np.expand_dims(x.argmax(axis), axis)).astype(F)
        case(f"axis{axis}", "Hardmax", [x], hard, 13, axis=axis)
        flat = d.reshape(int(np.prod(x.shape[:axis % 4])), -1)
        e = np.exp(flat - flat.max(1, keepdims=True))
        case(f"axis{axis}", "Softmax", [x], (e / e.sum(1, keepdims=True)).reshape(x.shape).astype(F), 11, axis=axis)


# --- normalisations --------------------------------------------------------------------------------------------------

def norms():
    for shape, groups in [((2, 6, 4, 5), 3), ((2, 6, 7), 2), ((1, 6, 3, 2, 2), 6), ((3, 4), 1)]:
        x, c = rand(*shape), shape[1]
        per = x.astype(D).reshape(shape[0], groups, -1)
        n = ((per - per.mean(2, keepdims=True)) / np.sqrt(per.var(2, keepdims=True) + 1e-3)).reshape(shape)
        over = lambda v: v.reshape([1, c] + [1] * (len(shape) - 2))
        s, b = rand(groups), rand(groups)
        wanted = n * over(np.repeat(s, c // groups)) + over(np.repeat(b, c // groups))
        case("group", "GroupNormalization", [x, s, b], wanted.astype(F), 18, num_groups=groups, epsilon=1e-3)
        s, b = rand(c), rand(c)
        case("channel", "GroupNormalization", [x, s, b], (n * over(s) + over(b)).astype(F), 21, num_groups=groups, epsilon=1e-3)
        d = x.astype(D).reshape(shape[0], c, -1)
        n = ((d - d.mean(2, keepdims=True)) / np.sqrt(d.var(2, keepdims=True) + 1e-2)).reshape(shape)
        if len(shape) > 2:
            case("plain", "InstanceNormalization", [x, s, b], (n * over(s) + over(b)).astype(F), 7, epsilon=1e-2)
        m, v = rand(c), abs(rand(c)) + 0.1
        wanted = (over(s) * (x - over(m)) / np.sqrt(over(v) + 1e-5) + over(b)).astype(F)
        for at in (7, 9, 14, 15, 21):
            case("plain", "BatchNormalization", [x, s, b, m, v], wanted, at)
    x = rand(2, 3, 4, 5)
    for axis in range(-4, 4):
        shape, axes = x.shape[axis:], tuple(range(axis % 4, 4))
        s, b, d = rand(*shape), rand(*shape), x.astype(D)
        mean, inverse = d.mean(axes, keepdims=True), 1 / np.sqrt(d.var(axes, keepdims=True) + 1e-5)
        wanted = (d - mean) * inverse * s
        case(f"axis{axis}", "LayerNormalization", [x, s, b], [v.astype(F) for v in (wanted + b, mean, inverse)], 17, axis=axis)
        case(f"no bias{axis}", "LayerNormalization", [x, s], wanted.astype(F), 17, axis=axis)
        for p, size in ((1, abs(d).sum(axis, keepdims=True)), (2, np.sqrt((d * d).sum(axis, keepdims=True)))):
            case(f"p{p} axis{axis}", "LpNormalization", [x], (d / size).astype(F), 7, axis=axis, p=p)
    wide = rand(1, 9, 2, 3)
    for size in (1, 2, 3, 4, 5, 20):
        total = np.zeros_like(wide, D)
        for c in range(9):
            low, high = max(0, c - (size - 1) // 2), min(8, c + math.ceil((size - 1) / 2))
            total[:, c] = (wide[:, low:high + 1].astype(D) ** 2).sum(1)
        case(f"size{size}", "LRN", [wide], (wide / (1.5 + 0.3 / size * total) ** 0.6).astype(F), 13, size=size, alpha=0.3,
             beta=0.6, bias=1.5)
    d = x.astype(D)
    for axes in ([0, 2, 3], [1], [-1, 1]):
        k = tuple(axes)
        case("axes", "MeanVarianceNormalization", [x],
             ((d - d.mean(k, keepdims=True)) / d.std(k, keepdims=True)).astype(F), 13, axes=axes)


# --- reductions ------------------------------------------------------------------------------------------------------

REDUCTIONS = {"ReduceL1": lambda d, k: abs(d).sum(k, keepdims=True), "ReduceL2": lambda d, k: np.sqrt((d * d).sum(k, keepdims=True)),
              "ReduceLogSum": lambda d, k: np.log(d.sum(k, keepdims=True)),
              "ReduceLogSumExp": lambda d, k: np.log(np.exp(d).sum(k, keepdims=True)),
              "ReduceSumSquare": lambda d, k: (d * d).sum(k, keepdims=True), "ReduceSum": lambda d, k: d.sum(k, keepdims=True),
              "ReduceMean": lambda d, k: d.mean(k, keepdims=True), "ReduceMax": lambda d, k: d.max(k, keepdims=True),
              "ReduceMin": lambda d, k: d.min(k, keepdims=True), "ReduceProd": lambda d, k: d.prod(k, keepdims=True)}


def reductions():
    x = abs(rand(2, 3, 4, 5)) + F(0.1)
    for op, f in REDUCTIONS.items():
        input_since = 13 if op == "ReduceSum" else 18
        for axes in ([0], [1, 2], [-1], [3, -4], [0, 1, 2, 3], None):
            k = tuple(axes) if axes else None
            wanted = f(x.astype(D), k).astype(F)
            a = np.array(axes, I64) if axes else None
            kept = {} if axes is None else {"axes": axes}
            flat = wanted.reshape([n for i, n in enumerate(x.shape) if axes and i not in [v % 4 for v in axes]])
            for keep, want in ((1, wanted), (0, flat)):
                case(f"axes{axes} keep{keep}", op, [x], want, 11, keepdims=keep, **kept)
                case(f"axes{axes} keep{keep}", op, [x, a] if axes else [x], want, input_since, keepdims=keep)
        empty = np.array([], I64)
        case("empty axes", op, [x, empty], f(x.astype(D), None).astype(F), 18)
        case("no axes, no reduction", op, [x], x, 18, noop_with_empty_axes=1)
        case("empty axes, no reduction", op, [x, empty], x, 18, noop_with_empty_axes=1)
        for t in (I32, I64):
            v = ints(1, 6, 2, 3, 4, dtype=t)
            if op in ("ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSumSquare", "ReduceL1"):
                case(f"{np.dtype(t)}", op, [v], f(v, (1,)).astype(t), 13 if op != "ReduceSum" else 11, axes=[1])
    for t in (U8, I8):
        v = ints(0, 100, 2, 3, 4, dtype=t)
        case(f"{np.dtype(t)}", "ReduceMax", [v], v.max(1, keepdims=True), 13, axes=[1])
    bits = ints(0, 2, 3, 4, dtype=np.bool_)
    case("bool", "ReduceMax", [bits, np.array([1], I64)], bits.max(1, keepdims=True), 20)
    case("bool", "ReduceMin", [bits, np.array([0], I64)], bits.min(0, keepdims=True), 20)
    none = np.zeros((2, 0, 4), F)
    for op, value in (("ReduceSum", 0), ("ReduceProd", 1), ("ReduceMax", -np.inf), ("ReduceMin", np.inf), ("ReduceL1", 0),
                      ("ReduceL2", 0), ("ReduceSumSquare", 0), ("ReduceLogSum", -np.inf), ("ReduceLogSumExp", -np.inf)):
        case("empty set", op, [none, np.array([1], I64)], np.full((2, 1, 4), value, F), 20)
    ties = ints(0, 3, 3, 6, 5, dtype=F)
    for axis, last, keep in itertools.product((0, 1, -1), (0, 1), (0, 1)):
        for op, best in (("ArgMax", np.argmax), ("ArgMin", np.argmin)):
            index = best(ties, axis) if not last else ties.shape[axis] - 1 - best(np.flip(ties, axis), axis)
            index = np.expand_dims(index, axis) if keep else index
            case(f"axis{axis} last{last} keep{keep}", op, [ties], index.astype(I64), 13, axis=axis, select_last_index=last,
                 keepdims=keep)
    for axis, exclusive, reverse in itertools.product((0, -1), (0, 1), (0, 1)):
        v = rand(3, 4, 5)
        w = np.flip(v, axis) if reverse else v
        total = np.cumsum(w, axis) - (w if exclusive else 0)
        case("cum", "CumSum", [v, np.array(axis, I32)], np.flip(total, axis) if reverse else total, 14, exclusive=exclusive,
             reverse=reverse)


# --- pools -----------------------------------------------------------------------------------------------------------

def pool_axis(size, k, stride, before, after, dilation, ceil):
    """Starts of the windows along one axis, in the coordinates of the input."""
    extent = (k - 1) * dilation + 1
    room = size + before + after - extent
    count = (math.ceil(room / stride) if ceil else room // stride) + 1
    if ceil and (count - 1) * stride >= size + before:
        count -= 1
    return [i * stride - before for i in range(count)]


def pool(x, kind, k, strides, pads, dilations, ceil=0, include=0, p=2):
    dims = x.ndim - 2
    starts = [pool_axis(x.shape[2 + i], k[i], strides[i], pads[i], pads[dims + i], dilations[i], ceil) for i in range(dims)]
    y = np.zeros(x.shape[:2] + tuple(map(len, starts)), D)
    index = np.zeros(y.shape, I64)
    flat = np.arange(x[0, 0].size).reshape(x.shape[2:])
    for at in itertools.product(*(range(len(s)) for s in starts)):
        taps = [[starts[i][at[i]] + j * dilations[i] for j in range(k[i])] for i in range(dims)]
        padded = np.prod([sum(t < x.shape[2 + i] + pads[dims + i] for t in taps[i]) for i in range(dims)])
        inside = [[t for t in taps[i] if 0 <= t < x.shape[2 + i]] for i in range(dims)]
        window = x[(slice(None), slice(None)) + np.ix_(*inside)].astype(D).reshape(x.shape[0], x.shape[1], -1)
        where = (slice(None), slice(None)) + at
        if kind == "max":
            y[where] = window.max(2)
            index[where] = flat[np.ix_(*inside)].reshape(-1)[window.argmax(2)]
        elif kind == "average":
            y[where] = window.sum(2) / (padded if include else window.shape[2])
        else:
            y[where] = (abs(window) ** p).sum(2) ** (1 / p)
    planes = np.arange(x.shape[0] * x.shape[1]).reshape(x.shape[:2] + (1,) * dims) * x[0, 0].size
    return y.astype(x.dtype), index + planes


def pools():
    sizes = [((2, 3, 7, 8), [3, 2], [2, 3], [1, 0, 1, 1]), ((1, 2, 11), [4], [3], [1, 2]), ((1, 2, 5, 6, 5), [2, 3, 2], [2, 2, 3], [0, 1, 1, 1, 1, 0]),
             ((1, 3, 9, 9), [2, 2], [3, 3], [1, 1, 1, 1]), ((1, 1, 4, 4), [3, 3], [2, 2], [0, 0, 0, 0])]
    for (shape, k, strides, pads), ceil, dilate in itertools.product(sizes, (0, 1), (1, 2)):
        dilations = [dilate] * len(k)
        x = rand(*shape)
        if any(shape[2 + i] + pads[i] + pads[len(k) + i] < (k[i] - 1) * dilate + 1 for i in range(len(k))):
            continue
        window = dict(kernel_shape=k, strides=strides, pads=pads)
        name = f"ceil{ceil} dilation{dilate} rank{len(k)}"
        y, index = pool(x, "max", k, strides, pads, dilations, ceil)
        case(name, "MaxPool", [x], [y, index], 12, ceil_mode=ceil, dilations=dilations, **window)
        case(name, "MaxPool", [x], y, 10, ceil_mode=ceil, dilations=dilations, **window)
        for include in (0, 1):
            y = pool(x, "average", k, strides, pads, dilations, ceil, include)[0]
            case(f"{name} include{include}", "AveragePool", [x], y, 19, ceil_mode=ceil, dilations=dilations,
                 count_include_pad=include, **window)
            if dilate == 1:
                case(f"{name} include{include}", "AveragePool", [x], y, 11, ceil_mode=ceil, count_include_pad=include, **window)
        for p in (1, 2, 3):
            y = pool(x, "lp", k, strides, pads, dilations, ceil, p=p)[0]
            case(f"{name} p{p}", "LpPool", [x], y, 18, ceil_mode=ceil, dilations=dilations, p=p, **window)
            if dilate == 1 and not ceil:
                case(f"{name} p{p}", "LpPool", [x], y, 11, p=p, **window)
    for mode, lower in (("SAME_UPPER", 0), ("SAME_LOWER", 1)):
        x = rand(1, 2, 7, 6)
        k, strides, pads = [3, 4], [2, 3], []
        for i in range(2):
            need = max((math.ceil(x.shape[2 + i] / strides[i]) - 1) * strides[i] + k[i] - x.shape[2 + i], 0)
            pads.append((need - need // 2, need // 2) if lower else (need // 2, need - need // 2))
        flat = [pads[0][0], pads[1][0], pads[0][1], pads[1][1]]
        for kind, op in (("max", "MaxPool"), ("average", "AveragePool"), ("lp", "LpPool")):
            case(mode, op, [x], pool(x, kind, k, strides, flat, [1, 1])[0], 11, kernel_shape=k, strides=strides, auto_pad=mode)
    for t in (U8, I8):
        x = ints(np.iinfo(t).min, np.iinfo(t).max, 1, 2, 6, 6, dtype=t)
        case(f"{np.dtype(t)}", "MaxPool", [x], pool(x, "max", [2, 2], [2, 2], [0] * 4, [1, 1])[0], 12, kernel_shape=[2, 2], strides=[2, 2])
    x = rand(2, 3, 4, 5)
    case("p3", "GlobalLpPool", [x], ((abs(x.astype(D)) ** 3).sum((2, 3), keepdims=True) ** (1 / 3)).astype(F), 7, p=3)
    case("plain", "GlobalMaxPool", [x], x.max((2, 3), keepdims=True), 7)
    case("plain", "GlobalAveragePool", [x], x.astype(D).mean((2, 3), keepdims=True).astype(F), 7)


def write(folder):
    for name, (model, inputs, outputs) in CASES.items():
        place = os.path.join(folder, "".join(c if c.isalnum() or c in "-_." else "_" for c in name), "test_data_set_0")
        os.makedirs(place)
        onnx.save(model, os.path.join(os.path.dirname(place), "model.onnx"))
        for kind, arrays in (("input", inputs), ("output", outputs)):
            for k, v in enumerate(arrays):
                with open(os.path.join(place, f"{kind}_{k}.pb"), "wb") as f:
                    f.write(onnx.numpy_helper.from_array(np.asarray(v)).SerializeToString())
    print(f"{len(CASES)} cases")


def main():
    import specification_more
    for table in (activations, norms, reductions, pools, resizing.tables, specification_more.tables):
        table(sys.modules[__name__]) if table.__code__.co_argcount else table()
    write(sys.argv[1])


if __name__ == "__main__":
    main()
