"""FER2013 from a tree of named images, and from tables of pixels: the official ones, the contest's pair and the course's.

The set is that of Goodfellow et al., "Challenges in Representation Learning: A report on three machine learning contests", 2013. Its
public test becomes the validation split, its private test the test split. The pairs have no validation split.
"""

from __future__ import annotations

import io
import itertools
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ferray.data.dataset import CLASSES, SPLITS, UNKNOWN, Split
from ferray.data.files import IMAGE_SUFFIXES, Files, kinds
from ferray.data.form import FER2013_FORMS, LABEL_COLUMNS, PIXEL_COLUMNS, USAGES, Form
from ferray.data.parts import Parts
from ferray.data.table import Table
from ferray.errors import DataError, nearest

NAME = "FER2013"
SIZE = 48
PIXELS = SIZE * SIZE
SPLIT_OF_USAGE = dict(zip(USAGES, SPLITS, strict=True))


class Member(NamedTuple):
    """One image file: sorted, members come in the order of their splits, classes and names, whatever holds them."""

    split: int
    label: int
    name: str
    place: str  # where it lies, for reading and for messages


@dataclass
class _Rows:
    """What has been read of one split of a table."""

    images: list[NDArray[np.uint8]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)


def parse(form: Form) -> Parts:
    """Reads FER2013 in the form that was found. Takes seconds; raises DataError that names the fault and its place."""
    return _from_tables(form) if form.kind == "pixels" else _from_tree(form.files)


def _from_tree(files: Files) -> Parts:
    images = files.of(IMAGE_SUFFIXES)
    if not images:
        raise DataError(f"{files.path}: holds no image of FER2013 ({kinds(files.places)}); {FER2013_FORMS}")
    members = sorted(_member(files, place) for place in images)
    for one, other in itertools.pairwise(members):
        if one[:3] == other[:3]:
            raise DataError(f"{files.path}: the same image occurs twice: {one.place} and {other.place}")
    pixels = np.empty((len(members), 1, SIZE, SIZE), np.uint8)
    for row, member in zip(pixels, members, strict=True):
        row[0] = _decode(files.where(member.place), files.read(member.place))
    read = {}
    names = {}
    for number, (usage, split) in enumerate(SPLIT_OF_USAGE.items()):
        mine = [place for place, member in enumerate(members) if member.split == number]
        if not mine:
            raise _lacks(str(files.path), usage)
        read[split] = Split(pixels[mine], np.array([members[place].label for place in mine], np.int64))
        names[split] = [members[place].place for place in mine]
    return Parts(str(files.path), NAME, CLASSES, read, names)


def _member(files: Files, place: str) -> Member:
    path = PurePosixPath(place)
    usage = path.name.partition("_")[0]
    if usage not in SPLIT_OF_USAGE:
        begins = ", ".join(f"{usage}_" for usage in SPLIT_OF_USAGE)
        raise DataError(f"{files.where(place)}: the file name must begin with {begins}; source: images reads images of any names")
    folder = path.parent.name.lower()
    if folder not in CLASSES:
        near = nearest(folder, CLASSES)
        raise DataError(f"{files.where(place)}: {path.parent.name!r} is no class{near}; classes are {', '.join(CLASSES)}")
    return Member(SPLITS.index(SPLIT_OF_USAGE[usage]), CLASSES.index(folder), path.name, place)


def _decode(where: str, content: bytes) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as image:
            width, height = image.size
            grey = np.asarray(image.convert("L")) if image.size == (SIZE, SIZE) else None  # others may be too large to decode
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{where}: cannot be decoded as a PNG or JPEG image ({error})") from error
    if grey is None:
        raise DataError(f"{where}: must be {SIZE}x{SIZE} pixels, not {width}x{height}; source: images reads images of any size")
    return grey


