#!/usr/bin/python3
"""Draw pictures of turned metal rings, good ones and bad ones, as an inspection camera sees them.

Nothing here is a photograph. A ring (outer and inner chamfer, a groove, six bores) is described by
its distance fields and its surface slopes; the slopes are lit by two near lamps and a dome with the
streaky reflection of a turned surface, on a rubber belt, with vignetting, uneven light, dust, sensor
noise. Defects change slopes, reflectance or outline *before* the light falls on them, so a scratch
is bright or dark or gone as the light has it, and small ones drown in the machining marks.

    make_parts.py --seed 3 --count 60 --out parts    write pictures, parts/labels.tsv beside them
    make_parts.py --sheet sheet.png                  one contact sheet, six of each class

Picture K of seed S is the same whatever the count. Needs Debian's python3-numpy and python3-pil.
"""
import argparse
import io
import os

import numpy as np
from PIL import Image

SIZE = 160
LABELS = ["good", "scratch", "dent", "stain", "missing-bore", "burr"]
SHARE = [0.40, 0.12, 0.12, 0.12, 0.12, 0.12]  # how often each comes along

# The part, in units of its outer radius.
BORE, CHAMFER, GROOVE = 0.40, 0.06, (0.52, 0.57)
HOLES, HOLE_CIRCLE, HOLE_RADIUS = 6, 0.745, 0.085

YY, XX = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)


def step(x, width=1.0):
    """0 left of -width/2, 1 right of it, smooth between: an edge as the lens shows it."""
    t = np.clip(x / width + 0.5, 0, 1)
    return t * t * (3 - 2 * t)


def clouds(rng, cell):
    """Smooth noise with features about `cell` pixels wide, mean 0, deviation about 1."""
    n = max(int(SIZE / cell) + 2, 3)
    grid = Image.fromarray(rng.standard_normal((n, n)).astype(np.float32), mode="F")
    field = np.asarray(grid.resize((SIZE, SIZE), Image.BICUBIC))
    return field / max(float(field.std()), 1e-6)


class Ring:
    """One part in one pose: where things are, in pixels."""

    def __init__(self, rng):
        self.radius = rng.uniform(54, 63)
        self.cx, self.cy = SIZE / 2 + rng.uniform(-9, 9, 2)
        self.turn = rng.uniform(0, 2 * np.pi)
        x, y = XX - self.cx, YY - self.cy
        lean, along = rng.uniform(0, 0.035), rng.uniform(0, np.pi)  # the belt is not quite square on
        far = x * np.cos(along) + y * np.sin(along)
        x, y = x + lean * far * np.cos(along), y + lean * far * np.sin(along)
        self.x, self.y = x, y
        self.r = np.hypot(x, y) / self.radius
        self.angle = np.arctan2(y, x)
        inv = 1 / np.maximum(self.r * self.radius, 1e-3)
        self.ox, self.oy = x * inv, y * inv  # outward
        self.outer = np.ones_like(x)         # outline, changed by burrs
        self.bore = np.full_like(x, BORE)
        self.holes = [(self.turn + k * 2 * np.pi / HOLES, HOLE_RADIUS) for k in range(HOLES)]
        self.sx = np.zeros_like(x)           # slopes of the surface beside the turned profile
        self.sy = np.zeros_like(x)
        self.tint = np.ones((SIZE, SIZE, 3), np.float32)
        self.rough = np.zeros_like(x)        # where the turned surface is spoilt
        self.mark = np.zeros(x.shape, bool)  # where the defect is

    def spot(self, rng, least=0.62, most=0.9):
        """A random place on the face, pixels from the centre."""
        angle, r = rng.uniform(0, 2 * np.pi), rng.uniform(least, most)
        return r * self.radius * np.cos(angle), r * self.radius * np.sin(angle)


# --- what can be wrong with a part: each changes the ring and says nothing ----------------------------

