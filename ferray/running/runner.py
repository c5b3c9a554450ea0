"""Running a study: the plan minus the ledger, as trials of Ray Tune, or one after another in this process."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ferray import environment
from ferray.data.dataset import thumbnails
from ferray.errors import LedgerError
from ferray.ledger import DEFAULT_STORAGE, Ledger
from ferray.ledger.writer import LedgerWriter
from ferray.running.check import check
from ferray.running.confirmation import NOTHING_AFTER, Confirmation, choices, confirmation, document, missing
from ferray.running.display import Display, Lines, fitting, note
from ferray.running.estimate import Pace, counted, duration, from_ledger, makespan
from ferray.running.interruption import terminated_as_interrupted
from ferray.running.machine import Machine, cluster_address
from ferray.running.meter import Meter, recorded_seconds
from ferray.running.progress import Progress
from ferray.running.trainable import run_trial

if TYPE_CHECKING:
    from ferray.budget import Budget
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
    trials = _wanted(plan, only)
    _set_damaged_aside(ledger, trials, display)
    todo = missing(ledger, trials.values(), retry_failed=retry_failed)  # first: another driver may end the last of tuning right now
    after = confirmation(study, data, ledger, plan, retry_failed=retry_failed, only=only)
    confirming = _wanted(after.trials, only)
    _set_damaged_aside(ledger, confirming, display)
    trials |= confirming
    todo += missing(ledger, confirming.values(), retry_failed=retry_failed)
    failed = _failed(ledger, todo)
    later = list(after.expected) if only is None else []
    pace = from_ledger(ledger, [*todo, *later], data, processor=environment.processor()) if todo else Pace()
    display.say(_what_is_to_do(study, trials, todo, later, ledger, pace, 1 if local else _slots(study, address)))
    for line in choices(after, plan):
        display.say(line)
    check(todo, data, display.say)
    if todo and not local:
        from ferray.running.experiment import check_resources

        check_resources(study, address)
    writer = LedgerWriter(storage, retry_failed=retry_failed)
    if only is None:
        _save(writer, study, plan, data, text, after)
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
                    if study.tuning and after.chosen is None and not interrupted and not _left(ledger, todo, failed):
                        after = confirmation(study, data, ledger, plan)
                        confirming = _wanted(after.trials, only)
                        further = _confirm(plan, after, confirming, ledger, progress, retry_failed=retry_failed)
                        if only is None:
                            _save(writer, study, plan, data, text, after)
                        if meter:
                            meter.pay(recorded_seconds(ledger, confirming))
                        later = list(after.expected) if only is None else []
                        trials |= confirming
                        todo = [*todo, *further]
                        failed |= _failed(ledger, further)
                        interrupted = _until_done(further, ledger, execute, display, meter)
        except KeyboardInterrupt:
            interrupted = True
        except LedgerError as error:
            raise LedgerError(f"{error}; what has ended is kept, and the same command goes on once this is mended") from error
    statuses = {key: ledger.status(key) for key in trials}
    failures = {trial.label: ledger.failure(trial.key) for trial in trials.values() if statuses[trial.key] == "failed"}
    left = _left(ledger, todo, failed)
    is_out = bool(left and meter and meter.is_empty() and not interrupted)
    if interrupted:
        display.say(_interrupted(left, later, ledger))
    elif is_out and study.budget:
        display.say(_out_of_budget(study.budget, left, later, ledger))
    counts = dict(Counter[str](statuses.values()))
    return Outcome(storage, study.name, counts, len(todo) - len(left), failures, interrupted, is_out)


def _wanted(trials: Iterable[Trial], only: Collection[str] | None) -> dict[str, Trial]:
    """By key; of one that is both final and frozen the first, which is the final one."""
    found: dict[str, Trial] = {}
    for trial in trials:
        if only is None or trial.key in only:
            found.setdefault(trial.key, trial)
    return found


def _failed(ledger: Ledger, todo: Iterable[Trial]) -> dict[str, dict[str, Any] | None]:
    """By key, the records of trials that have failed and are to run again."""
    return {trial.key: ledger.record(trial.key) for trial in todo if ledger.status(trial.key) == "failed"}


def _left(ledger: Ledger, todo: Iterable[Trial], failed: Mapping[str, Any]) -> list[Trial]:
    """The trials that have not ended, and those that had ``failed`` before and were not tried again."""
    todo = list(todo)
    unended = {trial.key for trial in missing(ledger, todo)}
    untried = {key for key, record in failed.items() if ledger.status(key) == "failed" and ledger.record(key) == record}
    return [trial for trial in todo if trial.key in unended | untried]


def _set_damaged_aside(ledger: Ledger, trials: dict[str, Trial], display: Display) -> None:
    for trial in trials.values():
        if ledger.status(trial.key, verify=True) == "damaged":
            place = LedgerWriter(ledger.path).set_aside(trial.key)
            if place is not None:  # else another driver has seen to it
                display.say(f"the record of {trial.label} is damaged; it was set aside as {place} and will run again")


def _confirm(
    plan: list[Trial], after: Confirmation, trials: dict[str, Trial], ledger: Ledger, progress: Progress, *, retry_failed: bool
) -> list[Trial]:
    """Tells of what tuning chose, and hands the trials that follow from it to the progress; the ones of these that are to run."""
    for line in choices(after, plan):
        progress.display.say(line)
    _set_damaged_aside(ledger, trials, progress.display)
    further = missing(ledger, trials.values(), retry_failed=retry_failed)
    if trials:
        there = len(trials) - len(further)
        progress.display.say(f"{counted(len(trials), 'trial')} of confirmation planned, {there} in the ledger, {len(further)} to run")
        progress.extend(trials, *_standing(ledger, trials), further)
    return further


def _interrupted(left: list[Trial], later: list[Trial], ledger: Ledger) -> str:
    command = _command()
    again = f"go on with: {command}" if command.startswith("python -m") else "run the same again to go on"
    return f"interrupted: what has ended is kept, {_rest(left, later, ledger)}; {again}"


def _out_of_budget(budget: Budget, left: list[Trial], later: list[Trial], ledger: Ledger) -> str:
    more = "the same command goes on" if budget.unit == "hours" else "the same command goes on once `budget` is larger"
    return f"the budget of {budget.told()} is spent: {_rest(left, later, ledger)}; {more}"


def _rest(left: list[Trial], later: list[Trial], ledger: Ledger) -> str:
    half_trained = sum(ledger.resumable_epochs(trial.key) > 0 for trial in left)
    half = f", {half_trained} of them from a checkpoint" if half_trained else ""
    then = f", and then at most {counted(len(later), 'trial')} of confirmation" if later else ""
    return f"{counted(len(left), 'trial')} {'is' if len(left) == 1 else 'are'} left{half}{then}"


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
    statuses, epochs, accuracies = _standing(ledger, trials)
    progress = Progress(study.name, trials, statuses, epochs, accuracies, display, data.image_shape, pace.seconds, storage, later)
    for trial in todo:
        progress.again(trial.key)
    return progress


def _standing(ledger: Ledger, trials: dict[str, Trial]) -> tuple[dict[str, str], dict[str, int], dict[str, float]]:
    """By key: the status of each trial, how many epochs it has, and of the finished ones the highest validation accuracy."""
    statuses = {key: str(ledger.status(key)) for key in trials}
    rows = {key: ledger.epochs(key) for key in trials}
    accuracies = {}
    for key, status in statuses.items():
        reached = [row["validation_accuracy"] for row in rows[key] if row.get("validation_accuracy") is not None]
        if status == "finished" and reached:
            accuracies[key] = max(reached)
    return statuses, {key: len(found) for key, found in rows.items()}, accuracies


@contextmanager
def _stopped_in_the_end(progress: Progress, ledger: Ledger) -> Iterator[None]:
    """Trials that an interruption stops may still end an epoch, of which only the ledger hears."""
    try:
        yield
    finally:
        with suppress(LedgerError):
            progress.stop({key: len(ledger.epochs(key)) for key in progress.running})


def _what_is_to_do(
    study: Study, trials: dict[str, Trial], todo: list[Trial], later: list[Trial], ledger: Ledger, pace: Pace, slots: int | None
) -> str:
    there = len(trials) - len(todo)
    plan = f"study {study.name}: {_planned(study, trials)} planned, {there} in the ledger, {len(todo)} to run"
    if later:
        plan += f", and then at most {counted(len(later), 'trial')} of confirmation"
    if not todo:
        return plan
    begun = {trial.key: len(ledger.epochs(trial.key)) for trial in todo}
    half_trained = sum(epochs > 0 for epochs in begun.values())
    stages = [[(trial.key, trial.config.epochs - begun[trial.key]) for trial in todo], [(one.key, one.config.epochs) for one in later]]
    told = [f"about {counted(sum(epochs for stage in stages for _, epochs in stage), 'epoch')}"]
    if all(key in pace.seconds for stage in stages for key, _ in stage):
        jobs = [[pace.seconds[key] * epochs for key, epochs in stage] for stage in stages]
        seconds = sum(makespan(stage, slots) if slots else sum(stage) for stage in jobs)
        told.append(f"{duration(seconds)}{'' if slots else ' of training'} by {pace.basis}")
    return f"{plan}{f', {half_trained} of them half-trained' if half_trained else ''} ({', '.join(told)})"


def _planned(study: Study, trials: dict[str, Trial]) -> str:
    if study.tuning is None:
        return counted(len(trials), "trial")
    tuning = sum(trial.phase == "tuning" for trial in trials.values())
    confirming = f" and {len(trials) - tuning:,} of confirmation" if len(trials) > tuning else ""
    return f"{counted(tuning, 'trial')} of tuning{confirming}"


def _save(
    writer: LedgerWriter, study: Study, plan: list[Trial], data: Dataset, text: str | None, after: Confirmation = NOTHING_AFTER
) -> None:
    description = data.summary()
    arrays: dict[str, NDArray[Any]] = {}
    for name in ("validation", "test"):
        split = data.splits[name]
        arrays |= {f"{name}_labels": split.labels, f"{name}_images": thumbnails(split.images)}
        if split.votes is not None:
            arrays[f"{name}_votes"] = split.votes
    writer.save_data(description, arrays)
    for code in {code.digest: code for trial in plan for code in trial.attachments.code.values()}.values():
        writer.save_code(code.digest, {"reference": code.reference, "module": code.module, "name": code.name}, code.files)
    first: dict[str, dict[str, Any]] = {}
    for trial in plan:
        first.setdefault(trial.variant, trial.config.model_dump())
    writer.save_study(
        study.name,
        {
            "name": study.name,
            "title": study.title,
            "text": text,
            "settings": study.model_dump(mode="json"),
            "data": description,
            "command": _command(),
            "folders": [str(folder) for folder in study.folders],
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "baseline": study.baseline,
            "variants": {
                variant.name: {"overrides": variant.overrides, "removed": list(variant.removed), "config": first[variant.name]}
                for variant in study.all_variants()
            },
            "smallest_effect": study.smallest_effect,
            "ablation": study.ablate.describe() if study.ablate else None,
            "tuning": document(study, after),
            "published": {name: numbers.model_dump(exclude_none=True) for name, numbers in study.published.items()},
            "plan": [
                {
                    "key": trial.key,
                    "variant": trial.variant,
                    "sample": trial.sample,
                    "seed": trial.config.seed,
                    "overrides": trial.overrides,
                    "phase": trial.phase,
                }
                for trial in [*plan, *after.trials]
            ],
        },
    )


def _command() -> str:
    """The command line that runs this study again."""
    program = Path(sys.argv[0])
    if program.name == "tune.py" and program.parent.name == "ferray":
        return shlex.join(["python", "-m", "ferray.tune", *sys.argv[1:]])
    if program.name == "ipykernel_launcher.py":
        return "a notebook"
    return shlex.join(sys.argv)


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
