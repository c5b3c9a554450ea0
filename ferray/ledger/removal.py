"""Removing trials and studies: what would go and how much disk that frees, then taking it away so that the ledger is valid throughout.

Each trial's folder is moved out of the ledger in one step, under its lock, and deleted afterwards; a study's document goes last. A
removal that is interrupted therefore leaves a study with fewer trials, and the same command goes on.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ferray.errors import LedgerError
from ferray.ledger import catalog
from ferray.ledger.catalog import Entry, Filters
from ferray.ledger.lock import acquire
from ferray.ledger.reading import Ledger


@dataclass(frozen=True)
class Removal:
    """What goes and what stays. ``study`` is set where the study's document, report and Tune's folders go too."""

    trials: tuple[Entry, ...]
    study: str | None
    shared: tuple[Entry, ...]
    """Trials of the study that stay, since other studies plan them too."""
    folders: tuple[Path, ...]
    """All that goes: the trials' folders in their order, old records of theirs, then the study's folders, its document last."""
    size: int
    """Bytes of all files that go."""


def prepare(ledger: Ledger, filters: Filters, keys: Iterable[str] = ()) -> Removal:
    """What a removal would take: the given trials, or those that fit the filters.

    With a study and no further filter the study itself goes, with those of its trials that no other study plans. With a study and
    further filters only such trials go. Raises LedgerError where nothing is meant, a trial is running, or a
    study's document cannot be read where what goes depends on what studies plan.
    """
    named = [catalog.resolve(ledger, key) for key in keys]
    if not filters and not named:
        raise LedgerError("say what to remove: KEY..., --study NAME, or filters such as --status failed")
    if filters.study is not None or filters.unused:
        for name in ledger.studies():
            ledger.study(name)  # nobody knows what trials one that cannot be read still plans
    chosen = catalog.select(ledger, filters) if filters else catalog.entries(ledger, named)
    if filters and named:
        chosen = [entry for entry in chosen if entry.key in named]
    whole = filters.study if not named and filters == Filters(study=filters.study) else None
    shared = [entry for entry in chosen if filters.study is not None and any(place.study != filters.study for place in entry.places)]
    trials = [entry for entry in chosen if entry not in shared]
    running = [entry for entry in chosen if entry.status == "running"]
    if running:
        many = f"{len(running)} trials are" if len(running) > 1 else "a trial is"
        raise LedgerError(f"{many} running, such as {running[0].label} ({running[0].key}); stop its driver first, or leave it out")
    folders = [ledger.trial_folder(entry.key) for entry in trials]
    folders += [*_old_records(ledger, {entry.key for entry in trials}), *([] if whole is None else _of_study(ledger, whole))]
    return Removal(tuple(trials), whole, tuple(shared), tuple(folders), sum(size(folder) for folder in folders))


def remove(ledger: Ledger, removal: Removal) -> list[Entry]:
    """Takes away what was prepared; returns the trials that a driver began to run meanwhile, which stay, as does their study."""
    try:
        _clear(ledger)
        busy = [entry for entry in removal.trials if not _remove_trial(ledger, entry.key)]
        if not busy:
            for folder in removal.folders[len(removal.trials) :]:
                _move_away(ledger, folder)
        _clear(ledger)
    except OSError as error:
        raise LedgerError(f"cannot remove {error.filename or ledger.path}: {error.strerror or error}; the rest is still there") from None
    return busy


def put_aside(ledger: Ledger, key: str) -> Path | None:
    """Moves a trial's whole record out of the way, to where nothing is lost; None where a driver is running it."""
    place = ledger.earlier_folder / f"{key}-{time.time_ns()}"
    return place if _move_trial(ledger, key, place) else None


def put_back(ledger: Ledger, key: str, place: Path) -> bool:
    """Returns a record that was put aside to its place; False where the trial has begun anew, or a driver has it, and it stays aside."""
    lock = acquire(ledger, key)
    if lock is None:
        return False
    with lock:
        if ledger.record_file(key).exists() or ledger.epochs_file(key).exists():
            return False
        try:
            shutil.rmtree(ledger.trial_folder(key))
            os.replace(place, ledger.trial_folder(key))
        except OSError:  # as where a driver begins at this moment
            return False
    return True


def size(folder: Path) -> int:
    """Bytes of all files in a folder, or of a file."""
    if not folder.is_dir():
        return folder.stat().st_size if folder.exists() else 0
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())


def _old_records(ledger: Ledger, keys: set[str]) -> list[Path]:
    """What was put or set aside of trials."""
    places = [place for place in (ledger.earlier_folder, ledger.damaged_folder) if place.is_dir()]
    return sorted(place / entry.name for place in places for entry in os.scandir(place) if entry.name.rpartition("-")[0] in keys)


def _of_study(ledger: Ledger, name: str) -> list[Path]:
    runs = re.compile(rf"{re.escape(name)}(-\d{{8}}-\d{{6}}-\d+)?(\.log)?")
    tune = [Path(entry) for entry in os.scandir(ledger.tune_folder) if runs.fullmatch(entry.name)] if ledger.tune_folder.is_dir() else []
    report = ledger.report_folder(name)
    return [*sorted(tune), *([report] if report.is_dir() else []), ledger.study_file(name).parent]


def _remove_trial(ledger: Ledger, key: str) -> bool:
    return _move_trial(ledger, key, ledger.removed_folder / f"{key}-{time.time_ns()}")


def _move_trial(ledger: Ledger, key: str, place: Path) -> bool:
    """Whether a trial could be moved: not while a driver holds it."""
    lock = acquire(ledger, key)
    if lock is None:
        return False
    with lock:
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(ledger.trial_folder(key), place)
    return True


def _move_away(ledger: Ledger, folder: Path) -> None:
    ledger.removed_folder.mkdir(parents=True, exist_ok=True)
    os.replace(folder, ledger.removed_folder / f"{folder.name}-{time.time_ns()}")


def _clear(ledger: Ledger) -> None:
    """Deletes what was moved away, now or by a removal that was interrupted."""
    if ledger.removed_folder.is_dir():
        shutil.rmtree(ledger.removed_folder)
