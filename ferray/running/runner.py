"""Running a study: the plan minus the ledger, as trials of Ray Tune, or one after another in this process."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ferray import environment
from ferray.errors import LedgerError
from ferray.ledger import DEFAULT_STORAGE, Ledger
from ferray.ledger.writer import LedgerWriter
from ferray.running import announcements
from ferray.running.check import check
from ferray.running.confirmation import Confirmation, choices, confirmation
from ferray.running.display import Display, Lines, fitting, note
from ferray.running.estimate import Pace, counted, from_ledger
from ferray.running.interruption import terminated_as_interrupted
from ferray.running.machine import Machine, cluster_address
from ferray.running.meter import Meter, recorded_seconds
from ferray.running.progress import Progress
from ferray.running.standing import failed_before, left_of, missing, set_damaged_aside, standing, wanted
from ferray.running.study_record import save
from ferray.running.trainable import run_trial

if TYPE_CHECKING:
    from ferray.data import Dataset
    from ferray.study import Study
    from ferray.trial import Trial

Executor = Callable[[list["Trial"]], bool]
"""Runs the given trials into the ledger; True where the user interrupted it."""
POLL_SECONDS = 1.0
"""Between two looks at the trials that another driver is running."""


@dataclass(frozen=True)
class Outcome:
    """What became of a study's trials: how many have each status, and how many have a record now that had none before.

    ``failures`` tells, by the trial's label, what was raised.
    """

    storage: Path
    study: str
    statuses: dict[str, int]
    trained: int
    failures: dict[str, str]
    interrupted: bool = False
    out_of_budget: bool = False
    """Whether trials are left since the study's budget is spent."""


def run(
    study: Study,
    storage: str | os.PathLike[str] | None = None,
    *,
    address: str | None = None,
    local: bool = False,
    retry_failed: bool = False,
    only: Collection[str] | None = None,
    text: str | None = None,
    say: Callable[[str], None] | None = None,
    display: Display | None = None,
) -> Outcome:
    """Runs every trial of the study that the ledger does not hold, and keeps the study for the report.

    Of a study with ``tuning`` these are the trials that tune, and then, in the same session of Ray, those that confirm what was chosen.

    ``address`` names a Ray cluster (the environment variable RAY_ADDRESS serves too); without one Ray starts on this machine.
    ``local`` needs no Ray: the same trials in this process, in order. ``retry_failed`` runs failed trials again. ``only`` holds the
    keys of the trials to run, where not all of a study that was run before are meant. ``text`` is the study file, for the report.
    Progress is shown by ``display``; left out, it is a live picture in a terminal or a notebook, and printed lines elsewhere. ``say``
    is short for a display that hands each line to a function.

    Ctrl-C, SIGTERM or a notebook's interrupt button while trials run ends them: what is finished is kept, half-trained trials keep
    their last checkpoint, and the outcome says ``interrupted``. Raises FerrayError for what the user can mend.
    """
    display = display or (Lines(say) if say else fitting())
    given = os.fspath(storage or DEFAULT_STORAGE)
    storage = Ledger(given).path.absolute()
    if local:
        Machine.here(gpus=study.gpus > 0).check(study)
        if study.tuning:
            study.tuning.check_local()
    data = study.load_data()
    for told in data.notes:
        display.say(note(told))
    plan = study.plan(data)
    ledger = Ledger(storage)
    trials = wanted(plan, only)
    set_damaged_aside(ledger, trials, display.say)
    todo = missing(ledger, trials.values(), retry_failed=retry_failed)  # first: another driver may end the last of tuning right now
    after = confirmation(study, data, ledger, plan, retry_failed=retry_failed, only=only)
    confirming = wanted(after.trials, only)
    set_damaged_aside(ledger, confirming, display.say)
    trials |= confirming
    todo += missing(ledger, confirming.values(), retry_failed=retry_failed)
    failed = failed_before(ledger, todo)
    later = list(after.expected) if only is None else []
    pace = from_ledger(ledger, [*todo, *later], data, processor=environment.processor()) if todo else Pace()
    display.say(announcements.what_is_to_do(study, trials, todo, later, ledger, pace, 1 if local else _slots(study, address)))
    for line in choices(after, plan):
        display.say(line)
    check(todo, data, display.say)
    if todo and not local:
        from ferray.running.experiment import check_resources

        check_resources(study, address)
    writer = LedgerWriter(storage, retry_failed=retry_failed)
    if only is None:
        save(writer, study, plan, data, text, after)
    interrupted = False
    meter = Meter.of(study, ledger, trials) if only is None else None  # trials that are named one by one are meant
    if todo and not (meter and meter.is_empty()):
        progress = _progress(study, trials, todo, later, data, ledger, pace, display, given)
        try:
            with terminated_as_interrupted(), display.watch(progress), _stopped_in_the_end(progress, ledger):
                here = (
                    _in_this_process(study, data, ledger, writer, progress, meter)
                    if local
                    else _on_ray(study, plan, data, ledger, progress, address, retry_failed, meter)
                )
                with here as execute:
                    interrupted = _until_done(todo, ledger, execute, display, meter)
                    if study.tuning and after.chosen is None and not interrupted and not left_of(ledger, todo, failed):
                        after = confirmation(study, data, ledger, plan)
                        confirming = wanted(after.trials, only)
                        further = _confirm(plan, after, confirming, ledger, progress, retry_failed=retry_failed)
                        if only is None:
                            save(writer, study, plan, data, text, after)
                        if meter:
                            meter.pay(recorded_seconds(ledger, confirming))
                        later = list(after.expected) if only is None else []
                        trials |= confirming
                        todo = [*todo, *further]
                        failed |= failed_before(ledger, further)
                        interrupted = _until_done(further, ledger, execute, display, meter)
        except KeyboardInterrupt:
            interrupted = True
        except LedgerError as error:
            raise LedgerError(f"{error}; what has ended is kept, and the same command goes on once this is mended") from error
    statuses = {key: ledger.status(key) for key in trials}
    failures = {trial.label: ledger.failure(trial.key) for trial in trials.values() if statuses[trial.key] == "failed"}
    left = left_of(ledger, todo, failed)
    is_out = bool(left and meter and meter.is_empty() and not interrupted)
    if interrupted:
        display.say(announcements.interrupted(left, later, ledger))
    elif is_out and study.budget:
        display.say(announcements.out_of_budget(study.budget, left, later, ledger))
    counts = dict(Counter[str](statuses.values()))
    return Outcome(storage, study.name, counts, len(todo) - len(left), failures, interrupted, is_out)


