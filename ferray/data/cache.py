"""The cache: parsed splits as uint8 .npy files that every process of a machine maps into memory, so that there is one copy."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ferray.config import digest
from ferray.data.dataset import SPLITS, Dataset, Split, content_fingerprint
from ferray.data.files import Files
from ferray.errors import DataError

FORMAT = 3
"""Raised whenever the files of an entry, or how a source is read, change: older entries are then not found any more."""

DESCRIPTION = "data.json"


def default_folder() -> Path:
    """FERRAY_CACHE where it is set, else the folder ``ferray`` in the platform's folder for a user's caches."""
    if given := os.environ.get("FERRAY_CACHE"):
        return Path(given).expanduser()
    if sys.platform == "win32":
        parent = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        parent = Path.home() / "Library" / "Caches"
    else:
        parent = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return parent / "ferray"


def entry_of(files: Files, settings: Mapping[str, Any] | None = None, cache: Path | None = None) -> Path:
    """The folder in which a source has its entry.

    It is named after the source's resolved path, after the size and time of each of its files, and after the settings that say how it is
    read.
    """
    named = {"format": FORMAT, "path": str(files.path.resolve()), "files": files.state, "settings": dict(settings or {})}
    return (cache or default_folder()) / "data" / digest(named)[:32]


def read(entry: Path, *, verify: bool) -> Dataset | None:
    """The dataset of an entry, its images mapped read-only; None where there is none or it is damaged.

    ``verify`` compares all pixels with the fingerprint; without it only shapes, sizes and labels are checked.
    """
    try:
        description = json.loads((entry / DESCRIPTION).read_text(encoding="utf-8"))
        splits = {name: _read_split(entry, name, has_votes=description["votes"]) for name in SPLITS}
        dataset = Dataset.build(
            description["name"],
            description["classes"],
            splits,
            synthetic=description["synthetic"],
            fingerprint=description["fingerprint"],
            notes=description["notes"],
            missing=description["missing"],
            splits_by_seed=description.get("validation_split") == "seed",
        )
        if dataset.summary() != description:
            return None
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None
    known = dataset.fingerprint
    if verify and content_fingerprint(dataset.classes, splits, splits_by_seed=dataset.splits_by_seed) != known:
        return None
    return dataset


def write(entry: Path, dataset: Dataset) -> None:
    """Makes the entry, or leaves a whole one that another process made meanwhile; a damaged one is replaced.

    Raises DataError where the cache cannot be written.
    """
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f"{entry.name}-", dir=entry.parent))
    except OSError as error:
        raise _not_writable(entry, error) from error
    try:
        for name, split in dataset.splits.items():
            np.save(aside / f"{name}_images.npy", split.images)
            np.save(aside / f"{name}_labels.npy", split.labels)
            if split.votes is not None:
                np.save(aside / f"{name}_votes.npy", split.votes)
        (aside / DESCRIPTION).write_text(json.dumps(dataset.summary(), indent=2) + "\n", encoding="utf-8")
        aside.chmod(0o755)  # mkdtemp makes it private; a cache may be shared
        _put_in_place(aside, entry)
    except OSError as error:
        raise _not_writable(entry, error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _put_in_place(aside: Path, entry: Path) -> None:
    """Renames to the final name; a folder that is there already is whole and stays, or is damaged and goes."""
    for _ in range(3):  # another process may put its own in place between any two of these steps
        try:
            aside.rename(entry)
            return
        except OSError:
            if not entry.exists():
                raise
        if read(entry, verify=True):
            return
        discarded = Path(tempfile.mkdtemp(prefix=f"{entry.name}-", dir=entry.parent))
        try:
            entry.rename(discarded / "damaged")
        except FileNotFoundError:
            pass
        finally:
            shutil.rmtree(discarded, ignore_errors=True)


def _read_split(entry: Path, name: str, *, has_votes: bool) -> Split:
    images, labels = np.load(entry / f"{name}_images.npy", "r"), np.load(entry / f"{name}_labels.npy")
    return Split(images, labels, np.load(entry / f"{name}_votes.npy") if has_votes else None)


def _not_writable(entry: Path, error: OSError) -> DataError:
    return DataError(f"{entry.parent}: the cache cannot be written ({error.strerror or error}); name another folder in FERRAY_CACHE")
