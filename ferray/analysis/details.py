"""What makes a report checkable: failures, states, environments, and trials that are suspiciously alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ferray.analysis.results import Results


@dataclass(frozen=True)
class Lost:
    """A planned trial that gave no result, with the error where it left one."""

    variant: str
    sample: int
    seed: int
    key: str
    status: str
    epochs: int
    message: str
    traceback: str


@dataclass(frozen=True)
class Environments:
    """The facts that all trials share, and one row per distinct environment of the others: how many trials, then the facts' values."""

    shared: Mapping[str, Any]
    differing: tuple[str, ...]
    rows: tuple[tuple[int, tuple[Any, ...]], ...]


@dataclass(frozen=True)
class PlanRow:
    """The states of one variant and sample, by seed; an empty text where the plan has no such trial.

    ``phase`` is ``final``, ``frozen`` or, where the trials are both, ``final, frozen``; ``tuning`` in a tuning.
    """

    variant: str
    sample: int
    phase: str
    statuses: tuple[str, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many seeds have each state."""
        return dict(Counter(status for status in self.statuses if status))


@dataclass(frozen=True)
class PlanPart:
    """The rows of the plan that have the same seeds: all of it, or of a tuned study its tuning or its confirmation."""

    title: str  # empty where the plan has one part
    seeds: tuple[int, ...]
    trials: int
    rows: tuple[PlanRow, ...]


def each_once(results: Results) -> pd.DataFrame:
    """The rows of ``results.trials``, one for each trial of a variant; ``phase`` has its two phases where it is both final and frozen."""
    trials = results.trials
    phases = trials.groupby(["variant", "key"], sort=False)["phase"].agg(lambda own: ", ".join(dict.fromkeys(own)))
    once = trials.drop_duplicates(["variant", "key"])
    return once.assign(phase=phases.loc[pd.MultiIndex.from_frame(once[["variant", "key"]])].to_numpy())


def lost_trials(results: Results) -> list[Lost]:
    """Failed, diverged and damaged trials, in the order of the plan; those that merely have not run yet are only counted."""
    reasons = {damage.key: damage.reason for damage in results.damaged}
    lost = []
    frame = each_once(results)
    frame = frame[frame["status"].isin(["failed", "diverged", "damaged"])]
    columns = ["variant", "sample", "seed", "key", "status", "epochs"]
    for variant, sample, seed, key, status, epochs in frame[columns].itertuples(index=False):
        error = results.record(str(key)).get("error") or {}
        message = f"{error['type']}: {error['message']}" if error else reasons.get(str(key), "")
        if status == "diverged" and not message:
            message = "the loss was not finite any more"
        lost.append(
            Lost(str(variant), int(sample), int(seed), str(key), str(status), int(epochs), message, str(error.get("traceback") or ""))
        )
    return lost


def status_counts(results: Results) -> dict[str, int]:
    """How many planned trials there are of each status."""
    return {str(status): int(number) for status, number in each_once(results)["status"].value_counts().items()}


def environments(results: Results) -> Environments:
    """Every distinct environment that trials ran in, the most frequent first."""
    facts = [dict(results.record(str(key)).get("environment") or {}) for key in results.trials["key"].unique()]
    facts = [one for one in facts if one]
    names = list(dict.fromkeys(name for one in facts for name in one))
    differing = tuple(name for name in names if any(one.get(name) != facts[0].get(name) for one in facts))
    rows = Counter(tuple(one.get(name) for name in differing) for one in facts)
    ordered = tuple((number, values) for values, number in rows.most_common())
    return Environments({name: facts[0].get(name) for name in names if name not in differing}, differing, ordered)


def plan_parts(results: Results) -> list[PlanPart]:
    """The plan with the state of each trial: in one part, or of a tuned study in two, as tuning and confirmation have other seeds."""
    trials = each_once(results)
    tunes = trials["phase"] == "tuning"
    if not tunes.any():
        return [_part("", trials)]
    parts = [("Tuning", trials[tunes]), ("Confirmation", trials[~tunes])]
    return [_part(title, own) for title, own in parts if not own.empty]


def _part(title: str, trials: pd.DataFrame) -> PlanPart:
    seeds = tuple(sorted({int(seed) for seed in trials["seed"]}))
    rows = []
    for (variant, sample, phase), own in trials.groupby(["variant", "sample", "phase"], sort=False):
        status = dict(zip(own["seed"].astype(int), own["status"].astype(str), strict=True))
        rows.append(PlanRow(str(variant), int(str(sample)), str(phase), tuple(status.get(seed, "") for seed in seeds)))
    return PlanPart(title, seeds, len(trials), tuple(rows))
