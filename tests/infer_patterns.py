#!/usr/bin/python3
"""Small graphs as exporters spell them out: infer must see what they are (--explain) and compute what
numpy computes."""
import math
import os
import subprocess
import sys
import tempfile

import numpy as np

from onnx_graph import Graph


def infer(*arguments):
    return subprocess.run(["infer", *arguments], check=True, capture_output=True, text=True).stdout


def check(name, graph, output, wanted, x, seen):
    with tempfile.TemporaryDirectory() as folder:
        model, source, result = (os.path.join(folder, f) for f in ("m.onnx", "x", "y"))
        with open(model, "wb") as f:
            f.write(graph.bytes(output))
        x.astype("<f4").tofile(source)
        plan = infer("--explain", model)
        worst = 0
        for kernels, threads in ("native", "1"), ("native", "3"), ("blis", "1"), ("reference", "1"):
            infer("--run", model, "--input", source, "--output", result, "--kernels", kernels, "--threads", threads)
            y = np.fromfile(result, "<f4").reshape(wanted.shape)
            worst = max(worst, float(np.abs(y - wanted).max()))
    fine = worst < 1e-4 and all(word in plan for word in seen)
    print(f"{'ok' if fine else 'FAILED'}: {name}, worst error {worst:.1e}")
    if not fine:
        print(plan)
    return fine


rng = np.random.default_rng(1)
erf = np.vectorize(math.erf)
x = rng.normal(size=(1, 6, 5, 4)).astype("float32")
d = x.astype("float64")
sigmoid = 1 / (1 + np.exp(-d))
all_fine = True

g = Graph(x.shape)
y = g("Mul", "x", g("Sigmoid", "x"))
all_fine &= check("Silu", g, y, d * sigmoid, x, ["Silu"])

for shape_of_half in range(3):
    g = Graph(x.shape)
    one = g("Add", g("Erf", g("Div", "x", math.sqrt(2))), 1)
    y = (g("Mul", g("Mul", "x", one), 0.5), g("Mul", "x", g("Mul", one, 0.5)), g("Mul", g("Mul", "x", 0.5), one))[shape_of_half]
    all_fine &= check("Gelu", g, y, d * (1 + erf(d / math.sqrt(2))) / 2, x, ["Gelu"])

scale, shift = rng.normal(size=4), rng.normal(size=4)
g = Graph(x.shape)
centred = g("Sub", "x", g("ReduceMean", "x", axes=[-1]))
variance = g("ReduceMean", g("Pow", centred, 2), axes=[-1])
y = g("Add", g("Mul", g("Div", centred, g("Sqrt", g("Add", variance, 1e-5))), scale), shift)
wanted = (d - d.mean(-1, keepdims=True)) / np.sqrt(d.var(-1, keepdims=True) + 1e-5) * scale + shift
all_fine &= check("LayerNormalization", g, y, wanted, x, ["LayerNormalization"])

weight = rng.normal(size=(6, 6, 1, 1))
mixed = np.einsum("kc,nchw->nkhw", weight[:, :, 0, 0], d)
g = Graph(x.shape)
apart = g("Reshape", g("Conv", "x", weight), g.const(np.array([1, 2, 3, 5, 4])))
y = g("Reshape", g("Transpose", apart, perm=[0, 2, 1, 3, 4]), g.const(np.array([1, 6, 5, 4])))
wanted = mixed.reshape(1, 2, 3, 5, 4).transpose(0, 2, 1, 3, 4).reshape(1, 6, 5, 4)
all_fine &= check("channel shuffle", g, y, wanted, x, ["ChannelShuffle"])

g = Graph(x.shape)
a = g("Conv", "x", weight)
left = g("Slice", a, *(g.const(np.array([v])) for v in (0, 2, 1)))
right = g("Slice", a, *(g.const(np.array([v])) for v in (2, 6, 1)))
small = rng.normal(size=(3, 4, 1, 1))
y = g("Concat", left, g("Conv", right, small), axis=1)
wanted = np.concatenate([mixed[:, :2], np.einsum("kc,nchw->nkhw", small[:, :, 0, 0], mixed[:, 2:])], 1)
all_fine &= check("slices and Concat in place", g, y, wanted, x, ["in place", "into its place"])

g = Graph(x.shape)
parts = [g("Conv", "x", weight)]
numbers = [mixed]
for depth in range(3):
    joined, whole = (g("Concat", *parts, axis=1), np.concatenate(numbers, 1)) if depth else (parts[0], mixed)
    more = rng.normal(size=(2, whole.shape[1], 1, 1))
    parts.append(g("Conv", joined, more))
    numbers.append(np.einsum("kc,nchw->nkhw", more[:, :, 0, 0], whole))
