"""How far a run is: which trials run, wait and have ended, how fast they are, and how long the rest will take."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, median
from typing import TYPE_CHECKING, Any

from ferray.ledger import DEFAULT_STORAGE, ENDED
from ferray.running.estimate import cost, makespan
from ferray.running.meter import OUT_OF_BUDGET

if TYPE_CHECKING:
    from ferray.running.display import Display
    from ferray.trial import Trial

LATEST = 20
"""Epochs of one kind, the latest ones, that tell how long the next will take."""


@dataclass
class Running:
    """A trial that is being trained, with the row of its last epoch (None before the first) and when that came."""

    trial: Trial
    row: Mapping[str, Any] | None
    since: float

    @property
    def epoch(self) -> int:
        """The last epoch that ended."""
        return int(self.row["epoch"]) if self.row else 0


@dataclass(frozen=True)
class Best:
    """Of a variant: the mean over its seeds of the highest validation accuracy, and how many seeds these are."""

    variant: str
    accuracy: float
    seeds: int


@dataclass
class Progress:
    """What is known of a run, kept up by whoever runs the trials, and shown by a display, which hears of every change.

    ``trials`` are all of the study that are known, and ``later`` has a stand-in for each that may follow from how these end. ``statuses``
    says how each one stood before, and ``epochs`` how many it had, and ``accuracies`` the highest validation accuracy of those that
    ended. ``expected`` holds seconds per epoch by key, as far as known before, and ``storage`` is the ledger's folder as the user wrote
    it.
    """

    study: str
    trials: Mapping[str, Trial]
    statuses: dict[str, str]
    epochs: dict[str, int]
    accuracies: dict[str, float]
    display: Display
    shape: Sequence[int]
    expected: Mapping[str, float] = field(default_factory=dict)
    storage: str = DEFAULT_STORAGE
    later: Sequence[Trial] = ()
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self.began = self.clock()
        self.lock = threading.RLock()
        """Held while the figures change, and to be held while several are read by another thread."""
        self.running: dict[str, Running] = {}
        self.todo = {key for key in self.trials if self.statuses.get(key) not in ENDED}
        self.at_once = 1
        self.doing = ""
        """What is being done before trials can run."""
        self._planned = len(self.todo)
        self._paces: dict[str, list[float]] = {}
        self._highest: dict[str, float] = {}
        self._costs = {one.key: self._cost(one) for one in (*self.trials.values(), *self.later)}

    def again(self, key: str) -> None:
        """A trial that has a record, as a failed one, is to run again or to go on."""
        with self.lock:
            self.todo.add(key)
            self._planned = len(self.todo)

    def extend(
        self,
        trials: Mapping[str, Trial],
        statuses: Mapping[str, str],
        epochs: Mapping[str, int],
        accuracies: Mapping[str, float],
        todo: Sequence[Trial],
    ) -> None:
        """The trials that stand-ins stood for are known now, with how each one stands and which are to run."""
        with self.lock:
            self.later = ()
            self.trials = {**self.trials, **trials}
            self.statuses.update(statuses)
            self.epochs.update(epochs)
            self.accuracies.update(accuracies)
            self.todo |= {trial.key for trial in todo}
            self._planned += len(todo)
            self._costs |= {key: self._cost(trial) for key, trial in trials.items()}

    def start(self, trial: Trial) -> None:
        """A trial has begun, or goes on."""
        with self.lock:
            self.running[trial.key] = Running(trial, None, self.clock())
            self.at_once = max(self.at_once, len(self.running))

    def epoch(self, trial: Trial, row: Mapping[str, Any]) -> None:
        """A trial has ended an epoch."""
        with self.lock:
            self.running[trial.key] = Running(trial, dict(row), self.clock())
            self.at_once = max(self.at_once, len(self.running))
            self.epochs[trial.key] = int(row["epoch"])
            self._paces.setdefault(self._costs[trial.key], []).append(row["seconds"])
            accuracy = row["validation_accuracy"]
            if not math.isnan(accuracy):  # as it may be where the training diverged
                self._highest[trial.key] = max(accuracy, self._highest.get(trial.key, 0.0), self.accuracies.get(trial.key, 0.0))
        self.display.epoch(self, trial, row)

    def stop(self, epochs: Mapping[str, int]) -> None:
        """Nothing runs any more; ``epochs`` is what trials have in the ledger, which may be more than was heard of."""
        with self.lock:
            self.running.clear()
            self.doing = ""
            self.epochs.update(epochs)

    def lost(self, trial: Trial, told: str) -> None:
        """The process of a trial has died, and it will go on in another."""
        with self.lock:
            self.running.pop(trial.key, None)
        self.display.say(f"{trial.label}: its process died, and it will go on in another ({told})")

    def end(self, trial: Trial, status: str, told: str | None = None) -> None:
        """A trial has ended, or is left to another driver (``busy``) or to a larger budget; ``told`` is what failed."""
        with self.lock:
            self.running.pop(trial.key, None)
            if status in ("busy", OUT_OF_BUDGET):
                return
            self.todo.discard(trial.key)
            self.statuses[trial.key] = status
            if trial.key in self._highest and status == "finished":
                self.accuracies[trial.key] = self._highest[trial.key]
        self.display.end(self, trial, status, told)

    # What there is to show

    @property
    def counts(self) -> dict[str, int]:
        """Trials by what they do: done, running, waiting, failed."""
        statuses = Counter(status for key, status in self.statuses.items() if key not in self.todo)
        failed = statuses["failed"]
        running = len(self.running)
        return {
            "done": len(self.trials) - len(self.todo) - failed,
            "running": running,
            "waiting": max(0, len(self.todo) - running) + len(self.later),
            "failed": failed,
        }

    @property
    def stopped(self) -> int:
        """How many trials were stopped early; they count as done, unless they are to go on."""
        return sum(status == "stopped" for key, status in self.statuses.items() if key not in self.todo)

    @property
    def ended(self) -> tuple[int, int]:
        """How many trials have ended in this run, of how many."""
        return self._planned - len(self.todo), self._planned + len(self.later)

    @property
    def epochs_done(self) -> tuple[int, int]:
        """How many epochs there are, of all; a trial that has ended counts whole, wherever it stopped."""
        whole = {key: trial.config.epochs for key, trial in self.trials.items()}
        done = sum(min(self.epochs.get(key, 0), whole[key]) if key in self.todo else whole[key] for key in whole)
        return done, sum(whole.values()) + sum(trial.config.epochs for trial in self.later)

    @property
    def images_per_second(self) -> float:
        """Of all running trials together, as far as they have ended an epoch."""
        return sum(float(one.row["images_per_second"]) for one in self.running.values() if one.row)

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return self.clock() - self.began

    @property
    def seconds_left(self) -> float | None:
        """Until all trials have ended, at the pace of this run or as expected before; None while nothing is known."""
        jobs = []
        now = self.clock()
        for key in sorted(self.todo, key=lambda key: key not in self.running):
            trial = self.trials[key]
            pace = self._pace(trial)
            if pace is None:
                return None
            spent = now - self.running[key].since if key in self.running else 0.0
            jobs.append(max(0.0, pace * (trial.config.epochs - self.epochs.get(key, 0)) - min(spent, pace)))
        after = []
        for trial in self.later:
            pace = self._pace(trial)
            if pace is None:
                return None
            after.append(pace * trial.config.epochs)
        return makespan(jobs, self.at_once) + makespan(after, self.at_once)

    def best(self) -> list[Best]:
        """The best of each variant that has a finished trial, among its samples with the most finished seeds.

        Once a trial of a tuned study's confirmation has finished, these alone, each variant at its own settings, have a say.
        """
        phases = {self.trials[key].phase for key in self.accuracies}
        phase = "final" if "final" in phases else "tuning"
        found: dict[tuple[str, int], list[float]] = {}
        for key, accuracy in self.accuracies.items():
            trial = self.trials[key]
            if trial.phase == phase:
                found.setdefault((trial.variant, trial.sample), []).append(accuracy)
        best: dict[str, Best] = {}
        for variant in dict.fromkeys(trial.variant for trial in self.trials.values()):
            samples = [Best(variant, mean(values), len(values)) for (name, _), values in found.items() if name == variant]
            if samples:
                best[variant] = max(samples, key=lambda one: (one.seeds, one.accuracy))
        return list(best.values())

    def _cost(self, trial: Trial) -> str:
        return cost(trial.config, self.shape, trial.attachments.digests.get("model"))

    def _pace(self, trial: Trial) -> float | None:
        """Seconds per epoch; of one that may be on any device and runs, those of its own last one."""
        running = self.running.get(trial.key)
        if running is not None and running.row and trial.config.device == "any":
            return float(running.row["seconds"])
        seen = self._paces.get(self._costs[trial.key]) or []
        if not seen and trial.key in self.expected:
            return self.expected[trial.key]
        seen = seen or [pace for paces in self._paces.values() for pace in paces]
        return median(seen[-LATEST:]) if seen else None
