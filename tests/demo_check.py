#!/usr/bin/python3
"""Scores of the demo's pictures, computed without andon: Pillow makes the tensor, OpenCV's DNN module runs the model.

    demo_check.py DEMO-FOLDER ROWS.jsonl

Fails unless every row's scores are within 1e-4 of these, and its label the best one's.
"""
import json
import os
import sys

import cv2
import numpy as np
from PIL import Image


def main():
    demo, rows = sys.argv[1:]
    with open(os.path.join(demo, "rings.json"), encoding="utf-8") as file:
        says = json.load(file)
    recipe = dict(word.split("=", 1) for word in says["recipe"].split(";"))
    size = tuple(map(int, recipe["resize"].removeprefix("stretch:").split("x")))
    mean, std = (np.float32([float(v) for v in recipe[k].split(",")]) for k in ("mean", "std"))
    net = cv2.dnn.readNetFromONNX(os.path.join(demo, "rings.onnx"))
    worst, wrong, count = 0.0, [], 0
    with open(rows, encoding="utf-8") as file:
        for row in map(json.loads, file):
            name = os.path.basename(row["image"])
            image = Image.open(os.path.join(demo, "parts", name)).convert("RGB").resize(size, Image.BILINEAR)
            x = (np.asarray(image, np.float32) / np.float32(255) - mean) / std
            net.setInput(np.ascontiguousarray(x.transpose(2, 0, 1)[None]))
            y = net.forward().ravel().astype(np.float64)
            p = np.exp(y - y.max())
            p /= p.sum()
            off = float(np.abs(p - np.array(row["scores"])).max())
            worst, count = max(worst, off), count + 1
            if off > 1e-4 or row["label"] != says["labels"][int(p.argmax())]:
                wrong.append(name)
    print(f"{count} pictures, largest difference of a score {worst:.2g}, wrong: {wrong}")
    sys.exit(1 if wrong or not count else 0)


if __name__ == "__main__":
    main()
