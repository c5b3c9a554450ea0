"""The price of a plan: what it costs, what effect it can show, how far a budget goes."""

from __future__ import annotations

import math
import re
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from studies import tiny

from ferray import power
from ferray.analysis.families import Family
from ferray.budget import Budget
from ferray.ledger import Ledger
from ferray.running import price, spread
from ferray.running.estimate import Pace
from ferray.running.machine import Machine
from ferray.running.meter import recorded_seconds
from ferray.running.plan import Plan, make_plan
from ferray.running.price import Fit, Price, sentences
from ferray.running.runner import run


def silent(line: str) -> None:
    """Says nothing."""


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    storage = tmp_path_factory.mktemp("storage")
    run(tiny(seeds=5, base={**tiny().base, "epochs": 1}), storage, local=True, say=silent)
    return Ledger(storage)


def study(**changes: Any) -> Any:
    return tiny(**{"seeds": 5, "base": {**tiny().base, "epochs": 1}, **changes})


def test_a_plan_tells_the_price_of_the_whole_study_and_of_what_is_left(ledger: Ledger) -> None:
    plan = make_plan(study(seeds=7, cpus=2.0), ledger.path)
    assert plan.price is not None
    assert plan.trial_seconds is not None
    assert plan.price.left == pytest.approx(2 * plan.trial_seconds)
    assert plan.price.spent == pytest.approx(2 * recorded_seconds(ledger, ledger.keys()))


@pytest.mark.parametrize(
    ("spent", "left", "told"),
    [
        (3600.0, 7200.0, "the whole study: 3.0 GPU-hours, 1.0 GPU-hours of it spent and 2.0 GPU-hours of it to come"),
        (0.0, 120.0, "the whole study: 2 GPU-minutes, all to come"),
        (120.0, 0.0, "the whole study: 2 GPU-minutes, all spent"),
        (120.0, None, "the whole study: 2 GPU-minutes spent; what is left is not known yet"),
    ],
)
def test_the_price_is_told_in_hours(spent: float, left: float | None, told: str) -> None:
    assert sentences(Price("GPU", spent, left, None, None)) == [told]


def test_nothing_known_is_nothing_told() -> None:
    assert sentences(None) == sentences(Price("GPU", 0.0, None, None, None)) == []


def test_the_smallest_effect_rests_on_the_finished_trials_of_the_study(ledger: Ledger) -> None:
    plan = make_plan(study(), ledger.path)
    assert plan.price is not None
    one = plan.price.sensitivity
    assert one is not None
    (effects,) = one.families
    assert (one.seeds, effects.kind, effects.comparisons, one.split) == (5, "effect", 1, "test")
    assert one.spread.basis == "by finished trials of this study, 5 paired differences on validation"
    variances = one.spread.of_a_seed(one.images), one.spread.of_images(one.images)
    assert effects.smallest == power.smallest_effect(*variances, 5, 1, images=one.images)
    told = sentences(plan.price)
    assert re.match(r"5 seeds show an effect of [\d.]+ accuracy points in 80 % of such studies \(\d+ test images; two-sided 5 %", told[1])
    assert told[2].endswith(one.spread.basis)


def test_the_variants_of_a_tuned_study_are_paired_whatever_samples_they_have(ledger: Ledger) -> None:
    tuned = study(search={"width": {"grid_search": [0.05, 0.06]}}, tuning={})
    trials = [replace(trial, sample=int(trial.variant != "baseline")) for trial in study().plan()]
    assert spread.spread(ledger, tuned, trials).basis == "by finished trials of this study, 5 paired differences on validation"


def test_else_on_a_study_that_is_like_it_and_says_which(ledger: Ledger) -> None:
    other = study(name="other", base={**study().base, "epochs": 2})
    plan = make_plan(other, ledger.path)
    assert plan.price is not None
    assert plan.price.sensitivity is not None
    assert plan.price.sensitivity.spread.basis == "by study tiny (same data, same network), 5 paired differences on validation"


def test_else_on_an_assumption_that_is_told_as_one(ledger: Ledger) -> None:
    for other in (study(name="dnn", base={"model": "dnn", "epochs": 1}, ablate=None, variants={"b": {"l2": 0.1}}), study(seeds=2)):
        plan = make_plan(other.model_copy(update={"name": "another"}), ledger.path if other.name == "dnn" else ledger.path / "none")
        assert plan.price is not None
        assert plan.price.sensitivity is not None
        told = "\n".join(sentences(plan.price))
        assert "an assumption, since too few finished trials tell" in told
        assert "if the assumption below holds, 5 seeds show" in told or "decided by fewer than 3 seeds" in told
        assert "\nthen 0.5 points (smallest_effect) are out of reach" in told


