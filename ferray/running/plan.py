"""What a study would run: its trials by variant and seed, what the ledger holds of them, and how long the rest takes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ferray import environment
from ferray.ledger import DEFAULT_STORAGE, Ledger
from ferray.packing import UNPACKED, Packing
from ferray.running import draws, price
from ferray.running.check import check
from ferray.running.confirmation import NOTHING_AFTER, Confirmation, choices, confirmation
from ferray.running.display import note
from ferray.running.estimate import Pace, counted, duration, from_ledger, from_probe, makespan, settled
from ferray.running.machine import Machine, cluster_address, is_connected

if TYPE_CHECKING:
    from ferray.data import Dataset
    from ferray.running.price import Price
    from ferray.study import Study
    from ferray.trial import Trial

STATES = ("in the ledger", "half-trained", "failed", "running", "to run")
"""What a planned trial can be; ``running`` is by another driver."""


@dataclass(frozen=True)
class Plan:
    """The trials of a study and how each one stands.

    ``states`` has one of STATES by key, ``epochs`` how many epochs a trial has that has not ended. ``slots`` is how many trials, or
    processes that pack these, run at a time on ``machine``, 0 where it lacks what they ask for; ``added`` is how many of them ``cpu_nodes``
    adds on nodes without a GPU. ``pace`` is empty where nobody knows how long an epoch takes. ``draws`` says what of a search takes effect,
    ``design`` by what the variants were formed. ``after`` is what follows from the tuning of a study that is tuned; its trials, as far as
    known, are among ``trials``.
    """

    study: str
    data: str
    trials: Sequence[Trial]
    states: dict[str, str]
    epochs: dict[str, int]
    retry_failed: bool
    machine: Machine
    slots: int
    processors: float
    gpus: float
    pace: Pace
    draws: Sequence[str] = ()
    design: Sequence[str] = ()
    after: Confirmation = NOTHING_AFTER
    price: Price | None = None
    packing: Packing = UNPACKED
    added: int = 0

    @property
    def is_tuned(self) -> bool:
        """Whether settings are chosen for each variant before the variants are compared."""
        return any(trial.phase == "tuning" for trial in self.trials)

    @property
    def to_run(self) -> list[Trial]:
        """The trials that a run would begin or go on with, each once."""
        unique = {trial.key: trial for trial in self.trials}
        ended = {"in the ledger"} if self.retry_failed else {"in the ledger", "failed"}
        return [trial for key, trial in unique.items() if self.states[key] not in ended]

    @property
    def epochs_left(self) -> int:
        """Epochs to be trained."""
        return sum(self._left(trial) for trial in self.to_run)

    @property
    def trial_seconds(self) -> float | None:
        """What all trials to be run take, those of a confirmation among them, one after another; None where one's is not known."""
        jobs, following = self.jobs, self.following
        return None if jobs is None or following is None else sum(jobs) + sum(following)

    @property
    def seconds(self) -> float | None:
        """From the first to the last trial; None where that is not known."""
        jobs, following = self.jobs, self.following
        if jobs is None or following is None or not self.slots:
            return None
        return makespan(jobs, self.slots) + makespan(following, self.slots)

    @property
    def jobs(self) -> list[float] | None:
        """Seconds that each trial to be run takes; None where that is not known of all."""
        todo = self.to_run
        if any(trial.key not in self.pace.seconds for trial in todo):
            return None
        return [self.pace.seconds[trial.key] * self._left(trial) for trial in todo]

    @property
    def following(self) -> list[float] | None:
        """The same of the trials that there may be at most once it is known how these ended."""
        if any(trial.key not in self.pace.seconds for trial in self.after.expected):
            return None
        return [self.pace.seconds[trial.key] * trial.config.epochs for trial in self.after.expected]

    def _left(self, trial: Trial) -> int:
        return max(0, trial.config.epochs - self.epochs.get(trial.key, 0))


def make_plan(
    study: Study,
    storage: str | os.PathLike[str] | None = None,
    *,
    address: str | None = None,
    local: bool = False,
    retry_failed: bool = False,
    say: Callable[[str], None] | None = None,
) -> Plan:
    """The plan of a study, as ``ferray.running.runner.run`` would run it with the same arguments; trains nothing and writes nothing.

    How long it takes is known from earlier trials in the ledger; for networks that it does not know, a few training steps are probed
    where this machine is the one that would train. ``say`` is told of that, and of the notes on the data. Raises FerrayError as ``run``
    does, also where a network, a loss or a transform that the study names does not do what it must.
    """
    say = say or (lambda line: None)
    if study.tuning and local:
        study.tuning.check_local()
    ledger = Ledger(storage or DEFAULT_STORAGE)
    data = study.load_data()
    for told in data.notes:
        say(note(told))
    trials = study.plan(data)
    after = confirmation(study, data, ledger, trials, retry_failed=retry_failed)
    trials += after.trials
    unique = {trial.key: trial for trial in trials}
    states = {key: _state(ledger, trial) for key, trial in unique.items()}
    epochs = {key: 0 if states[key] == "in the ledger" else ledger.resumable_epochs(key) for key in unique}
    address = None if local else cluster_address(address)
    machine = _cluster(address) if address or (is_connected() and not local) else Machine.here(gpus=study.gpus > 0)
    slots = min(1, machine.slots(study)) if local else machine.slots(study)
    device, fitted = machine.device(study), machine.fitted(study)
    plan = Plan(
        study.name, _described(data), trials, states, epochs, retry_failed, machine, slots, fitted.processors, fitted.packing.gpus, Pace(),
        packing=UNPACKED if local else fitted.packing,
        added=0 if local else machine.split(fitted)[1],
    )  # fmt: skip
    todo = plan.to_run
    check(todo, data, say)
    priced = settled([*todo, *after.expected], device)
    pace = from_ledger(ledger, priced, data, processor=environment.processor()) if todo else Pace()
    unknown = [trial for trial in priced if trial.key not in pace.seconds]
    if unknown and not address and slots:
        say("probing how fast this machine trains: a few steps of each network, nothing is kept")
        pace = pace.filled(priced, from_probe(unknown, data))
    design = study.ablate.sentences() if study.ablate else ()
    plan = replace(plan, pace=pace, draws=draws.sentences(study, trials), design=design, after=after)
    return replace(plan, price=price.price(plan, study, ledger, data))


