"""Resize of opsets 10 to 19, axis by axis, from the formulas of the operator's documentation."""
import itertools
import math

import numpy as np


def coordinate(mode, x, scale, size, out, region):
    if mode == "half_pixel":
        return (x + 0.5) / scale - 0.5
    if mode == "half_pixel_symmetric":
        return size / 2 * (1 - out / (scale * size)) + (x + 0.5) / scale - 0.5
    if mode == "pytorch_half_pixel":
        return (x + 0.5) / scale - 0.5 if out > 1 else 0
    if mode == "align_corners":
        return x * (size - 1) / (out - 1) if out > 1 else 0
    if mode == "asymmetric":
        return x / scale
    if mode == "tf_half_pixel_for_nn":
        return (x + 0.5) / scale
    start, end = region
    return start * (size - 1) + x * (end - start) * (size - 1) / (out - 1) if out > 1 else 0.5 * (start + end) * (size - 1)


def nearest(x, how):
    return {"floor": math.floor(x), "ceil": math.ceil(x), "round_prefer_floor": math.ceil(x - 0.5),
            "round_prefer_ceil": math.floor(x + 0.5)}[how]


def kernel(mode, d, a):
    d = abs(d)
    if mode == "linear":
        return max(0.0, 1 - d)
    if d <= 1:
        return (a + 2) * d ** 3 - (a + 3) * d ** 2 + 1
    return a * d ** 3 - 5 * a * d ** 2 + 8 * a * d - 4 * a if d < 2 else 0.0


def axis_matrix(mode, system, how, scale, size, out, a, exclude, antialias, region, outside):
    """out x size weights, and which outputs are the extrapolation value."""
    m, beyond = np.zeros((out, size)), np.zeros(out, bool)
    for o in range(out):
        x = coordinate(system, o, scale, size, out, region)
        if system == "tf_crop_and_resize" and not 0 <= x <= size - 1:
            beyond[o] = True
            continue
        if mode == "nearest":
            m[o, min(max(nearest(x, how), 0), size - 1)] = 1
            continue
        s = min(scale, 1) if antialias else 1
        reach = math.ceil(2 / s) + 2
        row = {}
        for i in range(math.floor(x) - reach, math.floor(x) + reach + 1):
            if exclude and not 0 <= i < size:
                continue
            row[i] = kernel(mode, (i - x) * s, a)
        total = sum(row.values())
        for i, w in row.items():
            m[o, min(max(i, 0), size - 1)] += w / total
    return m, beyond


def resize(x, scales, outs, mode="nearest", system="half_pixel", how="round_prefer_floor", a=-0.75, exclude=0, antialias=0, roi=None,
           outside=0.0):
    y, blank = x.astype(np.float64), []
    for axis, (scale, out) in enumerate(zip(scales, outs)):
        if scale == 1 and out == x.shape[axis] and system != "tf_crop_and_resize":
            continue
        region = (roi[axis], roi[len(scales) + axis]) if roi is not None else (0, 1)
        m, beyond = axis_matrix(mode, system, how, scale, x.shape[axis], out, a, exclude, antialias, region, outside)
        y = np.moveaxis(np.tensordot(m, y, (1, axis)), 0, axis)
        blank.append((axis, beyond))
    for axis, beyond in blank:
        np.moveaxis(y, axis, 0)[beyond] = outside
    return y.astype(x.dtype)


