"""Running chosen trials again: each by its study, rebuilt from what the ledger keeps of it, and no other trial of that study."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferray.config import ENGINE_VERSION
from ferray.errors import LedgerError
from ferray.ledger import removal
from ferray.ledger.catalog import Entry
from ferray.ledger.reading import Ledger

if TYPE_CHECKING:
    from ferray.data import Dataset
    from ferray.running.runner import Outcome
    from ferray.study import Study


def rerun(
    ledger: Ledger,
    trials: Sequence[Entry],
    *,
    study: str | None = None,
    data: str | os.PathLike[str] | None = None,
    keep_weights: bool = False,
    say: Callable[[str], None] = print,
    **options: Any,
) -> list[Outcome]:
    """Runs exactly these trials again, and returns what became of them, study by study.

    A trial that several studies plan runs as part of ``study``, else of the one that was run last. ``data`` says where the images lie
    now, if not where they were. Further options are those of ferray.running.runner.run. A failed or interrupted trial goes on from its
    checkpoint, and the record of its failure stays beside the new one; others begin anew, and their old record is moved to
    ``earlier/``. With ``keep_weights`` all begin anew and keep their weights, also where the study says otherwise. Where the run fails
    or is interrupted, the old records of trials that have no epoch yet go back to their place.
    Raises LedgerError, and does nothing, where a trial is running, belongs to no study, or is not what its study would run today.
    """
    from ferray.running.runner import run

    ledger = Ledger(ledger.path.absolute())  # the current folder is changed below
    images = None if data is None else Path(data).absolute()
    groups = _by_study(ledger, trials, study)
    rebuilt = {}
    for name, own in groups.items():
        with _where_it_ran(ledger, name):
            rebuilt[name] = restore(ledger, name, keep_weights=keep_weights).located(images)
            _check(ledger, rebuilt[name], own)
    outcomes = []
    aside: dict[str, Path] = {}
    try:
        for name, own in groups.items():
            for entry in own:
                if keep_weights or entry.status in ("finished", "diverged", "stopped", "damaged"):
                    place = removal.put_aside(ledger, entry.key)
                    if place is None:
                        raise LedgerError(f"{entry.label} ({entry.key}) has begun to run meanwhile")
                    aside[entry.key] = place
                    say(f"the record of {entry.label} was put aside as {place}")
            with _where_it_ran(ledger, name):
                keys = {entry.key for entry in own}
                outcomes.append(run(rebuilt[name], ledger.path, only=keys, retry_failed=True, say=say, **options))
            if outcomes[-1].interrupted:
                break
    finally:
        returned = sum(removal.put_back(ledger, key, place) for key, place in aside.items())
        if returned:
            say(f"{returned} of the records that were put aside are back in their place, since their trials have not begun anew")
    return outcomes


def restore(ledger: Ledger, name: str, *, keep_weights: bool = False) -> Study:
    """A study as it was last run, from what the ledger keeps of it, or with weights kept.

    Raises ConfigError where this version of ferray refuses it.
    """
    from ferray.study import Study

    document = ledger.study(name)
    folders = document.get("folders") or []
    settings = {**document["settings"], **({"keep_weights": True} if keep_weights else {})}
    return Study(**settings).beside(Path(folders[0]) if folders else None)


def _by_study(ledger: Ledger, trials: Sequence[Entry], study: str | None) -> dict[str, list[Entry]]:
    """The trials by the study that runs them again."""
    groups: dict[str, list[Entry]] = {}
    created = {name: str(ledger.study(name).get("created", "")) for name in {place.study for entry in trials for place in entry.places}}
    for entry in trials:
        if entry.status == "running":
            raise LedgerError(f"{entry.label} ({entry.key}) is running; wait for it, or stop its driver first")
        names = [place.study for place in entry.places]
        if not names:
            raise LedgerError(f"no study plans the trial {entry.key} any more, so there is nothing to run it by; run a study that has it")
        groups.setdefault(study if study in names else max(names, key=lambda name: (created[name], name)), []).append(entry)
    return groups


def _check(ledger: Ledger, study: Study, trials: Sequence[Entry]) -> None:
    """Raises LedgerError where the study, planned today, has no such trial any more; a trial's key says all that it stands on."""
    from ferray.running.confirmation import confirmation

    data = study.load_data()
    plan = study.plan(data)
    after = confirmation(study, data, ledger, plan)
    planned = {trial.key for trial in (*plan, *after.trials)}
    strays = [entry for entry in trials if entry.key not in planned]
    if strays:
        first = strays[0]
        if study.tuning and after.chosen is None and any(_is_confirming(entry, study.name) for entry in strays):
            raise LedgerError(
                f"study {study.name}: its tuning has trials left, so that nobody knows yet whether it would run {first.label} "
                f"({first.key}). Nothing was done; run the study itself, which goes on with what is left"
            )
        raise LedgerError(
            f"study {study.name}: {len(strays)} of {len(trials)} trials are not what it would run today, such as {first.label} "
            f"({first.key}): {_why(ledger, first, data)}. Nothing was done; run the study itself for trials of today"
        )


def _is_confirming(entry: Entry, study: str) -> bool:
    return any(place.study == study and place.phase != "tuning" for place in entry.places)


def _why(ledger: Ledger, entry: Entry, data: Dataset) -> str:
    try:
        identity = ledger.trial(entry.key)
    except (LedgerError, FileNotFoundError):
        return "its settings cannot be read"
    if identity.get("engine") != ENGINE_VERSION:
        return f"it was trained by engine {identity.get('engine')}, and this is engine {ENGINE_VERSION}"
    if identity.get("data") != data.fingerprint:
        return f"its data were {str(identity.get('data'))[:12]}..., and the study's are now {data.fingerprint[:12]}..."
    if identity.get("files"):
        return "the files of code or weights that it stands on have changed, or the study's settings"
    return "the study's settings have changed"


@contextlib.contextmanager
def _where_it_ran(ledger: Ledger, name: str) -> Iterator[None]:
    """The folder that was the current one when the study was run, as long as it exists: paths in a study are relative to it."""
    folders = ledger.study(name).get("folders") or []
    folder = folders[-1] if folders and Path(folders[-1]).is_dir() else "."
    with contextlib.chdir(folder):
        yield