def _state(ledger: Ledger, trial: Trial) -> str:
    status = ledger.status(trial.key)
    if status in ("finished", "diverged") or (status == "stopped" and ledger.is_stopped_by(trial.key, trial.rule)):
        return "in the ledger"
    if status in ("failed", "running"):
        return status
    return "half-trained" if status in ("interrupted", "stopped") and ledger.resumable_epochs(trial.key) else "to run"


def _cluster(address: str | None) -> Machine:
    """What a running cluster has now."""
    import ray

    from ferray.running.connection import connect, there

    is_ours = connect(address)
    try:
        return there()
    finally:
        if is_ours:
            ray.shutdown()


def _described(data: Dataset) -> str:
    images = ", ".join(f"{len(split):,} {name}" for name, split in data.splits.items())
    channels, height, width = data.image_shape
    return f"{data.name}: {images} images of {height}x{width} with {channels} channel{'s' * (channels > 1)}, {len(data.classes)} classes"


def sentences(plan: Plan) -> list[str]:
    """What is there, what is to run, how long that takes and where this is known from."""
    todo = plan.to_run
    states = Counter(plan.states.values())
    there = ", ".join(f"{states[state]:,} {state}" for state in STATES if states[state])
    planned = counted(len(plan.states), "trial") + (" of tuning" if plan.after.expected else "")
    told = [f"study {plan.study} on {plan.data}", *plan.design, f"{planned} planned: {there}", *plan.draws]
    if plan.is_tuned:
        told += _of_tuning(plan)
    if states["failed"] and not plan.retry_failed:
        told.append("failed trials stay as they are; --retry-failed runs them again")
    if not todo:
        return [*told, "nothing to run"]
    expected = plan.after.expected
    then = f", and then at most {counted(len(expected), 'trial')} of confirmation, " if expected else ""
    then += counted(sum(trial.config.epochs for trial in expected), "epoch") if expected else ""
    told.append(f"{counted(len(todo), 'trial')} to run, {counted(plan.epochs_left, 'epoch')}{then}")
    stopping = next((trial.stopping for trial in todo if trial.stopping), None)
    if stopping:
        told.append(f"{stopping.scheduler} may stop trials of tuning early, by others of their variant: these are the most epochs and time")
    return [*told, _time(plan)]


def _of_tuning(plan: Plan) -> list[str]:
    """Which variants have fewer settings to choose from, and what comes after or was chosen."""
    tuning = [trial for trial in plan.trials if trial.phase == "tuning"]
    samples = Counter(variant for variant, _ in {(trial.variant, trial.sample): None for trial in tuning})
    most = max(samples.values())
    fewer = [
        f"{variant} has {counted(number, 'sample')} to choose from, not {most:,}: it fixes what tells the others apart"
        for variant, number in samples.items()
        if number < most
    ]
    follows = "once these have ended, each variant runs at its own best settings and at the baseline's best ones, on fresh seeds"
    return [*fewer, *(choices(plan.after, tuning) or [follows])]


def _time(plan: Plan) -> str:
    if not plan.slots:
        asked = counted(plan.processors, "processor") + (f" and {counted(plan.gpus, 'GPU')}" if plan.gpus else "")
        has = plan.machine.told if plan.gpus or plan.machine.nodes else f"{plan.machine.processors:g}"
        return f"{plan.machine.name} cannot run it: each trial asks for {asked}, and it has {has}"
    wall, trial_seconds = plan.seconds, plan.trial_seconds
    if wall is None or trial_seconds is None:
        unknown = "how long an epoch takes is not known yet"
        if plan.added:
            unknown = "how long that takes depends on which trials the GPUs come to train, and is not told in advance"
        return f"{_slots(plan)} on {plan.machine.name}; {unknown}"
    unit, each = ("GPU", plan.gpus) if plan.gpus else ("processor", plan.processors)
    spent = price.hours(trial_seconds * each, unit)
    return f"about {duration(wall)}, {_slots(plan)} on {plan.machine.name} ({spent}), by {plan.pace.basis}"


def _slots(plan: Plan) -> str:
    if not plan.packing.is_on:
        return f"{plan.slots:,} at a time"
    most = "as many as fit" if plan.packing.most is None else f"at most {plan.packing.most:,}"
    processes = plan.slots - plan.added
    told = f"{processes:,} process{'es' * (processes != 1)} of {most}"
    return f"{told} and {counted(plan.added, 'trial')} on nodes without a GPU at a time" if plan.added else f"{told} at a time"