def scratch(ring, rng, strength=None):
    """A bent line across the face, ploughed: one flank to the light, the other away from it."""
    if strength is None:
        strength = rng.uniform(0.8, 2.2)
    length = rng.uniform(0.45, 0.95) * ring.radius
    px, py = ring.spot(rng)
    heading = np.arctan2(py, px) + rng.uniform(-1.1, 1.1)  # along the marks it could not be seen
    bend = rng.uniform(-0.006, 0.006)
    dx, dy = ring.x - px, ring.y - py
    u = dx * np.cos(heading) + dy * np.sin(heading)
    v = -dx * np.sin(heading) + dy * np.cos(heading) - bend * u * u
    v = v + 0.5 * clouds(rng, 14)
    width = rng.uniform(0.7, 1.3)
    ends = step(length / 2 - np.abs(u), 6) * np.clip(1 + 0.35 * clouds(rng, 10), 0, 2)
    flank = -strength * (v / width) * np.exp(-0.5 * (v / width) ** 2) * ends
    ring.sx += flank * -np.sin(heading)
    ring.sy += flank * np.cos(heading)
    floor = np.exp(-0.5 * (v / (0.8 * width)) ** 2) * ends * min(strength, 1)
    bright = rng.uniform(0.25, 0.55) * rng.choice([-1, 1])
    ring.tint *= (1 + bright * floor)[..., None]
    ring.rough += floor
    ring.mark |= floor > 0.3


def dent(ring, rng, strength=None):
    """A blow: a small bowl with a raised lip; the marks run into it."""
    if strength is None:
        strength = rng.uniform(0.35, 0.95)
    px, py = ring.spot(rng, 0.62, 0.96)
    size = rng.uniform(2.8, 7)
    squash, along = rng.uniform(0.6, 1.0), rng.uniform(0, np.pi)
    dx, dy = ring.x - px, ring.y - py
    u = dx * np.cos(along) + dy * np.sin(along)
    v = (-dx * np.sin(along) + dy * np.cos(along)) / squash
    d = np.hypot(u, v) / size * (1 + 0.12 * clouds(rng, 12))
    bowl = strength * (1.25 - d * d) * d * np.exp(-0.5 * d * d) * 2.2
    inv = 1 / np.maximum(np.hypot(dx, dy), 1e-3)
    ring.sx += bowl * dx * inv
    ring.sy += bowl * dy * inv
    ring.rough += np.exp(-0.5 * d * d) * min(1, 1.6 * strength)
    ring.mark |= d < 1.2


def stain(ring, rng, strength=None):
    """Coolant or oil dried on: darker, brownish or bluish, with a rim, ragged."""
    if strength is None:
        strength = rng.uniform(0.28, 0.85)
    px, py = ring.spot(rng, 0.5, 0.95)
    size = rng.uniform(6.5, 17)
    squash, along = rng.uniform(0.5, 1.0), rng.uniform(0, np.pi)
    dx, dy = ring.x - px, ring.y - py
    u = dx * np.cos(along) + dy * np.sin(along)
    v = (-dx * np.sin(along) + dy * np.cos(along)) / squash
    edge = size * (1 + 0.3 * clouds(rng, 16)) - np.hypot(u, v)
    soft = rng.uniform(1.5, 5)
    body = step(edge, soft) * (0.75 + 0.25 * np.tanh(clouds(rng, 8)))
    rim = np.exp(-0.5 * (edge / (0.5 * soft + 0.6)) ** 2) * rng.uniform(0, 0.5)
    hue = np.array([[1.0, 1.15, 1.45], [1.35, 1.1, 0.9], [1.1, 1.1, 1.1]])[rng.integers(3)]
    depth = np.clip(strength * (body + rim), 0, 0.9)
    ring.tint *= np.clip(1 - depth[..., None] * hue.astype(np.float32), 0.04, 1)
    ring.rough += 0.5 * body * strength
    ring.mark |= edge > 0


def missing_bore(ring, rng):
    """One bore was not drilled (now and then two): bare face, a centre mark, or a pilot hole at most."""
    for _ in range(2 if rng.random() < 0.12 else 1):
        k = int(rng.integers(len(ring.holes)))
        angle, radius = ring.holes.pop(k)
        ring.mark |= np.hypot(ring.x - HOLE_CIRCLE * ring.radius * np.cos(angle),
            ring.y - HOLE_CIRCLE * ring.radius * np.sin(angle)) < radius * ring.radius
        left = rng.random()
        if left < 0.25:
            ring.holes.append((angle, HOLE_RADIUS * rng.uniform(0.18, 0.5)))


