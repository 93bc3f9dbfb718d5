#!/usr/bin/python3
"""What the ring classifier is worth: its answers on pictures that it never saw.

    evaluate.py [MODEL.onnx]    rings.onnx, on 1000 pictures of seed 2

OpenCV's DNN module computes, so that neither the trainer nor andon judges its own work. Train.py takes
its pictures from here too: they go through Pillow exactly as the recipe says, in training as in the
test, so that `preprocess` gives the network the very bytes it learnt on.
Needs Debian's python3-opencv, python3-numpy, python3-pil.
"""
import io
import os
import sys
from multiprocessing import Pool

import numpy as np
from PIL import Image

from make_parts import LABELS, SIZE, draw

HERE = os.path.dirname(os.path.abspath(__file__))
SIDE, CELLS = 128, 16
MEAN, STD = (0.3, 0.3, 0.3), (0.2, 0.2, 0.2)
RECIPE = (f"resize=stretch:{SIDE}x{SIDE};interp=bilinear;antialias=1;color=rgb;scale=1/255;"
    f"mean={','.join(map(str, MEAN))};std={','.join(map(str, STD))};layout=nchw;dtype=f32")
LEARN, TEST = (1, 6000), (2, 1000)  # seed, how many; seed 3 is parts/


def one(job):
    """A picture as the network sees it, its label, and which of the map's cells the defect covers.
    To learn, all classes come equally often; to test, as often as they come along."""
    seed, index = job
    label, pixels, mark = draw(seed, index, LABELS[index % len(LABELS)] if seed == LEARN[0] else None)
    if index % 11 == 10:  # some come as JPEG, of every class
        keep = io.BytesIO()
        Image.fromarray(pixels).save(keep, "JPEG", quality=93, subsampling=0)
        pixels = np.asarray(Image.open(keep).convert("RGB"))
    small = Image.fromarray(pixels).resize((SIDE, SIDE), Image.BILINEAR)  # Pillow's has antialias=1
    cells = mark.reshape(CELLS, SIZE // CELLS, CELLS, SIZE // CELLS).max((1, 3))
    return LABELS.index(label), np.asarray(small), cells


def pictures(seed, count):
    with Pool(2) as pool:
        made = pool.map(one, [(seed, k) for k in range(count)], chunksize=50)
    labels, images, cells = zip(*made)
    return np.stack(images), np.array(labels), np.stack(cells)


def normal(pixels):
    """N,H,W,3 bytes to N,3,H,W floats, as the recipe's scale, mean and std."""
    x = pixels.astype(np.float32) / np.float32(255)
    x = (x - np.float32(MEAN)) / np.float32(STD)
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def compute(path, x):
    import cv2  # only here: make_parts and train need no OpenCV
    net = cv2.dnn.readNetFromONNX(path)
    out = []
    for image in x:
        net.setInput(image[None])
        out.append(net.forward()[0].copy())
    return np.array(out)


def report(logits, truth):
    said = logits.argmax(1)
    table = np.zeros((len(LABELS), len(LABELS)), int)
    np.add.at(table, (truth, said), 1)
    good = LABELS.index("good")
    bad = truth != good
    print(f"accuracy {100 * (said == truth).mean():.2f} % of {len(truth)} pictures of seed {TEST[0]}")
    print(f"escape   {100 * (said[bad] == good).mean():.2f} % of {bad.sum()} bad parts called good")
    print(f"overkill {100 * (said[~bad] != good).mean():.2f} % of {(~bad).sum()} good parts called bad\n")
    print("| true \\ said | " + " | ".join(LABELS) + " | recall |")
    print("|---" + "|--:" * (len(LABELS) + 1) + "|")
    for k, label in enumerate(LABELS):
        cells = " | ".join(str(n) for n in table[k])
        print(f"| {label} | {cells} | {100 * table[k, k] / max(table[k].sum(), 1):.1f} % |")
    odds = np.exp(logits - logits.max(1, keepdims=True))
    odds /= odds.sum(1, keepdims=True)
    print("\n| good only from a score of | bad parts passed | good parts not passed |\n|--:|--:|--:|")
    for least in (0.5, 0.7, 0.8, 0.9, 0.95):
        passed = (said == good) & (odds[:, good] >= least)
        print(f"| {least} | {100 * passed[bad].mean():.2f} % | {100 * (~passed[~bad]).mean():.2f} % |")


def main(path):
    x, y, _ = pictures(*TEST)
    report(compute(path, normal(x)), y)


if __name__ == "__main__":
    os.nice(10)
    main(sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "rings.onnx"))
