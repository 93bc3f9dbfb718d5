#!/usr/bin/python3
"""Labels of pictures computed without andon: Pillow makes the tensor, OpenCV's DNN module runs the model.

    independent.py MODEL.onnx WIDTHxHEIGHT|none MEAN STD FOLDER

Grey pictures, (v / 255 - mean) / std. Prints a line per picture: name, best class, margin between the best two
probabilities or logits, separated by tabs.
"""
import os
import sys

import cv2
import numpy as np
from PIL import Image


def main():
    model, size, mean, std, folder = sys.argv[1:6]
    net = cv2.dnn.readNetFromONNX(model)
    for name in sorted(os.listdir(folder), key=os.fsencode):
        if not name.lower().endswith((".png", ".jpg")):
            continue
        image = Image.open(os.path.join(folder, name)).convert("L")
        if size != "none":
            image = image.resize(tuple(map(int, size.split("x"))), Image.BILINEAR)
        x = (np.asarray(image, np.float32) / np.float32(255) - np.float32(mean)) / np.float32(std)
        net.setInput(x[None, None])
        y = net.forward().ravel()
        second, first = np.sort(y)[-2:]
        print(name, int(np.argmax(y)), float(first - second), sep="\t")


if __name__ == "__main__":
    main()
