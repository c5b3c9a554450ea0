"""Listings: which image belongs to which split and class, as tables of paths and labels say."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Mapping
from pathlib import PurePosixPath

from ferray.data.dataset import SPLIT_WORDS, SPLITS, split_named
from ferray.data.files import IMAGE_SUFFIXES, Files, examples
from ferray.data.form import LABEL_COLUMNS, PATH_COLUMNS, SPLIT_COLUMNS
from ferray.data.layout import Item
from ferray.data.table import Table
from ferray.errors import DataError, nearest


def listed(files: Files, tables: Mapping[str, Table]) -> tuple[list[Item], list[str]]:
    """Every listed image with its split and class, in the order of the places, and notes about what was left aside.

    Tables are by split; of that called ``all`` a column may tell the splits. Raises DataError where a row names no image, or one that
    another row names.
    """
    find = _Finder(files)
    lines: dict[str, str] = {}
    items = []
    for name in (name for name in ("all", *SPLITS) if name in tables):
        table = tables[name]
        path, label, split = _columns(table)
        missing = []
        for line, row in table.rows():
            where = f"{table.where}, line {line}"
            stated = _split(where, table.header[split], row[split]) if split is not None and name == "all" else name
            place = find(table, row[path], stated)
            if place is None:
                missing.append((where, row[path]))
                continue
            if place in lines:
                raise DataError(f"{where}: names {row[path]!r} again, which {lines[place]} has; each image may be listed once")
            lines[place] = f"{PurePosixPath(table.place).name} line {line}"
            text = None if label is None else unicodedata.normalize("NFC", row[label])
            items.append(Item(place, None if stated == "all" else stated, text or None))
        if missing:
            where, given = missing[0]
            more = f" ({len(missing):,} such rows)" if len(missing) > 1 else ""
            if several := find.candidates(given):
                raise DataError(f"{where}: {given!r} may be any of {examples(several)}{more}; write paths from the table's folder")
            raise DataError(f"{where}: there is no image {given!r}{find.nearest(given)}{more}; paths count from the table's folder")
    if not items:
        raise DataError(f"{next(iter(tables.values())).where}: has no row below its header")
    aside = sorted(set(files.of(IMAGE_SUFFIXES)) - set(lines))
    notes = [f"images that are not listed were left aside ({len(aside):,}): {examples(aside)}"] if aside else []
    return sorted(items), notes


class _Finder:
    """Finds images by what tables write of them: a path from the table or the top, a file name, or a name without its suffix."""

    def __init__(self, files: Files) -> None:
        self._places = set(files.of(IMAGE_SUFFIXES))
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for place in sorted(self._places):
            for name in {PurePosixPath(place).name, PurePosixPath(place).stem}:
                self._by_name[name].append(place)

    def __call__(self, table: Table, given: str, split: str) -> str | None:
        """The one image that is meant; of several of one name that in the folder of the row's split."""
        path = PurePosixPath(given.replace("\\", "/"))
        parts = [part for part in path.parts if part not in (".", "/")]
        below = PurePosixPath(table.place).parent
        for place in (str(below.joinpath(*parts)), "/".join(parts)):
            if place in self._places:
                return place
        candidates = self.candidates(given)
        if len(candidates) > 1 and len(parts) == 1:
            candidates = [one for one in candidates if split in map(split_named, PurePosixPath(one).parent.parts)] or candidates
        ending = [place for place in candidates if PurePosixPath(place).parts[-len(parts) :] == tuple(parts)] or candidates
        return ending[0] if len(ending) == 1 and (len(parts) == 1 or len(candidates) == 1) else None

    def candidates(self, given: str) -> list[str]:
        """All images of a name."""
        return self._by_name.get(PurePosixPath(given.replace("\\", "/")).name, [])

    def nearest(self, given: str) -> str:
        """The name most like the given one, for an error."""
        return nearest(PurePosixPath(given).name, list(self._by_name)[:20_000])


def _columns(table: Table) -> tuple[int, int | None, int | None]:
    """The columns of path, label and split."""
    path, label, split = (table.column(names) for names in (PATH_COLUMNS, LABEL_COLUMNS, SPLIT_COLUMNS))
    assert path is not None  # or it would not be this form
    if label is None and len(table.header) == 2 and split is None:
        label = 1 - path
    return path, label, split


def _split(where: str, column: str, word: str) -> str:
    split = split_named(word)
    if split is None:
        words = [one for several in SPLIT_WORDS.values() for one in several]
        raise DataError(f"{where}: {column} must be train, validation or test, not {word!r}{nearest(word, words)}")
    return split