def _confirm(
    plan: list[Trial], after: Confirmation, trials: dict[str, Trial], ledger: Ledger, progress: Progress, *, retry_failed: bool
) -> list[Trial]:
    """Tells of what tuning chose, and hands the trials that follow from it to the progress; the ones of these that are to run."""
    for line in choices(after, plan):
        progress.display.say(line)
    set_damaged_aside(ledger, trials, progress.display.say)
    further = missing(ledger, trials.values(), retry_failed=retry_failed)
    if trials:
        there = len(trials) - len(further)
        progress.display.say(f"{counted(len(trials), 'trial')} of confirmation planned, {there} in the ledger, {len(further)} to run")
        progress.extend(trials, *standing(ledger, trials), further)
    return further


def _slots(study: Study, address: str | None) -> int | None:
    """How many trials this machine runs at a time; None where they run on a cluster."""
    if cluster_address(address):
        return None
    return Machine.here(gpus=study.gpus > 0).slots(study)


def _progress(
    study: Study,
    trials: dict[str, Trial],
    todo: list[Trial],
    later: list[Trial],
    data: Dataset,
    ledger: Ledger,
    pace: Pace,
    display: Display,
    storage: str,
) -> Progress:
    statuses, epochs, accuracies = standing(ledger, trials)
    progress = Progress(study.name, trials, statuses, epochs, accuracies, display, data.image_shape, pace.seconds, storage, later)
    for trial in todo:
        progress.again(trial.key)
    return progress


@contextmanager
def _stopped_in_the_end(progress: Progress, ledger: Ledger) -> Iterator[None]:
    """Trials that an interruption stops may still end an epoch, of which only the ledger hears."""
    try:
        yield
    finally:
        with suppress(LedgerError):
            progress.stop({key: len(ledger.epochs(key)) for key in progress.running})


def _until_done(todo: list[Trial], ledger: Ledger, execute: Executor, display: Display, meter: Meter | None = None) -> bool:
    """Executes what is free until every trial has ended or the budget is spent; True where the user interrupted it.

    Trials that another driver is running are waited for, and taken over if it dies.
    """
    is_waiting = False
    while todo and not (meter and meter.is_empty()):
        free = [trial for trial in todo if ledger.status(trial.key) != "running"]
        if free:
            if execute(free):
                return True
            is_waiting = False
        else:
            if not is_waiting:
                display.say(f"waiting for {counted(len(todo), 'trial')} that another driver is running")
            is_waiting = True
            time.sleep(POLL_SECONDS)
        todo = missing(ledger, todo)
    return False


def _on_ray(
    study: Study,
    plan: list[Trial],
    data: Dataset,
    ledger: Ledger,
    progress: Progress,
    address: str | None,
    retry_failed: bool,
    meter: Meter | None,
) -> AbstractContextManager[Executor]:
    from ferray.running.experiment import experiments

    return experiments(study, plan, data, ledger, progress, address=address, retry_failed=retry_failed, meter=meter)


@contextmanager
def _in_this_process(
    study: Study, data: Dataset, ledger: Ledger, writer: LedgerWriter, progress: Progress, meter: Meter | None
) -> Iterator[Executor]:
    def execute(trials: list[Trial]) -> bool:
        for trial in trials:
            if meter and meter.is_empty():
                break
            progress.start(trial)
            status = run_trial(trial, data, writer, partial(progress.epoch, trial), keep_weights=study.keep_weights, purse=meter)
            if status == "done":  # another driver has run it meanwhile
                status = ledger.status(trial.key)
            progress.end(trial, status, ledger.failure(trial.key) if status == "failed" else None)
        return False

    try:
        yield execute
    finally:
        writer.close()