def burr(ring, rng):
    """Metal left standing over an edge, outside or in the bore: ragged, catches the light."""
    at, wide = rng.uniform(-np.pi, np.pi), rng.uniform(0.08, 0.22)
    tall = rng.uniform(2.5, 6.5)
    turn = np.angle(np.exp(1j * (ring.angle - at))).astype(np.float32)
    inside = rng.random() < 0.35
    if inside:
        wide *= 1.8
    teeth = np.interp(turn / wide, np.linspace(-1.5, 1.5, 13),
        rng.uniform(0.25, 1.0, 13) * np.hanning(13)).astype(np.float32)
    rise = tall / ring.radius * teeth / max(float(teeth.max()), 0.3)
    near = step(rise * ring.radius - 0.8, 1.6)
    if inside:
        ring.bore -= rise
        near = near * step((BORE + 0.05 - ring.r) * ring.radius, 3)
    else:
        ring.outer += rise
        near = near * step((ring.r - 0.96) * ring.radius, 3)
    lift = rng.uniform(0.5, 1.0)
    ring.tint *= (1 + 0.3 * near)[..., None]  # torn metal shines
    ring.sx += near * (lift * clouds(rng, 3.5) * 0.5 - 0.2 * ring.ox)
    ring.sy += near * (lift * clouds(rng, 3.5) * 0.5 - 0.2 * ring.oy)
    ring.rough += near
    ring.mark |= near > 0.5


DEFECTS = {"scratch": scratch, "dent": dent, "stain": stain, "missing-bore": missing_bore, "burr": burr}


def wear(ring, rng):
    """What every part may have and still be good: handling marks, a faint film, tiny nicks."""
    for _ in range(rng.poisson(0.7)):
        scratch(ring, rng, rng.uniform(0.04, 0.2))
    if rng.random() < 0.35:
        stain(ring, rng, rng.uniform(0.02, 0.09))
    if rng.random() < 0.25:
        dent(ring, rng, rng.uniform(0.03, 0.12))


# --- light ----------------------------------------------------------------------------------------------

def profile(ring, rng):
    """Radial slope of the turned part: chamfers, groove, and the marks the tool left."""
    r, px = ring.r, 1 / ring.radius
    slope = -0.85 * step(r - (ring.outer - CHAMFER), 2.2 * px)
    slope = slope + 0.85 * step(ring.bore + CHAMFER - r, 2.2 * px)
    a, b = GROOVE
    slope = slope - 0.7 * np.exp(-0.5 * ((r - a) / (1.1 * px)) ** 2)
    slope = slope + 0.7 * np.exp(-0.5 * ((r - b) / (1.1 * px)) ** 2)

    feed, depth = rng.uniform(2.1, 3.4), rng.uniform(0.015, 0.085)
    track = rng.standard_normal(400).astype(np.float32)
    track = np.convolve(track, [0.25, 0.5, 0.25], "same")
    drift = 0.25 * clouds(rng, 60)  # the tool's spindle and ours do not share an axis
    phase = (r * ring.radius + drift) / feed
    marks = depth * (0.7 * np.sin(2 * np.pi * phase)
        + 1.1 * np.interp((r * 300) % 399, np.arange(400), track).astype(np.float32))
    face = step((1 - CHAMFER - r) * ring.radius, 2) * step((r - BORE - CHAMFER) * ring.radius, 2)
    return slope + marks * face * np.clip(1 - ring.rough, 0.15, 1)


def drill(ring):
    """Distance to the nearest bore's edge (negative inside), and the direction away from its centre."""
    best = np.full_like(ring.x, 1e3)
    ox, oy = np.zeros_like(best), np.zeros_like(best)
    for angle, radius in ring.holes:
        hx = ring.x - HOLE_CIRCLE * ring.radius * np.cos(angle)
        hy = ring.y - HOLE_CIRCLE * ring.radius * np.sin(angle)
        away = np.hypot(hx, hy)
        d = away - radius * ring.radius
        nearer = d < best
        best = np.where(nearer, d, best)
        inv = 1 / np.maximum(away, 0.5)
        ox, oy = np.where(nearer, hx * inv, ox), np.where(nearer, hy * inv, oy)
    return best, ox, oy


