"""Parts: what a source holds as it was read, and how it becomes a data set whose missing splits are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ferray import seeds
from ferray.data import duplicates
from ferray.data.dataset import Dataset, Split, apportion, stratified
from ferray.data.files import examples
from ferray.data_source import DataSource
from ferray.errors import DataError, nearest


@dataclass(frozen=True)
class Parts:
    """The splits of a source, without those that it lacks.

    ``names`` says what each image is called in messages, ``rows`` which row of fer2013.csv it is, where that is known.
    """

    where: str
    name: str
    classes: tuple[str, ...]
    splits: Mapping[str, Split]
    names: Mapping[str, Sequence[str]]
    rows: Mapping[str, NDArray[np.int64]] | None = None
    notes: Sequence[str] = ()
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether no split has to be made."""
        return {"train", "validation", "test"} <= set(self.splits)


def assemble(parts: Parts, source: DataSource) -> Dataset:
    """The data set: validation and test are taken from the training images where there are none, and near-identical images noted.

    A split that is made is stratified and seeded: each class gives its share, and keeps at least one image to train on. Test is made
    once, by the source's seed; so is validation if the source wants it fixed, and otherwise each trial's seed draws it anew. Raises
    DataError where a class of validation or test has no training image, or too few images to divide.
    """
    _check_classes(parts)
    made = dict(parts.splits)
    names = {split: list(called) for split, called in parts.names.items()}
    notes = list(parts.notes)
    missing = dict(parts.missing)
    wanted = {"validation": source.validation_share, "test": source.test_share}
    counts = np.bincount(made["train"].labels, minlength=len(parts.classes))
    taken = {}
    for name, share in wanted.items():
        if name not in made and share:
            taken[name] = apportion(max(round(share * len(made["train"])), len(parts.classes)), counts)
    short = counts - sum(taken.values()) < 1 if taken else np.zeros(len(counts), bool)
    if short.any():
        first = int(np.argmax(short))
        raise DataError(
            f"{parts.where}: class {parts.classes[first]!r} has {counts[first]} training image{'s' if counts[first] != 1 else ''}, too few "
            f"to make {' and '.join(taken)} from; add images, or the missing split, or lower the shares"
        )
    by_seed = "validation" in taken and source.validation_split == "seed"
    for name in ("test", "validation"):
        if name in taken:
            before, before_names = dict(made), dict(names)
            train, labels = made["train"], made["train"].labels
            generator = np.random.default_rng(seeds.derive(source.seed, "split", name))
            chosen = stratified(labels, taken[name], generator)
            kept = np.setdiff1d(np.arange(len(labels)), chosen)
            made |= {name: train.take(chosen), "train": train.take(kept)}
            called = names["train"]
            names |= {name: [called[place] for place in chosen], "train": [called[place] for place in kept]}
            seed = None if by_seed and name == "validation" else source.seed
            notes.append(_made(name, len(chosen), f"{wanted[name]:.0%}, stratified by class", seed))
    if "test" not in made:
        missing.setdefault("test", "there is no test split, and test_share is 0")
    # Of a validation split that every seed draws anew, the images cannot be told apart from those of training.
    looked_at, called_so = (before, before_names) if by_seed else (made, names)
    images = {name: split.images for name, split in looked_at.items()}
    notes += duplicates.describe(images, {name: split.labels for name, split in looked_at.items()}, called_so)
    if by_seed:
        notes += duplicates.describe_within(images["train"], called_so["train"])
    return Dataset.build(parts.name, parts.classes, made, synthetic=False, notes=notes, missing=missing, splits_by_seed=by_seed)


def _made(name: str, images: int, share: str, seed: int | None) -> str:
    """The note of a split that was made, by the source's seed or, where that is None, by each trial's."""
    if seed is None:
        return f"there is no {name} split: every seed draws its own, {images:,} training images ({share}), the same for all variants"
    return f"there is no {name} split: {images:,} training images ({share}, seed {seed}) became it"


def _check_classes(parts: Parts) -> None:
    if "train" not in parts.splits or not len(parts.splits["train"]):
        raise DataError(f"{parts.where}: holds no training image")
    if len(parts.classes) < 2:
        raise DataError(f"{parts.where}: has one class only, {parts.classes[0]!r}; there is nothing to tell apart")
    trained = set(np.unique(parts.splits["train"].labels).tolist())
    known = [parts.classes[label] for label in sorted(trained)]
    for name, split in parts.splits.items():
        without = sorted({int(label) for label in np.unique(split.labels)} - trained - {-1})
        if without:
            word = parts.classes[without[0]]
            raise DataError(
                f"{parts.where}: {name} has images of class {word!r}, but there is none to train on{nearest(word, known)} "
                f"(training has {examples(known, 12)})"
            )