def tables(spec):
    F, I64 = np.float32, np.int64
    x = spec.rand(1, 2, 5, 7)

    def case(name, opset, wanted, scales=None, sizes=None, roi=None, at=x, **attributes):
        inputs = [at, None if roi is None else np.array(roi, F), None if scales is None else np.array(scales, F)]
        if sizes is not None:
            inputs.append(np.array(sizes, I64))
        spec.case(name, "Resize", inputs, wanted, opset, **attributes)

    systems = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric"]
    targets = [(5, 14), (10, 7), (3, 4), (12, 5), (1, 1), (10, 21)]
    for system, (hh, ww) in itertools.product(systems, targets):
        opset = 19 if system == "half_pixel_symmetric" else 13
        scales, outs = (1, 1, hh / 5, ww / 7), (1, 2, hh, ww)
        for mode in ("linear", "cubic"):
            for extra in ({}, {"exclude_outside": 1}, {"antialias": 1}) if mode == "cubic" else ({}, {"antialias": 1}):
                wanted = resize(x, scales, outs, mode, system, exclude=extra.get("exclude_outside", 0), antialias=extra.get("antialias", 0))
                case(f"{mode} {system} {hh}x{ww} {''.join(extra)}", max(opset, 18 if "antialias" in extra else 0), wanted, sizes=outs,
                     mode=mode, coordinate_transformation_mode=system, **extra)
        for how in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"):
            case(f"nearest {how} {system} {hh}x{ww}", opset, resize(x, scales, outs, "nearest", system, how), sizes=outs, mode="nearest",
                 coordinate_transformation_mode=system, nearest_mode=how)
    for mode, (h, w) in itertools.product(("linear", "cubic", "nearest"), [(2.0, 2.0), (0.6, 1.0), (1.0, 0.5), (1.3, 2.7)]):
        outs = (1, 2, math.floor(5 * h + 1e-6), math.floor(7 * w + 1e-6))
        f = (1, 1, float(F(h)), float(F(w)))
        for opset in (11, 13, 18, 19):
            case(f"{mode} scales {h}x{w}", opset, resize(x, f, outs, mode), scales=(1, 1, h, w), mode=mode)
        case(f"{mode} symmetric {h}x{w}", 19, resize(x, f, outs, mode, "half_pixel_symmetric"), scales=(1, 1, h, w), mode=mode,
             coordinate_transformation_mode="half_pixel_symmetric")
        case(f"{mode} two axes {h}x{w}", 18, resize(x, f, outs, mode), scales=(h, w), mode=mode, axes=[2, 3])
        case(f"{mode} axes backwards {h}x{w}", 18, resize(x, f, outs, mode), scales=(w, h), mode=mode, axes=[-1, -2])
    case("cubic a", 13, resize(x, (1, 1, 2, 2), (1, 2, 10, 14), "cubic", a=-0.5), scales=(1, 1, 2, 2), mode="cubic", cubic_coeff_a=-0.5)
    case("nn", 11, resize(x, (1, 1, 2, 2), (1, 2, 10, 14), "nearest", "tf_half_pixel_for_nn", "floor"), scales=(1, 1, 2, 2), mode="nearest",
         coordinate_transformation_mode="tf_half_pixel_for_nn", nearest_mode="floor")
    for policy, best in (("not_larger", min), ("not_smaller", max), ("stretch", None)):
        for hh, ww in [(10, 10), (3, 9), (8, 8)]:
            scale = best(hh / 5, ww / 7) if best else None
            outs = (math.floor(scale * 5 + 0.5), math.floor(scale * 7 + 0.5)) if best else (hh, ww)
            scales = (1, 1, scale, scale) if best else (1, 1, hh / 5, ww / 7)
            for mode in ("nearest", "linear", "cubic"):
                case(f"{policy} {hh}x{ww} {mode}", 18, resize(x, scales, (1, 2) + outs, mode), sizes=(hh, ww), mode=mode, axes=[2, 3],
                     keep_aspect_ratio_policy=policy)
    for mode, roi in itertools.product(("nearest", "linear", "cubic"),
                                       [(0, 0, 0.25, 0.1, 1, 1, 0.8, 0.9), (0, 0, 0.4, -0.3, 1, 1, 1.2, 0.7), (0, 0, 0.9, 0.8, 1, 1, 0.2, 0.1)]):
        wanted = resize(x, (1, 1, 3 / 5, 4 / 7), (1, 2, 3, 4), mode, "tf_crop_and_resize", roi=[float(F(v)) for v in roi], outside=9.0)
        case(f"{mode} crop", 13, wanted, sizes=(1, 2, 3, 4), roi=roi, mode=mode, coordinate_transformation_mode="tf_crop_and_resize",
             extrapolation_value=9.0)
    volume = spec.rand(1, 1, 3, 4, 5)
    case("volume", 13, resize(volume, (1, 1, 2, 0.5, 2), (1, 1, 6, 2, 10), "linear"), scales=(1, 1, 2, 0.5, 2), at=volume, mode="linear")
    bytes_ = spec.ints(0, 255, 1, 1, 4, 4, dtype=np.uint8)
    case("bytes", 13, resize(bytes_, (1, 1, 2, 2), (1, 1, 8, 8), "nearest", "asymmetric", "floor"), scales=(1, 1, 2, 2), at=bytes_,
         mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    for opset, op in ((10, "Resize"), (9, "Upsample")):
        for mode in ("nearest", "linear"):
            wanted = resize(x, (1, 1, 2, 3), (1, 2, 10, 21), mode, "asymmetric", "floor")
            spec.case(mode, op, [x, np.array([1, 1, 2, 3], F)], wanted, opset, mode=mode)
            if opset == 9:
                spec.case(mode, op, [x], wanted, 8, mode=mode, scales=[1.0, 1.0, 2.0, 3.0])
