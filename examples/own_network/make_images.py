"""Writes scikit-learn's 1,797 handwritten digits (8x8 pixels, grey) as an image folder: `images/train/<digit>/<number>.png`.

    python make_images.py [FOLDER]

Stands for images of your own, which need no script: a folder for each class is all. They come from the Optical Recognition of
Handwritten Digits data set of the UCI Machine Learning Repository.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

LARGEST = 16
"""A pixel's value in the package."""


def write(folder: Path) -> int:
    """Writes every image below `train` in the folder; returns how many there are."""
    digits = load_digits()
    for number, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        file = folder / "train" / str(label) / f"{number:04d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.round(pixels * 255 / LARGEST).astype(np.uint8)).save(file)
    return len(digits.images)


if __name__ == "__main__":
    place = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "images"
    print(f"{write(place)} images in {place}")
