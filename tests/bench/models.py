#!/usr/bin/python3
"""Time per picture of `infer --bench` beside other engines, one thread, batch 1, interleaved in one run.

    models.py [--threads N] [--rounds N] MODEL.onnx…

Peers: OpenCV's DNN module (Debian's python3-opencv), and ONNX Runtime where `npm install onnxruntime-node` has put it
into ./node_modules. Prints minimum and median ms of each and the ratio of our minimum to theirs; a peer that cannot load a
model is left out with a dash.
"""
import argparse
import json
import os
import subprocess
import time

ORT = """
const ort = require('onnxruntime-node');
const [model, threads, runs] = process.argv.slice(1);
(async () => {
  const s = await ort.InferenceSession.create(model, { intraOpNumThreads: +threads, interOpNumThreads: 1, logSeverityLevel: 3 });
  const shape = s.inputMetadata[0].shape.map(d => typeof d === 'number' && d > 0 ? d : 1);
  const x = new Float32Array(shape.reduce((a, b) => a * b, 1)).map((_, i) => (i * 7919 % 1000) / 500 - 1);
  const feeds = { [s.inputNames[0]]: new ort.Tensor('float32', x, shape) };
  const times = [];
  for (let i = 0; i < +runs + 3; i++) { const t = process.hrtime.bigint(); await s.run(feeds); times.push(Number(process.hrtime.bigint() - t) / 1e6); }
  const t = times.slice(3).sort((a, b) => a - b);
  console.log(JSON.stringify({ min: t[0], median: t[t.length >> 1] }));
})().catch(() => process.exit(1));
"""


def ours(infer, model, threads, runs):
    out = subprocess.run([infer, "--bench", model, "-t", str(threads), "--runs", str(runs), "--json"],
                         capture_output=True, text=True)
    if out.returncode:
        return None
    row = json.loads(out.stdout)
    return row["min_ms"], row["median_ms"]


def opencv(model, threads, runs):
    try:
        import cv2
        import numpy as np
        cv2.setNumThreads(threads)
        net = cv2.dnn.readNetFromONNX(model)
        shape = json.loads(subprocess.run([INFER, "--bench", model, "--runs", "1", "--json"],
                                          capture_output=True, text=True).stdout)["input"]
        x = np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)
        times = []
        for _ in range(runs + 2):
            net.setInput(x)
            start = time.perf_counter()
            net.forward()
            times.append((time.perf_counter() - start) * 1e3)
    except Exception:  # whatever it is, this peer does not run this model
        return None
    times = sorted(times[2:])
    return times[0], times[len(times) // 2]


def ort(model, threads, runs):
    if not os.path.isdir("node_modules/onnxruntime-node"):
        return None
    out = subprocess.run(["node", "-e", ORT, model, str(threads), str(runs)], capture_output=True, text=True)
    if out.returncode:
        return None
    row = json.loads(out.stdout)
    return row["min"], row["median"]


def best(rounds):
    rounds = [r for r in rounds if r]
    if not rounds:
        return None
    medians = sorted(r[1] for r in rounds)
    return min(r[0] for r in rounds), medians[len(medians) // 2]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("models", nargs="+")
    args = p.parse_args()
    print(f"{'model':28} {'andon min/median':>20} {'OpenCV':>18} {'ratio':>6} {'ONNX Runtime':>18} {'ratio':>6}")
    for model in args.models:
        got = {"ours": [], "opencv": [], "ort": []}
        for _ in range(args.rounds):
            got["ours"].append(ours(INFER, model, args.threads, 20))
            got["opencv"].append(opencv(model, args.threads, 10))
            got["ort"].append(ort(model, args.threads, 20))
        a, b, c = (best(got[k]) for k in ("ours", "opencv", "ort"))
        show = lambda r: f"{r[0]:8.2f}/{r[1]:.2f}" if r else "-"
        ratio = lambda r: f"{a[0] / r[0]:6.2f}" if a and r else "-"
        name = os.path.basename(model)
        if name == "model.onnx":
            name = os.path.basename(os.path.dirname(model))
        print(f"{name[:28]:28} {show(a):>20} {show(b):>18} {ratio(b):>6} {show(c):>18} {ratio(c):>6}", flush=True)


INFER = os.path.join(os.environ.get("BUILD", "build"), "bin", "infer")
if __name__ == "__main__":
    main()