def _from_tables(form: Form) -> Parts:
    read: dict[str, _Rows] = {}
    notes = list(form.notes)
    missing = {}
    if "all" in form.tables:
        table = form.tables["all"]
        for number, (line, label, image, usage) in enumerate(_rows(table)):
            if usage not in SPLIT_OF_USAGE:
                raise DataError(f"{table.where}, line {line}: Usage must be {', '.join(SPLIT_OF_USAGE)}, not {usage!r}")
            _add(read.setdefault(SPLIT_OF_USAGE[usage], _Rows()), table, line, label, image, number)
        if not read:
            raise _is_empty(table)
        for usage, split in SPLIT_OF_USAGE.items():
            if split not in read:
                raise _lacks(table.where, usage)
    else:
        number = 0
        for split in (name for name in SPLITS if name in form.tables):
            table = form.tables[split]
            for line, label, image, _ in _rows(table):
                _add(read.setdefault(split, _Rows()), table, line, label, image, number)
                number += 1
            if split not in read:
                raise _is_empty(table)
        test = form.tables.get("test")
        if test is not None and test.column(LABEL_COLUMNS) is None:
            missing["test"] = f"{PurePosixPath(test.place).name} has no labels (its columns are {', '.join(test.header)})"
            notes.append(f"{missing['test']}: there are predictions for the test split, and no figures")
    splits = {
        split: Split(np.stack(rows.images).reshape(-1, 1, SIZE, SIZE), np.array(rows.labels, np.int64)) for split, rows in read.items()
    }
    names = {split: rows.names for split, rows in read.items()}
    numbers = {split: np.array(rows.rows, np.int64) for split, rows in read.items()}
    return Parts(str(form.files.path), NAME, CLASSES, splits, names, numbers, notes, missing)


def _add(rows: _Rows, table: Table, line: int, label: int, image: NDArray[np.uint8], number: int) -> None:
    rows.images.append(image)
    rows.labels.append(label)
    rows.names.append(f"{PurePosixPath(table.place).name} line {line}")
    rows.rows.append(number)


def _rows(table: Table) -> Iterator[tuple[int, int, NDArray[np.uint8], str]]:
    """Line number, label, pixels and usage of each row of a table; the label is UNKNOWN where there is no column of labels."""
    pixel, label, usage = table.column(PIXEL_COLUMNS), table.column(LABEL_COLUMNS), table.column(("usage",))
    assert pixel is not None  # or it would not be this form
    known = {str(number) for number in range(len(CLASSES))}
    called = "" if label is None else table.header[label]
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # how NumPy reports text that it cannot read as numbers
        for line, row in table.rows():
            if label is not None and row[label] not in known:
                where = f"{table.where}, line {line}"
                raise DataError(f"{where}: {called} must be a whole number in 0..{len(CLASSES) - 1}, not {row[label]!r}")
            number = UNKNOWN if label is None else int(row[label])
            yield line, number, _pixels(f"{table.where}, line {line}", row[pixel]), "" if usage is None else row[usage]


def _pixels(where: str, text: str) -> NDArray[np.uint8]:
    try:
        values = np.fromstring(text, np.int64, sep=" ")
    except (DeprecationWarning, ValueError):
        raise DataError(f"{where}: pixels must be whole numbers separated by spaces, not {text[:40]!r}...") from None
    if len(values) != PIXELS:
        raise DataError(f"{where}: {len(values)} pixels, but an image has {PIXELS} ({SIZE}x{SIZE}); is the file whole?")
    if values.min() < 0 or values.max() > 255:
        raise DataError(f"{where}: pixels must lie in 0..255, not {values[(values < 0) | (values > 255)][0]}")
    return values.astype(np.uint8)


def _is_empty(table: Table) -> DataError:
    return DataError(f"{table.where}: has no row below its header")


def _lacks(where: str, usage: str) -> DataError:
    return DataError(f"{where}: holds no {usage} image; is it whole? FER2013 has {', '.join(USAGES)} in one file or folder")
