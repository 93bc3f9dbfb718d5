"""Moves, gathers, quantisation, arithmetic of whole numbers, products, convolutions: see specification.py."""
import itertools
import math

import numpy as np

F, D, I64, I32, U8, I8 = np.float32, np.float64, np.int64, np.int32, np.uint8, np.int8


def moves(s):
    x = s.rand(2, 3, 4, 5)
    for mode in ("constant", "edge", "reflect", "wrap"):
        pads = [(0, 1), (1, 1), (2, 0), (3, 2)]
        flat = np.array([p[0] for p in pads] + [p[1] for p in pads], I64)
        wanted = np.pad(x, pads, constant_values=1.5) if mode == "constant" else np.pad(x, pads, mode)
        value = [np.array(1.5, F)] if mode == "constant" else []
        for at in (11, 13, 18, 19, 21) if mode != "wrap" else (19, 21):
            s.case(mode, "Pad", [x, flat, *value], wanted, at, mode=mode)
        if mode == "wrap":
            s.case("refused", "Pad", [x, flat], None, 18, mode=mode)
        axes = np.array([-1, 1], I64)
        two = np.array([1, 2, 3, 0], I64)
        full = [(0, 0), (2, 0), (0, 0), (1, 3)]
        wanted = np.pad(x, full, constant_values=1.5) if mode == "constant" else np.pad(x, full, mode)
        for at in (18, 19, 21) if mode != "wrap" else (19, 21):
            s.case(f"{mode} axes", "Pad", [x, two, value[0] if value else None, axes], wanted, at, mode=mode)
    s.case("cuts", "Pad", [x, np.array([0, -1, 1, -2, 0, 0, -2, 1], I64)], np.pad(x[:, 1:, :2, 2:], [(0, 0), (0, 0), (1, 0), (0, 1)]), 13)
    for t in (U8, I8, I32, I64, np.bool_, D):
        v = s.ints(0, 2, 3, 4, dtype=t)
        s.case(f"{np.dtype(t)}", "Pad", [v, np.array([1, 0, 0, 2], I64)], np.pad(v, [(1, 0), (0, 2)]), 13)
    y = s.rand(2, 7, 3)
    parts = [y[:, :3], y[:, 3:6], y[:, 6:]]
    s.case("uneven", "Split", [y], parts, 18, axis=1, num_outputs=3)
    s.case("uneven, 4 parts", "Split", [y], [y[:, :2], y[:, 2:4], y[:, 4:6], y[:, 6:]], 18, axis=-2, num_outputs=4)
    s.case("sizes", "Split", [y, np.array([1, 4, 2], I64)], [y[:, :1], y[:, 1:5], y[:, 5:]], 13, axis=1)
    s.case("attribute", "Split", [y], [y[:, :1], y[:, 1:5], y[:, 5:]], 11, axis=1, split=[1, 4, 2])
    s.case("refused", "Split", [y], [None, None], 13, axis=1)
    for sizes, axes in [((3, 6), (2, 3)), ((1, 7), (1, 3)), ((4, 9), (-1, -2)), ((2, 2), (0, 1)), ((5, 3, 4, 5), None)]:
        wanted = x
        for k, size in zip(axes or range(4), sizes):
            have, cut = wanted.shape[k], [slice(None)] * 4
            if have >= size:
                cut[k] = slice((have - size) // 2, (have - size) // 2 + size)
                wanted = wanted[tuple(cut)]
            else:
                pads = [(0, 0)] * 4
                pads[k] = ((size - have) // 2, size - have - (size - have) // 2)
                wanted = np.pad(wanted, pads)
        s.case("sizes", "CenterCropPad", [x, np.array(sizes, I64)], wanted, 18, **({"axes": axes} if axes else {}))
    for at in (11, 13):
        for b in (2,):
            deep = s.rand(2, 12, 2, 3)
            n, c, hh, ww = deep.shape
            dcr = deep.reshape(n, b, b, c // 4, hh, ww).transpose(0, 3, 4, 1, 5, 2).reshape(n, c // 4, hh * b, ww * b)
            crd = deep.reshape(n, c // 4, b, b, hh, ww).transpose(0, 1, 4, 2, 5, 3).reshape(n, c // 4, hh * b, ww * b)
            s.case("dcr", "DepthToSpace", [deep], dcr, at, blocksize=b, mode="DCR")
            s.case("crd", "DepthToSpace", [deep], crd, at, blocksize=b, mode="CRD")
            s.case("back", "SpaceToDepth", [dcr], deep, 13, blocksize=b)
    zero = np.zeros((0, 3), F)
    s.case("allowzero", "Reshape", [zero, np.array([3, 0], I64)], zero.reshape(3, 0), 14, allowzero=1)
    s.case("zero copies", "Reshape", [x, np.array([0, -1, 5], I64)], x.reshape(2, 12, 5), 14)
    s.case("refused", "Reshape", [zero, np.array([0, -1], I64)], None, 14, allowzero=1)
    one = x.reshape(2, 1, 3, 4, 5, 1)
    for at in (13, 21):
        s.case("axes", "Squeeze", [one, np.array([1, -1], I64)], x, at)
        s.case("all", "Squeeze", [one], x, at)
        s.case("axes", "Unsqueeze", [x, np.array([-1, 1], I64)], one, at)
    s.case("axes", "Squeeze", [one], x, 11, axes=[1, 5])
    s.case("axes", "Unsqueeze", [x], one, 11, axes=[1, 5])
    for start, end in [(0, None), (1, 3), (-2, None), (0, -1), (-9, 9), (3, 1)]:
        part = np.array(x.shape[start:] if end is None else x.shape[start:end] if start <= (end if end >= 0 else 4 + end) or start < 0
                        else (), I64)
        s.case("part", "Shape", [x], part, 15, **({"start": start} if start else {}), **({} if end is None else {"end": end}))
    for k, upper in itertools.product((-2, 0, 1, 9), (0, 1)):
        s.case(f"k{k}", "Trilu", [x, np.array(k, I64)], np.triu(x, k) if upper else np.tril(x, k), 14, upper=upper)
    for starts, ends, axes, steps in [([1, -3], [9, -1], [2, 3], [1, 1]), ([-1], [-9], [3], [-2]), ([4], [0], [-1], [-1]), ([9], [20], [1], [1])]:
        cut = [slice(None)] * 4
        for a, b, k, step in zip(starts, ends, axes, steps):
            stop = None if step < 0 and b < -4 else b
            cut[k] = slice(a, stop, step)
        s.case("steps", "Slice", [x, *(np.array(v, I64) for v in (starts, ends, axes, steps))], x[tuple(cut)], 13)
    v = s.rand(3, 1)
    s.case("both ways", "Expand", [v, np.array([2, 1, 4], I64)], np.broadcast_to(v, (2, 3, 4)).copy(), 13)
    s.case("plain", "Tile", [v, np.array([2, 3], I64)], np.tile(v, (2, 3)), 13)
    for axis in range(-4, 4):
        i = s.ints(-x.shape[axis], x.shape[axis], 2, 3)
        s.case(f"axis{axis}", "Gather", [x, i], np.take(x, i, axis), 13, axis=axis)
        i = s.ints(-x.shape[axis], x.shape[axis], 2, 3, 4, 5)
        s.case(f"axis{axis}", "GatherElements", [x, i], np.take_along_axis(x, i % x.shape[axis], axis), 13, axis=axis)
    i = s.ints(0, 3, 2, 6, 1)
    s.case("batch", "GatherND", [x, i], np.stack([x[b][i[b, :, 0]] for b in range(2)]), 13, batch_dims=1)
    i = np.array([[0, -1], [1, 2]], I64)
    s.case("blocks", "GatherND", [x, i], x[[0, 1], [-1, 2]], 13)
    s.case("refused", "NonZero", [x], None, 13)
    s.case("refused", "GridSample", [s.rand(1, 1, 4, 4), s.rand(1, 4, 4, 2)], None, 20)
    # blocks of 2x3, strides and dilations of 1 or 2, into 5x6
    for block, stride, dilate, pads, size in [((2, 3), (1, 1), (1, 1), (0, 0, 0, 0), (5, 6)), ((2, 2), (2, 1), (1, 2), (1, 0, 0, 1), (5, 6)),
                                              ((1, 5), (1, 1), (1, 1), (0, 0, 0, 0), (5, 5)), ((2,), (2,), (2,), (1, 1), (7,))]:
        counts = [(size[i] + pads[i] + pads[len(size) + i] - dilate[i] * (block[i] - 1) - 1) // stride[i] + 1 for i in range(len(size))]
        cols = s.rand(2, 3 * math.prod(block), math.prod(counts))
        wanted = np.zeros((2, 3) + size, D)
        view = cols.reshape((2, 3) + block + tuple(counts))
        for at in itertools.product(*map(range, block + tuple(counts))):
            to = [at[len(size) + i] * stride[i] - pads[i] + at[i] * dilate[i] for i in range(len(size))]
            if all(0 <= to[i] < size[i] for i in range(len(size))):
                wanted[(slice(None), slice(None), *to)] += view[(slice(None), slice(None)) + at]
        s.case("blocks", "Col2Im", [cols, np.array(size, I64), np.array(block, I64)], wanted.astype(F), 18, strides=stride, dilations=dilate,
               pads=pads)


REDUCE = {"none": lambda a, b: b, "add": lambda a, b: a + b, "mul": lambda a, b: a * b, "max": max, "min": min}


def scatters(s):
    for how, since in (("none", 13), ("add", 16), ("mul", 16), ("max", 18), ("min", 18)):
        extra = {} if since == 13 else {"reduction": how}
        for t in (F, I64, I32, U8):
            x = s.ints(1, 6, 3, 4, 5, dtype=t)
            for axis in (0, -1):
                distinct = np.stack([s.RNG.permutation(x.shape[axis])[:2] for _ in range(12)]).reshape(12, 2)
                i = (distinct.reshape(3, 4, 2) if axis == -1 else distinct.reshape(4, 3, 2)[:, :3].transpose(2, 0, 1)).astype(I64)
                i = i if how == "none" else i * 0 + i[(0,) * 3]
                u = s.ints(1, 4, *i.shape, dtype=t)
                y = x.copy()
                for at in np.ndindex(*i.shape):
                    to = list(at)
                    to[axis] = i[at]
                    y[tuple(to)] = REDUCE[how](y[tuple(to)], u[at])
                s.case(f"{how} {np.dtype(t)}", "ScatterElements", [x, i, u], y, since, axis=axis, **extra)
            i = np.array([[0, 1], [2, -1], [0, 1]] if how != "none" else [[0, 1], [2, -1], [1, 1]], I64)
            u = s.ints(1, 4, 3, 5, dtype=t)
            y = x.copy()
            for row, (a, b) in enumerate(i):
                y[a, b] = [REDUCE[how](p, q) for p, q in zip(y[a, b], u[row])]
            s.case(f"{how} {np.dtype(t)}", "ScatterND", [x, i, u], y, since, **extra)


def saturate(v, t):
    low, high = np.iinfo(t).min, np.iinfo(t).max
    return np.clip(np.rint(v), low, high).astype(t)


def quantisation(s):
    x = s.rand(3, 4, 6) * F(3)
    for t in (U8, I8, np.uint16, np.int16):
        wide = t in (np.uint16, np.int16)
        zero = t(100 if np.iinfo(t).min == 0 else -3)
        for at in (10, 13, 19, 21) if not wide else (21,):
            q = saturate(x / F(0.02) + zero, t)
            s.case(f"{np.dtype(t)}", "QuantizeLinear", [x, np.array(0.02, F), np.array(zero)], q, at)
            s.case(f"{np.dtype(t)}", "DequantizeLinear", [q, np.array(0.02, F), np.array(zero)], ((q.astype(I32) - int(zero)) * F(0.02)).astype(F), at)
            if at < 13:
                continue
            for axis in (0, 1, -1):
                over = [1, 1, 1]
                over[axis] = x.shape[axis]
                scale = (abs(s.rand(x.shape[axis])) + F(0.01)) * F(0.05)
                zeros = s.ints(0, 20, x.shape[axis], dtype=t)
                q = saturate(x / scale.reshape(over) + zeros.reshape(over), t)
                s.case(f"{np.dtype(t)} axis{axis}", "QuantizeLinear", [x, scale, zeros], q, at, axis=axis)
                back = (q.astype(I32) - zeros.reshape(over).astype(I32)) * scale.reshape(over)
                s.case(f"{np.dtype(t)} axis{axis}", "DequantizeLinear", [q, scale, zeros], back.astype(F), at, axis=axis)
        for axis, block in ((1, 2), (2, 3), (-1, 2)):
            shape = list(x.shape)
            shape[axis] //= block
            scale, zeros = (abs(s.rand(*shape)) + F(0.01)) * F(0.05), s.ints(0, 20, *shape, dtype=t)
            full, shift = np.repeat(scale, block, axis), np.repeat(zeros, block, axis)
            q = saturate(x / full + shift, t)
            s.case(f"{np.dtype(t)} block", "QuantizeLinear", [x, scale, zeros], q, 21, axis=axis, block_size=block)
            s.case(f"{np.dtype(t)} block", "DequantizeLinear", [q, scale, zeros], ((q.astype(I32) - shift.astype(I32)) * full).astype(F), 21,
                   axis=axis, block_size=block)
    q, scale = s.ints(0, 20, 3, 4, 6, dtype=U8), abs(s.rand(3, 2, 6)) + F(0.01)
    for block in (4, 5, -2):  # 2 is what makes two blocks of four
        s.case("refused", "DequantizeLinear", [q, scale, q[:, :2]], None, 21, axis=1, block_size=block)
    s.case("no zero", "QuantizeLinear", [x, np.array(0.05, F)], saturate(x / F(0.05), U8), 13)
    s.case("output type", "QuantizeLinear", [x, np.array(0.05, F)], saturate(x / F(0.05), np.int16), 21, output_dtype=5)
    v = s.ints(-1000, 1000, 2, 5, dtype=I32)
    s.case("i32", "DequantizeLinear", [v, np.array(0.5, F)], (v * F(0.5)).astype(F), 13)
    for v in (x, abs(x) + 1, -abs(x) - 1):
        low, high = min(0, v.min()), max(0, v.max())
        scale = F((F(high) - F(low)) / F(255))
        zero = U8(np.clip(np.rint(F(0) - F(low) / scale), 0, 255))
        s.case("plain", "DynamicQuantizeLinear", [v], [saturate(v / scale + F(zero), U8), np.array(scale), np.array(zero)], 11)
    a, b = s.ints(0, 255, 3, 5, dtype=U8), s.ints(-128, 127, 5, 4, dtype=I8)
    ai, bi = a.astype(I32), b.astype(I32)
    s.case("plain", "MatMulInteger", [a, b], ai @ bi, 10)
    s.case("zeros", "MatMulInteger", [a, b, np.array(7, U8), np.array(-3, I8)], (ai - 7) @ (bi + 3), 10)
    rows, columns = s.ints(0, 9, 3, dtype=U8), s.ints(-4, 4, 4, dtype=I8)
    s.case("zero per column", "MatMulInteger", [a, b, np.array(7, U8), columns], (ai - 7) @ (bi - columns.astype(I32)), 10)
    s.case("zero per row", "MatMulInteger", [a, b, rows, columns], (ai - rows.astype(I32)[:, None]) @ (bi - columns.astype(I32)), 10)
    out = saturate((ai - 7) @ (bi + 3) * (0.02 * 0.03 / 0.1) + 11, U8)
    one = lambda v, t=F: np.array(v, t)
    s.case("plain", "QLinearMatMul", [a, one(0.02), one(7, U8), b, one(0.03), one(-3, I8), one(0.1), one(11, U8)], out, 10)
    for wt, group, pads in ((I8, 1, [1, 1, 1, 1]), (U8, 2, [0, 1, 1, 0])):
        v = s.ints(0, 255, 2, 4, 6, 5, dtype=U8)
        w = s.ints(np.iinfo(wt).min, np.iinfo(wt).max, 6, 4 // group, 3, 3, dtype=wt)
        zw = 0 if wt is I8 else 120
        whole = conv(v.astype(D) - 9, w.astype(D) - zw, [2, 1], pads, [1, 1], group)
        s.case(f"{np.dtype(wt)}", "ConvInteger", [v, w, one(9, U8), one(zw, wt)], whole.astype(I32), 10, strides=[2, 1], pads=pads, group=group)
        scales, bias = (abs(s.rand(6)) + F(0.1)) * F(0.01), s.ints(-500, 500, 6, dtype=I32)
        q = saturate((whole + bias[:, None, None]) * (0.02 * scales.astype(D)[:, None, None] / 0.3) + 30, U8)
        s.case(f"{np.dtype(wt)}", "QLinearConv", [v, one(0.02), one(9, U8), w, scales, np.full(6, zw, wt), one(0.3), one(30, U8), bias], q, 10,
               strides=[2, 1], pads=pads, group=group)


def conv(x, w, strides, pads, dilations, group=1):
    dims = x.ndim - 2
    x = np.pad(x.astype(D), [(0, 0), (0, 0)] + [(pads[i], pads[dims + i]) for i in range(dims)])
    out = [(x.shape[2 + i] - (w.shape[2 + i] - 1) * dilations[i] - 1) // strides[i] + 1 for i in range(dims)]
    y = np.zeros((x.shape[0], w.shape[0], *out))
    per, each = w.shape[1], w.shape[0] // group
    for at in itertools.product(*map(range, out)):
        cut = tuple(slice(at[i] * strides[i], at[i] * strides[i] + (w.shape[2 + i] - 1) * dilations[i] + 1, dilations[i]) for i in range(dims))
        for g in range(group):
            window = x[(slice(None), slice(g * per, (g + 1) * per)) + cut].reshape(x.shape[0], -1)
            y[(slice(None), slice(g * each, (g + 1) * each)) + at] = window @ w[g * each:(g + 1) * each].astype(D).reshape(each, -1).T
    return y


def transposed(x, w, strides, dilations, group):
    """The whole of ConvTranspose's output, before pads are cut off."""
    dims, each = x.ndim - 2, w.shape[1]
    size = [(x.shape[2 + i] - 1) * strides[i] + (w.shape[2 + i] - 1) * dilations[i] + 1 for i in range(dims)]
    y = np.zeros((x.shape[0], each * group, *size))
    per = x.shape[1] // group
    for at in np.ndindex(*x.shape[2:]):
        cut = tuple(slice(at[i] * strides[i], at[i] * strides[i] + (w.shape[2 + i] - 1) * dilations[i] + 1, dilations[i]) for i in range(dims))
        for g in range(group):
            v = x[(slice(None), slice(g * per, (g + 1) * per)) + at].astype(D)
            y[(slice(None), slice(g * each, (g + 1) * each)) + cut] += np.tensordot(v, w[g * per:(g + 1) * per].astype(D), 1)
    return y


def products(s):
    for shape, k, group, strides, pads, dilations in [((1, 4, 9), [3], 2, [2], [1, 0], [1]), ((2, 4, 6, 7), [3, 2], 1, [1, 2], [2, 0, 1, 1], [2, 1]),
                                                      ((1, 4, 4, 5, 6), [2, 3, 1], 4, [1, 1, 2], [0, 1, 0, 1, 1, 0], [1, 1, 1]),
                                                      ((1, 4, 8, 8), [3, 3], 1, [1, 1], [1] * 4, [1, 1]), ((1, 4, 8, 8), [3, 3], 4, [2, 2], [1] * 4, [1, 1])]:
        x, w, b = s.rand(*shape), s.rand(8, 4 // group, *k), s.rand(8)
        over = b.reshape([8] + [1] * len(k))
        for at in (7, 11, 21):
            s.case(f"rank{len(k)} group{group}", "Conv", [x, w, b], (conv(x, w, strides, pads, dilations, group) + over).astype(F), at, group=group,
                   strides=strides, pads=pads, dilations=dilations)
        s.case(f"weights unknown rank{len(k)} group{group}", "Conv", [x, w], conv(x, w, strides, pads, dilations, group).astype(F), 11, known=(),
               group=group, strides=strides, pads=pads, dilations=dilations)
        w = s.rand(4, 3, *k)
        whole = transposed(x, w, strides, dilations, group)
        cut = tuple(slice(pads[i], n - pads[len(k) + i]) for i, n in enumerate(whole.shape[2:]))
        s.case(f"rank{len(k)} group{group}", "ConvTranspose", [x, w], whole[(slice(None), slice(None)) + cut].astype(F), 11, group=group,
               strides=strides, pads=pads, dilations=dilations)
        extra = [st - 1 for st in strides]
        more = np.pad(whole, [(0, 0), (0, 0)] + [(0, e) for e in extra])
        cut = tuple(slice(pads[i], n - pads[len(k) + i]) for i, n in enumerate(more.shape[2:]))
        s.case(f"padding rank{len(k)} group{group}", "ConvTranspose", [x, w], more[(slice(None), slice(None)) + cut].astype(F), 11, group=group,
               strides=strides, pads=pads, dilations=dilations, output_padding=extra)
    for ta, tb in itertools.product((0, 1), (0, 1)):
        a, b = s.rand(3, 4), s.rand(4, 5)
        for c in (s.rand(3, 5), s.rand(5), s.rand(3, 1), s.rand(1), None):
            y = 0.5 * (a.astype(D) @ b) + (0 if c is None else 2 * c)
            for at in (7, 11, 13):
                if c is None and at < 11:
                    continue
                s.case(f"t{ta}{tb}", "Gemm", [a.T.copy() if ta else a, b.T.copy() if tb else b, *([c] if c is not None else [])], y.astype(F), at,
                       transA=ta, transB=tb, alpha=0.5, beta=2.0)
    for p, q in [((3,), (3,)), ((3,), (3, 4)), ((2, 3), (3,)), ((2, 1, 4, 3), (5, 3, 2)), ((0, 3), (3, 2)), ((2, 3, 0), (2, 0, 4))]:
        a, b = s.rand(*p), s.rand(*q)
        s.case("known", "MatMul", [a, b], np.asarray(a.astype(D) @ b).astype(F), 13)
        s.case("unknown", "MatMul", [a, b], np.asarray(a.astype(D) @ b).astype(F), 13, known=())
    for text, shapes in [("ij,jk->ik", [(3, 4), (4, 5)]), ("ij,jk", [(3, 4), (4, 5)]), ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]), ("ii->i", [(4, 4)]),
                         ("ij->", [(3, 4)]), ("ij->ji", [(3, 4)]), ("...ij,...jk->...ik", [(2, 3, 4), (2, 4, 5)]), ("i,j,k->kji", [(2,), (3,), (4,)]),
                         ("bhwc,hkc->bhwk", [(1, 2, 3, 4), (2, 5, 4)]), (" i j , j -> i ", [(3, 4), (4,)]), ("ba", [(2, 3)]), ("...->...", [(2, 3)]),
                         ("...i->...", [(2, 3)])]:
        ops = [s.rand(*p) for p in shapes]
        s.case("e", "Einsum", ops, np.asarray(np.einsum(text.replace(" ", ""), *[o.astype(D) for o in ops])).astype(F), 12, equation=text)


def arithmetic(s):
    for t in (F, D, I32, I64, U8, I8, np.int16):
        a, b = s.ints(1, 11, 3, 1, 4, dtype=t), s.ints(1, 11, 5, 1, dtype=t)
        for op, f in (("Add", np.add), ("Mul", np.multiply), ("Sub", np.subtract)):
            s.case(f"{np.dtype(t)}", op, [a, b], f(a, b), 14)
        s.case(f"{np.dtype(t)}", "Div", [a, b], (a / b).astype(t) if t in (F, D) else a // b, 14)
        for op, f in (("Less", np.less), ("Greater", np.greater), ("Equal", np.equal)):
            s.case(f"{np.dtype(t)}", op, [a, b], f(a, b), 13)
        for op, f in (("LessOrEqual", np.less_equal), ("GreaterOrEqual", np.greater_equal)):
            s.case(f"{np.dtype(t)}", op, [a, b], f(a, b), 16)
        for op, f in (("Max", np.maximum), ("Min", np.minimum)):
            s.case(f"{np.dtype(t)}", op, [a, b, a], f(f(a, b), a), 13)
        cond = s.ints(0, 2, 5, 4, dtype=np.bool_)
        s.case(f"{np.dtype(t)}", "Where", [cond, a, b], np.where(cond, a, b), 16)
        k = s.ints(0, 9, 3, 7, dtype=t)
        for largest in (0, 1):
            order = np.argsort(-k.astype(D) if largest else k.astype(D), axis=1, kind="stable")[:, :3]
            s.case(f"{np.dtype(t)} largest{largest}", "TopK", [k, np.array([3], I64)], [np.take_along_axis(k, order, 1), order.astype(I64)], 11,
                   largest=largest)
    for t in (I32, I64, I8):
        a, b = s.ints(-50, 50, 30, dtype=t), s.ints(1, 9, 30, dtype=t) * np.where(s.ints(0, 2, 30), 1, -1).astype(t)
        s.case(f"truncates {np.dtype(t)}", "Div", [a, b], np.trunc(a / b).astype(t), 14)
        s.case(f"{np.dtype(t)}", "Mod", [a, b], np.mod(a, b), 13)
        s.case(f"fmod {np.dtype(t)}", "Mod", [a, b], np.fmod(a, b), 13, fmod=1)
        s.case(f"{np.dtype(t)}", "Mod", [a, b], np.mod(a, b), 10)
    f, g = s.rand(20) * 5, s.rand(20)
    s.case("f32", "Mod", [f, g], np.fmod(f, g), 13, fmod=1)
    for base, power in itertools.product((F, I32, I64, D), (F, I32, I64)):
        a, b = s.ints(1, 5, 3, 4, dtype=base), s.ints(0, 4, 4, dtype=power)
        s.case(f"{np.dtype(base)} {np.dtype(power)}", "Pow", [a, b], np.power(a.astype(D), b).astype(base), 13)
    for op, f in (("And", np.logical_and), ("Or", np.logical_or), ("Xor", np.logical_xor)):
        a, b = s.ints(0, 2, 3, 1, dtype=np.bool_), s.ints(0, 2, 4, dtype=np.bool_)
        s.case("bool", op, [a, b], f(a, b), 7)
    s.case("bool", "Equal", [a, b], a == b, 11)
    s.case("bool", "Not", [a], ~a, 7)
    for t in (U8, I8, I32, I64, np.uint16, np.int16):
        a, b = s.ints(0, 100, 3, 4, dtype=t), s.ints(0, 100, 4, dtype=t)
        for op, f in (("BitwiseAnd", np.bitwise_and), ("BitwiseOr", np.bitwise_or), ("BitwiseXor", np.bitwise_xor)):
            s.case(f"{np.dtype(t)}", op, [a, b], f(a, b), 18)
        s.case(f"{np.dtype(t)}", "BitwiseNot", [a], ~a, 18)
    a, b = s.ints(0, 255, 3, 4, dtype=U8), s.ints(0, 8, 4, dtype=U8)
    s.case("left", "BitShift", [a, b], np.left_shift(a, b), 11, direction="LEFT")
    s.case("right", "BitShift", [a, b], np.right_shift(a, b), 11, direction="RIGHT")
    casts(s)
    for axis, t in itertools.product((-1, 0, 1, -3), (I64, F)):
        i = s.ints(-3, 6, 2, 3)
        wanted = np.expand_dims(i % 5 if t is I64 else i % 5, axis) == np.arange(5).reshape([-1 if k == axis % 3 else 1 for k in range(3)])
        wanted &= np.expand_dims((i >= -5) & (i < 5), axis)
        s.case("plain", "OneHot", [i, np.array(5, I64), np.array([2, 7], t)], np.where(wanted, 7, 2).astype(t), 11, axis=axis)
    many = [s.rand(3, 1), s.rand(1, 4), s.rand(4)]
    s.case("three", "Sum", many, (many[0] + many[1] + many[2]), 13)
    s.case("three", "Mean", many, (many[0] + many[1] + many[2]) / F(3), 13)


def casts(s):
    real = np.array([0, 0.4, 0.5, 1.5, -1.5, 2.9, 100.7, -100.7, -0.0], F)
    whole = np.array([0, 1, 2, 100], I64)
    types = {F: 1, U8: 2, I8: 3, np.uint16: 4, np.int16: 5, I32: 6, I64: 7, np.bool_: 9, np.float16: 10, D: 11}
    for t, number in types.items():
        v = abs(real) if t in (U8, np.uint16) else real
        for at in (9, 13, 19, 21):
            s.case(f"f32 to {np.dtype(t)}", "Cast", [v], v.astype(t), at, to=number)
            s.case(f"i64 to {np.dtype(t)}", "Cast", [whole], whole.astype(t), at, to=number)
        s.case(f"i32 to {np.dtype(t)}", "Cast", [whole.astype(I32)], whole.astype(t), 13, to=number)
        s.case(f"bool to {np.dtype(t)}", "Cast", [whole.astype(np.bool_)], whole.astype(np.bool_).astype(t), 13, to=number)
        s.case(f"u8 to {np.dtype(t)}", "Cast", [whole.astype(U8)], whole.astype(t), 13, to=number)
        s.case(f"{np.dtype(t)}", "CastLike", [v, np.zeros(1, t)], v.astype(t), 15)
        s.case(f"{np.dtype(t)}", "CastLike", [v, np.zeros(1, t)], v.astype(t), 19)
        s.case(f"{np.dtype(t)}", "Identity", [whole.astype(t)], whole.astype(t), 14)
        if t not in (np.float16,):
            s.case(f"to f32 from {np.dtype(t)}", "Cast", [whole.astype(t)], whole.astype(t).astype(F), 13, to=1)
    half = (s.rand(3, 4) * 10).astype(np.float16)
    s.case("half", "Add", [half, half[:1]], (half.astype(F) + half[:1].astype(F)).astype(np.float16), 14)
    s.case("half", "Cast", [half], half.astype(F), 13, to=1)
    s.case("half", "Softmax", [half], (lambda e: e / e.sum(-1, keepdims=True))(np.exp(half.astype(D) - half.max())).astype(np.float16), 13)
    w, x = ((s.ints(-8, 8, *shape) / 8).astype(np.float16) for shape in ((4, 3, 3, 3), (1, 3, 6, 6)))  # sums are exact
    s.case("half", "Conv", [x, w], conv(x.astype(F), w.astype(F), [1, 1], [1] * 4, [1, 1]).astype(np.float16), 13, pads=[1, 1, 1, 1])
    for to in (8, 12, 13, 14, 16, 17):
        s.case("refused", "Cast", [real], None, 19, to=to)


def tables(spec):
    for table in (moves, scatters, quantisation, products, arithmetic):
        table(spec)
