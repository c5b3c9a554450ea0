"""Layouts: which image belongs to which split and class, as the folders say that it lies in."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from ferray.data.dataset import split_named
from ferray.data.files import IMAGE_SUFFIXES, Files, examples, kinds
from ferray.errors import DataError


class Item(NamedTuple):
    """An image file with its split, where that is known, and its class, where that is known."""

    place: str
    split: str | None
    label: str | None


def in_folders(files: Files) -> tuple[list[Item], list[str]]:
    """Every image with what its folders say, in the order of the places, and notes about what was left aside.

    Raises DataError where there are no class folders, or an empty one.
    """
    images = files.of(IMAGE_SUFFIXES)
    top = _top(images)
    depth = len(top)
    heads: dict[str, list[str]] = {}
    for place in images:
        parts = PurePosixPath(place).parts[depth:]
        heads.setdefault(parts[0] if len(parts) > 1 else "", []).append(place)
    splits = {head: split_named(head) for head in heads if head and split_named(head)}
    if not splits:
        return _classes(files, top, heads)
    if "train" not in splits.values():
        raise DataError(f"{files.path}: there is {examples([f'{head}/' for head in splits])} but no train/; where are the training images?")
    for split in set(splits.values()):
        same = [head for head, one in splits.items() if one == split]
        if len(same) > 1:
            raise DataError(f"{files.path}: both {same[0]}/ and {same[1]}/ may be {split}; leave one of them")
    items = []
    for head, split in splits.items():
        items += _of_split(files, (*top, head), split or "", heads[head])
    aside = [place for head, places in heads.items() if head not in splits for place in places]
    notes = [f"images outside of the folders of splits were left aside ({len(aside):,}): {examples(aside)}"] if aside else []
    return sorted(items), notes


def _classes(files: Files, top: tuple[str, ...], heads: dict[str, list[str]]) -> tuple[list[Item], list[str]]:
    """Classes at the top, no splits."""
    if set(heads) == {""}:
        raise DataError(
            f"{files.path}: its images lie in no class folders ({examples(heads[''])}); one folder per class is needed, called like the "
            "class, or a CSV file of paths and labels"
        )
    inside = [PurePosixPath(place).parts[len(top) :] for head, places in heads.items() if head for place in places]
    if all(len(parts) > 2 for parts in inside) and _holds_splits(inside, 1):
        first = "/".join((*top, *inside[0][:2]))
        raise DataError(
            f"{files.path}: the folders of splits lie in those of classes, as {first}/; put them the other way round, as in train/CLASS/, "
            "or write a CSV file of paths, labels and splits"
        )
    without = []
    for folder in _folders_in(files, top):
        held = [place for place in files.places if place.startswith("/".join((*top, folder)) + "/")]
        if not held:
            raise DataError(f"{files.path}: class folder {'/'.join((*top, folder))}/ is empty; add images, or take it away")
        if folder not in heads:
            without.append(f"{folder}/ ({kinds(held)})")
    items = [Item(place, None, _class(head)) for head, places in heads.items() if head for place in places]
    loose = heads.get("", [])
    notes = [f"images in no class folder were left aside ({len(loose):,}): {examples(loose)}"] if loose else []
    notes += [f"folders that hold no image were left aside: {examples(without)}"] if without else []
    return sorted(items), notes


def _of_split(files: Files, above: tuple[str, ...], split: str, places: Sequence[str]) -> list[Item]:
    depth = len(above)
    folder = "/".join(above)
    loose = [place for place in places if len(PurePosixPath(place).parts) == depth + 1]
    if loose and len(loose) == len(places) and split == "test":
        return [Item(place, split, None) for place in places]
    if loose:
        raise DataError(f"{files.path}: {examples(loose)} in {folder}/ lie in no class folder; only all of test may be without classes")
    labels = {PurePosixPath(place).parts[depth] for place in places}
    for name in _folders_in(files, above):
        if name not in labels:
            below = [place for place in files.places if place.startswith(f"{folder}/{name}/")]
            raise DataError(f"{files.path}: class folder {folder}/{name}/ holds no image ({kinds(below)}); add images, or take it away")
    return [Item(place, split, _class(PurePosixPath(place).parts[depth])) for place in places]


def _top(images: Sequence[str]) -> tuple[str, ...]:
    """The folders around everything, which many zips have."""
    paths = [PurePosixPath(place).parts for place in images]
    depth = 0
    while all(len(parts) > depth + 2 for parts in paths):
        heads = {parts[depth] for parts in paths}
        if len(heads) > 1 or (split_named(next(iter(heads))) and not _holds_splits(paths, depth + 1)):
            break
        depth += 1
    return paths[0][:depth]


def _holds_splits(paths: Sequence[tuple[str, ...]], depth: int) -> bool:
    """Whether the folders at a depth are those of splits, one of them for training."""
    found = {split_named(parts[depth]) for parts in paths if len(parts) > depth + 1}
    return None not in found and "train" in found


def _folders_in(files: Files, above: tuple[str, ...]) -> list[str]:
    found = (PurePosixPath(folder).parts for folder in files.folders)
    return [parts[-1] for parts in found if parts[:-1] == above]


def _class(folder: str) -> str:
    """A class's name: the same whether the file system takes accents apart or not."""
    return unicodedata.normalize("NFC", folder)
