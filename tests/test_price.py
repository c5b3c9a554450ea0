"""The price of a plan: what it costs, what effect it can show, how far a budget goes."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from studies import tiny

from ferray import power
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
    assert (one.seeds, one.comparisons, one.split) == (5, 1, "test")
    assert one.spread.basis == "by finished trials of this study, 5 paired differences on validation"
    variances = one.spread.of_a_seed(one.images), one.spread.of_images(one.images)
    assert one.smallest == power.smallest_effect(*variances, 5, 1, images=one.images)
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
        assert "an assumption, since too few finished trials tell" in "\n".join(sentences(plan.price))


def test_a_spread_is_measured_as_it_was_planted() -> None:
    random = np.random.default_rng(1)
    parts = []
    for _ in range(40):
        table = 2.0 * random.normal(size=(5, 1)) + 20.0 * random.normal(size=(1, 500)) + 40.0 * random.normal(size=(5, 500))
        parts.append(spread._parts(table))
    training, lasting, passing, degrees = np.mean(parts, axis=0)
    assert degrees == 4
    assert training == pytest.approx(4.0, rel=0.3)
    assert lasting == pytest.approx(400.0, rel=0.1)
    assert passing == pytest.approx(1600.0, rel=0.05)


def test_more_seeds_are_told_where_they_reach_what_counts_and_images_where_none_do() -> None:
    known = spread.Spread(training=1.0, lasting=500.0, passing=1000.0, basis="assumed")

    def told(wanted: float, seeds: int, images: int = 4000) -> list[str]:
        variances = known.of_a_seed(images), known.of_images(images)
        floor = power.smallest_effect(*variances, power.MOST_SEEDS)
        needed = power.seeds_needed(wanted, *variances)
        one = price.Sensitivity(seeds, 1, images, "test", known, power.smallest_effect(*variances, seeds), wanted, needed, floor)
        return sentences(Price("GPU", 0.0, None, one, None))

    needed = power.seeds_needed(1.5, known.of_a_seed(4000), known.of_images(4000))
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


def test_one_seed_shows_nothing(tmp_path: Path) -> None:
    plan = make_plan(study(seeds=1), tmp_path)
    assert plan.price is not None
    assert plan.price.sensitivity is not None
    assert math.isnan(plan.price.sensitivity.smallest)
