"""Intervals that say how sure a number is, and of what.

Two uncertainties must not be taken for each other. An interval *over seeds* speaks about the training: where the mean of many
trainings would lie, judged on these very images. An interval *over images* speaks about the images: where the accuracy of these very
networks would lie on other images of the same kind. Every function below says which of the two it is for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

LEVEL = 0.95
"""Confidence level of every interval of the report."""

Numbers = Sequence[float] | NDArray[np.floating]


@dataclass(frozen=True)
class Estimate:
    """A number with its interval and with how many values stand behind it; ``low`` and ``high`` are NaN where there is no interval."""

    mean: float
    low: float
    high: float
    n: int
    deviation: float = math.nan  # standard deviation of the values, n - 1 in the denominator; NaN for a single one
    p: float = math.nan  # two-sided, of the hypothesis that the mean is zero; only of differences
    error: float = math.nan  # standard error of the mean
    degrees: float = math.nan  # of freedom of Student's t; only where the interval is one of t
    image_share: float = 0.0  # of the error's square that is due to the images, where it is due to seeds and images
    image_degrees: float = math.inf  # of freedom of that share

    @property
    def has_interval(self) -> bool:
        """Whether there were enough values for an interval."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def is_point(self) -> bool:
        """Whether several values are all equal, so that the interval has no width; that speaks of a coarse measure, not of certainty."""
        return self.has_interval and self.n > 1 and self.high - self.low <= 1e-9 * max(1.0, abs(self.mean))

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of zero."""
        return self.has_interval and (self.low > 0 or self.high < 0)

    def tail(self, distance: float) -> float:
        """How likely the estimate lies above the truth by ``distance`` or more: one-sided, NaN without an error and its degrees.

        Where seeds and images both add to the error, the tails of their two t distributions are weighed by their shares of its square.
        Cochran and Cox (1950, Experimental Designs) so weigh the critical values. Weighing the tails keeps closer to the
        level with three seeds, at every level: between 94.8 and 96.4 % at 95 %, where Satterthwaite's degrees of freedom fall to 92 %.
        """
        if not (self.error > 0 and self.degrees > 0):
            return math.nan
        of_seeds, of_images = _below(self.degrees, -distance / self.error), _below(self.image_degrees, -distance / self.error)
        return (1 - self.image_share) * of_seeds + self.image_share * of_images

    def within(self, lowest: float, highest: float) -> Estimate:
        """The same estimate cut to what the number can be; the interval covers no less often for it.

        A mean that is beyond, as where a bias was taken off, takes its interval along to the limit before that is cut.
        """
        mean = min(max(self.mean, lowest), highest) if math.isfinite(self.mean) else self.mean
        if not self.has_interval:
            return replace(self, mean=mean)
        moved = mean - self.mean
        return replace(self, mean=mean, low=max(lowest, self.low + moved), high=min(highest, self.high + moved))

    def scaled(self, factor: float) -> Estimate:
        """The same estimate in another unit, for example in percent with a factor of 100."""
        low, high = sorted((self.low * factor, self.high * factor)) if self.has_interval else (math.nan, math.nan)
        size = abs(factor)
        return replace(self, mean=self.mean * factor, low=low, high=high, deviation=self.deviation * size, error=self.error * size)


def student(
    mean: float,
    error: float,
    degrees: float,
    n: int,
    *,
    deviation: float = math.nan,
    image_share: float = 0.0,
    image_degrees: float = math.inf,
    level: float = LEVEL,
) -> Estimate:
    """The estimate of a mean whose standard error is known with so many degrees of freedom, with its interval and p-value.

    With an ``image_share`` the tails are those of ``Estimate.tail``. Without an error there is no p-value: an interval of no width is
    one of a coarse measure, and a missing one is no interval.
    """
    known = Estimate(
        mean, math.nan, math.nan, n, deviation, error=error, degrees=degrees, image_share=image_share, image_degrees=image_degrees
    )
    if error <= 1e-12 * max(1.0, abs(mean)):
        return replace(known, low=mean, high=mean)
    if not (math.isfinite(error) and degrees > 0):
        return known
    times = _quantile(degrees, level)
    other = _quantile(image_degrees, level) if image_share > 0 else times
    if other != times:
        low, high = sorted((times, other))
        times = float(optimize.brentq(lambda one: known.tail(one * error) - (1 - level) / 2, 0.999 * low, 1.001 * high))
    return replace(known, low=mean - times * error, high=mean + times * error, p=2 * known.tail(abs(mean)))


def _below(degrees: float, value: float) -> float:
    return float(special.stdtr(degrees, value))


def _quantile(degrees: float, level: float) -> float:
    return float(special.stdtrit(degrees, (1 + level) / 2)) if math.isfinite(degrees) else float(special.ndtri((1 + level) / 2))


def mean_interval(values: Numbers, level: float = LEVEL) -> Estimate:
    """The mean of independent values, one per seed, with Student's t interval (Student 1908, Biometrika 6).

    Speaks about the *training*: the interval covers, in a share ``level`` of all studies, the mean over infinitely many seeds, if
    the values are about normal. Values that are not finite are left out. One value has no spread and therefore no interval.
    """
    kept = np.asarray(values, dtype=float)
    kept = kept[np.isfinite(kept)]
    n = int(kept.size)
    if n == 0:
        return Estimate(math.nan, math.nan, math.nan, 0)
    mean = float(kept.mean())
    if n == 1:
        return Estimate(mean, math.nan, math.nan, 1)
    deviation = float(kept.std(ddof=1))
    half = float(stats.t.ppf((1 + level) / 2, n - 1)) * deviation / math.sqrt(n)
    return Estimate(mean, mean - half, mean + half, n, deviation, error=deviation / math.sqrt(n), degrees=n - 1)


def paired_difference(values: Numbers, reference: Numbers, level: float = LEVEL) -> Estimate:
    """The mean of ``values - reference``, paired by position (the same seed), with the t interval and the paired t test's p-value.

    Speaks about the *training*, like ``mean_interval`` of the differences. Seeds are blocks: what a seed does to both sides drops
    out. A pair with a value that is not finite (a failed trial) is left out, so ``n`` counts complete pairs. The p-value is NaN
    where all differences are equal up to rounding, since there is no spread to judge them by. Five pairs or fewer are the reason
    for t: the exact Wilcoxon test of five pairs cannot go below 0.0625.
    """
    left, right = np.asarray(values, dtype=float), np.asarray(reference, dtype=float)
    if left.shape != right.shape:
        raise ValueError(f"paired values need the same length, not {left.size} and {right.size}")
    estimate = mean_interval(left - right, level)
    if not estimate.has_interval or estimate.is_point:
        return estimate
    t = estimate.mean / (estimate.deviation / math.sqrt(estimate.n))
    p = 2 * float(stats.t.sf(abs(t), estimate.n - 1))
    return replace(estimate, p=p)


def signed_rank(differences: Numbers) -> float:
    """The exact two-sided p-value of Wilcoxon's signed-rank test (Wilcoxon 1945, Biometrics Bulletin 1), given the ranks, also with ties.

    Speaks about the *training*, of one difference per seed, and needs no normal distribution, only one symmetric about zero. Differences
    of zero and those that are not finite are left out; NaN if none is left. With n seeds it cannot go below 2 / 2**n.
    """
    kept = np.asarray(differences, dtype=float)
    kept = kept[np.isfinite(kept) & (kept != 0)]
    if not kept.size:
        return math.nan
    doubled = np.rint(2 * stats.rankdata(np.abs(kept))).astype(int)  # middle ranks are halves
    ways = np.ones(1)  # how likely each sum of positive ranks is, if every sign is a toss of a coin
    for rank in doubled:
        nothing = np.zeros(rank)
        ways = 0.5 * np.concatenate([ways, nothing]) + 0.5 * np.concatenate([nothing, ways])  # the sum stays, or grows by the rank
    positive = int(doubled[kept > 0].sum())
    smaller = min(positive, int(doubled.sum()) - positive)
    return float(min(1.0, 2 * ways[: smaller + 1].sum()))


def wilson(successes: float, n: int, level: float = LEVEL) -> Estimate:
    """A share of ``n`` images with Wilson's score interval (Wilson 1927, JASA 22; recommended by Brown, Cai and DasGupta 2001).

    Speaks about the *images*. ``successes`` need not be whole: a share averaged over seeds enters as ``share * n``, with ``n`` the
    number of distinct images. That interval is rather too wide than too narrow, because averaging over seeds takes spread away, whereas
    counting every image once per seed would claim more images than there are.
    """
    if n == 0:
        return Estimate(math.nan, math.nan, math.nan, 0)
    if not 0 <= successes <= n:
        raise ValueError(f"successes must lie in 0..{n}, not {successes}")
    z = float(stats.norm.ppf((1 + level) / 2))
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return Estimate(share, low, high, n)


def clopper_pearson(successes: float, n: float, level: float = LEVEL) -> Estimate:
    """A share of ``n`` trainings or images with the exact interval (Clopper and Pearson 1934, Biometrika 26): it covers ``level`` or more.

    Neither number need be whole, as Korn and Graubard (1998, Survey Methodology 24) have it for shares whose cases are not independent:
    ``n`` is then how many independent cases would be as sure. Raises ValueError where there are more successes than cases.
    """
    if n == 0:
        return Estimate(math.nan, math.nan, math.nan, 0)
    if not 0 <= successes <= n:
        raise ValueError(f"successes must lie in 0..{n}, not {successes}")
    tail = (1 - level) / 2
    low = float(stats.beta.ppf(tail, successes, n - successes + 1)) if successes > 0 else 0.0
    high = float(stats.beta.isf(tail, successes + 1, n - successes)) if successes < n else 1.0
    return Estimate(successes / n, low, high, round(n))


def hedges_g(differences: Numbers) -> float:
    """The effect size of paired differences: their mean in units of their standard deviation, without the bias of few values.

    The correction is exact for normal values (Hedges 1981, Journal of Educational Statistics 6); as the spread is that of differences,
    not of accuracies, it is the size called d_z (Lakens 2013, Frontiers in Psychology 4). NaN for fewer than three values or no spread.
    """
    values = np.asarray(differences, dtype=float)
    degrees = values.size - 1
    deviation = float(values.std(ddof=1)) if degrees > 1 else 0.0
    if deviation <= 1e-12 * max(1.0, float(np.abs(values).max(initial=0))):
        return math.nan
    ratio = math.exp(float(special.gammaln(degrees / 2) - special.gammaln((degrees - 1) / 2)))
    return ratio / math.sqrt(degrees / 2) * float(values.mean()) / deviation
