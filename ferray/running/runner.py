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
from ferray.running.display import Display, Lines, fitting, note
from ferray.running.estimate import Pace, counted, from_ledger, settled
from ferray.running.interruption import terminated_as_interrupted
from ferray.running.machine import Machine, cluster_address, is_connected
from ferray.running.meter import Meter, recorded_seconds
from ferray.running.progress import Progress
from ferray.running.standing import missing, standing
from ferray.running.study_record import save
from ferray.running.trainable import run_trial
from ferray.running.work import Work

if TYPE_CHECKING:
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
    ledger = Ledger(storage)
    work = Work.of(study, data, ledger, retry_failed=retry_failed, only=only, say=display.say)
    todo = work.todo
    machine = Machine.here(gpus=study.gpus > 0) if local else _machine(study, address)
    slots = None if machine is None else 1 if local else machine.slots(study)
    device = None if machine is None else machine.device(study)
    pace = from_ledger(ledger, settled([*todo, *work.later], device), data, processor=environment.processor()) if todo else Pace()
    display.say(announcements.what_is_to_do(study, work.trials, todo, work.later, ledger, pace, slots))
    for line in work.choices():
        display.say(line)
    check(todo, data, display.say)
    if todo and not local:
        from ferray.running.connection import check_resources

        check_resources(study, address)
    writer = LedgerWriter(storage, retry_failed=retry_failed)
    if only is None:
        save(writer, study, work.plan, data, text, work.after)
    interrupted = False
    meter = Meter.of(study, ledger, work.trials) if only is None else None  # trials that are named one by one are meant
    if todo and not (meter and meter.is_empty()):
        progress = _progress(work, pace, display, given)
        try:
            with (
                terminated_as_interrupted(),
                display.watch(progress),
                _stopped_in_the_end(progress, ledger),
                _in_this_process(work, writer, progress, meter) if local else _on_ray(work, progress, address, meter) as execute,
            ):
                interrupted = _until_done(todo, ledger, execute, display, meter)
                if not interrupted and work.is_tuned():
                    confirming, further = work.confirm(progress)
                    if only is None:
                        save(writer, study, work.plan, data, text, work.after)
                    if meter:
                        meter.pay(recorded_seconds(ledger, confirming))
                    interrupted = _until_done(further, ledger, execute, display, meter)
        except KeyboardInterrupt:
            interrupted = True
        except LedgerError as error:
            raise LedgerError(f"{error}; what has ended is kept, and the same command goes on once this is mended") from error
    return _outcome(work, meter, display, interrupted=interrupted)


def _outcome(work: Work, meter: Meter | None, display: Display, *, interrupted: bool) -> Outcome:
    """What has become of the trials; what is left of them is said."""
    study, ledger = work.study, work.ledger
    statuses = {key: ledger.status(key) for key in work.trials}
    failures = {trial.label: ledger.failure(trial.key) for trial in work.trials.values() if statuses[trial.key] == "failed"}
    left = work.left()
    is_out = bool(left and meter and meter.is_empty() and not interrupted)
    if interrupted:
        display.say(announcements.interrupted(left, work.later, ledger))
    elif is_out and study.budget:
        display.say(announcements.out_of_budget(study.budget, left, work.later, ledger))
    counts = dict(Counter[str](statuses.values()))
    return Outcome(ledger.path, study.name, counts, len(work.todo) - len(left), failures, interrupted, is_out)


def _machine(study: Study, address: str | None) -> Machine | None:
    """Where the trials are to run; None for a cluster that is not connected to yet."""
    if is_connected():
        from ferray.running.connection import there

        return there()
    if cluster_address(address):
        return None
    return Machine.here(gpus=study.gpus > 0)


def _progress(work: Work, pace: Pace, display: Display, storage: str) -> Progress:
    statuses, epochs, accuracies = standing(work.ledger, work.trials)
    shape = work.data.image_shape
    progress = Progress(work.study.name, work.trials, statuses, epochs, accuracies, display, shape, pace.seconds, storage, work.later)
    for trial in work.todo:
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


def _on_ray(work: Work, progress: Progress, address: str | None, meter: Meter | None) -> AbstractContextManager[Executor]:
    from ferray.running.experiment import experiments

    study, plan, retry_failed = work.study, work.plan, work.retry_failed
    return experiments(study, plan, work.data, work.ledger, progress, address=address, retry_failed=retry_failed, meter=meter)


@contextmanager
def _in_this_process(work: Work, writer: LedgerWriter, progress: Progress, meter: Meter | None) -> Iterator[Executor]:
    ledger, keep_weights = work.ledger, work.study.keep_weights

    def execute(trials: list[Trial]) -> bool:
        for trial in trials:
            if meter and meter.is_empty():
                break
            progress.start(trial)
            status = run_trial(trial, work.data, writer, partial(progress.epoch, trial), keep_weights=keep_weights, purse=meter)
            if status == "done":  # another driver has run it meanwhile
                status = ledger.status(trial.key)
            progress.end(trial, status, ledger.failure(trial.key) if status == "failed" else None)
        return False

    try:
        yield execute
    finally:
        writer.close()
