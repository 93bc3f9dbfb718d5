#!/usr/bin/python3
"""Quantised graphs as exporters write them (QuantizeLinear and DequantizeLinear around operators on floats):
infer must compute them on bytes (--explain shows which operators are left) and say what numpy says of the
graph as it is written, to one step of the result's scale, in few places."""
import os
import subprocess
import sys
import tempfile

import numpy as np

from onnx_graph import Graph

rng = np.random.default_rng(5)


def f32(v):
    return np.asarray(v, "float32")


class Q:
    """A graph, and beside each of its tensors what it is worth."""

    def __init__(self, x, signed=False):
        self.g, self.value, self.signed = Graph(x.shape), {"x": f32(x)}, signed

    def put(self, kind, value, *inputs, **attributes):
        name = self.g(kind, *inputs, **attributes)
        self.value[name] = f32(value)
        return name

    def qdq(self, name, scale, zero, signed=None):
        signed = self.signed if signed is None else signed
        low, high, kind = (-128, 127, "int8") if signed else (0, 255, "uint8")
        zero = zero - 128 if signed else zero
        s, z = self.g.const(f32(scale)), self.g.const(np.asarray(zero, kind))
        quantum = np.clip(np.rint(self.value[name] / np.float32(scale)) + zero, low, high)
        bytes_ = self.g("QuantizeLinear", name, s, z)
        return self.put("DequantizeLinear", f32(quantum - zero) * np.float32(scale), bytes_, s, z)

    def weights(self, w, kind="int8", axis=0):
        """Stored as bytes, one scale for each index of the axis; what they are worth then."""
        other = tuple(i for i in range(w.ndim) if i != axis)
        shape = [-1 if i == axis else 1 for i in range(w.ndim)]
        scale = f32(np.abs(w).max(other) / 127)
        zero = np.zeros(len(scale), kind) + (128 if kind == "uint8" else 0)
        stored = (np.rint(w / scale.reshape(shape)) + zero.reshape(shape)).astype(kind)
        name = self.g("DequantizeLinear", self.g.const(stored), self.g.const(scale),
                      self.g.const(zero.astype(kind)), axis=axis)
        self.value[name] = (stored.astype("float32") - zero.reshape(shape)) * scale.reshape(shape)
        return name, scale

    def bias(self, b, unit):
        stored = np.rint(b / unit).astype("int32")
        name = self.g("DequantizeLinear", self.g.const(stored), self.g.const(f32(unit)),
                      self.g.const(np.zeros(len(stored), "int32")), axis=0)
        self.value[name] = f32(stored * unit)
        return name

    def conv(self, x, x_scale, k, kernel, stride=1, groups=1, kind="int8"):
        value = self.value[x]
        w, scale = self.weights(rng.normal(size=(k, value.shape[1] // groups, kernel, kernel)), kind)
        b = self.bias(rng.normal(size=k), x_scale * scale)
        pad = kernel // 2
        return self.put("Conv", conv(value, self.value[w], self.value[b], stride, pad, groups), x, w, b,
                        strides=[stride, stride], pads=[pad] * 4, group=groups)


def conv(x, w, b, stride, pad, groups):
    x = np.pad(x.astype("float64"), ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    n, c, h, width = x.shape
    k, depth, kh, kw = w.shape
    y = np.zeros((n, k, (h - kh) // stride + 1, (width - kw) // stride + 1))
    each = k // groups
    for g in range(groups):
        for i in range(kh):
            for j in range(kw):
                part = x[:, g * depth:(g + 1) * depth, i:i + (y.shape[2] - 1) * stride + 1:stride,
                         j:j + (y.shape[3] - 1) * stride + 1:stride]
                y[:, g * each:(g + 1) * each] += np.einsum("nchw,kc->nkhw", part,
                                                           w[g * each:(g + 1) * each, :, i, j])
    return y + b[:, None, None]


def infer(*arguments):
    return subprocess.run(["infer", *arguments], check=True, capture_output=True, text=True).stdout


def check(name, q, output, scale, seen, left=1, whole=True):
    """left: how many DequantizeLinear may be left, for the results that are floats. whole: all is computed in
    whole numbers, so that every kernel gives the same bytes."""
    wanted = q.value[output]
    with tempfile.TemporaryDirectory() as folder:
        model, source, result = (os.path.join(folder, f) for f in ("m.onnx", "x", "y"))
        with open(model, "wb") as f:
            f.write(q.g.bytes(output))
        q.value["x"].astype("<f4").tofile(source)
        plan = infer("--explain", model)
        got = {}
        for kernels in "native", "reference":
            infer("--run", model, "--input", source, "--output", result, "--kernels", kernels)
            got[kernels] = np.fromfile(result, "<f4").reshape(wanted.shape)
    off = np.abs(got["native"] - wanted)
    same = np.array_equal(got["native"], got["reference"])
    fine = (same or not whole) and off.max() <= 1.001 * scale and (off > scale / 2).mean() < 0.02
    fine &= all(word in plan for word in seen) and plan.count("DequantizeLinear") <= left
    print(f"{'ok' if fine else 'FAILED'}: {name}, {off.max() / scale:.2f} steps at most, "
          f"{(off > scale / 2).sum()} of {off.size} off, {'the same' if same else 'other'} bytes by reference")
    if not fine:
        print(plan)
    return fine


x = rng.normal(size=(1, 12, 9, 10))
all_fine = True

for signed in False, True:
    for kind in "int8", "uint8":
        q = Q(x, signed)
        a = q.qdq("x", 0.03, 120)
        c = q.conv(a, 0.03, 20, 3, kind=kind)
        r = q.put("Relu", np.maximum(q.value[c], 0), c)
        y = q.qdq(r, 0.1, 0)
        all_fine &= check(f"Conv, Relu, signed {signed}, weights {kind}", q, y, 0.1, ["QConv", "+Relu"])

q = Q(x)
a = q.qdq("x", 0.03, 120)
c = q.qdq(q.conv(a, 0.03, 12, 3, groups=12), 0.05, 130)
d = q.qdq(q.conv(c, 0.05, 12, 1), 0.05, 128)
s = q.put("Add", q.value[d] + q.value[a], d, a)
r = q.put("Relu", np.maximum(q.value[s], 0), s)
all_fine &= check("depthwise, Conv, Add, Relu", q, q.qdq(r, 0.06, 3), 0.06, ["+Add +Relu"])

q = Q(x)
a = q.qdq("x", 0.03, 120)
c = q.qdq(q.conv(a, 0.03, 16, 3, stride=2), 0.06, 128)
gate = q.qdq(q.put("Sigmoid", 1 / (1 + np.exp(-q.value[c].astype("float64"))), c), 1 / 256, 0)
silu = q.qdq(q.put("Mul", q.value[c] * q.value[gate], c, gate), 0.04, 10)
all_fine &= check("Silu after Conv is a table in it", q, silu, 0.04, ["QConv"])

q = Q(x)
a = q.qdq("x", 0.03, 120)
c = q.qdq(q.conv(a, 0.03, 16, 3), 0.06, 128)
m = q.put("GlobalAveragePool", q.value[c].mean((2, 3), keepdims=True), c)
gate = q.qdq(q.conv(q.qdq(m, 0.01, 128), 0.01, 16, 1), 0.02, 128)
y = q.qdq(q.put("Mul", q.value[c] * q.value[gate], c, gate), 0.05, 128)
all_fine &= check("squeeze and excite", q, y, 0.05, ["QGlobalAveragePool", "QLinearMul"])

q = Q(x)
a = q.qdq("x", 0.03, 120)
left, right = q.qdq(q.conv(a, 0.03, 8, 1), 0.05, 128), q.qdq(q.conv(a, 0.03, 24, 3), 0.07, 120)
j = q.put("Concat", np.concatenate([q.value[left], q.value[right]], 1), left, right, axis=1)
p = q.value[j]
pool = np.max([p[:, :, i:i + 8:2, k:k + 9:2] for i in range(2) for k in range(2)], 0)
y = q.put("MaxPool", pool, q.qdq(j, 0.07, 120), kernel_shape=[2, 2], strides=[2, 2])
all_fine &= check("Concat of several scales, MaxPool", q, q.qdq(y, 0.07, 120), 0.07, ["in place", "MaxPool"])

q = Q(x)
a = q.qdq("x", 0.03, 120)
c = q.qdq(q.conv(a, 0.03, 6, 1), 0.05, 128)
flat = q.put("Flatten", q.value[c].reshape(1, -1), c)
w, scale = q.weights(rng.normal(size=(540, 10)), axis=1)
b = q.bias(rng.normal(size=10), 0.05 * scale)
y = q.put("Gemm", q.value[flat] @ q.value[w] + q.value[b], flat, w, b)
all_fine &= check("Gemm, floats as its result", q, y, 1e-2, ["QGemm"], left=0)

q = Q(x)
a = q.qdq("x", 0.03, 120)
factor, summand = rng.normal(size=12), rng.normal(size=12)
zeros, ones = np.zeros(12), np.ones(12) - 1e-5
norm = q.put("BatchNormalization", q.value[a] * factor[:, None, None] + summand[:, None, None], a, factor,
             summand, zeros, ones)
r = q.put("Relu", np.maximum(q.value[norm], 0), norm)
all_fine &= check("BatchNormalization alone", q, q.qdq(r, 0.02, 0), 0.02, ["QScale"])

q = Q(x)
a = q.qdq("x", 0.03, 120)
c = q.qdq(q.conv(a, 0.03, 8, 3), 0.06, 128)
v = np.pad(q.value[c], ((0, 0), (0, 0), (1, 1), (1, 1)))
count = np.pad(np.ones((9, 10)), 1)
total = sum(v[:, :, i:i + 9, k:k + 10] for i in range(3) for k in range(3))
inside = sum(count[i:i + 9, k:k + 10] for i in range(3) for k in range(3))
mean = q.put("AveragePool", total / inside, c, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
all_fine &= check("AveragePool", q, q.qdq(mean, 0.0413, 128), 0.0413, ["QAveragePool"])

# What ONNX Runtime's quantiser writes in a domain of its own, between the two that say what it is worth.
q = Q(x)
a = q.qdq("x", 0.03, 120)
g, value = q.g, q.value[a]
k = lambda v, kind="float32": g.const(np.asarray(v, kind))
u8 = lambda v: k(v, "uint8")


def stored(value, scale, zero):
    return np.clip(np.rint(f32(value) / np.float32(scale)) + zero, 0, 255)


bytes_ = g("QuantizeLinear", "x", k(0.03), u8(120))
real = lambda b, scale, zero: f32(b - zero) * np.float32(scale)
ms = {"domain": "com.microsoft"}
s = g("QLinearSigmoid", bytes_, k(0.03), u8(120), k(1 / 256), u8(0), **ms)
sv = real(stored(1 / (1 + np.exp(-value.astype("float64"))), 1 / 256, 0), 1 / 256, 0)
m = g("QLinearMul", bytes_, k(0.03), u8(120), s, k(1 / 256), u8(0), k(0.021), u8(100), **ms)
mv = real(stored(value * sv, 0.021, 100), 0.021, 100)
j = g("QLinearConcat", k(0.031), u8(110), bytes_, k(0.03), u8(120), m, k(0.021), u8(100), axis=1, **ms)
jv = real(stored(np.concatenate([value, mv], 1), 0.031, 110), 0.031, 110)
p = g("QLinearGlobalAveragePool", j, k(0.031), u8(110), k(0.0113), u8(90), **ms)
pv = real(stored(jv.mean((2, 3), keepdims=True), 0.0113, 90), 0.0113, 90)
f = g("Flatten", p)
matrix, bias = rng.integers(-127, 128, (24, 5)), rng.integers(-500, 500, 5)
y = g("QGemm", f, k(0.0113), u8(90), k(matrix, "int8"), k([0.01] * 5), k([0] * 5, "int8"), k(bias, "int32"),
      k(0.11), u8(128), transB=0, **ms)
yv = pv.reshape(1, 24) @ (matrix * 0.01) + bias * 0.0113 * 0.01
out = g("DequantizeLinear", y, k(0.11), u8(128))
q.value[out] = real(stored(yv, 0.11, 128), 0.11, 128)
all_fine &= check("QLinearSigmoid, Mul, Concat, GlobalAveragePool, QGemm", q, out, 0.11,
                  ["Lookup", "QLinearMul", "QLinearGlobalAveragePool", "QGemm"])

# Not all is quantised: weights alone, and a Relu in floats that others read too.
q = Q(x)
w, _ = q.weights(rng.normal(size=(5, 12, 1, 1)))
y = q.put("Conv", conv(q.value["x"], q.value[w], np.zeros(5), 1, 0, 1), "x", w)
all_fine &= check("weights alone", q, y, 1e-3, ["Conv"], left=0, whole=False)

# DenseNet's beginnings that are joined again and again, in floats between.
q = Q(x)
parts = [q.qdq("x", 0.03, 120)]
for depth in range(3):
    values = np.concatenate([q.value[p] for p in parts], 1)
    joined = q.put("Concat", values, *parts, axis=1)
    n = values.shape[1]
    shifted = q.put("BatchNormalization", values + 0.5, joined, np.ones(n), np.zeros(n) + 0.5, np.zeros(n),
                    np.ones(n) - 1e-5)
    inner = q.qdq(q.put("Relu", np.maximum(q.value[shifted], 0), shifted), 0.03, 0)
    parts.append(q.qdq(q.conv(inner, 0.03, 4, 3), 0.08, 128))
y = q.put("Concat", np.concatenate([q.value[p] for p in parts], 1), *parts, axis=1)
all_fine &= check("Concats that begin alike", q, y, 0.08, ["QConv"], left=9)

# Since opset 21 an attribute may say that bytes are signed, and there may be no zero point.
q = Q(x)
q.g.opset = 21
c = q.conv(q.qdq("x", 0.03, 120), 0.03, 6, 3)
s = q.g.const(f32(0.05))
bytes_ = q.g("Flatten", q.g("QuantizeLinear", c, s, output_dtype=3))
value = np.clip(np.rint(q.value[c] / np.float32(0.05)), -128, 127).reshape(1, -1) * np.float32(0.05)
y = q.put("DequantizeLinear", value, bytes_, s)
all_fine &= check("i8 by output_dtype, no zero point", q, y, 0.05, ["QConv"])

q = Q(x)
q.g.opset = 21
pool = np.max([x[:, :, i:i + 8, k:k + 9] for i in range(2) for k in range(2)], 0)
s, z = q.g.const(f32(0.03)), q.g.const(np.asarray(5, "int8"))
bytes_ = q.g("QuantizeLinear", q.g("MaxPool", "x", kernel_shape=[2, 2]), s, z, output_dtype=3)
y = q.put("DequantizeLinear", (np.clip(np.rint(f32(pool) / np.float32(0.03)) + 5, -128, 127) - 5) * 0.03, bytes_, s, z)
all_fine &= check("output_dtype of what moves before MaxPool", q, y, 0.03, ["MaxPool"])

# Of a channel whose weights are next to nothing the bias is what is left: no sum of 32 bits can hold it.
for whose in "floats", "stored":
    q = Q(x)
    a = q.qdq("x", 0.03, 120)
    scale = f32([1e-38, 0.01, 0, 0.01])
    stored_w = np.ones((4, 12, 1, 1), "int8")
    w = q.g("DequantizeLinear", q.g.const(stored_w), q.g.const(scale), q.g.const(np.zeros(4, "int8")), axis=0)
    b = f32([1.5, 2, -3, 4])
    b_name = q.bias(b, f32([0.01])[[0] * 4]) if whose == "stored" else q.g.const(b)
    value = conv(q.value[a], stored_w * scale[:, None, None, None], b, 1, 0, 1)
    y = q.qdq(q.put("Conv", value, a, w, b_name), 0.05, 128)
    all_fine &= check(f"channels of bias alone, {whose}", q, y, 0.05, ["Conv"], left=9, whole=False)

# A scale so small that all is stopped.
for kind in "Add", "Mul":
    q = Q(x)
    a, b = q.qdq("x", 0.03, 120), q.qdq("x", 1e5, 7)
    value = q.value[a] + q.value[b] if kind == "Add" else q.value[a] * q.value[b]
    s, z = q.g.const(f32(1e-36)), q.g.const(np.asarray(120, "uint8"))
    bytes_ = q.g("QuantizeLinear", q.put(kind, value, a, b), s, z)
    with np.errstate(over="ignore"):
        stopped = np.clip(np.rint(f32(value) / np.float32(1e-36)) + 120, 0, 255)
    y = q.put("DequantizeLinear", (stopped - 120) * 0.03, bytes_, q.g.const(f32(0.03)), z)
    all_fine &= check(f"{kind} with a scale of next to nothing", q, y, 0.03, [], left=9)

# Means of many values: what counts is how many of them are one mean.
q = Q(rng.normal(size=(1, 4, 1450, 1450)))
a = q.qdq("x", 0.03, 120)
y = q.qdq(q.put("GlobalAveragePool", q.value[a].astype("float64").mean((2, 3), keepdims=True), a), 1e-4, 128)
all_fine &= check("mean of a picture of millions", q, y, 1e-4, ["QGlobalAveragePool"])

sys.exit(not all_fine)
