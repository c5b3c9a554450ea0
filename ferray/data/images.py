"""Images of any kind: in folders called like their classes, or with a table of paths and labels beside them."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from ferray.data.dataset import SPLITS, UNKNOWN, Split
from ferray.data.decoding import decode
from ferray.data.files import IMAGE_SUFFIXES, TABLE_SUFFIXES, Files, examples, kinds
from ferray.data.form import Form
from ferray.data.layout import Item, in_folders
from ferray.data.listing import listed
from ferray.data.parts import Parts
from ferray.data_source import DataSource
from ferray.errors import DataError

MOST_UNREADABLE = 0.1
"""Of all images; more than these are not left out but refused."""

MANY = 10
"""So many files that are no images are worth a note."""


def parse(form: Form, source: DataSource) -> Parts:
    """Reads images in the form that was found. Raises DataError that names the fault and its place."""
    files = form.files
    items, notes = listed(files, form.tables) if form.kind == "listing" else in_folders(files)
    _check_labels(files, items)
    classes = in_order({item.label for item in items if item.label is not None})
    notes += _alike(classes)
    decoded = decode(files, [item.place for item in items], size=source.image_size, resize=source.resize, color=source.color)
    notes += _left_out(files, items, decoded.faults)
    numbers = {name: number for number, name in enumerate(classes)}
    labels = np.array([UNKNOWN if item.label is None else numbers[item.label] for item in items], np.int64)
    splits, names = {}, {}
    for split in SPLITS:
        mine = [place for place, item in enumerate(items) if (item.split or "train") == split and place not in decoded.faults]
        if mine:
            splits[split] = Split(decoded.images[mine], labels[mine])
            names[split] = [items[place].place for place in mine]
    missing = {}
    if "test" in splits and not splits["test"].labelled:
        missing["test"] = "the classes of the test images are not known"
        notes.append(f"{missing['test']}: there are predictions for them, and no figures")
    for split, part in splits.items():
        lacking = [name for number, name in enumerate(classes) if part.labelled and not (part.labels == number).any()]
        if lacking and split != "train":
            notes.append(f"{split} has no image of {examples(lacking)}")
    others = [place for place in files.places if place not in set(files.of(IMAGE_SUFFIXES | TABLE_SUFFIXES))]
    if len(others) >= MANY:
        notes.append(f"files that are no images were left aside ({kinds(others)})")
    name = files.path.stem if files.is_zip else files.path.resolve().name
    return Parts(str(files.path), name, classes, splits, names, None, [*form.notes, *notes, *decoded.notes], missing)


def in_order(names: set[str]) -> tuple[str, ...]:
    """The classes in an order that depends on nothing but them: by number where all are numbers, else by their characters."""
    if all(name.isdecimal() for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def _alike(classes: Sequence[str]) -> list[str]:
    """A note of classes that look like one and the same, written in two ways."""
    first: dict[str, str] = {}
    pairs = [(first.setdefault(unicodedata.normalize("NFKC", name).casefold().strip(), name), name) for name in classes]
    told = [f"{one!r} and {other!r}" for one, other in pairs if one != other]
    return [f"classes that differ in their writing only were kept apart: {examples(told)}"] if told else []


def _check_labels(files: Files, items: Sequence[Item]) -> None:
    """Only all of the test images may lack their classes."""
    unlabelled = [item for item in items if item.label is None]
    elsewhere = [item.place for item in unlabelled if item.split != "test"]
    if elsewhere:
        raise DataError(f"{files.path}: {examples(elsewhere)} have no class; only all of test may be without classes")
    tested = sum(item.split == "test" for item in items)
    if unlabelled and len(unlabelled) < tested:
        names = examples([item.place for item in unlabelled])
        raise DataError(
            f"{files.path}: {len(unlabelled):,} of {tested:,} test images have no class ({names}); all or none of them may lack it"
        )


def _left_out(files: Files, items: Sequence[Item], faults: Mapping[int, str]) -> list[str]:
    """Notes of images that could not be read. Raises DataError where they are too many, or all of a class."""
    if not faults:
        return []
    told = examples([f"{items[number].place} ({why})" for number, why in faults.items()])
    if len(faults) > MOST_UNREADABLE * len(items):
        raise DataError(f"{files.path}: {len(faults):,} of {len(items):,} images cannot be read: {told}")
    groups = Counter((item.split, item.label) for item in items)
    unreadable = Counter((items[number].split, items[number].label) for number in faults)
    for (split, label), count in unreadable.items():
        if count == groups[split, label]:
            where = f" in {split}" if split else ""
            raise DataError(f"{files.path}: no image of class {label!r}{where} can be read: {told}")
    one = len(faults) == 1
    return [f"{len(faults):,} of {len(items):,} images cannot be read and {'was' if one else 'were'} left out: {told}"]
