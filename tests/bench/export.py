#!/usr/bin/python3
"""The networks of the bench set, as torchvision builds them, with weights of chance: tests/bench/export.py FOLDER

Needs Debian's python3-torch and python3-torchvision; nothing is downloaded. The weights are seeded by the network's
name. Batch normalisations take their statistics from one batch of noise, so that values stay in range through a
hundred layers, and then get factors and shifts of chance, so that none does nothing. Networks that are there are kept.
"""
import hashlib
import os
import sys

import torch
import torchvision

NETWORKS = ("resnet18", "resnet50", "mobilenet_v2", "mobilenet_v3_small", "squeezenet1_1", "shufflenet_v2_x1_0", "efficientnet_b0",
            "densenet121", "googlenet", "mnasnet1_0", "regnet_y_400mf", "vgg16", "convnext_tiny")
OPTIONS = {"googlenet": {"aux_logits": False, "init_weights": True}}
PICTURE = (1, 3, 224, 224)


def settle(net):
    """Statistics of a batch of noise, then factors around 1 and shifts around 0."""
    norms = [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    net.train()
    with torch.no_grad():
        net(torch.randn((4,) + PICTURE[1:]))
        for norm in norms:
            norm.weight.mul_(1 + 0.1 * torch.randn_like(norm.weight))
            norm.bias.add_(0.1 * torch.randn_like(norm.bias))
    return net.eval()


def export(name, path):
    torch.manual_seed(int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big"))
    net = settle(getattr(torchvision.models, name)(weights=None, **OPTIONS.get(name, {})))
    torch.onnx.export(net, torch.randn(PICTURE), path + ".part", opset_version=13, input_names=["input"], output_names=["output"])
    os.replace(path + ".part", path)


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    torch.set_num_threads(1)
    for name in NETWORKS:
        path = os.path.join(folder, name + ".onnx")
        if not os.path.exists(path):
            print("exporting", name, flush=True)
            export(name, path)


if __name__ == "__main__":
    main()
