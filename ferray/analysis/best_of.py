"""How good the best of n draws of a search is to be expected to be, how sure that is, and whose best is better from which n on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ferray.analysis.statistics import LEVEL

Numbers = NDArray[np.float64]

SURE = 3
"""Intervals go to an n of one third of the draws: beyond it a few draws decide all, and an interval resting on them covers too seldom."""

ORDER_LEVEL = 0.99
"""Of the interval that an order rests on: the jackknife's errors are a little too small, and with 99 % fewer than 5 % of searches that are
alike are told apart (of four kinds of distributions, 9 to 24 draws)."""


@dataclass(frozen=True)
class Draws:
    """What a search found with each draw of settings, by the draw's number.

    ``low`` and ``high`` are equal for a draw that was trained in full. One that was stopped early would have come at least to what it had
    reached, and is taken to come at most to the best that was trained in full.
    """

    low: Mapping[int, float]
    high: Mapping[int, float]


@dataclass(frozen=True)
class Curve:
    """The expected best of n draws for n = 1, 2, ...: at least ``mean``, at most ``at_most``, which differ only where draws were stopped.

    ``low`` and ``high`` are the interval, NaN beyond the n up to which there is one.
    """

    mean: Numbers
    at_most: Numbers
    low: Numbers
    high: Numbers


@dataclass(frozen=True)
class Order:
    """How much better the best of n draws of one search is than that of another, with its interval, over the draws that both share.

    ``clear_from`` is the smallest n from which on the interval excludes zero on one side as far as there is one; None without one.
    """

    mean: Numbers
    low: Numbers
    high: Numbers
    draws: int
    clear_from: int | None

    @property
    def leads(self) -> bool:
        """Whether the first search is ahead at the largest n."""
        return bool(self.mean[-1] > 0)


def expected_best(values: Numbers) -> Numbers:
    """The expected best of n draws for n = 1 ... N, from the values of N draws: unbiased, as the mean best of all subsets of n.

    That is Dodge et al. 2019 (Show Your Work, EMNLP), section 3, drawn without replacement, as Tang et al. 2020 (Showing Your Work Doesn't
    Always Work, ACL) propose; with replacement, the estimate would be too low on average.
    """
    ordered = np.sort(np.asarray(values, dtype=float))
    return np.asarray(_without_replacement(len(ordered)) @ ordered)


def expected_best_with_replacement(values: Numbers) -> Numbers:
    """The same as Dodge et al. 2019 have it: the best of n draws from the N values themselves, with replacement, whose mean is exact."""
    ordered = np.sort(np.asarray(values, dtype=float))
    count = len(ordered)
    share = np.arange(count + 1) / count
    budgets = np.arange(1, count + 1)[:, None]
    return np.asarray(np.diff(share[None, :] ** budgets, axis=1) @ ordered)


def curve(draws: Draws, level: float = LEVEL) -> Curve:
    """The expected best of n of these draws with its interval for n of at most a third of them.

    The interval is Student's t with the jackknife's standard error over draws (Tukey 1958, Annals of Mathematical Statistics 29; for
    U-statistics Arvesen 1969, ibid. 40): it speaks of other draws of settings, judged by the same seeds. The percentile bootstrap, usual
    for these curves, covers far too seldom (see ``docs/ablation.md``).
    """
    low, high = (np.array(list(side.values()), dtype=float) for side in (draws.low, draws.high))  # in the same order
    mean, at_most = expected_best(low), expected_best(high)
    sure = len(low) // SURE
    lower, upper = np.full(len(low), np.nan), np.full(len(low), np.nan)
    if sure and len(low) > 2:
        lower[:sure] = mean[:sure] - _half(_left_out(low, sure), level)
        upper[:sure] = at_most[:sure] + _half(_left_out(high, sure), level)
    return Curve(mean, at_most, lower, upper)


def order(first: Draws, second: Draws, level: float = ORDER_LEVEL) -> Order | None:
    """How much better the best of n draws of the first search is, paired by draw; None where they share too few draws.

    Both searches having drawn the same settings, what a draw does to both sides drops out. Where draws were stopped, the interval has
    room for all that these could have become.
    """
    shared = [number for number in first.low if number in second.low]
    sure = len(shared) // SURE
    if sure < 1 or len(shared) < SURE:
        return None
    sides = {
        (one, bound): np.array([getattr(draws, bound)[number] for number in shared], dtype=float)
        for one, draws in ((0, first), (1, second))
        for bound in ("low", "high")
    }
    limits = []
    for bound, other, sign in (("low", "high", -1), ("high", "low", 1)):
        left, right = sides[0, bound], sides[1, other]
        difference = (expected_best(left) - expected_best(right))[:sure]
        limits.append(difference + sign * _half(_left_out(left, sure) - _left_out(right, sure), level))
    mean = (expected_best(sides[0, "low"]) - expected_best(sides[1, "low"]))[:sure]
    low, high = limits
    return Order(mean, low, high, len(shared), _clear_from(low, high))


def _clear_from(low: Numbers, high: Numbers) -> int | None:
    side = 1 if low[-1] > 0 else -1 if high[-1] < 0 else 0
    if not side:
        return None
    clear = low > 0 if side > 0 else high < 0
    unclear = np.flatnonzero(~clear)
    return int(unclear[-1]) + 2 if unclear.size else 1


def _half(left_out: Numbers, level: float) -> Numbers:
    """Half the width of the interval [n], from the estimates that each leave one draw out [draws, n]."""
    count = len(left_out)
    error = np.sqrt((count - 1) / count * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0))
    return np.asarray(float(stats.t.ppf((1 + level) / 2, count - 1)) * error)


def _left_out(values: Numbers, budgets: int) -> Numbers:
    """The expected best of n = 1 ... budgets, leaving out each draw in turn [draws, n]."""
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    ordered = np.sort(values)
    weights = _without_replacement(len(values) - 1)[:budgets]
    # Left out at rank r, the values below keep their places and those above move down by one.
    below = np.concatenate([np.zeros((budgets, 1)), np.cumsum(weights * ordered[:-1], axis=1)], axis=1)
    above = np.concatenate([np.cumsum((weights * ordered[1:])[:, ::-1], axis=1)[:, ::-1], np.zeros((budgets, 1))], axis=1)
    return np.asarray((below + above).T[ranks])


def _without_replacement(count: int) -> Numbers:
    """How likely the best of n is the value at each rank [n, rank], when n of so many values are drawn without replacement."""
    budgets = np.arange(1, count + 1)
    weights = np.zeros((count, count))
    weights[:, -1] = budgets / count
    for rank in range(count - 1, 0, -1):  # C(rank - 1, n - 1) / C(rank, n - 1) = (rank + 1 - n) / rank
        weights[:, rank - 1] = weights[:, rank] * np.maximum(rank + 1 - budgets, 0) / rank
    return weights
