#!/usr/bin/python3
"""Networks in `infer --bench`, beside ONNX Runtime where it is there, in turns within one run; batch 1.

    networks.py [--threads N] [--rounds N] [--runs N] [--opencv] MODEL.onnx…

A round is a process of each, which warms up and then times RUNS runs: minimum over all rounds, median of the rounds'
medians. GF/s and its part of the core's measured peak (tests/bench/peak.c; of all threads' cores) are those of the
minimum. Memory: the largest resident set of the process; `of plan`: that less an empty process's, over weights and
arena, wanted at most 1.25; for ONNX Runtime also what node held before it was loaded is taken off. Ratio: our time over
theirs. ONNX Runtime is the npm package onnxruntime-node; ANDON_BENCH_ORT names the node_modules it lies in.
"""
import argparse
import json
import math
import os
import statistics
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("BUILD", "build")
INFER = os.path.join(BUILD, "bin", "infer")
HOW_TO_ORT = """No ONNX Runtime to compare with. To have it: npm install --prefix /tmp/ort onnxruntime-node
then ANDON_BENCH_ORT=/tmp/ort/node_modules make bench"""


def json_of(command, **environment):
    out = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ, **environment))
    return json.loads(out.stdout) if out.returncode == 0 and out.stdout else None


def ours(model, args):
    return json_of([INFER, "--bench", model, "-t", str(args.threads), "--runs", str(args.runs), "--json"])


def theirs(model, args, shape):
    return json_of(["node", os.path.join(HERE, "ort.js"), model, str(args.threads), str(args.runs), json.dumps(shape)], NODE_PATH=args.ort)


def opencv(model, args, shape):
    try:
        import time
        import cv2
        import numpy as np
        cv2.setNumThreads(args.threads)
        net = cv2.dnn.readNetFromONNX(model)
        x, times = np.linspace(-1, 1, math.prod(shape), dtype=np.float32).reshape(shape), []
        for _ in range(args.runs + 2):
            net.setInput(x)
            start = time.perf_counter()
            net.forward()
            times.append((time.perf_counter() - start) * 1e3)
        return {"min_ms": min(times[2:]), "median_ms": statistics.median(times[2:])}
    except Exception:  # whatever it is, this peer does not run this model
        return None


def find_ort():
    for folder in (os.environ.get("ANDON_BENCH_ORT"), "node_modules"):
        if folder and os.path.isdir(os.path.join(folder, "onnxruntime-node")):
            return os.path.abspath(folder)
    print(HOW_TO_ORT)
    return None


def empty_process():
    """Peak kB of infer without a network to speak of: the demo's holds 60 kB."""
    tiny = json_of([INFER, "--bench", os.path.join(HERE, "../../pipelines/demo/rings.onnx"), "--runs", "1", "--json"])
    return tiny["peak_rss_kb"] - (tiny["weight_bytes"] + tiny["arena_bytes"]) // 1024


def fold(rounds):
    rounds = [r for r in rounds if r]
    if not rounds:
        return None
    row = dict(rounds[-1])
    row["min_ms"] = min(r["min_ms"] for r in rounds)
    row["median_ms"] = statistics.median(r["median_ms"] for r in rounds)
    row["peak_rss_kb"] = max(r.get("peak_rss_kb", 0) for r in rounds)
    row["gflops"] = max(r.get("gflops", 0) for r in rounds)
    row["ready_ms"] = statistics.median(r.get("ready_ms", 0) for r in rounds)
    return row


def measure(model, args):
    got = {"ours": [], "ort": [], "opencv": []}
    for _ in range(args.rounds):
        got["ours"].append(ours(model, args))
        if not got["ours"][-1]:
            return {}
        shape = got["ours"][-1]["input"]
        if args.ort:
            got["ort"].append(theirs(model, args, shape))
        if args.opencv:
            got["opencv"].append(opencv(model, args, shape))
    return {k: fold(v) for k, v in got.items()}


def show(name, got, args):
    a, b, c = got["ours"], got["ort"], got["opencv"]
    plan = (a["peak_rss_kb"] - args.base) * 1024 / (a["weight_bytes"] + a["arena_bytes"])
    text = (f"{name[:20]:20} {a['min_ms']:8.2f} {a['median_ms']:8.2f} {a['gflops']:7.1f} {a['gflops'] / args.peak:5.0%} "
            f"{a['peak_rss_kb'] / 1024:7.1f} {plan:7.2f} {a['ready_ms']:7.0f}")
    if b:
        text += (f" | {b['min_ms']:8.2f} {b['median_ms']:8.2f} {b['peak_rss_kb'] / 1024:7.1f} "
                 f"{(b['peak_rss_kb'] - b['base_rss_kb']) / 1024:7.1f} {a['min_ms'] / b['min_ms']:6.2f} {a['median_ms'] / b['median_ms']:6.2f}")
    if c:
        text += f" | {c['min_ms']:8.2f} {c['median_ms']:8.2f} {a['min_ms'] / c['min_ms']:6.2f}"
    print(text, flush=True)
    return (a["min_ms"] / b["min_ms"], a["median_ms"] / b["median_ms"]) if b else None


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--runs", type=int, default=20)
    p.add_argument("--int8", action="store_true", help="the peak is that of bytes")
    p.add_argument("--opencv", action="store_true", help="OpenCV's DNN module too")
    p.add_argument("models", nargs="+")
    args = p.parse_args()
    args.ort, args.base = find_ort(), empty_process()
    f32, i8 = map(float, subprocess.run([os.path.join(BUILD, "bench", "peak")], capture_output=True, text=True).stdout.split())
    args.peak = (i8 if args.int8 and i8 else f32) * args.threads
    print(f"{args.threads} thread(s), peak {args.peak:.0f} G operations/s {'of bytes' if args.int8 and i8 else 'f32'}, "
          f"kernels up to {os.environ.get('ANDON_ISA', 'the best')}; an empty process holds {args.base / 1024:.1f} MB")
    print(f"{'':20} {'andon':>8} {'':8} {'':7} {'':5} {'peak':>7} {'of':>7} {'ready':>7}   {'ORT':>8} {'':8} {'peak':>7} {'less':>7} {'ratio':>6}")
    print(f"{'':20} {'min ms':>8} {'median':>8} {'GF/s':>7} {'peak':>5} {'MB':>7} {'plan':>7} {'ms':>7}   {'min ms':>8} {'median':>8} {'MB':>7} "
          f"{'node':>7} {'min':>6} {'median':>6}")
    ratios = []
    for model in args.models:
        name = os.path.basename(model)[:-5]
        name = os.path.basename(os.path.dirname(model)) if name == "model" else name
        got = measure(model, args)
        if got.get("ours"):
            ratios.append(show(name, got, args))
        else:
            print(f"{name:20} does not run: see infer --check {model}")
    ratios = [r for r in ratios if r]
    if ratios:
        mean = [math.exp(statistics.fmean(math.log(r[i]) for r in ratios)) for i in (0, 1)]
        print(f"geometric mean of {len(ratios)} ratios to ONNX Runtime: {mean[0]:.3f} of minima, {mean[1]:.3f} of medians")


if __name__ == "__main__":
    main()
