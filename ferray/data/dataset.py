"""Dataset: images and labels in three splits, with the fingerprint that identifies their content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ferray import seeds
from ferray.errors import DataError

SPLITS = ("train", "validation", "test")
SPLIT_WORDS = {
    "train": ("train", "training", "trainset", "trainingset"),
    "validation": ("validation", "val", "valid", "validate", "dev", "publictest", "validationset", "valset"),
    "test": ("test", "testing", "privatetest", "testset"),
}
"""What people call the splits, in folders, file names and columns; case, spaces, - and _ do not count."""

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
    ``votes`` is float32 [n, classes]: how many people took each image for which class; zeros where nobody voted for one of them.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    votes: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def labelled(self) -> bool:
        """Whether there are images whose classes are known."""
        return bool(len(self.labels)) and int(self.labels.min()) >= 0

    def take(self, indices: NDArray[np.int64]) -> Split:
        """A copy of the images at the given places; of a memory map, only these are read."""
        votes = None if self.votes is None else self.votes[indices]
        return Split(np.ascontiguousarray(self.images[indices]), self.labels[indices], votes)

    def joined(self, other: Split, indices: NDArray[np.int64]) -> Split:
        """A copy of the images at the given places of both splits, of which the other's stand behind."""
        images = np.empty((len(indices), *self.images.shape[1:]), np.uint8)
        for start in range(0, len(indices), 1024):  # else a second copy would be made on the way
            places = indices[start : start + 1024]
            own = places < len(self)
            images[start : start + 1024][own] = self.images[places[own]]
            images[start : start + 1024][~own] = other.images[places[~own] - len(self)]
        votes = None if self.votes is None or other.votes is None else np.concatenate([self.votes, other.votes])[indices]
        return Split(images, np.concatenate([self.labels, other.labels])[indices], votes)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Three splits of labelled images. The fingerprint is a digest of all pixels, labels, votes and class names, in 32 hexadecimal digits.

    ``notes`` are sentences about what was done to the data; ``missing`` says by split, in a sentence, why there are no figures on it.
    ``splits_by_seed`` says that validation was taken from the training images, and that each trial's seed does so anew: ``for_seed``. The
    fingerprint then says so too. Such a validation split is in the order of its classes, so that the labels are the same for all seeds.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    fingerprint: str
    synthetic: bool
    notes: tuple[str, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)
    splits_by_seed: bool = False

    @classmethod
    def build(
        cls,
        name: str,
        classes: Sequence[str],
        splits: Mapping[str, Split],
        *,
        synthetic: bool,
        fingerprint: str | None = None,
        notes: Sequence[str] = (),
        missing: Mapping[str, str] | None = None,
        splits_by_seed: bool = False,
    ) -> Dataset:
        """A checked dataset; the fingerprint is computed where it is not known already. A test split may be left out.

        Raises DataError where a split is malformed, has a label without a class, or is empty or without labels and not the test split.
        """
        given = dict(splits)
        given.setdefault("test", given["train"].take(np.zeros(0, np.int64)))
        for split_name in SPLITS:
            _check(f"{name}, split {split_name!r}", given[split_name], len(classes), may_lack_labels=split_name == "test")
        shapes = {split.images.shape[1:] for split in given.values()}
        if len(shapes) > 1:
            raise DataError(f"{name}: images of one dataset must have one shape, not {sorted(shapes)}")
        if len({split.votes is None for split in given.values()}) > 1:
            raise DataError(f"{name}: all splits have votes, or none has")
        if splits_by_seed and bool((np.diff(given["validation"].labels) < 0).any()):
            given["validation"] = given["validation"].take(np.argsort(given["validation"].labels, kind="stable"))
        reasons = dict(missing or {})
        if not given["test"].labelled:
            reasons.setdefault("test", "the test images have no labels" if len(given["test"]) else "there are no test images")
        known = fingerprint or content_fingerprint(classes, given, splits_by_seed=splits_by_seed)
        parts = (given["train"], given["validation"], given["test"])
        return cls(name, tuple(classes), *parts, known, synthetic, tuple(notes), reasons, splits_by_seed)

    @property
    def splits(self) -> dict[str, Split]:
        """The splits by name: train, validation, test."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """The number of images of each class in each split; zeros for a split without labels."""
        counted = {name: _present(split, len(self.classes)).tolist() for name, split in self.splits.items()}
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
            "notes": list(self.notes),
            "missing": dict(self.missing),
            "votes": self.train.votes is not None,
            **({"validation_split": "seed"} if self.splits_by_seed else {}),
        }

    def for_seed(self, seed: int) -> Dataset:
        """The data set as all trials of a seed have it: itself, or with a training and a validation split that the seed draws.

        Both are drawn from the images of both, stratified: validation holds as many images of each class for every seed. The test split
        is the same. Splits that seeds share hide what they contribute to the spread (Bouthillier et al. 2021, Accounting for Variance in
        Machine Learning Benchmarks, MLSys).
        """
        if not self.splits_by_seed:
            return self
        labels = np.concatenate([self.train.labels, self.validation.labels])
        generator = np.random.default_rng(seeds.derive(seed, "validation split"))
        chosen = stratified(labels, _present(self.validation, len(self.classes)), generator)
        kept = np.setdiff1d(np.arange(len(labels)), chosen)
        return replace(
            self,
            train=self.train.joined(self.validation, kept),
            validation=self.train.joined(self.validation, chosen[np.argsort(labels[chosen], kind="stable")]),
            fingerprint=hashlib.blake2b(f"{self.fingerprint}, seed {seed}".encode(), digest_size=FINGERPRINT_BYTES).hexdigest(),
            splits_by_seed=False,
        )

    def subset(self, images: int, *, seed: int = 0, of: Literal["all", "training"] = "all") -> Dataset:
        """A stratified random part: so many training images, and the same share of validation and test, or all of these.

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
            if of == "training" and name != "train":
                parts[name] = split
                continue
            present = _present(split, len(self.classes))
            wanted = max(round(len(split) * images / total), int(np.count_nonzero(present)), min(1, len(split)))
            generator = np.random.default_rng([seed, number])
            if split.labelled:
                chosen = stratified(split.labels, apportion(wanted, present), generator)
            else:
                chosen = np.sort(generator.permutation(len(split))[:wanted])
            parts[name] = split.take(chosen)
        return self.with_splits(parts)

    def with_splits(self, splits: Mapping[str, Split]) -> Dataset:
        """The same data set with other images, checked, and with the fingerprint of these. Raises DataError as ``build`` does."""
        return Dataset.build(
            self.name,
            self.classes,
            splits,
            synthetic=self.synthetic,
            notes=self.notes,
            missing=self.missing,
            splits_by_seed=self.splits_by_seed,
        )


