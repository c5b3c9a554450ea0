"""The price of certainty: what effect so many seeds can show, and how many seeds show an effect.

A paired difference is judged over two crossed random factors, seeds and images, as ferray.analysis.crossed does. Its variance is that
of one seed divided by the number of seeds, plus what the images add, which no number of seeds takes away. The first part is estimated
from the seeds, and the power is averaged over what that estimate may be (as the noncentral t distribution does where images add
nothing; Cohen 1988, Statistical Power Analysis for the Behavioral Sciences); the second is taken for known from the many images, except
where every seed draws the images that it is judged on: then both are estimated from the seeds.

Units are those of the effect, such as accuracy points, and their squares for variances. Of a family of comparisons each is judged at
the strictest step of Holm's method, so that what is said holds also where no other comparison shows anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

POWER = 0.8
"""The share of studies in which an effect shows that is called detectable."""
ALPHA = 0.05
"""Two-sided, for the whole family."""
FEWEST_SEEDS = 3
"""With fewer there is no verdict."""
MOST_SEEDS = 1000
"""More than these nobody trains; what needs more is told as out of reach."""
CRITICALS = 500
"""Critical values between those of seeds and of images, between which is interpolated."""
SPREADS = 2000
"""Quantiles of the estimated seeds' variance over which power is averaged; they give it to three digits."""


def smallest_effect(
    seed_variance: float,
    image_variance: float,
    seeds: int,
    comparisons: int = 1,
    power: float = POWER,
    alpha: float = ALPHA,
    *,
    images: float | None = math.inf,
) -> float:
    """The smallest true difference that a study of so many seeds shows in a share ``power`` of all such studies; never negative.

    ``seed_variance`` is the variance of one seed's paired difference (the rest included), ``image_variance`` that of the mean which is
    due to the images and stays with infinitely many seeds, ``comparisons`` the size of the family. ``images`` gives the images' degrees
    of freedom; None where what they add is told by the spread of the seeds alone, each of which drew its own, and is as uncertain as that.
    NaN for fewer than two seeds, from which nothing follows. Raises ValueError for a variance that is negative or no number.
    """
    error = _error(seed_variance, image_variance, seeds, comparisons)
    if not error > 0:
        return error
    bounds = _bounds(seed_variance, image_variance, seeds, alpha / comparisons / 2, images)
    most = float(bounds.max()) + 20 * error
    return float(optimize.brentq(lambda effect: _shows(effect, error, bounds) - power, 0.0, most)) if power > alpha / comparisons else 0.0


def power_of(
    effect: float,
    seed_variance: float,
    image_variance: float,
    seeds: int,
    comparisons: int = 1,
    alpha: float = ALPHA,
    *,
    images: float | None = math.inf,
) -> float:
    """The share of studies of so many seeds in which a true difference shows as one, either way; see ``smallest_effect``."""
    error = _error(seed_variance, image_variance, seeds, comparisons)
    if not error > 0:
        return float(error == 0 and effect != 0)
    return _shows(effect, error, _bounds(seed_variance, image_variance, seeds, alpha / comparisons / 2, images))


def equivalence_power(
    effect: float,
    seed_variance: float,
    image_variance: float,
    seeds: int,
    margin: float,
    comparisons: int = 1,
    alpha: float = ALPHA,
    *,
    images: float | None = math.inf,
) -> float:
    """The share of studies in which two one-sided tests say that a true difference lies within +-margin.

    Phillips (1990, J Pharmacokinet Biopharm 18) gives the same as an integral over the estimated error.
    """
    error = _error(seed_variance, image_variance, seeds, comparisons)
    if not error > 0:
        return float(error == 0 and abs(effect) < margin)
    room = margin - _bounds(seed_variance, image_variance, seeds, alpha / comparisons, images)
    inside = special.ndtr((room - effect) / error) - special.ndtr((-room - effect) / error)
    return float(np.where(room > 0, inside, 0.0).mean())


