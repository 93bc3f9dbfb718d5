#!/usr/bin/python3
"""Train the ring classifier, write rings.onnx and rings.json, and say what it is worth.

    train.py [MODEL.onnx]    took 28 minutes at nice 10 on two cores that were busy

Draws 6000 pictures of seed 1, learns, exports, compares OpenCV's DNN with torch, and ends with what
evaluate.py prints. Needs Debian's python3-torch, python3-onnx, python3-opencv, python3-numpy,
python3-pil.
"""
import json
import os
import sys
import time

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # on shared cores, who waits sleeps; before torch
import numpy as np
import onnx
import torch
from torch import nn

import evaluate
from evaluate import CELLS, HERE, LABELS, LEARN, RECIPE, SIDE, normal

# Rounds, and the window in cells of the map. Windows first: they cost a seventh, and what is wrong
# fills much more of them; whole pictures then.
PLAN = (8, 6), (10, 16)


# --- the network ----------------------------------------------------------------------------------------

class Block(nn.Module):
    """Depthwise 3x3, pointwise, with a shortcut; pointwise grows when the size shrinks."""

    def __init__(self, c, k, stride):
        super().__init__()
        self.short = nn.Identity() if stride == 1 and c == k else nn.Sequential(
            nn.Conv2d(c, k, 1, stride, bias=False), nn.BatchNorm2d(k))
        self.body = nn.Sequential(
            nn.Conv2d(c, c, 3, stride, 1, groups=c, bias=False), nn.BatchNorm2d(c), nn.ReLU(),
            nn.Conv2d(c, k, 1, bias=False), nn.BatchNorm2d(k), nn.ReLU(),
            nn.Conv2d(k, k, 3, 1, 1, groups=k, bias=False), nn.BatchNorm2d(k), nn.ReLU(),
            nn.Conv2d(k, k, 1, bias=False), nn.BatchNorm2d(k))
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.relu(self.short(x) + self.body(x))


