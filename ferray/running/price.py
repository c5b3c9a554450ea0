"""What a plan costs, what effect it can show for that, and how far a budget goes."""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ferray import power
from ferray.analysis.families import Family, Kind, families
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


WORDS: Mapping[Kind, tuple[str, str, str, str]] = {
    "effect": ("an effect", "the effect", "effect of a factor", "effects of factors"),
    "step": ("a step", "the step", "step of the path", "steps of the path"),
    "variant": ("a variant's difference", "the difference", "variant", "variants"),
    "main_effect": ("a main effect", "the main effect", "main effect", "main effects"),
    "interaction": ("an interaction", "the interaction", "interaction", "interactions"),
}
"""Of each kind of effect: one of them that shows, the one of a seed, and what a family has one of or several."""


@dataclass(frozen=True)
class Reach:
    """What effect of a family the study's seeds can show, in accuracy points.

    ``smallest`` is NaN for fewer than two seeds; ``needed`` says how many seeds show the study's ``smallest_effect``, or None where no
    number of them does; ``floor`` is what the images leave however many seeds there are.
    """

    kind: Kind
    comparisons: int
    deviation: float  # of one seed's effect
    smallest: float
    needed: int | None
    floor: float


@dataclass(frozen=True)
class Sensitivity:
    """What the study's seeds can show of each family that the report will judge; ``wanted`` is the study's ``smallest_effect``."""

    seeds: int
    images: int
    split: str
    spread: Spread
    wanted: float
    families: Sequence[Reach]


@dataclass(frozen=True)
class Fit:
    """How far a budget goes: whether it suffices, and how many of the seeds are whole by then; both None where no pace is known.

    A seed with a failed trial that stays as it is never is whole. Of a study that still tunes the most that it may take is meant.
    """

    budget: Budget
    spent: float  # hours of its unit
    suffices: bool | None
    whole_seeds: int | None
    seeds: int


@dataclass(frozen=True)
class Price:
    """Seconds of GPUs, or of processors where there are none, spent and to be spent; None where no pace is known.

    Where trials may train on either, they are seconds of processes, each with a GPU or with the processors of a trial.

    ``is_most`` says that ``left`` is the most it may be, since tuning decides what follows, or stops trials.
    """

    unit: str
    spent: float
    left: float | None
    sensitivity: Sensitivity | None
    fit: Fit | None
    is_most: bool = False


def price(plan: Plan, study: Study, ledger: Ledger, data: Dataset) -> Price:
    """The price of a plan, whose pace is known as far as it can be."""
    unit, each = ("GPU", study.packing.gpus) if study.gpus else ("processor", study.processors)
    if study.cpu_nodes:
        unit, each = "process", 1.0
    unique = {trial.key for trial in plan.trials}
    recorded = recorded_seconds(ledger, unique)
    left = None if plan.trial_seconds is None else each * plan.trial_seconds
    is_most = bool(plan.after.expected) or any(trial.stopping for trial in plan.to_run)
    return Price(unit, each * recorded, left, _sensitivity(plan, study, ledger, data), _fit(plan, study, recorded), is_most)


def _sensitivity(plan: Plan, study: Study, ledger: Ledger, data: Dataset) -> Sensitivity | None:
    """None where nothing is compared."""
    design, factors = (study.ablate.design, study.ablate.names) if study.ablate else (None, ())
    final = {trial.variant for trial in [one for one in plan.trials if one.phase == "final"] or plan.after.expected}
    variants = [one for one in study.all_variants() if one.name in final]  # tuning may have left some out
    judged = families(design, study.baseline, variants, factors) if study.baseline in final else []
    if not judged:
        return None
    split = "validation" if "test" in data.missing else "test"
    images = len(data.splits[split])
    redrawn = images / len(data.train) if split == "validation" and data.splits_by_seed else None
    found = spread(ledger, study, plan.trials, judged)
    found = replace(found, is_redrawn=redrawn is not None)
    reached = [reach(one, found, len(study.all_seeds), images, study.smallest_effect, redrawn) for one in judged]
    return Sensitivity(len(study.all_seeds), images, split, found, study.smallest_effect, reached)