y = g("Concat", *parts, axis=1)
all_fine &= check("Concats that begin alike", g, y, np.concatenate(numbers, 1), x, ["in place"])

mean, variance = rng.normal(size=6), rng.uniform(0.5, 2, size=6)
gain, offset = rng.normal(size=6), rng.normal(size=6)
g = Graph(x.shape)
y = g("Relu", g("BatchNormalization", "x", gain, offset, mean, variance))
column = (slice(None), None, None)
wanted = np.maximum((d - mean[column]) / np.sqrt(variance[column] + 1e-5) * gain[column] + offset[column], 0)
all_fine &= check("BatchNormalization alone", g, y, wanted, x, ["Scale", "+Relu"])

large = rng.normal(size=(2, 6, 13, 11)).astype("float32")
squeeze = rng.normal(size=(6, 6, 1, 1))
spread = large.astype("float64")
for act, of in (("Relu", lambda v: np.maximum(v, 0)), ("Sigmoid", lambda v: 1 / (1 + np.exp(-v))), ("HardSwish", lambda v: v * np.clip(v / 6 + 0.5, 0, 1))):
    g = Graph(large.shape)
    g.opset = 14
    gate = g("Conv", g("GlobalAveragePool", "x"), squeeze)
    y = g("Conv", g(act, g("BatchNormalization", g("Mul", "x", gate), gain, offset, mean, variance)), weight)
    gated = spread * np.einsum("kc,nc->nk", squeeze[:, :, 0, 0], spread.mean((2, 3)))[:, :, None, None]
    scaled = of((gated - mean[column]) / np.sqrt(variance[column] + 1e-5) * gain[column] + offset[column])
    all_fine &= check(f"BatchNormalization and {act} before Conv", g, y, np.einsum("kc,nchw->nkhw", weight[:, :, 0, 0], scaled), large, ["Gate", "scale, igemm"])

g = Graph(x.shape)
inner = g("Add", g("BatchNormalization", g("Conv", "x", weight), gain, offset, mean, variance), "x")
y = g("Relu", inner)
wanted = np.maximum((mixed - mean[column]) / np.sqrt(variance[column] + 1e-5) * gain[column] + offset[column] + d, 0)
all_fine &= check("Conv, BatchNormalization, residual, Relu", g, y, wanted, x, ["+Add +Relu"])

matrix, bias = rng.normal(size=(4, 7)), rng.normal(size=7)
g = Graph(x.shape)
y = g("Relu", g("Add", g("MatMul", "x", matrix), bias))
all_fine &= check("MatMul with bias", g, y, np.maximum(d @ matrix + bias, 0), x, ["MatMul", "+Relu"])

g = Graph(x.shape)
y = g("ReduceMean", g("Conv", "x", weight), axes=[2, 3], keepdims=0)
all_fine &= check("mean of pictures", g, y, mixed.mean((2, 3)), x, ["GlobalAveragePool"])

g = Graph(x.shape)
nhwc = g("Transpose", g("Conv", "x", weight), perm=[0, 2, 3, 1])
y = g("Transpose", nhwc, perm=[0, 3, 1, 2])
all_fine &= check("Transposes that cancel", g, y, mixed, x, ["(view)"])

tall = rng.normal(size=(2, 24, 40, 31)).astype("float32")
v = tall.astype("float64")
per_channel, row, gains = rng.normal(size=(24, 1, 1)), rng.normal(size=31), rng.normal(size=(24, 24, 1, 1))
g = Graph(tall.shape)
g.opset = 17
y = g("LayerNormalization", g("Add", g("Mul", g("Conv", "x", gains), per_channel), g("Sub", "x", row)), row, row)
v = np.einsum("kc,nchw->nkhw", gains[:, :, 0, 0], v) * per_channel + (v - row)
wanted = (v - v.mean(-1, keepdims=True)) / np.sqrt(v.var(-1, keepdims=True) + 1e-5) * row + row
all_fine &= check("sums and norms in several lanes", g, y, wanted, tall, ["LayerNormalization", "Sub"])

single = rng.normal(size=(1, 1, 1, 70001)).astype("float32")
g = Graph(single.shape)
y = g("Max", g("Mul", "x", 3), "x")
all_fine &= check("one long row in several lanes", g, y, np.maximum(single.astype("float64") * 3, single), single, ["Max"])

sys.exit(not all_fine)
