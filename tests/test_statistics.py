"""Intervals: against scipy and statsmodels, and by simulation of their coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint  # type: ignore[import-untyped]

from ferray.analysis.statistics import hedges_g, mean_interval, paired_difference, signed_rank, student, wilson

VALUES = [0.571, 0.583, 0.562, 0.590, 0.577]
OTHERS = [0.541, 0.560, 0.555, 0.549, 0.561]


def test_the_mean_interval_is_students() -> None:
    ours = mean_interval(VALUES)
    low, high = stats.t.interval(0.95, 4, loc=np.mean(VALUES), scale=stats.sem(VALUES))
    assert (ours.low, ours.high) == pytest.approx((low, high))
    assert (ours.mean, ours.n, ours.deviation) == pytest.approx((np.mean(VALUES), 5, np.std(VALUES, ddof=1)))


def test_one_value_has_a_mean_and_no_interval() -> None:
    one = mean_interval([0.5])
    assert (one.mean, one.n, one.has_interval) == (0.5, 1, False)
    assert not one.excludes_zero


def test_no_value_gives_no_number() -> None:
    assert math.isnan(mean_interval([]).mean)
    assert mean_interval([math.nan]).n == 0


def test_the_paired_difference_is_the_paired_t_test() -> None:
    ours = paired_difference(VALUES, OTHERS)
    theirs = stats.ttest_rel(VALUES, OTHERS)
    interval = theirs.confidence_interval(0.95)
    assert (ours.low, ours.high, ours.p) == pytest.approx((interval.low, interval.high, theirs.pvalue))
    assert ours.excludes_zero == (theirs.pvalue < 0.05)


def test_a_pair_with_a_missing_side_is_left_out() -> None:
    whole = paired_difference(VALUES[1:], OTHERS[1:])
    assert paired_difference(VALUES, [math.nan, *OTHERS[1:]]) == whole
    assert whole.n == 4


def test_equal_differences_have_no_p_value() -> None:
    same = paired_difference([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    assert (same.mean, same.low, same.high) == (0, 0, 0)
    assert math.isnan(same.p)


def test_differences_that_only_rounding_tells_apart_have_no_p_value() -> None:
    shifted = paired_difference([0.9, 0.8, 0.7], [0.8, 0.7, 0.6])
    assert shifted.deviation > 0
    assert shifted.is_point
    assert math.isnan(shifted.p)


def test_an_interval_of_shares_ends_where_shares_end() -> None:
    wide = mean_interval([0.1, 0.9]).within(0, 1)
    assert (wide.low, wide.mean, wide.high) == (0, 0.5, 1)
    assert not mean_interval([0.5]).within(0, 1).has_interval
    beyond = mean_interval([-0.03, -0.02, -0.01]).within(0, 1)  # as where a bias was taken off
    assert beyond.mean == beyond.low == 0
    assert 0 < beyond.high < 0.03
    assert mean_interval([-0.5]).within(0, 1).mean == 0


def test_pairs_need_the_same_length() -> None:
    with pytest.raises(ValueError, match="same length, not 2 and 3"):
        paired_difference([1.0, 2.0], [1.0, 2.0, 3.0])


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (1, 10), (7, 55), (2512, 3589), (10, 10)])
def test_the_share_has_wilsons_interval(successes: int, n: int) -> None:
    ours = wilson(successes, n)
    assert (ours.low, ours.high) == pytest.approx(proportion_confint(successes, n, method="wilson"), abs=1e-12)


def test_no_images_give_no_share() -> None:
    assert math.isnan(wilson(0, 0).mean)


def test_more_successes_than_images_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must lie in 0\.\.10, not 11"):
        wilson(11, 10)


def test_seventy_percent_of_the_private_test_leave_one_and_a_half_points() -> None:
    estimate = wilson(0.7 * 3589, 3589).scaled(100)
    assert (estimate.high - estimate.low) / 2 == pytest.approx(1.5, abs=0.05)


def test_the_effect_size_has_no_bias_of_few_values() -> None:
    generator = np.random.default_rng(4)
    drawn = generator.normal(0.8, 1.0, (20_000, 4))
    assert np.mean([hedges_g(row) for row in drawn]) == pytest.approx(0.8, abs=0.03)
    assert abs(hedges_g([1.0, 2.0, 3.0, 4.0])) < 2.5 / np.std([1, 2, 3, 4], ddof=1)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0], [2.0, 2.0, 2.0]])
def test_few_values_or_equal_ones_have_no_effect_size(values: list[float]) -> None:
    assert math.isnan(hedges_g(values))


@pytest.mark.parametrize("n", [2, 3, 5])
def test_the_mean_interval_covers_as_often_as_it_says(n: int) -> None:
    generator = np.random.default_rng(n)
    found = [mean_interval(generator.normal(0.6, 0.01, n)) for _ in range(2000)]
    covered = np.mean([one.low <= 0.6 <= one.high for one in found])
    assert 0.935 < covered < 0.965


def test_the_paired_interval_covers_although_seeds_differ_more_than_variants() -> None:
    generator = np.random.default_rng(7)
    covered = 0
    for _ in range(2000):
        blocks = generator.normal(0, 0.05, 5)
        one = paired_difference(0.57 + blocks + generator.normal(0, 0.01, 5), 0.60 + blocks + generator.normal(0, 0.01, 5))
        covered += one.low <= -0.03 <= one.high
    assert 0.935 < covered / 2000 < 0.965


def test_wilson_covers_for_a_rare_confusion_and_a_mean_over_seeds() -> None:
    generator = np.random.default_rng(3)
    single = generator.binomial(400, 0.06, 2000)
    covered = np.mean([one.low <= 0.06 <= one.high for one in (wilson(k, 400) for k in single)])
    assert 0.93 < covered < 0.975
    # Three seeds that mostly agree about an image: the interval over distinct images keeps its promise.
    chances = generator.beta(0.3, 4.7, (1000, 400))
    shares = generator.binomial(3, chances).mean(axis=1) / 3
    covered = np.mean([one.low <= 0.06 <= one.high for one in (wilson(share * 400, 400) for share in shares)])
    assert covered > 0.94


def test_values_that_are_all_equal_have_a_point_for_an_interval() -> None:
    assert mean_interval([0.1 + 0.2, 0.3, 0.3]).is_point
    assert not mean_interval([0.3, 0.31]).is_point
    assert not mean_interval([0.3]).is_point


@pytest.mark.parametrize("n", [3, 5, 8, 20])
def test_the_signed_rank_test_is_scipys(n: int) -> None:
    differences = np.random.default_rng(n).normal(0.3, 1, n)
    assert signed_rank(differences) == pytest.approx(stats.wilcoxon(differences, method="exact").pvalue)


def test_the_signed_rank_test_takes_ties_by_their_middle_rank() -> None:
    differences = np.array([0.5, -0.5, 1.0, 1.0, 2.0, 0.0])
    kept = differences[differences != 0]
    ranks = stats.rankdata(np.abs(kept))
    sums = [float((ranks * signs).sum()) for signs in np.array(np.meshgrid(*[[-1, 1]] * kept.size)).reshape(kept.size, -1).T]
    extreme = np.mean(np.abs(sums) >= abs((ranks * np.sign(kept)).sum()))
    assert signed_rank(differences) == pytest.approx(extreme)


def test_five_seeds_of_one_sign_are_not_enough_for_the_signed_rank_test() -> None:
    assert signed_rank([0.1, 0.2, 0.3, 0.4, 0.5]) == 0.0625
    assert math.isnan(signed_rank([0.0, math.nan]))


def test_an_estimate_of_seeds_alone_is_students() -> None:
    ours, theirs = student(0.2, 0.1, 4, 5), stats.t(4, loc=0.2, scale=0.1)
    assert (ours.low, ours.high) == pytest.approx(theirs.interval(0.95))
    assert ours.p == pytest.approx(2 * stats.t.sf(2, 4))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 1.0])
def test_seeds_and_images_weigh_in_by_their_shares(share: float) -> None:
    one = student(1.0, 0.5, 2, 3, image_share=share, image_degrees=300)
    expected = (1 - share) * stats.t.sf(2, 2) + share * stats.t.sf(2, 300)
    assert one.p == pytest.approx(2 * expected)
    assert one.tail(one.high - one.mean) == pytest.approx(0.025)
    assert stats.t.ppf(0.975, 300) - 1e-9 <= (one.high - one.mean) / 0.5 <= stats.t.ppf(0.975, 2) + 1e-9


def test_an_error_of_zero_is_a_point_and_one_that_is_unknown_is_no_interval() -> None:
    assert student(0.3, 0.0, 4, 5).is_point
    assert not student(0.3, math.nan, 4, 5).has_interval
    assert math.isnan(student(0.3, 0.0, 4, 5).tail(0.1))


def test_every_share_and_number_of_degrees_has_an_interval() -> None:
    for share in np.linspace(0, 1, 41):
        for degrees in (1, 2, 4, 4.0001, 9, 300):
            for image_degrees in (0.8, 4, 299, math.inf):
                one = student(0.0, 1.0, degrees, 5, image_share=float(share), image_degrees=image_degrees)
                assert one.tail(one.high) == pytest.approx(0.025, rel=1e-6)
