"""Early stopping that cannot bias: Ray's schedulers, each among the tuning trials of one variant on one seed and nobody else."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler

if TYPE_CHECKING:
    from ferray.trial import Stopping, Trial

METRIC = "validation_accuracy"
"""What is compared, the higher the better; the test split stops nothing."""
TIME = "epoch"
"""At which it is compared: Tune's own count of reports begins anew where a trial goes on from a checkpoint."""

Rows = Callable[[str], Sequence[Mapping[str, Any]]]
"""A trial's recorded epochs by its key."""


class WithinVariants(FIFOScheduler):
    """Hands each trial of Tune to the scheduler of its variant and tuning seed; all others run to their end, in the order of the plan.

    A trial is stopped by trials of its own group only. One that stands in the groups of several variants, since they have the same
    settings in some sample, is told to each of them and stopped by none, so that no variant decides what another one learns. Trials
    that the ledger already has are told to their groups before any new one begins, and a trial that goes on from a checkpoint is told
    up to where it goes on.
    """

    _supports_buffered_results = False  # later epochs would be recorded before an earlier one is judged

    def __init__(self, plan: Iterable[Trial], todo: Collection[str], rows: Rows, stop: Callable[[Trial, Mapping[str, Any]], None]) -> None:
        """``todo`` holds the keys of the trials that Tune will run; ``stop`` is called with a trial and what its record is to say."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._rows = rows
        self._stop = stop
        self._trials: dict[str, Trial] = {}
        self._groups: dict[str, list[Group]] = {}
        members: dict[tuple[str, int, Stopping], dict[str, Trial]] = {}
        for trial in plan:
            if trial.phase == "tuning" and trial.stopping:
                self._trials[trial.key] = trial
                members.setdefault((trial.variant, trial.config.seed, trial.stopping), {})[trial.key] = trial
        for (variant, seed, stopping), own in members.items():
            group = Group(f"{variant} on tuning seed {seed}", stopping, max(trial.config.epochs for trial in own.values()))
            for key in own:
                self._groups.setdefault(key, []).append(group)
        for key, groups in self._groups.items():
            if key not in todo:
                for group in groups:
                    group.tell(_Earlier(key), key, rows(key))

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune writes its scheduler down, for a way of going on that the ledger has better

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Called by Tune for each trial before it runs, and again where its process died and it is to go on."""
        for group in self._groups.get(_key(trial), ()):
            group.scheduler.on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Called by Tune with each report of a trial: whether it goes on. Nothing is ever paused."""
        key = _key(trial)
        groups = self._groups.get(key, [])
        if not groups or TIME not in result:
            return TrialScheduler.CONTINUE
        planned, epoch = self._trials[key], int(result[TIME])
        may_stop = len(groups) == 1 and epoch < planned.config.epochs  # after the last epoch there is nothing to save
        for group in groups:
            if group.heard(key) < epoch - 1:
                group.tell(trial, key, [row for row in self._rows(key) if row[TIME] < epoch])
            if not may_stop:
                group.tell(trial, key, [result])
            elif group.rejects(tune_controller, trial, key, result):
                self._stop(planned, {**(planned.rule or {}), "epoch": epoch, "reason": group.reason(result)})
                return TrialScheduler.STOP
        return TrialScheduler.CONTINUE


@dataclass(frozen=True, eq=False)
class _Earlier:
    """Stands before a scheduler for a trial that the ledger has, and that is no trial of this experiment."""

    trial_id: str


class Group:
    """The tuning trials of one variant on one seed, and the one scheduler that compares them with each other."""

    def __init__(self, name: str, stopping: Stopping, epochs: int) -> None:
        """``epochs`` is the length of the longest trial."""
        self.name = name
        self.scheduler = _scheduler(stopping, epochs)
        self._stopping = stopping
        self._heard: dict[str, int] = {}

    def heard(self, key: str) -> int:
        """The last epoch of a trial that was told; 0 before the first."""
        return self._heard.get(key, 0)

    def tell(self, trial: Any, key: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Lets the scheduler know of epochs without asking what it would do; those it knows already are passed over.

        Ray's schedulers take a result without a decision as that of a trial that has ended, and forget the trial, which is therefore
        added again.
        """
        self.scheduler.on_trial_add(None, trial)  # type: ignore[arg-type]
        for row in rows:
            if self._is_new(key, row):
                self.scheduler.on_trial_complete(None, trial, dict(row))  # type: ignore[arg-type]
                self.scheduler.on_trial_add(None, trial)  # type: ignore[arg-type]

    def rejects(self, controller: Any, trial: Any, key: str, row: Mapping[str, Any]) -> bool:
        """Whether the scheduler stops a trial after an epoch."""
        if not self._is_new(key, row):
            return False
        return self.scheduler.on_trial_result(controller, trial, dict(row)) == TrialScheduler.STOP

    def reason(self, row: Mapping[str, Any]) -> str:
        """What is recorded of a trial that was stopped after an epoch."""
        others = sum(last >= row[TIME] for last in self._heard.values()) - 1
        compared = f"compared with {others} other trial{'s' * (others != 1)} of {self.name}"
        if self._stopping.scheduler == "asha":
            return f"validation accuracy {row[METRIC]:.4f} is not of the best 1 in {self._stopping.reduction_factor}, {compared}"
        return f"no validation accuracy, the last {row[METRIC]:.4f}, reaches the median of running means, {compared}"

    def _is_new(self, key: str, row: Mapping[str, Any]) -> bool:
        """Whether an epoch says something: it was not told before, and its accuracy is a number, as it may not be after divergence."""
        if row[TIME] <= self.heard(key):
            return False
        self._heard[key] = int(row[TIME])
        accuracy = row.get(METRIC)
        return accuracy is not None and math.isfinite(accuracy)


def _scheduler(stopping: Stopping, epochs: int) -> FIFOScheduler:
    """One of Ray's, for trials of at most so many epochs."""
    if stopping.scheduler == "median":
        return MedianStoppingRule(TIME, METRIC, "max", grace_period=stopping.grace_epochs)
    return ASHAScheduler(
        TIME,
        METRIC,
        "max",
        max_t=epochs,
        grace_period=stopping.grace_epochs,
        reduction_factor=stopping.reduction_factor or math.nan,
        stop_last_trials=False,
    )


def _key(trial: Any) -> str:
    key: str = trial.config["trial"]["key"]
    return key