def lamp(ring, slope, sx, sy, place, sharp):
    """Reflection of one near lamp. The marks run round the part, so light spreads across them far
    more than along them (Ward's model): the two bright wedges of every turned face."""
    lx, ly, lz = place[0] - XX, place[1] - YY, place[2]
    inv = 1 / np.sqrt(lx * lx + ly * ly + lz * lz)
    hx, hy, hz = lx * inv, ly * inv, lz * inv + 1
    nx, ny = -(slope * ring.ox + sx), -(slope * ring.oy + sy)
    round_, out = hx * -ring.oy + hy * ring.ox, hx * ring.ox + hy * ring.oy
    round_ = round_ - hz * (nx * -ring.oy + ny * ring.ox)
    out = out - hz * (nx * ring.ox + ny * ring.oy)
    up = np.maximum(nx * hx + ny * hy + hz, 1e-3)
    spread = sharp * (1 + 1.2 * np.clip(ring.rough, 0, 1))
    gloss = np.exp(-((round_ / spread) ** 2 + (out / 0.42) ** 2) / (up * up) * 2)
    length = np.sqrt(1 + nx * nx + ny * ny)
    matt = np.maximum((nx * lx + ny * ly + lz) * inv / length, 0)
    return gloss, matt


def shade(ring, rng):
    """Linear light of the part without what it lies on, and how much of each pixel it covers."""
    holes, hx, hy = drill(ring)
    slope = profile(ring, rng)
    rim = np.exp(-0.5 * ((holes - 0.9) / 0.9) ** 2)  # each bore is deburred: a small countersink
    sx, sy = ring.sx + 0.7 * rim * hx, ring.sy + 0.7 * rim * hy

    azimuth, height = rng.uniform(0, 2 * np.pi), rng.uniform(150, 260)
    reach = rng.uniform(150, 280)
    key = (ring.cx + reach * np.cos(azimuth), ring.cy + reach * np.sin(azimuth), height)
    second = azimuth + rng.uniform(1.2, 5.0)
    fill = (ring.cx + 200 * np.cos(second), ring.cy + 200 * np.sin(second), rng.uniform(150, 300))
    sharp = rng.uniform(0.09, 0.22)
    gloss, matt = lamp(ring, slope, sx, sy, key, sharp)
    gloss2, matt2 = lamp(ring, slope, sx, sy, fill, sharp)
    dome = 1 / (1 + 0.9 * ((slope * ring.ox + sx) ** 2 + (slope * ring.oy + sy) ** 2))
    weak = rng.uniform(0.15, 0.5)
    light = (0.13 * dome + 0.10 * matt + rng.uniform(0.45, 0.8) * gloss
        + weak * (0.10 * matt2 + 0.5 * gloss2))
    light = light * (1 + 0.025 * clouds(rng, 3) * np.clip(1 + ring.rough, 0, 2))
    metal = np.array([0.97, 1.0, 1.03]) * (1 + rng.uniform(-0.02, 0.02, 3))
    colour = light[..., None] * metal.astype(np.float32) * ring.tint

    wall = np.clip(-(hx * np.cos(azimuth) + hy * np.sin(azimuth)), 0, 1) * step(holes + 2.2, 3)
    deep = 0.018 + 0.10 * wall
    inside = step(-holes, 1.1)
    colour = colour * (1 - inside[..., None]) + (deep * inside)[..., None]
    cover = step((ring.outer - ring.r) * ring.radius, 1.3) * step((ring.r - ring.bore) * ring.radius, 1.3)
    return colour, cover, azimuth


def belt(ring, rng, azimuth):
    """The rubber the part lies on: weave, dust, the part's own shadow."""
    tone = rng.uniform(0.014, 0.055)
    shade_ = np.array([0.97, 1.0, 1.0]) + rng.uniform(-0.06, 0.06, 3)
    light = tone * (1 + 0.10 * clouds(rng, 2.0) + 0.12 * clouds(rng, 25))
    for _ in range(rng.poisson(5)):
        x, y = rng.uniform(0, SIZE, 2)
        light = light + rng.uniform(0.02, 0.16) * np.exp(
            -0.5 * ((XX - x) ** 2 + (YY - y) ** 2) / rng.uniform(0.4, 1.3) ** 2)
    dx, dy = 5.5 * np.cos(azimuth), 5.5 * np.sin(azimuth)
    d = np.hypot(ring.x + dx, ring.y + dy) / ring.radius
    dark = step((1.0 - d) * ring.radius, 9) * step((d - BORE) * ring.radius, 7)
    light = light * (1 - 0.75 * dark)
    return light[..., None] * shade_.astype(np.float32)