def seeds_needed(
    effect: float,
    seed_variance: float,
    image_variance: float,
    comparisons: int = 1,
    power: float = POWER,
    alpha: float = ALPHA,
    *,
    margin: float | None = None,
    images: float | None = math.inf,
    equivalences: int | None = None,
) -> int | None:
    """How many seeds decide about a true difference in a share ``power`` of studies, or None where MOST_SEEDS do not.

    Without ``margin`` to decide means to show the difference. With it, it may also be shown to be smaller than the margin, among so many
    ``equivalences`` (as many as ``comparisons``, where left out), and the fewer seeds count. None tells that the images are too few, or
    the difference too close to zero or to the margin.
    """
    others = comparisons if equivalences is None else equivalences
    found = [
        _fewest(lambda n: power_of(effect, seed_variance, image_variance, n, comparisons, alpha, images=images), power),
    ]
    if margin is not None and abs(effect) < margin:
        found.append(
            _fewest(lambda n: equivalence_power(effect, seed_variance, image_variance, n, margin, others, alpha, images=images), power)
        )
    return min((one for one in found if one is not None), default=None)


def _error(seed_variance: float, image_variance: float, seeds: int, comparisons: int) -> float:
    """The standard error of the mean difference, NaN for fewer than two seeds; zero where nothing varies, so that every study shows it.

    Raises ValueError where a variance is negative or no number, or there is nothing to compare.
    """
    if not (seed_variance >= 0 and image_variance >= 0 and comparisons >= 1):
        raise ValueError(
            f"variances must not be negative, nor comparisons fewer than one: {seed_variance}, {image_variance}, {comparisons}"
        )
    return math.sqrt(seed_variance / seeds + image_variance) if seeds > 1 else math.nan


def _fewest(reached: Callable[[int], float], power: float) -> int | None:
    """The fewest seeds whose power is high enough; it grows with the seeds, so that halving finds them."""
    low, high = FEWEST_SEEDS, FEWEST_SEEDS
    while reached(high) < power:
        if high >= MOST_SEEDS:
            return None
        low, high = high + 1, min(2 * high, MOST_SEEDS)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) >= power else (middle + 1, high)
    return high


def _shows(effect: float, error: float, bounds: NDArray[np.float64]) -> float:
    """The share of estimates beyond the bounds, which are equally likely, on either side."""
    return float((special.ndtr((effect - bounds) / error) + special.ndtr((-effect - bounds) / error)).mean())


def _bounds(seed_variance: float, image_variance: float, seeds: int, tail: float, images: float | None) -> NDArray[np.float64]:
    """Equally likely values of what an estimate must exceed for a one-sided p-value of ``tail``; see ``Estimate.tail``.

    The share of the images for which a critical value is the right one is known in closed form, and turned round by interpolation.
    """
    degrees = seeds - 1.0
    if images is None:
        spreads = (seed_variance / seeds + image_variance) * _spreads(degrees)
        return np.asarray(_critical(degrees, tail) * np.sqrt(spreads), dtype=float)
    image_degrees = images - 1.0
    of_seeds = seed_variance / seeds * _spreads(degrees)
    variances = of_seeds + image_variance
    low, high = sorted((_critical(degrees, tail), _critical(image_degrees, tail)))
    if high - low < 1e-9:
        return np.asarray(high * np.sqrt(variances), dtype=float)
    criticals = np.geomspace(low, high, CRITICALS)
    seeds_tail, images_tail = special.stdtr(degrees, -criticals), special.stdtr(image_degrees, -criticals)
    shares = (tail - seeds_tail) / (images_tail - seeds_tail)
    order = np.argsort(shares)
    return np.asarray(np.interp(image_variance / variances, shares[order], criticals[order]) * np.sqrt(variances), dtype=float)


def _critical(degrees: float, tail: float) -> float:
    return float(-special.stdtrit(degrees, tail) if math.isfinite(degrees) else -special.ndtri(tail))


@lru_cache(maxsize=64)
def _spreads(degrees: float) -> NDArray[np.float64]:
    """Equally likely values of an estimated variance divided by the true one."""
    shares = (np.arange(SPREADS) + 0.5) / SPREADS
    return np.asarray(stats.chi2.ppf(shares, degrees) / degrees, dtype=float)
