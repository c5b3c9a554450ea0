"""Verdicts: Holm and two one-sided tests against statsmodels, and what is decided where."""

from __future__ import annotations

import math

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests  # type: ignore[import-untyped]
from statsmodels.stats.weightstats import DescrStatsW  # type: ignore[import-untyped]

from ferray.analysis.crossed import crossed
from ferray.analysis.statistics import Estimate, mean_interval, paired_difference, student
from ferray.analysis.verdicts import decide, equivalence, holm


def an_estimate(mean: float, error: float = 0.1, n: int = 5) -> Estimate:
    return student(mean, error, n - 1, n)


@pytest.mark.parametrize("seed", range(5))
def test_holm_is_statsmodels(seed: int) -> None:
    p = np.random.default_rng(seed).random(seed + 1) ** 2
    assert holm(p.tolist()) == pytest.approx(multipletests(p, method="holm")[1])


def test_a_missing_p_value_stays_and_counts() -> None:
    adjusted = holm([0.02, math.nan, 0.01])
    assert adjusted[0] == pytest.approx(0.04)
    assert math.isnan(adjusted[1])
    assert adjusted[2] == pytest.approx(0.03)
    assert holm([]) == []


def test_equivalence_is_two_one_sided_t_tests() -> None:
    values = np.array([0.12, -0.08, 0.05, 0.20, -0.03])
    theirs = DescrStatsW(values).ttost_mean(-0.3, 0.3)[0]
    assert equivalence(mean_interval(values), 0.3) == pytest.approx(theirs)


def test_a_clear_effect_helps_or_hurts() -> None:
    helps, hurts = decide([an_estimate(2.0), an_estimate(-2.0)], margin=0.5)
    assert (helps.verdict, hurts.verdict) == ("helps", "hurts")
    assert helps.p == pytest.approx(2 * an_estimate(2.0).p)


def test_a_tiny_effect_is_none_even_where_it_is_not_zero() -> None:
    (decision,) = decide([an_estimate(0.1, error=0.01)], margin=0.5)
    assert decision.verdict == "no effect"
    assert decision.p < 0.05


def test_what_is_neither_is_inconclusive() -> None:
    assert [one.verdict for one in decide([an_estimate(0.4, error=0.3)], margin=0.5)] == ["inconclusive"]
    assert decide([], margin=0.5) == []


def test_two_seeds_have_no_verdict_but_count_in_the_family() -> None:
    few, enough = decide([an_estimate(5.0, n=2), an_estimate(2.0)], margin=0.5)
    assert few.verdict == "inconclusive"
    assert math.isnan(few.p)
    assert enough.p == pytest.approx(2 * an_estimate(2.0).p)


def test_equal_networks_have_no_verdict() -> None:
    (decision,) = decide([crossed(np.zeros((5, 100))).both], margin=0.5)
    assert decision.verdict == "inconclusive"


def test_a_family_of_true_nulls_seldom_has_a_false_verdict() -> None:
    generator = np.random.default_rng(9)
    false = 0
    for _ in range(1500):
        baseline = generator.normal(0, 1, 5)  # shared by all five comparisons
        family = [paired_difference(generator.normal(0, 1, 5), baseline) for _ in range(5)]
        false += any(one.verdict in ("helps", "hurts") for one in decide(family, margin=0.5))
    assert false / 1500 < 0.065


def test_an_effect_at_the_margin_is_seldom_called_none() -> None:
    generator = np.random.default_rng(10)
    estimates = [mean_interval(generator.normal(1.0, 0.3, 5)) for _ in range(3000)]
    share = np.mean([decide([one], margin=1.0)[0].verdict == "no effect" for one in estimates])
    assert 0.035 < share < 0.065