def split_named(word: str) -> str | None:
    """The split that a word stands for, if any."""
    plain = word.strip().casefold().translate({ord(mark): None for mark in " -_"})
    return next((split for split, words in SPLIT_WORDS.items() if plain in words), None)


def content_fingerprint(classes: Sequence[str], splits: Mapping[str, Split], *, splits_by_seed: bool = False) -> str:
    """BLAKE2b of class names, shapes, pixels, labels and votes, as 32 hexadecimal digits; the same on every platform.

    That each seed draws its validation split is part of it, where it is so.
    """
    digest = hashlib.blake2b(digest_size=FINGERPRINT_BYTES)
    shapes = {name: list(splits[name].images.shape) for name in SPLITS}
    drawn = {"validation_split": "seed"} if splits_by_seed else {}
    digest.update(json.dumps({"classes": list(classes), "shapes": shapes, **drawn}, sort_keys=True).encode())
    for name in SPLITS:
        digest.update(np.ascontiguousarray(splits[name].images).data)
        digest.update(np.ascontiguousarray(splits[name].labels, dtype="<i8").data)
    votes = [split.votes for split in (splits[name] for name in SPLITS) if split.votes is not None]
    for one in votes:
        digest.update(b"votes" + np.ascontiguousarray(one, dtype="<f4").tobytes())
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


def stratified(labels: NDArray[np.int64], counts: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
    """Places of so many images of each class, in their old order."""
    chosen = [generator.permutation(np.flatnonzero(labels == label))[:count] for label, count in enumerate(counts)]
    return np.sort(np.concatenate(chosen))


def thumbnails(images: NDArray[np.uint8], most: int = 64) -> NDArray[np.uint8]:
    """The images [n, channels, height, width] with at most so many pixels a side: means over squares of whole pixels."""
    count, channels, height, width = images.shape
    side = -(-max(height, width) // most)
    if side == 1 or not count:
        return images
    rows, columns = max(height // side, 1), max(width // side, 1)
    tall, wide = min(side, height), min(side, width)
    parts = []
    for start in range(0, count, 1024):
        some = images[start : start + 1024, :, : rows * tall, : columns * wide].reshape(-1, channels, rows, tall, columns, wide)
        parts.append((some.mean((3, 5), dtype=np.float32) + 0.5).astype(np.uint8))
    return np.concatenate(parts)


def _present(split: Split, classes: int) -> NDArray[np.int64]:
    return np.bincount(split.labels[split.labels >= 0], minlength=classes)


def _check(where: str, split: Split, classes: int, *, may_lack_labels: bool) -> None:
    images, labels, votes = split.images, split.labels, split.votes
    if images.dtype != np.uint8 or images.ndim != 4:
        raise DataError(f"{where}: images must be uint8 [n, channels, height, width], not {images.dtype} {list(images.shape)}")
    if labels.dtype != np.int64 or labels.shape != images.shape[:1]:
        raise DataError(f"{where}: labels must be int64 [{len(images)}], not {labels.dtype} {list(labels.shape)}")
    if votes is not None and (votes.dtype != np.float32 or votes.shape != (len(images), classes)):
        raise DataError(f"{where}: votes must be float32 [{len(images)}, {classes}], not {votes.dtype} {list(votes.shape)}")
    if may_lack_labels and (not len(labels) or bool((labels == UNKNOWN).all())):
        return
    if not len(labels):
        raise DataError(f"{where}: holds no image")
    if labels.min() < 0 or labels.max() >= classes:
        raise DataError(f"{where}: labels must lie in 0..{classes - 1}, not {labels.min()}..{labels.max()}")
