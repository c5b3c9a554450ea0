"""Ways to train the reference study's networks on images of FER2013's size, as contenders: ferray's own, and the machine's limit."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from benchmarks.contender import Round
    from ferray.data import Dataset

SIZE = 48
CLASSES = 7
REFERENCE = {
    "batch_size": 128,
    "learning_rate": 1e-3,
    "l1": 3e-5,
    "l2": 5e-5,
    "augmentation": {"rotation": 31.4, "horizontal_flip": 0.5},
}
"""The reference study's settings, by the names of ferray's config."""


def pixels(images: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Grey images [n, 1, 48, 48] and labels [n] of no meaning: no network is any slower on them."""
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (images, 1, SIZE, SIZE), dtype=np.uint8), generator.integers(0, CLASSES, images)


def ferray(images: int, **settings: Any) -> Round:
    """An epoch of ferray's ``fit``, its evaluation of one image included. ``settings`` are fields of its config."""
    epochs = _epochs(images, settings)
    next(epochs)

    def one_round() -> float:
        next(epochs)
        return images

    return one_round


def noise(images: int) -> Dataset:
    """Images of no meaning to train on; one each to evaluate on."""
    from ferray.data.dataset import Dataset, Split

    train, one = (Split(*pixels(n)) for n in (images, 1))
    return Dataset.build("noise", tuple("abcdefg"), {"train": train, "validation": one, "test": one}, synthetic=True)


def _epochs(images: int, settings: dict[str, Any]) -> Iterator[Any]:
    from ferray.config import Config
    from ferray.training import fit

    return fit(Config.model_validate({**REFERENCE, "epochs": 100_000, **settings}), noise(images))


def matrix_product(size: int, threads: int, precision: str) -> Round:
    """A product of two square matrices; what is done is its floating-point operations, in units of 1e9."""
    import torch

    torch.set_num_threads(threads)
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    first, second = (torch.randn(size, size, generator=torch.Generator().manual_seed(n)).to(kind) for n in (0, 1))
    one = 2 * size**3 / 1e9

    def one_round() -> float:
        done, end = 0.0, time.perf_counter() + 1.0
        while time.perf_counter() < end:
            first @ second
            done += one
        return done

    one_round()
    return one_round
