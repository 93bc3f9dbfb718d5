#!/usr/bin/python3
"""Compares build/test/preprocess_drive with Pillow (and numpy, and torchvision where installed), bit by bit.

    tests/preprocess_pillow.py DRIVER [resize|tensor|deep|torchvision …]

Each part prints what it compared; the exit status is 1 if any element differs."""

import random
import subprocess
import sys

import numpy as np
from PIL import Image

FILTERS = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}
CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}
KERNELS = ("plain", "sse2", "avx2", "best")


class Driver:
    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def run(self, pixels, recipe, kernels="best", repeat=1):
        """Tensor as an array, or the reason as a str."""
        height, width = pixels.shape[:2]
        channels = pixels.shape[2] if pixels.ndim == 3 else 1
        depth = 16 if pixels.dtype == np.uint16 else 8
        more = f" repeat={repeat}" if repeat > 1 else ""
        self.process.stdin.write(f"{width} {height} {channels} {depth} {kernels} {recipe}{more}\n".encode())
        self.process.stdin.write(pixels.tobytes())
        self.process.stdin.flush()
        word, rest = self.process.stdout.readline().decode().strip().split(" ", 1)
        if word == "no":
            return rest
        dtype, *shape = rest.split()
        self.times = [float(t) for t in shape[4:]]
        shape = [int(n) for n in shape[:4]]
        dtype = {"u8": np.uint8, "f32": np.float32}[dtype]
        data = self.process.stdout.read(int(np.prod(shape)) * np.dtype(dtype).itemsize)
        return np.frombuffer(data, dtype).reshape(shape)

    def close(self):
        self.process.stdin.close()
        assert self.process.wait() == 0, "the driver failed"


class Count:
    def __init__(self, name):
        self.name, self.cases, self.elements, self.wrong = name, 0, 0, 0

    def same(self, got, want, what):
        self.cases += 1
        if isinstance(got, str):
            print(f"FAIL {what}: {got}")
            self.wrong += 1
            return
        got = got.reshape(got.shape[1:]) if got.ndim == want.ndim + 1 else got
        if got.shape != want.shape or got.dtype != want.dtype:
            print(f"FAIL {what}: {got.dtype}{got.shape} instead of {want.dtype}{want.shape}")
            self.wrong += 1
            return
        self.elements += want.size
        unequal = int(np.count_nonzero(got.view(np.uint8) != want.view(np.uint8)))
        if unequal:
            print(f"FAIL {what}: {unequal} bytes differ, by {np.abs(got.astype(float) - want).max():.6g} at most")
        self.wrong += unequal

    def end(self):
        print(f"{self.name}: {self.cases} cases, {self.elements} elements, {self.wrong} differ")
        return self.wrong == 0 and self.cases > 0


def picture(rng, width, height, mode, kind):
    """Noise, an edge pattern, or a gradient: all three find different mistakes."""
    shape = (height, width, CHANNELS[mode])
    if kind == 0:
        pixels = rng.integers(0, 256, shape, dtype=np.uint8)
    elif kind == 1:
        pixels = (rng.integers(0, 2, shape) * 255).astype(np.uint8)
    else:
        y, x, c = np.indices(shape)
        pixels = ((x * 7 + y * 3 + c * 50) % 256).astype(np.uint8)
    return pixels[:, :, 0] if mode == "L" else pixels


def resize_u8(count, driver, pixels, mode, size, name, box=None, kernels="best"):
    """RGB or grey, as Pillow resizes what convert() gave."""
    target = "L" if mode in ("L", "LA") else "RGB"
    image = Image.fromarray(pixels, mode).convert(target)
    color = "gray" if target == "L" else "rgb"
    recipe = f"resize=stretch:{size[0]}x{size[1]};interp={name};color={color};layout=nhwc;dtype=u8"
    if isinstance(box, float):
        recipe = f"roi=fraction:{box};" + recipe
        w, h = image.size
        x, y = w * (1 - box) / 2, h * (1 - box) / 2
        want = image.resize(size, FILTERS[name], box=(x, y, w - x, h - y))
    elif box:
        recipe = f"roi={box[0]},{box[1]},{box[2]},{box[3]};" + recipe
        want = image.crop((box[0], box[1], box[0] + box[2], box[1] + box[3])).resize(size, FILTERS[name])
    else:
        want = image.resize(size, FILTERS[name])
    want = np.asarray(want).reshape(size[1], size[0], -1)
    count.same(driver.run(pixels, recipe, kernels), want, f"{mode} {pixels.shape} {kernels} {recipe}")


ODD = [(1, 1), (1, 37), (64, 1), (2, 3), (17, 31), (100, 75), (333, 3), (5, 401), (160, 160), (257, 129), (640, 9)]
SIZES = [(1, 1), (7, 5), (64, 64), (224, 3), (33, 129), (320, 200), (2, 300)]


def part_resize(driver):
    count, rng, pick = Count("resize against Pillow"), np.random.default_rng(1), random.Random(1)
    for source in ODD:
        for size in SIZES:
            for name in FILTERS:
                mode = pick.choice(list(CHANNELS))
                pixels = picture(rng, *source, mode, pick.randrange(3))
                resize_u8(count, driver, pixels, mode, size, name)
                if name != "nearest" and pick.randrange(3) == 0:
                    resize_u8(count, driver, pixels, mode, size, name, round(pick.uniform(0.3, 1), 3))
    for _ in range(150):  # anything, all sets of kernels
        mode, name = pick.choice(list(CHANNELS)), pick.choice(list(FILTERS))
        source = pick.randrange(1, 300), pick.randrange(1, 300)
        size = pick.randrange(1, 300), pick.randrange(1, 300)
        pixels = picture(rng, *source, mode, pick.randrange(3))
        x, y = pick.randrange(source[0]), pick.randrange(source[1])
        box = x, y, pick.randrange(1, source[0] - x + 1), pick.randrange(1, source[1] - y + 1)
        resize_u8(count, driver, pixels, mode, size, name, box, pick.choice(KERNELS))
    for kernels in KERNELS:
        for mode in ("RGB", "L"):
            pixels = picture(rng, 1921, 1079, mode, 0)
            resize_u8(count, driver, pixels, mode, (455, 256), "bicubic", None, kernels)
    pixels = picture(rng, 16384, 3, "RGB", 0)
    resize_u8(count, driver, pixels, "RGB", (3, 64), "lanczos")
    resize_u8(count, driver, picture(rng, 3, 16384, "L", 0), "L", (64, 3), "lanczos")
    return count.end()


PARTS = {"resize": part_resize}


def main():
    driver, names = Driver(sys.argv[1]), sys.argv[2:] or list(PARTS)
    good = [PARTS[name](driver) for name in names]
    driver.close()
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
