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
from scipy import stats

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

    def within(self, lowest: float, highest: float) -> Estimate:
        """The same estimate with its interval cut to what the number can be; the interval covers no less often for it."""
        return replace(self, low=max(lowest, self.low), high=min(highest, self.high)) if self.has_interval else self

    def scaled(self, factor: float) -> Estimate:
        """The same estimate in another unit, for example in percent with a factor of 100."""
        low, high = sorted((self.low * factor, self.high * factor)) if self.has_interval else (math.nan, math.nan)
        size = abs(factor)
        return Estimate(self.mean * factor, low, high, self.n, self.deviation * size, self.p, self.error * size, self.degrees)


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


def bootstrap_mean(values: Numbers, level: float = LEVEL, *, resamples: int = 2000, seed: int = 0) -> Estimate:
    """The mean over images with the percentile bootstrap interval (Efron 1979, Annals of Statistics 7).

    Speaks about the *images*. For the difference of two variants, ``values`` holds one number per image: how much more often, over
    the seeds, the one variant was right about it than the other. Images that both get right or both get wrong add nothing to the
    spread, which is why a paired difference is known far better than either accuracy. The same seed gives the same interval.
    """
    kept = np.asarray(values, dtype=float)
    n = int(kept.size)
    if n < 2:
        return Estimate(float(kept.mean()) if n else math.nan, math.nan, math.nan, n)
    # How often each distinct value is drawn is all that the resampled mean depends on, and few values are distinct.
    distinct, counts = np.unique(kept, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(n, counts / n, size=resamples)
    means = drawn @ distinct / n
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(kept.mean()), float(low), float(high), n, float(kept.std(ddof=1)))
