"""Data sources, each of which becomes one Dataset of uint8 images in three splits."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ferray.data import cache as caches
from ferray.data import fer2013, form, images, votes
from ferray.data.dataset import Dataset, Split
from ferray.data.files import Files
from ferray.data.parts import assemble
from ferray.data.synthetic import generate
from ferray.data_source import WORDS, DataSource
from ferray.errors import DataError

FOR_IMAGES = ("image_size", "resize", "color")
"""Fields that only images of any kind have; FER2013 and the synthetic faces have their size."""


def load(source: DataSource, *, cache: Path | None = None, folders: Sequence[Path] = ()) -> Dataset:
    """The images of a source, or of the part of it that ``source.subset`` asks for.

    Relative paths, and a loader of the user's own, are looked for in ``folders``, else in the current folder. FER2013 without a path is
    where the environment variable FERRAY_FER2013 says. Files are read once and then mapped from the cache (``cache``, else FERRAY_CACHE,
    else the user's cache folder). Synthetic faces are drawn anew and need no file; a loader of the user's own is called each time.
    Raises DataError where the source is missing, damaged or not of a known form, ConfigError where the loader is no function.
    """
    if source.source not in WORDS:
        from ferray.data import loader

        path = None if source.path is None else _path(source.path, folders)
        _refuse_without_effect(source, "a loader of your own")
        _refuse_number(source)
        whole = loader.load(source, [*folders] or [Path.cwd()], path)
    elif source.source == "synthetic" or (source.source == "auto" and source.path is None):
        if source.path is not None:
            raise DataError(f"{source.path}: synthetic faces are drawn, not read; leave out the path, or set source: auto")
        if source.votes is not None:
            raise DataError(f"votes: {source.votes}: synthetic faces have none; say with data.path where FER2013 lies")
        _refuse_without_effect(source, "synthetic faces")
        whole = generate(source.images, seed=source.seed)
    else:
        whole = _from_files(source, cache, folders)
    return whole if source.subset is None else whole.subset(source.subset, seed=source.seed, of=source.subset_of)


def located(source: DataSource, folders: Sequence[Path] = ()) -> form.Form:
    """What lies at a source's path, without reading the images. Raises DataError where that is nothing that ferray knows."""
    given = source.path or (os.environ.get("FERRAY_FER2013") if source.source == "fer2013" else None)
    if not given:
        raise DataError(
            f"{source.source}: no path given; say where the data lie with --data PATH, or with data.path in the study file"
            + (f", or in the environment variable FERRAY_FER2013; {form.FER2013_FORMS}" if source.source == "fer2013" else "")
        )
    return form.find(_path(given, folders), source.source)


def entry_of(source: DataSource, found: form.Form, *, cache: Path | None = None, folders: Sequence[Path] = ()) -> Path:
    """Where the cache has, or will have, what was read of a source: the entry of the whole source, or of the splits made of it."""
    whole, divided = _entries(source, found, cache, folders)
    return divided if divided.exists() and not whole.exists() else whole


def _from_files(source: DataSource, cache: Path | None, folders: Sequence[Path]) -> Dataset:
    found = located(source, folders)
    if found.is_fer2013:
        _refuse_without_effect(source, "FER2013")
    _refuse_number(source)
    entries = _entries(source, found, cache, folders)
    for entry in entries:
        if (cached := caches.read(entry, verify=source.subset is None)) is not None:
            return cached
    parts = fer2013.parse(found) if found.is_fer2013 else images.parse(found, source)
    if source.votes is not None:
        parts = votes.attach(parts, votes.read(_path(source.votes, folders), parts.classes))
    entry = entries[0] if parts.is_whole else entries[1]
    caches.write(entry, assemble(parts, source))
    cached = caches.read(entry, verify=False)
    if cached is None:
        raise DataError(f"{entry}: the cache cannot be read back after writing; name another folder in FERRAY_CACHE")
    return cached


def _entries(source: DataSource, found: form.Form, cache: Path | None, folders: Sequence[Path]) -> tuple[Path, Path]:
    """The cache's entries of a source that has all its splits, and of one whose missing splits were made as the settings say."""
    settings: dict[str, Any] = {"form": found.kind, "tables": {split: table.place for split, table in found.tables.items()}}
    if not found.is_fer2013:
        settings |= {name: getattr(source, name) for name in FOR_IMAGES}
    if source.votes is not None:
        file = _path(source.votes, folders)
        settings["votes"] = [str(file.resolve()), Files(file.parent, [file.name]).state if file.is_file() else None]
    made = {name: getattr(source, name) for name in ("validation_share", "validation_split", "test_share", "seed")}
    return caches.entry_of(found.files, settings, cache), caches.entry_of(found.files, settings | made, cache)


def _path(given: str, folders: Sequence[Path]) -> Path:
    """A path as it is where it is absolute, else below the first folder that has it."""
    try:
        path = Path(given).expanduser()
    except RuntimeError as error:
        raise DataError(f"{given}: there is no such user's home folder") from error
    try:
        return next((folder / path for folder in folders if (folder / path).exists()), path)
    except OSError as error:
        raise DataError(f"{given}: cannot be read ({error.strerror or error})") from error


def _refuse_without_effect(source: DataSource, what: str) -> None:
    for name in FOR_IMAGES:
        if getattr(source, name) != DataSource.model_fields[name].default:
            raise DataError(f"data.{name}: has no effect on {what}; it is for images of your own")


def _refuse_number(source: DataSource) -> None:
    if source.images != DataSource.model_fields["images"].default:
        raise DataError("data.images: is for synthetic faces; subset takes a part of other images")


__all__ = ["Dataset", "Split", "entry_of", "load", "located"]