def test_a_spread_is_measured_as_it_was_planted() -> None:
    random = np.random.default_rng(1)
    parts = []
    for _ in range(40):
        table = 2.0 * random.normal(size=(5, 1)) + 20.0 * random.normal(size=(1, 500)) + 40.0 * random.normal(size=(5, 500))
        parts.append(spread._parts(table))
    training, lasting, error, passing, degrees = np.mean([astuple(one) for one in parts], axis=0)
    assert degrees == 4
    assert training == pytest.approx(4.0, rel=0.3)
    assert lasting == pytest.approx(400.0, rel=0.1)
    assert error == pytest.approx(np.std([one.lasting for one in parts]), rel=0.3)
    assert passing == pytest.approx(1600.0, rel=0.05)


def test_more_seeds_are_told_where_they_reach_what_counts_and_images_where_none_do() -> None:
    known = spread.Spread(training=1.0, lasting=500.0, passing=1000.0, basis="assumed")

    def told(wanted: float, seeds: int, images: int = 4000) -> list[str]:
        reached = price.reach(Family("effect", ({"a": 1.0, "b": -1.0},)), known, seeds, images, wanted)
        return sentences(Price("GPU", 0.0, None, price.Sensitivity(seeds, images, "test", known, wanted, [reached]), None))

    needed = power.seeds_needed(1.5, known.of_a_seed(4000), known.of_images(4000), images=4000)
    assert needed is not None
    assert told(1.5, 3)[-1] == f"1.5 points (smallest_effect) would take {needed} seeds, {needed - 3} more"
    assert len(told(1.5, needed)) == 2
    assert told(0.5, 3)[-1].startswith(
        "0.5 points (smallest_effect) are out of reach of any number of seeds: 4,000 images hide effects below 1"
    )
    assert told(0.02, 3)[2] == (
        "0.02 accuracy points (smallest_effect) are fewer than five of 4,000 images; if 0.02 is meant as a fraction, write 2"
    )
    assert not any("fraction" in line for line in [*told(0.02, 3, images=50_000), *told(0.5, 3, images=35)])
    assert told(1.5, 2)[0] == "no effect, however large, is decided by fewer than 3 seeds"


def test_without_a_comparison_there_is_no_effect_to_show(ledger: Ledger) -> None:
    plan = make_plan(study(ablate=None), ledger.path)
    assert plan.price is not None
    assert plan.price.sensitivity is None


@pytest.mark.parametrize(
    ("budget", "suffices", "whole"),
    [
        ({"processor_hours": 8.0}, True, 4),
        ({"processor_hours": 7.9}, False, 3),
        ({"processor_hours": 4.0}, False, 2),
        ({"processor_hours": 0.5}, False, 0),
        ({"hours": 4.0}, True, 4),  # two at a time
        ({"hours": 3.5}, False, 3),
    ],
)
def test_a_budget_leaves_whole_seeds(budget: dict[str, float], suffices: bool, whole: int) -> None:
    planned = study(seeds=4, budget=budget)
    trials = planned.plan()
    pace = Pace({trial.key: 3600.0 for trial in trials}, "1 earlier trial")
    plan = Plan("tiny", "data", trials, {one.key: "to run" for one in trials}, {}, False, Machine(2, 0), 2, 1.0, 0.0, pace)
    assert price._fit(plan, planned, 0.0) == Fit(planned.budget, 0.0, suffices, whole, 4)


def test_a_seed_is_not_whole_without_its_frozen_trials() -> None:
    planned = study(seeds=2, search={"width": {"grid_search": [0.05, 0.06]}}, tuning={}, budget={"processor_hours": 5.0})
    trials = planned.confirmation({"baseline": 0, "no-augmentation": 1})
    unique = {trial.key: 3600.0 for trial in trials}
    assert len(unique) == 6
    plan = Plan("tiny", "data", trials, dict.fromkeys(unique, "to run"), {}, False, Machine(2, 0), 2, 1.0, 0.0, Pace(unique, ""))
    assert price._fit(plan, planned, 0.0) == Fit(planned.budget, 0.0, False, 1, 2)


def test_what_a_budget_reaches_is_told() -> None:
    budget = Budget(processor_hours=4.0)

    def told(suffices: bool | None, whole: int | None) -> str:
        return sentences(Price("processor", 0.0, None, None, Fit(budget, 1.5, suffices, whole, 5)))[0]

    begin = "the budget is 4 processor-hours, 1.5 processor-hours of it spent"
    assert told(True, 5) == f"{begin}, which suffices"
    assert told(None, None) == f"{begin}; whether it suffices is not known yet"
    assert told(False, 2) == f"{begin}, which does not suffice: 2 of 5 seeds will be whole in all variants, and the study goes on with more"
    assert told(False, None) == f"{begin}, which may not suffice for tuning and confirmation; the study goes on with more"


