#!/usr/bin/python3
"""Compare what build/test/capture_decode makes of pictures with what others make of them.

    capture_compare.py pngsuite DIR       EXPECTED_opencv.tsv in it: SHA-256 of BGR(A) bytes, or INVALID
    capture_compare.py pillow FILE...     Pillow, turned as EXIF says; what Pillow cannot read, capture must not
    capture_compare.py generated DIR      pictures of all forms that Pillow and we can write, made in DIR

Prints what differs and a summary; exit code 1 if anything differs.
"""
import csv
import hashlib
import io
import os
import struct
import subprocess
import sys
import tempfile
import warnings

import numpy as np
from PIL import Image, ImageOps

BUILD = os.environ.get("BUILD", os.path.join(os.path.dirname(__file__), "..", "build"))
DECODE = os.path.join(BUILD, "test", "capture_decode")


def ours(paths, *options):
    """For each path a numpy array (height, width, channels), or the reason as text."""
    results = []
    with tempfile.TemporaryDirectory() as folder:
        out = subprocess.run([DECODE, *options, "--dump", folder, *paths], check=True, stdout=subprocess.PIPE)
        for n, line in enumerate(out.stdout.decode(errors="replace").splitlines()):
            fields = line.split("\t")
            if fields[1] == "error":
                results.append(fields[2])
                continue
            width, height = map(int, fields[1].split("x"))
            dtype = {"u8": np.uint8, "u16": np.uint16}[fields[3]]
            pixels = np.fromfile(os.path.join(folder, f"{n}.raw"), dtype)
            results.append(pixels.reshape(height, width, int(fields[2])))
    assert len(results) == len(paths), "a line is missing: did it crash?"
    return results


def as_opencv(pixels, channels):
    """Grey, BGR or BGRA, as cv2.imread(…, IMREAD_UNCHANGED) has it; it drops grey's transparent colour."""
    if pixels.shape[2] == 2:
        pixels = pixels[:, :, :1] if channels == 1 else pixels[:, :, [0, 0, 0, 1]]
    elif pixels.shape[2] >= 3:
        pixels = pixels[:, :, [2, 1, 0, 3][: pixels.shape[2]]]
    return np.ascontiguousarray(pixels)


def pngsuite(folder):
    with open(os.path.join(folder, "EXPECTED_opencv.tsv")) as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    good = bad = wrong = 0
    for row, got in zip(rows, ours([os.path.join(folder, row["file"]) for row in rows])):
        if row["size"] == "INVALID":
            fine = isinstance(got, str) and len(got) > 8
            bad += fine
        elif isinstance(got, str):
            fine = False
        else:
            pixels = as_opencv(got, int(row["channels"]))
            size = f"{pixels.shape[1]}x{pixels.shape[0]}"
            digest = hashlib.sha256(pixels.tobytes()).hexdigest()[:16]
            fine = size == row["size"] and pixels.dtype == row["dtype"] and digest == row["sha256_16_of_BGR(A)_bytes"]
            good += fine
        if not fine:
            wrong += 1
            print(f"{row['file']}: expected {row['size']}, got {got if isinstance(got, str) else got.shape}")
    print(f"{good} decoded as expected, {bad} refused as expected, {wrong} wrong")
    return wrong