def reach(family: Family, found: Spread, seeds: int, images: int, wanted: float, redrawn: float | None = None) -> Reach:
    """What so many seeds show of a family on so many images, if trials spread like this.

    ``redrawn`` is how many images there are for each training image where every seed draws them; see ferray.analysis.crossed.
    """
    of_seed, comparisons = found.of_a_seed(images, family.share), len(family)
    variances = of_seed, found.of_images(images) if redrawn is None else redrawn * of_seed
    known = images if redrawn is None else None
    return Reach(
        family.kind,
        comparisons,
        deviation(found, images, family.share),
        power.smallest_effect(*variances, seeds, comparisons, images=known),
        power.seeds_needed(wanted, *variances, comparisons, images=known),
        power.smallest_effect(*variances, power.MOST_SEEDS, comparisons, images=known),
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
    lost = {key for key, state in plan.states.items() if state == "failed" and not plan.retry_failed}
    broken = {trial.config.seed for trial in judging if trial.key in cut | lost}
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
        lines.append(_fit_told(told.fit))
    return lines + ([] if told.sensitivity is None else _sensitivity_told(told.sensitivity))


def _whole(told: Price) -> str:
    if told.left is None:
        return f"the whole study: {hours(told.spent, told.unit)} spent; what is left is not known yet"
    parts = {"spent": told.spent, "to come": told.left}
    most = "at most " if told.is_most and told.left else ""
    whole = f"the whole study: {most}{hours(told.spent + told.left, told.unit)}"
    if all(seconds >= 60 for seconds in parts.values()):
        return f"{whole}, {' and '.join(f'{hours(seconds, told.unit)} of it {what}' for what, seconds in parts.items())}"
    return whole if all(parts.values()) else f"{whole}, all {'spent' if told.spent else 'to come'}"


def _fit_told(fit: Fit) -> str:
    unit = "GPU" if fit.budget.unit == "gpu_hours" else "processor"
    spent = hours(3600 * fit.spent, unit)
    begin = f"the budget is {fit.budget.told()}{f', {spent} of it spent' if fit.spent else ''}"
    if fit.spent >= fit.budget.amount:
        begin = f"the budget of {fit.budget.told()} is spent ({spent} so far)"
        if not fit.suffices:
            return f"{begin}, so that a run begins no trial; {_whole_told(fit)}the study goes on with more"
        return f"{begin}, and nothing is left to run"
    if fit.suffices is None:
        return f"{begin}; whether it suffices is not known yet"
    if fit.suffices:
        return f"{begin}, which suffices"
    if fit.whole_seeds is None:
        return f"{begin}, which may not suffice for tuning and confirmation; the study goes on with more"
    return f"{begin}, which does not suffice: {_whole_told(fit)}the study goes on with more"


def _whole_told(fit: Fit) -> str:
    return "" if fit.whole_seeds is None else f"{fit.whole_seeds} of {counted(fit.seeds, 'seed')} will be whole in all variants, and "


def _sensitivity_told(one: Sensitivity) -> list[str]:
    first = one.families[0]
    what = WORDS[first.kind][0]
    provided, then = ("if the assumption below holds, ", "then ") if one.spread.is_assumed else ("", "")
    lines = [f"no effect, however large, is decided by fewer than {power.FEWEST_SEEDS} seeds"]
    if one.seeds >= power.FEWEST_SEEDS:
        share = f"{100 * power.POWER:.0f} % of such studies"
        about = f"{one.images:,} {one.split} images; two-sided {100 * power.ALPHA:.0f} % by Holm over {_members(first)}"
        lines = [f"{provided}{one.seeds:,} seeds show {what} of {first.smallest:.2g} accuracy points in {share} ({about})"]
        lines += [
            f"as often they show {WORDS[other.kind][0]} of {other.smallest:.2g} points (Holm over {_members(other)})"
            for other in one.families[1:]
        ]
    lines.append(f"{WORDS[first.kind][1]} of one seed deviates by {first.deviation:.2g} points there: {one.spread.basis}")
    if one.wanted < LIKE_A_FRACTION and one.wanted * one.images < 500:
        lines.append(
            f"{one.wanted:g} accuracy points (smallest_effect) are fewer than five of {one.images:,} images; "
            f"if {one.wanted:g} is meant as a fraction, write {100 * one.wanted:g}"
        )
    return lines + [then + _needed_told(one, other) for other in one.families if other.needed is None or other.needed > one.seeds]


def _members(one: Reach) -> str:
    _, _, single, several = WORDS[one.kind]
    return f"{one.comparisons:,} {single if one.comparisons == 1 else several}"


def _needed_told(one: Sensitivity, other: Reach) -> str:
    of = f" for {WORDS[other.kind][0]}" if len(one.families) > 1 else ""
    if other.needed is None:
        reason = f"{one.images:,} images hide effects below {other.floor:.2g} points"
        return f"{one.wanted:g} points (smallest_effect){of} are out of reach of any number of seeds: {reason}"
    return f"{one.wanted:g} points (smallest_effect){of} would take {other.needed:,} seeds, {other.needed - one.seeds:,} more"
