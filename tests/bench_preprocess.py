#!/usr/bin/python3
"""preprocess beside Pillow and torchvision, one core, same pictures, taken in turns.

    tests/bench_preprocess.py build/test/preprocess_drive"""

import os
import sys
import time

import numpy as np
from PIL import Image

from preprocess_pillow import FILTERS, Driver

NORM = "scale=1/255;mean=0.485,0.456,0.406;std=0.229,0.224,0.225;layout=nchw;dtype=f32"
CASES = [  # width, height, short side, crop, filter
    (1920, 1080, 256, 224, "bilinear"),
    (1920, 1080, 235, 224, "bicubic"),
    (640, 480, 256, 224, "bilinear"),
    (2448, 2048, 341, 299, "bicubic"),
]


def torchvision_of(side, crop, name):
    try:
        import torch
        from torchvision import transforms as T
    except ImportError:
        return None
    torch.set_num_threads(1)
    return T.Compose([T.Resize(side, T.InterpolationMode(name)), T.CenterCrop(crop), T.ToTensor(),
                      T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])


def timed(function):
    began = time.perf_counter()
    function()
    return (time.perf_counter() - began) * 1e3


def main():
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    driver = Driver(sys.argv[1])
    print(f"{'picture':>10} {'to':>12} {'filter':>9}  {'ours ms':>8} {'Pillow resize':>14} {'torchvision':>12}  (least of 7 turns)")
    for width, height, side, crop, name in CASES:
        pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        image, whole = Image.fromarray(pixels), torchvision_of(side, crop, name)
        recipe = f"resize=short:{side};interp={name};crop=center:{crop};color=rgb;{NORM}"
        size = (int(side * width / height), side)
        ours, pillow, torch = [], [], []
        for _ in range(7):
            driver.run(pixels, recipe, "best", 20)
            ours.append(driver.times[0] / 1e3)
            pillow += [timed(lambda: image.resize(size, FILTERS[name])) for _ in range(3)]
            if whole:
                torch += [timed(lambda: whole(image)) for _ in range(3)]
        cells = [f"{min(ours):8.2f}", f"{min(pillow):8.2f} ({min(pillow) / min(ours):.1f}x)"]
        cells.append(f"{min(torch):6.2f} ({min(torch) / min(ours):.1f}x)" if torch else "not there")
        print(f"{width:>5}x{height} {f'{side} -> {crop}':>12} {name:>9}  {cells[0]} {cells[1]:>14} {cells[2]:>12}")
    driver.close()


if __name__ == "__main__":
    main()