class Net(nn.Module):
    """What is wrong is small and in one place: the head sees each feature's peak beside its mean.
    `place` says for each cell of the map what is wrong there. It only helps to learn (the drawing
    knows where the defect is) and does not go into the file."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 24, 3, 2, 1, bias=False), nn.BatchNorm2d(24), nn.ReLU(),
            Block(24, 40, 2), Block(40, 40, 1), Block(40, 80, 2), Block(80, 80, 1))
        self.mean, self.peak = nn.AdaptiveAvgPool2d(1), nn.AdaptiveMaxPool2d(1)
        self.drop, self.head = nn.Dropout(0.1), nn.Linear(2 * 80, len(LABELS))
        self.place = nn.Conv2d(80, len(LABELS), 1)

    def forward(self, x):
        x = self.body(x)
        both = torch.cat([self.mean(x), self.peak(x)], 1).flatten(1)
        logits = self.head(self.drop(both))
        return (logits, self.place(x)) if self.training else logits


def located(places, label, cells):
    """How well the map says what is where: bad cells and sound cells count alike."""
    want = torch.where(cells, label.view(-1, 1, 1), 0)
    each = nn.functional.cross_entropy(places, want, reduction="none")
    return each[cells].sum() / max(int(cells.sum()), 1) + each[~cells].mean()


def look(x, y, cells, window, rng):
    """Windows of so many cells, one from each picture: on the defect three times of four, else anywhere.
    What does not show the defect is good."""
    step, images, labels, where = SIDE // CELLS, [], [], []
    for image, label, mark in zip(x, y, cells):
        row, column = rng.integers(0, CELLS - window + 1, 2)
        if mark.any() and rng.random() < 0.75:
            spots = np.argwhere(mark)
            at = spots[rng.integers(len(spots))] - rng.integers(0, window, 2)
            row, column = np.clip(at, 0, CELLS - window)
        images.append(image[row * step:(row + window) * step, column * step:(column + window) * step])
        where.append(mark[row:row + window, column:column + window])
        labels.append(label if where[-1].any() else LABELS.index("good"))
    return np.stack(images), np.array(labels), np.stack(where)


def turn(images, cells, rng):
    """A ring has no up and no mirror side; lamps grow old."""
    turns = int(rng.integers(4))
    images, cells = torch.rot90(images, turns, (2, 3)), torch.rot90(cells, turns, (1, 2))
    if rng.integers(2):
        images, cells = images.flip(3), cells.flip(2)
    return images * float(rng.uniform(0.9, 1.1)) + float(rng.uniform(-0.15, 0.15)), cells


def learn(x, y, cells, plan):
    """A trained network. plan: (rounds, window in cells), one after the other."""
    torch.manual_seed(1)
    rng = np.random.default_rng(1)
    net = Net().to(memory_format=torch.channels_last).train()
    print(f"{sum(p.numel() for p in net.parameters())} weights")
    batch, best = 24, 3e-3
    matrices = [p for p in net.parameters() if p.dim() > 1]
    vectors = [p for p in net.parameters() if p.dim() < 2]
    tune = torch.optim.AdamW([dict(params=matrices, weight_decay=0.02),
        dict(params=vectors, weight_decay=0)], lr=best)
    steps = sum(rounds for rounds, _ in plan) * (len(y) // batch)
    pace = torch.optim.lr_scheduler.OneCycleLR(tune, best, total_steps=steps, pct_start=0.2)
    for number, window in enumerate(w for rounds, w in plan for _ in range(rounds)):
        start, loss_sum, right, seen = time.time(), 0.0, 0, 0
        order = rng.permutation(len(y))
        for k in range(0, len(y) - batch + 1, batch):
            pick = order[k:k + batch]
            images, labels, where = look(x[pick], y[pick], cells[pick], window, rng)
            labels = torch.from_numpy(labels)
            images, where = turn(torch.from_numpy(normal(images)), torch.from_numpy(where), rng)
            logits, places = net(images.contiguous(memory_format=torch.channels_last))
            loss = nn.functional.cross_entropy(logits, labels, label_smoothing=0.02)
            loss = loss + 0.5 * located(places, labels, where)
            tune.zero_grad()
            loss.backward()
            tune.step()
            pace.step()
            loss_sum, seen = loss_sum + float(loss) * len(pick), seen + len(pick)
            right += int((logits.argmax(1) == labels).sum())
        print(f"round {number + 1:2} ({window * SIDE // CELLS} pixels): loss {loss_sum / seen:.4f}, "
            f"right {100 * right / seen:.2f} %, {time.time() - start:.0f} s", flush=True)
    return net.eval()


def untie(model):
    """The exporter writes equal weights once and an Identity for the second user: give each its own."""
    graph = model.graph
    value = {w.name: w for w in graph.initializer}
    for node in [n for n in graph.node if n.op_type == "Identity" and n.input[0] in value]:
        own = value[node.input[0]].__class__()
        own.CopyFrom(value[node.input[0]])
        own.name = node.output[0]
        graph.initializer.append(own)
        graph.node.remove(node)
    return model


def export(net, path):
    """Normalisation stays in the graph, as many exporters leave it; the reader folds it. The file
    says what it wants and what it means: metadata_props, and the same in a JSON beside it."""
    net = net.to(memory_format=torch.contiguous_format)
    torch.onnx.export(net, torch.zeros(1, 3, SIDE, SIDE), path, opset_version=13,
        training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False,
        input_names=["image"], output_names=["logits"],
        dynamic_axes={"image": {0: "n"}, "logits": {0: "n"}})
    model = untie(onnx.load(path))
    for key, value in (("recipe", RECIPE), ("labels", "\n".join(LABELS))):
        model.metadata_props.add(key=key, value=value)
    model.doc_string = "turned metal rings (drawn): " + ", ".join(LABELS)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    with open(os.path.splitext(path)[0] + ".json", "w", encoding="ascii") as file:
        json.dump({"recipe": RECIPE, "labels": LABELS}, file, indent=2)
        file.write("\n")


def main(path):
    os.nice(10)
    torch.set_num_threads(2)
    start = time.time()
    x, y, cells = evaluate.pictures(*LEARN)
    print(f"drew {len(y)} pictures in {time.time() - start:.0f} s", flush=True)
    net = learn(x, y, cells, PLAN)
    export(net, path)
    print(f"{path}: {os.path.getsize(path)} bytes, {time.time() - start:.0f} s in all")
    with torch.no_grad():
        some = normal(x[:100])
        off = np.abs(net(torch.from_numpy(some)).numpy() - evaluate.compute(path, some)).max()
    print(f"OpenCV's logits are within {off:.2g} of torch's\n")
    evaluate.main(path)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "rings.onnx"))