def test_a_budget_that_is_spent_already_is_told_as_spent_in_its_own_unit() -> None:
    def told(budget: Budget, suffices: bool | None, whole: int | None) -> str:
        return sentences(Price("GPU", 0.0, None, None, Fit(budget, 5.0, suffices, whole, 5)))[0]

    begin = "the budget of 4 processor-hours is spent (5.0 processor-hours so far)"
    hours = Budget(processor_hours=4.0)
    assert told(hours, True, 5) == f"{begin}, and nothing is left to run"
    more = "2 of 5 seeds will be whole in all variants, and the study goes on with more"
    assert told(hours, False, 2) == f"{begin}, so that a run begins no trial; {more}"
    assert told(hours, None, None) == f"{begin}, so that a run begins no trial; the study goes on with more"
    assert told(Budget(gpu_hours=6.0), True, 5) == "the budget is 6 GPU-hours, 5.0 GPU-hours of it spent, which suffices"


def test_a_seed_with_a_failed_trial_is_not_whole_unless_it_is_tried_again() -> None:
    planned = study(seeds=3, budget={"processor_hours": 50.0})
    trials = planned.plan()
    states = {one.key: "failed" if one == trials[0] else "to run" for one in trials}
    pace = Pace({trial.key: 3600.0 for trial in trials}, "1 earlier trial")
    for retry, whole in ((False, 2), (True, 3)):
        plan = Plan("tiny", "data", trials, states, {}, retry, Machine(2, 0), 2, 1.0, 0.0, pace)
        assert price._fit(plan, planned, 0.0) == Fit(planned.budget, 0.0, True, whole, 3)


def test_a_tuned_study_costs_tuning_and_at_most_two_confirmations_of_each_seed(ledger: Ledger) -> None:
    tuned = study(seeds=3, search={"width": {"grid_search": [0.05, 0.06, 0.07]}}, tuning={"seeds": 2})
    plan = make_plan(tuned, ledger.path)
    assert plan.price is not None
    assert plan.trial_seconds is not None
    assert len(plan.to_run) == 2 * 3 * 2  # variants, samples, seeds
    assert len(plan.after.expected) == 3 * (1 + 2)  # the baseline, and the other one frozen and at its own settings
    assert all(trial.config.epochs == 1 for trial in plan.after.expected)
    seconds = [plan.pace.seconds[trial.key] for trial in [*plan.to_run, *plan.after.expected]]
    assert plan.price.left == pytest.approx(plan.processors * sum(seconds))
    assert plan.price.is_most
    assert sentences(replace(plan.price, left=7200.0))[0] == "the whole study: at most 2.0 processor-hours, all to come"


def test_one_seed_shows_nothing(tmp_path: Path) -> None:
    plan = make_plan(study(seeds=1), tmp_path)
    assert plan.price is not None
    assert plan.price.sensitivity is not None
    assert math.isnan(plan.price.sensitivity.families[0].smallest)
    assert "no effect, however large, is decided by fewer than 3 seeds" in sentences(plan.price)


def test_a_spread_on_images_that_seeds_drew_is_that_within_and_between_seeds() -> None:
    random = np.random.default_rng(2)
    parts = [spread._redrawn_parts(2.0 * random.normal(size=(5, 1)) + 40.0 * random.normal(size=(5, 500))) for _ in range(60)]
    training, lasting, passing = (float(np.mean([getattr(one, name) for one in parts])) for name in ("training", "lasting", "passing"))
    assert parts[0].degrees == 4
    assert training == pytest.approx(4.0, rel=0.3)
    assert lasting + passing == pytest.approx(1600.0, rel=0.05)
    assert lasting == pytest.approx(spread.LASTING * (lasting + passing))


@pytest.mark.parametrize("share", [0.25, 1.0, 2.0])
def test_the_spread_of_an_effect_on_images_that_seeds_drew_is_the_one_it_was_measured_from(share: float) -> None:
    """An image does to an effect what it does, however many differences that averages; only what is drawn anew in each has the share."""
    table = 2.0 * np.random.default_rng(3).normal(size=(5, 1)) + 10.0 * np.random.default_rng(4).normal(size=(5, 500))
    found = spread._redrawn_parts(table, share)
    told = spread.Spread(found.training, found.lasting, found.passing, "measured", is_redrawn=True)
    assert told.of_a_seed(500, share) == pytest.approx(table.mean(axis=1).var(ddof=1))
    assert told.of_images(500) == 0


def test_a_plan_that_is_judged_on_images_that_seeds_draw_says_so_by_the_corrected_variance(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for label in ("dark", "light"):
        (tmp_path / "images" / label).mkdir(parents=True)
        for number in range(40):
            pixels = random.integers(0, 180, (12, 12)) + (60 if label == "light" else 0)
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "images" / label / f"{number}.png")
    own = study(data={"path": str(tmp_path / "images"), "test_share": 0.0})
    run(own, tmp_path / "storage", local=True, say=silent)
    plan = make_plan(own, tmp_path / "storage")
    assert plan.price is not None
    one = plan.price.sensitivity
    assert one is not None
    assert (one.split, one.images) == ("validation", 12)
    assert "each seed judged on images of its own" in one.spread.basis
    variance = one.spread.of_a_seed(12)
    assert one.spread.of_images(12) == 0
    assert one.families[0].smallest == pytest.approx(power.smallest_effect(variance, variance * 12 / 68, 5, 1, images=None))
