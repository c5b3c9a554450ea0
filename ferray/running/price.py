"""What a plan costs, what effect it can show for that, and how far a budget goes."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferray import power
from ferray.budget import Budget
from ferray.ledger import Ledger
from ferray.running.estimate import counted, makespan
from ferray.running.meter import rate_of, recorded_seconds
from ferray.running.spread import Spread, deviation, spread

if TYPE_CHECKING:
    from ferray.data import Dataset
    from ferray.running.plan import Plan
    from ferray.study import Study

LIKE_A_FRACTION = 0.1
"""Accuracy points below which a margin may be meant as a fraction."""


@dataclass(frozen=True)
class Sensitivity:
    """What effect the study's seeds can show, in accuracy points, against the baseline.

    ``smallest`` is NaN for fewer than two seeds; ``needed`` says how many seeds show ``wanted``, the study's ``smallest_effect``, or
    None where no number of them does; ``floor`` is what the images leave however many seeds there are.
    """

    seeds: int
    comparisons: int
    images: int
    split: str
    spread: Spread
    smallest: float
    wanted: float
    needed: int | None
    floor: float


@dataclass(frozen=True)
class Fit:
    """How far a budget goes: whether it suffices, and how many of the seeds are whole by then; both None where no pace is known."""

    budget: Budget
    spent: float  # hours of its unit
    suffices: bool | None
    whole_seeds: int | None
    seeds: int


@dataclass(frozen=True)
class Price:
    """Seconds of GPUs, or of processors where there are none, spent and to be spent; None where no pace is known."""

    unit: str
    spent: float
    left: float | None
    sensitivity: Sensitivity | None
    fit: Fit | None


def price(plan: Plan, study: Study, ledger: Ledger, data: Dataset) -> Price:
    """The price of a plan, whose pace is known as far as it can be."""
    unit, each = ("GPU", study.gpus) if study.gpus else ("processor", study.processors)
    unique = {trial.key for trial in plan.trials}
    recorded = recorded_seconds(ledger, unique)
    left = None if plan.trial_seconds is None else each * plan.trial_seconds
    return Price(unit, each * recorded, left, _sensitivity(plan, study, ledger, data), _fit(plan, study, recorded))


def _sensitivity(plan: Plan, study: Study, ledger: Ledger, data: Dataset) -> Sensitivity | None:
    """None where nothing is compared."""
    final = [trial for trial in plan.trials if trial.phase == "final"] or plan.after.expected
    comparisons = len({trial.variant for trial in final}) - 1
    if comparisons < 1:
        return None
    seeds = len(study.all_seeds)
    split = "validation" if "test" in data.missing else "test"
    images = len(data.splits[split])
    found = spread(ledger, study, plan.trials)
    variances = found.of_a_seed(images), found.of_images(images)
    wanted = study.smallest_effect
    return Sensitivity(
        seeds,
        comparisons,
        images,
        split,
        found,
        power.smallest_effect(*variances, seeds, comparisons, images=images),
        wanted,
        power.seeds_needed(wanted, *variances, comparisons, images=images),
        power.smallest_effect(*variances, power.MOST_SEEDS, comparisons, images=images),
    )


def _fit(plan: Plan, study: Study, recorded: float) -> Fit | None:
    """Trials run in the order of the plan, seed by seed, so that a budget leaves whole seeds."""
    if study.budget is None:
        return None
    rate = rate_of(study)
    spent = 0.0 if rate is None else rate * recorded
    judging = [trial for trial in plan.trials if trial.phase != "tuning"]
    seeds = len(study.all_seeds)
    todo = plan.to_run
    jobs, following = plan.jobs, plan.following
    if jobs is None or following is None or not plan.slots:
        return Fit(study.budget, spent / 3600, None if todo else True, None if todo else seeds, seeds)
    room = 3600 * study.budget.amount - spent
    reached = bisect.bisect_right(range(1, len(todo) + 1), room, key=lambda count: _cost(jobs[:count], rate, plan.slots))
    cut = {trial.key for trial in todo[reached:]}
    if following:  # tuning comes first, and tells how final trials are set
        suffices = _cost(jobs, rate, plan.slots) + _cost(following, rate, plan.slots) <= room
        return Fit(study.budget, spent / 3600, suffices, seeds if suffices else None, seeds)
    broken = {trial.config.seed for trial in judging if trial.key in cut}
    if any(trial.phase == "tuning" and trial.key in cut for trial in plan.trials):
        broken = {trial.config.seed for trial in judging}
    return Fit(study.budget, spent / 3600, not cut, seeds - len(broken), seeds)


def _cost(jobs: Sequence[float], rate: float | None, slots: int) -> float:
    return makespan(jobs, slots) if rate is None else rate * sum(jobs)


def hours(seconds: float, unit: str) -> str:
    """Seconds of GPUs or processors in words: ``2.5 GPU-hours``, ``3 processor-minutes``."""
    minutes = seconds / 60
    if minutes >= 57:
        return f"{minutes / 60:,.1f} {unit}-hours"
    return counted(round(minutes), f"{unit}-minute") if minutes >= 1 else f"less than a {unit}-minute"


def sentences(told: Price | None) -> list[str]:
    """The price in sentences, a line for each."""
    if told is None:
        return []
    lines = [_whole(told)] if told.spent or told.left else []
    if told.fit is not None:
        lines.append(_fit_told(told.fit, told.unit))
    return lines + ([] if told.sensitivity is None else _sensitivity_told(told.sensitivity))


def _whole(told: Price) -> str:
    if told.left is None:
        return f"the whole study: {hours(told.spent, told.unit)} spent; what is left is not known yet"
    parts = {"spent": told.spent, "to come": told.left}
    whole = f"the whole study: {hours(told.spent + told.left, told.unit)}"
    if all(seconds >= 60 for seconds in parts.values()):
        return f"{whole}, {' and '.join(f'{hours(seconds, told.unit)} of it {what}' for what, seconds in parts.items())}"
    return whole if all(parts.values()) else f"{whole}, all {'spent' if told.spent else 'to come'}"


def _fit_told(fit: Fit, unit: str) -> str:
    spent = f", {hours(3600 * fit.spent, unit)} of it spent" if fit.spent else ""
    begin = f"the budget is {fit.budget.told()}{spent}"
    if fit.suffices is None:
        return f"{begin}; whether it suffices is not known yet"
    if fit.suffices:
        return f"{begin}, which suffices"
    if fit.whole_seeds is None:
        return f"{begin}, which does not suffice for tuning and confirmation; the study goes on with more"
    whole = f"{fit.whole_seeds} of {counted(fit.seeds, 'seed')}"
    return f"{begin}, which does not suffice: {whole} will be whole in all variants, and the study goes on with more"


def _sensitivity_told(one: Sensitivity) -> list[str]:
    if one.seeds < power.FEWEST_SEEDS:
        first = f"no effect, however large, is decided by fewer than {power.FEWEST_SEEDS} seeds"
    else:
        family = f"{counted(one.comparisons, 'comparison')} to the baseline"
        first = (
            f"{one.seeds:,} seeds show an effect of {one.smallest:.2g} accuracy points in {100 * power.POWER:.0f} % of such studies "
            f"({one.images:,} {one.split} images; two-sided {100 * power.ALPHA:.0f} % by Holm over {family})"
        )
    lines = [first, f"one seed's difference deviates by {deviation(one.spread, one.images):.2g} points there: {one.spread.basis}"]
    if one.wanted < LIKE_A_FRACTION and one.wanted * one.images < 500:
        lines.append(
            f"{one.wanted:g} accuracy points (smallest_effect) are fewer than five of {one.images:,} images; "
            f"if {one.wanted:g} is meant as a fraction, write {100 * one.wanted:g}"
        )
    if one.needed is None:
        lines.append(
            f"{one.wanted:g} points (smallest_effect) are out of reach of any number of seeds: "
            f"{one.images:,} images hide effects below {one.floor:.2g} points"
        )
    elif one.needed > one.seeds:
        lines.append(f"{one.wanted:g} points (smallest_effect) would take {one.needed:,} seeds, {one.needed - one.seeds:,} more")
    return lines