def by_pillow(source):
    """What Pillow makes of it, in capture's terms; None if it cannot."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(source)
            image = ImageOps.exif_transpose(image)
            if image.mode == "P":
                image = image.convert("RGBA" if "transparency" in image.info else "RGB")
            elif image.mode in ("1", "CMYK"):
                image = image.convert({"1": "L", "CMYK": "RGB"}[image.mode])
            pixels = np.asarray(image)
    except Exception:
        return None
    if pixels.dtype == np.int32:
        pixels = pixels.astype(np.uint16)
    return pixels.reshape(pixels.shape[0], pixels.shape[1], -1)


def compare(named):
    """named: list of (path, expected array or None)."""
    equal = refused = wrong = 0
    for (path, expected), got in zip(named, ours([path for path, _ in named])):
        if isinstance(got, str):
            fine = expected is None
            refused += fine
        else:
            fine = expected is not None and got.shape == expected.shape and np.array_equal(got, expected)
            equal += fine
        if not fine:
            wrong += 1
            print(f"{path}: expected {None if expected is None else (expected.shape, expected.dtype)}, "
                  f"got {got if isinstance(got, str) else (got.shape, got.dtype)}")
    print(f"{equal} equal, {refused} refused by both, {wrong} wrong")
    return wrong


def pillow(paths):
    return compare([(path, by_pillow(path)) for path in paths])


def scene(rng, width, height, channels, top):
    """Something with edges, gradients and noise."""
    y, x = np.mgrid[0:height, 0:width]
    base = np.sin(x / 7.0) + np.cos(y / 5.0) + (x > width // 2)
    noise = rng.normal(0, 0.05, (height, width, channels))
    shift = np.arange(channels) * 0.2
    return np.clip((base[:, :, None] / 4 + 0.4 + shift / 4 + noise) * top, 0, top).astype(np.uint16 if top > 255 else np.uint8)


def pnm_files(rng):
    """(suffix, bytes, expected) of every Netpbm form, made by hand."""
    for width, height in ((1, 1), (9, 5), (40, 31)):
        for maxval in (1, 6, 100, 255, 256, 1023, 4095, 65535):
            top = 65535 if maxval > 255 else 255
            for channels in (1, 2, 3, 4):
                raw = rng.integers(0, maxval, (height, width, channels), endpoint=True)
                data = raw.astype(">u2" if maxval > 255 else "u1").tobytes()
                expected = np.rint(raw / maxval * top).astype(np.uint16 if top > 255 else np.uint8)
                kind = {1: "GRAYSCALE", 2: "GRAYSCALE_ALPHA", 3: "RGB", 4: "RGB_ALPHA"}[channels]
                head = f"P7\n# a comment\nWIDTH {width}\nHEIGHT {height}\nDEPTH {channels}\nMAXVAL {maxval}\nTUPLTYPE {kind}\nENDHDR\n"
                yield "pam", head.encode() + data, expected
                if channels in (1, 3):
                    letters = "25" if channels == 1 else "36"
                    size = f"\n# made by hand\n{width} {height}\n# again\n{maxval}\n"
                    text = "\n".join(str(v) for v in raw.ravel())
                    yield "pnm", f"P{letters[0]}{size}{text}".encode(), expected
                    yield "pnm", f"P{letters[1]}{size}".encode() + data, expected
        bits = rng.integers(0, 1, (height, width, 1), endpoint=True)
        expected = (255 * (1 - bits)).astype(np.uint8)
        yield "pbm", f"P1 {width} {height}\n".encode() + "".join(str(v) for v in bits.ravel()).encode(), expected
        yield "pbm", f"P4 {width} {height}\n".encode() + np.packbits(bits[:, :, 0], axis=1).tobytes(), expected


def jpeg_files(rng):
    """(bytes) of JPEGs of many forms; Pillow is the judge."""
    for size in ((1, 1), (7, 13), (64, 48), (201, 99)):
        for mode, channels in (("L", 1), ("RGB", 3), ("CMYK", 4)):
            pixels = scene(rng, *size, channels, 255)
            image = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels, mode)
            for options in ({}, {"progressive": True}, {"quality": 30, "subsampling": 2}, {"quality": 95, "subsampling": 1},
                            {"quality": 100, "subsampling": 0}):
                out = io.BytesIO()
                image.save(out, "JPEG", **options)
                yield out.getvalue()
    image = Image.fromarray(scene(rng, 37, 21, 3, 255))
    for turn in range(0, 10):  # 0 and 9 do not exist
        exif = Image.Exif()
        exif[0x0112] = turn
        out = io.BytesIO()
        image.save(out, "JPEG", exif=exif)
        yield out.getvalue()
        out = io.BytesIO()
        image.convert("L").save(out, "JPEG", exif=exif)
        yield out.getvalue()


def bmp_files(rng):
    for size in ((1, 1), (5, 3), (33, 17), (64, 40)):
        colour = Image.fromarray(scene(rng, *size, 3, 255))
        for image in (colour, colour.convert("L"), colour.convert("1"), colour.convert("RGBA"),
                      colour.convert("P", palette=Image.ADAPTIVE, colors=7)):
            out = io.BytesIO()
            image.save(out, "BMP")
            data = out.getvalue()
            yield data
            # top-down: a negative height and the rows the other way round
            at, height = int.from_bytes(data[10:14], "little"), size[1]
            row = (len(data) - at) // height
            rows = [data[at + y * row: at + (y + 1) * row] for y in range(height)]
            yield data[:22] + (-height).to_bytes(4, "little", signed=True) + data[26:at] + b"".join(reversed(rows))


def bmp_with_alpha(rng):
    """(bytes, expected): a version 4 header whose masks name an alpha channel."""
    pixels = rng.integers(0, 255, (6, 5, 4), endpoint=True).astype(np.uint8)
    masks = b"".join(v.to_bytes(4, "little") for v in (0xFF0000, 0xFF00, 0xFF, 0xFF000000))
    info = struct.pack("<IiiHHIIiiII", 108, 5, 6, 1, 32, 3, 120, 0, 0, 0, 0) + masks + bytes(108 - 56)
    body = pixels[::-1, :, [2, 1, 0, 3]].tobytes()
    return b"BM" + struct.pack("<IHHI", 14 + 108 + 120, 0, 0, 14 + 108) + info + body, pixels


def png_files(rng):
    for size in ((1, 1), (3, 2), (33, 17), (160, 161)):
        for mode, channels in (("L", 1), ("LA", 2), ("RGB", 3), ("RGBA", 4), ("P", 3), ("1", 1)):
            pixels = scene(rng, *size, channels, 255)
            image = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels,
                                    {"P": "RGB", "1": "L"}.get(mode, mode))
            image = image.convert(mode) if mode in "P1" else image
            for level in (0, 1, 9):
                out = io.BytesIO()
                image.save(out, "PNG", compress_level=level)
                yield out.getvalue()
        grey16 = scene(rng, *size, 1, 65535)[:, :, 0]
        out = io.BytesIO()
        Image.fromarray(grey16).save(out, "PNG")
        yield out.getvalue()


def generated(folder):
    rng = np.random.default_rng(7)
    named = []

    def keep(suffix, data, expected):
        path = os.path.join(folder, f"{len(named):04}.{suffix}")
        with open(path, "wb") as out:
            out.write(data)
        named.append((path, expected))

    for suffix, data, expected in pnm_files(rng):
        keep(suffix, data, expected)
    for data in jpeg_files(rng):
        keep("jpg", data, by_pillow(io.BytesIO(data)))
    keep("bmp", *bmp_with_alpha(rng))
    for data in bmp_files(rng):
        keep("bmp", data, by_pillow(io.BytesIO(data)))
    for data in png_files(rng):
        keep("png", data, by_pillow(io.BytesIO(data)))
    return compare(named)


if __name__ == "__main__":
    what = {"pngsuite": lambda a: pngsuite(a[0]), "pillow": pillow, "generated": lambda a: generated(a[0])}
    sys.exit(what[sys.argv[1]](sys.argv[2:]) > 0)
