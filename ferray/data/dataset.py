"""Dataset: images and labels in three splits, with the fingerprint that identifies their content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ferray.errors import DataError

SPLITS = ("train", "validation", "test")
CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""The classes of FER2013 in the order of its labels; the synthetic faces have the same."""

UNKNOWN = -1
"""The label of a test image whose class is not known."""

FINGERPRINT_BYTES = 16


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their labels.

    ``images`` is uint8 [n, channels, height, width], contiguous, perhaps a read-only memory map; ``labels`` is int64 [n],
    each an index into the classes of the dataset. A test split may be empty, or have images whose labels are all UNKNOWN.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def labelled(self) -> bool:
        """Whether there are images whose classes are known."""
        return bool(len(self.labels)) and int(self.labels.min()) >= 0

    def take(self, indices: NDArray[np.int64]) -> Split:
        """A copy of the images at the given places; of a memory map, only these are read."""
        return Split(np.ascontiguousarray(self.images[indices]), self.labels[indices])


@dataclass(frozen=True, eq=False)
class Dataset:
    """Three splits of labelled images. The fingerprint is a digest of all pixels, labels and class names, in 32 hexadecimal digits."""

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    fingerprint: str
    synthetic: bool

    @classmethod
    def build(
        cls, name: str, classes: Sequence[str], splits: Mapping[str, Split], *, synthetic: bool, fingerprint: str | None = None
    ) -> Dataset:
        """A checked dataset; the fingerprint is computed where it is not known already.

        Raises DataError where a split is empty or malformed or has a label without a class.
        """
        for split_name in SPLITS:
            _check(f"{name}, split {split_name!r}", splits[split_name], len(classes))
        shapes = {split.images.shape[1:] for split in splits.values()}
        if len(shapes) > 1:
            raise DataError(f"{name}: images of one dataset must have one shape, not {sorted(shapes)}")
        known = fingerprint or content_fingerprint(classes, splits)
        return cls(name, tuple(classes), splits["train"], splits["validation"], splits["test"], known, synthetic)

    @property
    def splits(self) -> dict[str, Split]:
        """The splits by name: train, validation, test."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """The number of images of each class in each split."""
        counted = {name: np.bincount(split.labels, minlength=len(self.classes)).tolist() for name, split in self.splits.items()}
        return {name: dict(zip(self.classes, numbers, strict=True)) for name, numbers in counted.items()}

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of every image."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    def summary(self) -> dict[str, Any]:
        """What the dataset is, without its content, as a JSON object."""
        return {
            "name": self.name,
            "classes": list(self.classes),
            "counts": self.counts,
            "synthetic": self.synthetic,
            "image_shape": list(self.image_shape),
            "fingerprint": self.fingerprint,
        }

    def subset(self, images: int, *, seed: int = 0) -> Dataset:
        """A stratified random part: so many training images, and the same share of validation and test.

        Every class that a split has keeps at least one image there. A larger subset of the same seed holds the smaller one, apart
        from rounding. Raises DataError for more images than there are, or fewer than classes.
        """
        total = len(self.train)
        if not len(self.classes) <= images <= total:
            bounds = f"{len(self.classes)} (the classes) and {total:,} (the training images)"
            raise DataError(f"subset: must lie between {bounds}, not {images:,}")
        if images == total:
            return self
        parts = {}
        for number, (name, split) in enumerate(self.splits.items()):
            present = np.bincount(split.labels, minlength=len(self.classes))
            wanted = max(round(len(split) * images / total), int(np.count_nonzero(present)))
            generator = np.random.default_rng([seed, number])
            parts[name] = split.take(_stratified(split.labels, apportion(wanted, present), generator))
        return Dataset.build(self.name, self.classes, parts, synthetic=self.synthetic)


def content_fingerprint(classes: Sequence[str], splits: Mapping[str, Split]) -> str:
    """BLAKE2b of class names, shapes, pixels and labels, as 32 hexadecimal digits; the same on every platform."""
    digest = hashlib.blake2b(digest_size=FINGERPRINT_BYTES)
    shapes = {name: list(splits[name].images.shape) for name in SPLITS}
    digest.update(json.dumps({"classes": list(classes), "shapes": shapes}, sort_keys=True).encode())
    for name in SPLITS:
        digest.update(np.ascontiguousarray(splits[name].images).data)
        digest.update(np.ascontiguousarray(splits[name].labels, dtype="<i8").data)
    return digest.hexdigest()


def apportion(total: int, weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """Divides a whole number in proportion to the weights by largest remainders; every positive weight gets at least one."""
    ideal = total * weights / weights.sum()
    counts: NDArray[np.int64] = np.maximum(np.floor(ideal).astype(np.int64), weights > 0)
    while counts.sum() < total:
        counts[np.argmax(ideal - counts)] += 1
    while counts.sum() > total:
        counts[np.argmax(np.where(counts > 1, counts - ideal, -np.inf))] -= 1
    return counts


def _stratified(labels: NDArray[np.int64], counts: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
    """Places of so many images of each class, in their old order."""
    chosen = [generator.permutation(np.flatnonzero(labels == label))[:count] for label, count in enumerate(counts)]
    return np.sort(np.concatenate(chosen))


def _check(where: str, split: Split, classes: int) -> None:
    images, labels = split.images, split.labels
    if images.dtype != np.uint8 or images.ndim != 4:
        raise DataError(f"{where}: images must be uint8 [n, channels, height, width], not {images.dtype} {list(images.shape)}")
    if labels.dtype != np.int64 or labels.shape != images.shape[:1]:
        raise DataError(f"{where}: labels must be int64 [{len(images)}], not {labels.dtype} {list(labels.shape)}")
    if not len(labels):
        raise DataError(f"{where}: holds no image")
    if labels.min() < 0 or labels.max() >= classes:
        raise DataError(f"{where}: labels must lie in 0..{classes - 1}, not {labels.min()}..{labels.max()}")
