"""FER+ votes: how many of ten people took each image of FER2013 for which class.

Barsoum et al., "Training Deep Networks for Facial Expression Recognition with Crowd-Sourced Label Distribution", 2016. The rows of
fer2013new.csv stand in the order of fer2013.csv. Votes for contempt, unknown and not-a-face are left out, and so are all votes for
images that the authors took out, whose name is empty.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from ferray.data.dataset import Split
from ferray.data.files import Files
from ferray.data.parts import Parts
from ferray.data.table import Table, read_header
from ferray.errors import DataError, nearest

COLUMN_OF_CLASS = {
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "sad": "sadness",
    "surprise": "surprise",
    "neutral": "neutral",
}
"""The votes' word for each class of FER2013."""

USAGES_OF_SPLIT = {"train": ("Training",), "validation": ("PublicTest",), "test": ("PublicTest", "PrivateTest")}
"""Where the images of a split stand among the votes; a test split without a validation split beside it holds both kinds."""

AGREEMENT = 0.4
"""Of the images have the most votes for their label, at least: by the authors' 64 in 100 have, and 18 if the rows are in another order."""

ENOUGH = 100
"""Of fewer images with votes the agreement says little."""

IMAGE_NAME = re.compile(r"fer(\d{7})\.\w+")


@dataclass(frozen=True)
class Votes:
    """A file of votes: of each row the usage, whether the authors kept it, and the counts, float32 [rows, classes]."""

    where: str
    usages: tuple[str, ...]
    kept: NDArray[np.bool_]
    counts: NDArray[np.float32]


def read(path: Path, classes: Sequence[str]) -> Votes:
    """Reads a file of votes. Raises DataError that names the fault and its line."""
    if not path.is_file():
        siblings = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(f"votes: {path}: no such file{nearest(path.name, siblings)}; it is FER+'s fer2013new.csv")
    table = read_header(Files(path.parent, [path.name]), path.name)
    words = COLUMN_OF_CLASS | {word: word for word in COLUMN_OF_CLASS.values()}
    strange = [name for name in classes if name.casefold() not in words]
    if strange:
        raise DataError(f"votes: {path}: FER+ has no votes for class {strange[0]!r}; it has {', '.join(COLUMN_OF_CLASS)}")
    columns = [_column(table, words[name.casefold()]) for name in classes]
    usage, image = _column(table, "usage"), _column(table, "image_name")
    usages, kept, counts = [], [], []
    for line, row in table.rows():
        numbers = [row[column] for column in columns]
        if not all(number.isdecimal() for number in numbers):
            raise DataError(f"{table.where}, line {line}: votes must be whole numbers from 0 on, not {', '.join(numbers)}")
        usages.append(row[usage])
        kept.append(bool(row[image]))
        counts.append([int(number) for number in numbers] if row[image] else [0] * len(columns))
    if not counts:
        raise DataError(f"{table.where}: has no row below its header")
    return Votes(table.where, tuple(usages), np.array(kept), np.array(counts, np.float32))


def attach(parts: Parts, votes: Votes) -> Parts:
    """The same parts with the votes for each image, found by its row in fer2013.csv or by an image name such as fer0000012.png.

    Raises DataError where the votes are of another number of images, or of images of another usage, or cannot be assigned.
    """
    rows = parts.rows
    if rows is None:
        rows = {split: _rows_of_names(parts, split, votes) for split in parts.splits}
    else:
        _check_number(rows, votes)
    usages = np.array(votes.usages)
    given = {}
    for split, part in parts.splits.items():
        mine = rows[split]
        wanted = USAGES_OF_SPLIT[split] if split != "test" or "validation" not in parts.splits else ("PrivateTest",)
        wrong = np.flatnonzero(~np.isin(usages[mine], wanted))
        if len(wrong):
            first = wrong[0]
            raise DataError(
                f"{votes.where}: the votes for {parts.names[split][first]} are of usage {str(usages[mine[first]])!r}, but it is in {split} "
                f"({' or '.join(wanted)}); the votes must be of these images, in the order of fer2013.csv"
            )
        given[split] = replace(part, votes=votes.counts[mine])
    _check_agreement(given, votes.where)
    all_rows = np.concatenate([rows[split] for split in parts.splits])
    empty = int((votes.counts[all_rows].sum(1) == 0).sum())
    out = int((~votes.kept[all_rows]).sum())
    note = (
        f"FER+ votes were read for {len(all_rows):,} images; {empty:,} have none for one of the classes, {out:,} of them since the authors "
        "of FER+ took them out; the votes change neither labels nor scores"
    )
    return replace(parts, splits=given, notes=[*parts.notes, note])


def _check_agreement(splits: Mapping[str, Split], where: str) -> None:
    """Raises DataError where the votes are for other classes than the labels, which is how votes of other images look."""
    agreeing = voted = 0
    for split in splits.values():
        if split.labelled and split.votes is not None:
            has_votes = split.votes.any(1)
            voted += int(has_votes.sum())
            agreeing += int((split.votes.argmax(1) == split.labels)[has_votes].sum())
    if voted >= ENOUGH and agreeing < AGREEMENT * voted:
        raise DataError(
            f"{where}: the most votes are for the label of {agreeing:,} of {voted:,} images only; the images must stand in the order of "
            "fer2013.csv, to which the votes belong"
        )


def _column(table: Table, name: str) -> int:
    column = table.column((name,))
    if column is None:
        raise DataError(
            f"{table.where}, line 1: no column {name!r} (found: {', '.join(table.header[:12])[:200]}); it is FER+'s fer2013new.csv"
        )
    return column


def _check_number(rows: Mapping[str, NDArray[np.int64]], votes: Votes) -> None:
    images = sum(len(mine) for mine in rows.values())
    training = votes.usages.count("Training")
    if images != len(votes.usages) and not (set(rows) == {"train"} and images == training):
        raise DataError(f"{votes.where}: has votes for {len(votes.usages):,} images ({training:,} of training), but there are {images:,}")


def _rows_of_names(parts: Parts, split: str, votes: Votes) -> NDArray[np.int64]:
    rows = []
    for name in parts.names[split]:
        match = IMAGE_NAME.fullmatch(PurePosixPath(name).name)
        if match is None:
            raise DataError(
                f"{votes.where}: votes cannot be assigned to {name}: they follow the rows of fer2013.csv, which this name does not tell; "
                "use fer2013.csv, icml_face_data.csv or the contest's pair, or images named as in fer0000012.png"
            )
        if int(match[1]) >= len(votes.usages):
            raise DataError(f"{votes.where}: has votes for {len(votes.usages):,} images, and none for {name}")
        rows.append(int(match[1]))
    return np.array(rows, np.int64)
