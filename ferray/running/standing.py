"""How trials stand in the ledger: which are to run, what they have so far, and which of those that were to run are left."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ferray.ledger import ENDED, Ledger
from ferray.ledger.writer import LedgerWriter

if TYPE_CHECKING:
    from ferray.trial import Trial


def missing(ledger: Ledger, trials: Iterable[Trial], *, retry_failed: bool = False) -> list[Trial]:
    """The trials that have not ended; with ``retry_failed`` also those that failed.

    One that was stopped early has ended for a plan that would stop it by the same rule; elsewhere it is wanted in full length.
    """
    done = ENDED - {"failed"} if retry_failed else ENDED
    statuses = ((trial, ledger.status(trial.key)) for trial in trials)
    return [
        trial
        for trial, status in statuses
        if status not in done or (status == "stopped" and not ledger.is_stopped_by(trial.key, trial.rule))
    ]


def wanted(trials: Iterable[Trial], only: Collection[str] | None) -> dict[str, Trial]:
    """By key; of one that is both final and frozen the first, which is the final one."""
    found: dict[str, Trial] = {}
    for trial in trials:
        if only is None or trial.key in only:
            found.setdefault(trial.key, trial)
    return found


def failed_before(ledger: Ledger, todo: Iterable[Trial]) -> dict[str, dict[str, Any] | None]:
    """By key, the records of trials that have failed and are to run again."""
    return {trial.key: ledger.record(trial.key) for trial in todo if ledger.status(trial.key) == "failed"}


def left_of(ledger: Ledger, todo: Iterable[Trial], failed: Mapping[str, Any]) -> list[Trial]:
    """The trials that have not ended, and those that had ``failed`` before and were not tried again."""
    todo = list(todo)
    unended = {trial.key for trial in missing(ledger, todo)}
    untried = {key for key, record in failed.items() if ledger.status(key) == "failed" and ledger.record(key) == record}
    return [trial for trial in todo if trial.key in unended | untried]


def set_damaged_aside(ledger: Ledger, trials: Mapping[str, Trial], say: Callable[[str], None]) -> None:
    """Moves damaged records of trials out of the way, so that these run again, and says so of each."""
    for trial in trials.values():
        if ledger.status(trial.key, verify=True) == "damaged":
            place = LedgerWriter(ledger.path).set_aside(trial.key)
            if place is not None:  # else another driver has seen to it
                say(f"the record of {trial.label} is damaged; it was set aside as {place} and will run again")


def standing(ledger: Ledger, trials: dict[str, Trial]) -> tuple[dict[str, str], dict[str, int], dict[str, float]]:
    """By key: the status of each trial, how many epochs it has, and of the finished ones the highest validation accuracy."""
    statuses = {key: str(ledger.status(key)) for key in trials}
    rows = {key: ledger.epochs(key) for key in trials}
    accuracies = {}
    for key, status in statuses.items():
        reached = [row["validation_accuracy"] for row in rows[key] if row.get("validation_accuracy") is not None]
        if status == "finished" and reached:
            accuracies[key] = max(reached)
    return statuses, {key: len(found) for key, found in rows.items()}, accuracies
