from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from ferray.analysis.best_of import SURE, Draws, curve, expected_best, expected_best_with_replacement, order

Numbers = NDArray[np.float64]


def in_full(values: Numbers) -> Draws:
    found = dict(enumerate(values.tolist()))
    return Draws(found, found)


def test_the_expected_best_is_the_mean_best_of_all_subsets() -> None:
    values = np.random.default_rng(0).normal(size=7)
    for n, found in enumerate(expected_best(values), start=1):
        assert found == pytest.approx(np.mean([max(chosen) for chosen in itertools.combinations(values, n)]))


def test_with_replacement_it_is_the_mean_best_of_all_tuples() -> None:
    values = np.random.default_rng(1).normal(size=4)
    for n, found in enumerate(expected_best_with_replacement(values), start=1):
        assert found == pytest.approx(np.mean([max(chosen) for chosen in itertools.product(values, repeat=n)]))


def test_equal_values_are_their_own_best() -> None:
    assert expected_best(np.full(6, 3.5)) == pytest.approx(np.full(6, 3.5))


def test_curves_of_a_thousand_draws_are_finite_and_rise() -> None:
    found = expected_best(np.random.default_rng(2).normal(size=1000))
    assert np.isfinite(found).all()
    assert (np.diff(found) >= -1e-12).all()


def test_without_replacement_the_estimate_is_unbiased_and_with_replacement_too_low() -> None:
    generator = np.random.default_rng(3)
    samples = generator.uniform(size=(4000, 9))
    truth = 5 / 6  # the expected best of five uniform draws
    unbiased = np.array([expected_best(own)[4] for own in samples])
    error = unbiased.std() / np.sqrt(len(samples))
    assert abs(unbiased.mean() - truth) < 4 * error
    assert np.mean([expected_best_with_replacement(own)[4] for own in samples]) < truth - 10 * error


def test_the_jackknife_leaves_out_each_draw_in_turn() -> None:
    values = np.array([0.3, 0.9, 0.9, 0.1, 0.5, 0.7])
    found = curve(in_full(values))
    for n in range(1, len(values) // SURE + 1):
        left_out = np.array([expected_best(np.delete(values, place))[n - 1] for place in range(len(values))])
        error = np.sqrt(5 / 6 * ((left_out - left_out.mean()) ** 2).sum())
        assert found.high[n - 1] - found.mean[n - 1] == pytest.approx(2.5705818366 * error)  # t of five degrees of freedom
    assert np.isnan(found.low[len(values) // SURE :]).all()


def test_two_draws_have_no_interval() -> None:
    assert np.isnan(curve(in_full(np.array([0.1, 0.2]))).low).all()
    assert order(in_full(np.array([0.1, 0.2])), in_full(np.array([0.3, 0.4]))) is None


DISTRIBUTIONS: dict[str, Callable[[np.random.Generator, int], Numbers]] = {
    "normal": lambda generator, size: generator.normal(size=size),
    "skewed to bad draws": lambda generator, size: -generator.gamma(1.0, size=size),
    "a part fails to learn": lambda generator, size: np.where(
        generator.random(size) < 0.3, generator.normal(0.15, 0.02, size), generator.normal(0.6, 0.05, size)
    ),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_intervals_cover_about_as_often_as_they_say(name: str) -> None:
    draw = DISTRIBUTIONS[name]
    generator = np.random.default_rng(4)
    curves = [curve(in_full(draw(generator, 24))) for _ in range(400)]
    for n in (1, 4, 8):
        truth = draw(generator, 40_000 * n).reshape(-1, n).max(axis=1).mean()
        covered = np.mean([one.low[n - 1] <= truth <= one.high[n - 1] for one in curves])
        assert 0.88 <= covered <= 0.99, (n, covered)


def test_searches_that_are_alike_are_seldom_told_apart() -> None:
    generator = np.random.default_rng(5)
    found = []
    for _ in range(400):
        shared = generator.normal(size=24)
        first, second = (in_full(shared + generator.normal(size=24)) for _ in range(2))
        told = order(first, second)
        assert told is not None
        found.append(told.clear_from is not None)
    assert np.mean(found) <= 0.05


def test_a_search_that_is_better_by_draw_is_clearly_ahead_although_the_bands_meet() -> None:
    generator = np.random.default_rng(6)
    values = generator.normal(size=30)
    better, worse = in_full(values + 0.3 + generator.normal(0, 0.02, 30)), in_full(values)
    told = order(better, worse)
    assert told is not None
    assert (told.clear_from, told.leads, told.draws) == (1, True, 30)
    assert curve(better).low[0] < curve(worse).high[0]


def test_an_order_that_turns_over_is_clear_from_where_it_has_turned() -> None:
    steady = np.linspace(0.59, 0.61, 60)
    gamble = np.where(np.arange(60) % 3 == 0, 0.9, 0.1)
    told = order(in_full(gamble), in_full(steady))
    assert told is not None
    assert told.leads
    assert told.clear_from is not None
    assert told.clear_from > 1
    assert told.high[0] < 0 < told.low[told.clear_from - 1]
    assert told.low[told.clear_from - 2] <= 0


def test_draws_that_were_stopped_leave_an_order_open_that_they_could_turn() -> None:
    values = np.random.default_rng(7).normal(size=30)
    better, worse = in_full(values + 0.5), in_full(values)
    known = order(better, worse)
    assert known is not None
    assert known.clear_from == 1
    cut = Draws(worse.low, {number: value if number % 2 else 3.0 for number, value in worse.low.items()})
    told = order(better, cut)
    assert told is not None
    assert told.clear_from is None
    assert told.low == pytest.approx(order(better, Draws(cut.high, cut.high)).low)  # type: ignore[union-attr]


def test_only_draws_that_both_searches_have_are_compared() -> None:
    values = np.random.default_rng(8).normal(size=12)
    told = order(in_full(values), in_full(values[:9]))
    assert told is not None
    assert told.draws == 9
    assert told.mean == pytest.approx(np.zeros(3))
