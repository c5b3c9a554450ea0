"""A small data set that a network can learn within seconds: the class is the place of a bright square."""

from __future__ import annotations

import numpy as np

from ferray.data import Dataset, Split

CLASSES = ("left", "middle", "right")


def toy_data(*, train: int = 45, evaluation: int = 30, size: int = 12, channels: int = 1, seed: int = 0, test_seed: int = 2) -> Dataset:
    """Noisy images with a bright square at the left, in the middle or at the right; the arrays are read-only, as memory maps are."""
    splits = {
        "train": _split(train, size, channels, seed),
        "validation": _split(evaluation, size, channels, seed + 1),
        "test": _split(evaluation, size, channels, test_seed),
    }
    return Dataset.build("toy", CLASSES, splits, synthetic=True)


def _split(n: int, size: int, channels: int, seed: int) -> Split:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, len(CLASSES), n)
    images = generator.integers(0, 100, (n, channels, size, size)).astype(np.uint8)
    side = size // 3
    for image, label in zip(images, labels, strict=True):
        image[:, side : 2 * side, label * side : (label + 1) * side] += 130
    images.setflags(write=False)
    return Split(images, labels.astype(np.int64))
