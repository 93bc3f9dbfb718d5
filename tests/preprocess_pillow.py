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


# --- whole recipes, against Pillow and numpy -----------------------------------------------------------


def half_even(n):
    return round(n / 2)  # Python rounds half to even


def offsets(margin, how):
    """Where a crop begins in a picture that is `margin` larger (negative: where the picture begins)."""
    if margin >= 0:
        return half_even(margin) if how == "center" else margin // 2
    return -(-margin // 2) if how == "center" else margin // 2


def crop(pixels, how, width, height, pad):
    out = np.full((height, width, pixels.shape[2]), pad, pixels.dtype)
    top, left = offsets(pixels.shape[0] - height, how), offsets(pixels.shape[1] - width, how)
    kept = pixels[max(top, 0) : max(top, 0) + height, max(left, 0) : max(left, 0) + width]
    out[max(-top, 0) : max(-top, 0) + kept.shape[0], max(-left, 0) : max(-left, 0) + kept.shape[1]] = kept
    return out


def resized(image, words):
    mode, _, size = words["resize"].partition(":")
    interp, pad = FILTERS.get(words.get("interp")), int(words.get("pad", 0))
    if mode == "none":
        return np.asarray(image)
    if mode == "short":
        w, h = image.size
        side = int(size)
        target = (side, int(side * h / w)) if w <= h else (int(side * w / h), side)
        return np.asarray(image.resize(target, interp))
    width, height = map(int, size.split("x"))
    if mode == "stretch":
        return np.asarray(image.resize((width, height), interp))
    ratio = min(width / image.size[0], height / image.size[1])
    target = max(1, round(image.size[0] * ratio)), max(1, round(image.size[1] * ratio))
    out = Image.new(image.mode, (width, height), pad if image.mode == "L" else (pad,) * 3)
    out.paste(image.resize(target, interp), ((width - target[0]) // 2, (height - target[1]) // 2))
    return np.asarray(out)


def expected(pixels, mode, words):
    image = Image.fromarray(pixels, mode)
    if "roi" in words:
        x, y, w, h = map(int, words["roi"].split(","))
        image = image.crop((x, y, x + w, y + h))
    image = image.convert("L" if words["color"] == "gray" else "RGB")
    out = resized(image, words)
    out = out.reshape(*out.shape[:2], -1)
    how, _, size = words["crop"].partition(":")
    if how != "none":
        out = crop(out, how, *map(int, size.split("x")), int(words.get("pad", 0)))
    if words["color"] == "bgr":
        out = out[:, :, ::-1]
    return finish(out, words)


def finish(out, words):
    """Scale, mean and std as numpy and torch compute them in float32; layout."""
    if words["dtype"] == "f32":
        up, _, down = words["scale"].partition("/")
        out = out.astype(np.float32) / np.float32(down) if down else (out * float(up)).astype(np.float32)
        out = out - np.array([float(x) for x in words["mean"].split(",")], np.float32)
        out = out / np.array([float(x) for x in words["std"].split(",")], np.float32)
    return np.ascontiguousarray(out.transpose(2, 0, 1) if words["layout"] == "nchw" else out)


def any_recipe(pick, width, height):
    words = {"color": pick.choice(["rgb", "bgr", "gray"]), "layout": pick.choice(["nchw", "nhwc"])}
    side = lambda: pick.randrange(1, 100)
    words["resize"] = pick.choice(["none", f"stretch:{side()}x{side()}", f"short:{side()}", f"letterbox:{side()}x{side()}"])
    words["interp"] = pick.choice(list(FILTERS))
    words["crop"] = pick.choice(["none", f"center:{side()}x{side()}", f"center-floor:{side()}x{side()}"])
    if pick.randrange(2):
        words["pad"] = str(pick.randrange(256))
    if pick.randrange(3) == 0:
        x, y = pick.randrange(width), pick.randrange(height)
        words["roi"] = f"{x},{y},{pick.randrange(1, width - x + 1)},{pick.randrange(1, height - y + 1)}"
    words["dtype"] = pick.choice(["u8", "f32", "f32"])
    if words["dtype"] == "f32":
        count = 1 if words["color"] == "gray" else 3
        words["scale"] = pick.choice(["1/255", "1/127.5", "1", "0.0123", "1/256"])
        words["mean"] = ",".join(f"{pick.uniform(-1, 2):.4g}" for _ in range(count))
        words["std"] = ",".join(f"{pick.uniform(0.01, 3):.4g}" for _ in range(count))
    return words


def say(words):
    return ";".join(f"{key}={value}" for key, value in words.items())


def part_recipes(driver):
    count, rng, pick = Count("whole recipes against Pillow and numpy"), np.random.default_rng(2), random.Random(2)
    for _ in range(600):
        width, height, mode = pick.randrange(1, 150), pick.randrange(1, 150), pick.choice(list(CHANNELS))
        words = any_recipe(pick, width, height)
        pixels = picture(rng, width, height, mode, pick.randrange(3))
        got = driver.run(pixels, say(words))
        if isinstance(got, str) and "sides are at most" in got:
            continue  # a strip, by its short side
        count.same(got, expected(pixels, mode, words), f"{mode} {pixels.shape} {say(words)}")
    return count.end()


KERAS = {
    "keras-tf": "resize=stretch:224x224;interp=nearest;color=rgb;scale=1/127.5;mean=1;layout=nhwc;dtype=f32",
    "keras-caffe": "resize=stretch:224x224;interp=nearest;color=bgr;scale=1;mean=103.939,116.779,123.68;"
    "layout=nhwc;dtype=f32",
}


def part_keras(driver):
    """What keras.applications' preprocess_input does to an array of float32 (imagenet_utils, both modes)."""
    count, rng = Count("Keras modes"), np.random.default_rng(3)
    for width, height in ((320, 240), (100, 333), (224, 224)):
        pixels = picture(rng, width, height, "RGB", 0)
        x = np.asarray(Image.fromarray(pixels).resize((224, 224), 0)).astype(np.float32)
        tf = x.copy()
        tf /= 127.5
        tf -= 1.0
        count.same(driver.run(pixels, KERAS["keras-tf"]), tf, "keras-tf")
        caffe = np.ascontiguousarray(x[..., ::-1])
        for i, mean in enumerate([103.939, 116.779, 123.68]):
            caffe[..., i] -= mean
        count.same(driver.run(pixels, KERAS["keras-caffe"]), caffe, "keras-caffe")
    return count.end()


# --- 16 bits ------------------------------------------------------------------------------------------


def deep_resize(channel, size, interp):
    """Pillow's mode I, one pass at a time, each clipped to what 16 bits hold."""
    image = Image.fromarray(channel.astype(np.int32), "I")
    for target in ((size[0], image.size[1]), size):
        image = image.resize(target, interp)
        image = Image.fromarray(np.clip(np.asarray(image), 0, 65535).astype(np.int32), "I")
    return np.asarray(image)


def part_deep(driver):
    count, rng, pick = Count("16 bits against Pillow's mode I"), np.random.default_rng(4), random.Random(4)
    for _ in range(120):
        channels, name = pick.choice([1, 2, 3, 4]), pick.choice(list(FILTERS))
        width, height = pick.randrange(1, 200), pick.randrange(1, 200)
        size = pick.randrange(1, 200), pick.randrange(1, 200)
        wide = pick.randrange(3) > 0
        pixels = rng.integers(0, 65536 if wide else 256, (height, width, channels), dtype=np.uint16 if wide else np.uint8)
        words = {"resize": f"stretch:{size[0]}x{size[1]}", "interp": name, "color": "gray" if channels < 3 else "rgb",
                 "depth": "16", "scale": "1/65535", "mean": "0.25", "std": "0.5", "layout": "nchw", "dtype": "f32"}
        full = pixels.astype(np.int64) * (1 if wide else 257)
        out = np.stack([deep_resize(full[:, :, c], size, FILTERS[name]) for c in range(1 if channels < 3 else 3)], 2)
        count.same(driver.run(pixels, say(words)), finish(out, words), f"{pixels.shape} {say(words)}")
    for channels in (1, 3, 4):  # 16-bit pictures in 8-bit recipes: the high byte; gray in 16 bits
        pixels = rng.integers(0, 65536, (40, 50, channels), dtype=np.uint16)
        words = {"resize": "none", "color": "rgb", "layout": "nhwc", "dtype": "u8"}
        want = (pixels >> 8).astype(np.uint8)[:, :, :3] * np.ones(3, np.uint8)
        count.same(driver.run(pixels, say(words)), want, "high byte")
        words = {"resize": "none", "color": "gray", "depth": "16", "scale": "1", "mean": "0", "std": "1",
                 "layout": "nhwc", "dtype": "f32"}
        p = pixels.astype(np.int64)
        luma = p[:, :, :1] if channels == 1 else (p[:, :, :3] @ [19595, 38470, 7471] + 32768 >> 16)[:, :, None]
        count.same(driver.run(pixels, say(words)), luma.astype(np.float32), "luma of 16 bits")
    return count.end()


# --- torchvision --------------------------------------------------------------------------------------


def part_torchvision(driver):
    try:
        import torch
        from torchvision import transforms as T
        from torchvision.transforms import InterpolationMode
    except ImportError as e:
        print(f"torchvision: skipped, {e}")
        return True
    count, rng, pick = Count("torchvision's transforms"), np.random.default_rng(5), random.Random(5)
    modes = {"nearest": "NEAREST", "bilinear": "BILINEAR", "bicubic": "BICUBIC", "box": "BOX", "hamming": "HAMMING",
             "lanczos": "LANCZOS"}
    torch.set_num_threads(1)
    for i in range(100):
        width, height = (pick.randrange(20, 500), pick.randrange(20, 500)) if i else (1920, 1080)
        side, wide, high = pick.randrange(16, 300), pick.randrange(1, 300), pick.randrange(1, 300)
        name = pick.choice(list(modes)) if i else "bilinear"
        gray = pick.randrange(4) == 0
        mean, std = ([0.449], [0.226]) if gray else ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        if i < 10:
            side, wide, high = (256, 224, 224)
        pixels = picture(rng, width, height, "RGB", pick.randrange(3))
        steps = [T.Grayscale()] * gray + [
            T.Resize(side, getattr(InterpolationMode, modes[name])), T.CenterCrop((high, wide)), T.ToTensor(),
            T.Normalize(mean, std)]
        want = T.Compose(steps)(Image.fromarray(pixels)).numpy()
        words = {"resize": f"short:{side}", "interp": name, "crop": f"center:{wide}x{high}",
                 "color": "gray" if gray else "rgb", "scale": "1/255", "mean": ",".join(map(str, mean)),
                 "std": ",".join(map(str, std)), "layout": "nchw", "dtype": "f32"}
        count.same(driver.run(pixels, say(words)), np.ascontiguousarray(want), f"{pixels.shape} {say(words)}")
    return count.end()


# --- OpenCV -------------------------------------------------------------------------------------------


def part_opencv(driver):
    try:
        import cv2
    except ImportError as e:
        print(f"OpenCV: skipped, {e}")
        return True
    count, rng, pick = Count("OpenCV's INTER_LINEAR"), np.random.default_rng(6), random.Random(6)
    for i in range(300):
        width, height = pick.randrange(1, 300), pick.randrange(1, 300)
        wide, high = pick.randrange(1, 300), pick.randrange(1, 300)
        if i % 10 == 0:
            width, height = 2 * wide, 2 * high
        if i % 10 == 1:
            width = 2 * wide
        if i % 10 == 2:
            wide = width
        mode = pick.choice(["L", "RGB"])
        pixels = picture(rng, width, height, mode, pick.randrange(3))
        want = cv2.resize(pixels, (wide, high), interpolation=cv2.INTER_LINEAR).reshape(high, wide, -1)
        recipe = f"resize=stretch:{wide}x{high};interp=opencv-linear;color={'gray' if mode == 'L' else 'rgb'};layout=nhwc;dtype=u8"
        count.same(driver.run(pixels, recipe), want, f"{pixels.shape} {recipe}")
        crop_wide, crop_high = pick.randrange(1, wide + 1), pick.randrange(1, high + 1)
        recipe += f";crop=center:{crop_wide}x{crop_high}"
        count.same(driver.run(pixels, recipe), crop(want, "center", crop_wide, crop_high, 0), f"{pixels.shape} {recipe}")
    return count.end()


PARTS = {"resize": part_resize, "recipes": part_recipes, "keras": part_keras, "deep": part_deep,
         "torchvision": part_torchvision, "opencv": part_opencv}


def main():
    driver, names = Driver(sys.argv[1]), sys.argv[2:] or list(PARTS)
    good = [PARTS[name](driver) for name in names]
    driver.close()
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