def camera(light, rng):
    """Exposure, uneven light, vignetting, a soft lens, the sensor's noise, 8 bits."""
    slant = rng.uniform(0, 2 * np.pi)
    ramp = ((XX - SIZE / 2) * np.cos(slant) + (YY - SIZE / 2) * np.sin(slant)) / SIZE
    corner = ((XX - SIZE / 2) ** 2 + (YY - SIZE / 2) ** 2) / (SIZE * SIZE / 2)
    field = (1 + rng.uniform(0, 0.55) * ramp) * (1 - rng.uniform(0.05, 0.4) * corner)
    light = light * (field * rng.uniform(0.75, 1.35))[..., None]
    blur = rng.uniform(0.0, 0.16)
    for axis in (0, 1):
        light = (1 - 2 * blur) * light + blur * (np.roll(light, 1, axis) + np.roll(light, -1, axis))
    grey = np.clip(light, 0, 1.2) ** (1 / 2.2)
    grey = grey - 0.14 * np.maximum(grey - 0.8, 0)
    noise = rng.standard_normal((SIZE, SIZE, 1)) * 0.7 + rng.standard_normal((SIZE, SIZE, 3)) * 0.25
    level = grey * 255 + noise.astype(np.float32) * rng.uniform(0.6, 1.4)
    return np.clip(np.rint(level), 0, 255).astype(np.uint8)


def draw(seed, index, label=None):
    """Picture `index` of `seed`: its label, SIZE x SIZE x 3 bytes, and which pixels the defect covers.
    Without a label, chance picks one."""
    rng = np.random.default_rng([seed, index])
    chance = LABELS[int(rng.choice(len(LABELS), p=SHARE))]
    label = label or chance
    ring = Ring(rng)
    wear(ring, rng)
    ring.mark[:] = False
    if label != "good":
        DEFECTS[label](ring, rng)
    metal, cover, azimuth = shade(ring, rng)
    under = belt(ring, rng, azimuth)
    visible = ring.mark & (cover > 0.5)
    return label, camera(under + (metal - under) * cover[..., None], rng), visible


# --- commands -------------------------------------------------------------------------------------------

def write(folder, seed, count):
    os.makedirs(folder, exist_ok=True)
    rows = []
    for k in range(count):
        label, pixels, _ = draw(seed, k)
        jpeg = k % 10 == 9  # some lines save space
        name = f"ring-{k + 1:03d}.{'jpg' if jpeg else 'png'}"
        keep = io.BytesIO()
        Image.fromarray(pixels).save(keep, *(("JPEG",) if jpeg else ("PNG",)),
            **(dict(quality=93, subsampling=0) if jpeg else dict(optimize=True)))
        with open(os.path.join(folder, name), "wb") as file:
            file.write(keep.getvalue())
        rows.append(f"{name}\t{label}\n")
    with open(os.path.join(folder, "labels.tsv"), "w", encoding="ascii") as file:
        file.writelines(rows)
    print(f"{count} pictures and labels.tsv in {folder}")


def sheet(path, seed, each=6):
    page = np.zeros((len(LABELS) * SIZE, each * SIZE, 3), np.uint8)
    for row, label in enumerate(LABELS):
        for k in range(each):
            _, pixels, _ = draw(seed, row * each + k, label)
            page[row * SIZE:(row + 1) * SIZE, k * SIZE:(k + 1) * SIZE] = pixels
    Image.fromarray(page).save(path)
    print(f"{path}: a row each of {', '.join(LABELS)}")


def main():
    ask = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    ask.add_argument("--seed", type=int, default=3)
    ask.add_argument("--count", type=int, default=60)
    ask.add_argument("--out", default="parts", metavar="FOLDER")
    ask.add_argument("--sheet", metavar="FILE", help="a contact sheet of all classes instead")
    told = ask.parse_args()
    if told.sheet:
        sheet(told.sheet, told.seed)
    else:
        write(told.out, told.seed, told.count)


if __name__ == "__main__":
    main()
