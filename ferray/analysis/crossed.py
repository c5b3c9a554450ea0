"""What a mean over seeds and images says, and to whom: to other seeds, to other images, or to both.

A difference between two variants is a table with a row per seed and a column per image. Both are drawn from something larger: the
seeds from all trainings that could have been, the images from all images of the kind. The model is that of two crossed random factors,

    x[s, i] = mean + S[s] + I[i] + E[s, i],

whose variance of the mean is var(S)/n + var(I)/m + var(E)/(nm) for n seeds and m images (Cornfield and Tukey 1956, Annals of
Mathematical Statistics 27; Clark 1973, Journal of Verbal Learning and Verbal Behavior 12, asks for it where words are drawn as well as
subjects). Its parts are estimated by the analysis of variance. How often the intervals cover is in docs/simulations.md.

Where every seed draws the images on which it is judged, column i of one seed is not the image i of another, and the rows are samples of
their own out of one pool. Their means then hold seeds and images together, and as the samples overlap in the images that they train on
and in those that they are judged on, their spread alone would promise too much: see ``redrawn``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import special

from ferray.analysis.statistics import LEVEL, Estimate, student
from ferray.analysis.verdicts import FEWEST_SEEDS

METHODS = {
    "seeds": "paired t over seeds",
    "images": "t over images, of the mean over seeds",
    "both": "crossed random factors, seeds by images; the tails of t weighed by their shares of the variance",
}
"""How each estimate comes about."""

METHODS_REDRAWN = {
    "seeds": "paired t over seeds, each judged on images that it drew",
    "images": "t over the images of each seed about its mean",
    "both": "corrected resampled t over seeds, each judged on images that it drew (Nadeau and Bengio 2003)",
}
"""The same where every seed draws its images."""

REDRAWN = (
    "Each seed is judged on images of its own, so that the interval over seeds speaks of these as well; those of seeds overlap, for which "
    "the interval over both is widened."
)
"""The caveat of every effect on such images."""


def methods_within(limits: str, methods: Mapping[str, str] = METHODS) -> dict[str, str]:
    """The methods of estimates that are cut to what the number can be, told in words such as ``0 to 100 %``."""
    return {name: f"{method}; cut to what is possible, {limits}" for name, method in methods.items()}


SPEAKS_ABOUT = {
    "seeds": "other trainings, judged on these very images",
    "images": "these very networks, judged on other images of the same kind",
    "both": "other trainings, judged on other images of the same kind",
}
"""What each estimate may be generalized to."""

SPEAKS_ABOUT_REDRAWN = {
    **SPEAKS_ABOUT,
    "seeds": "other trainings, each judged on other ones of these images",
}
"""The same where every seed draws its images."""


@dataclass(frozen=True)
class Crossed:
    """One mean with three intervals, and the variances of the mean that they rest on.

    ``seed_variance``, ``image_variance`` and ``rest_variance`` are the estimated variances of the mean due to seeds (with the rest),
    images (with the rest) and the rest alone: V_S, V_I and V_E, whose sum V_S + V_I - V_E is that of ``both``. NaN where there is one
    seed. ``both`` has no error and no interval for fewer than FEWEST_SEEDS: of two seeds it would cover 92 % instead of 95 %. That sum is
    an estimate without a bias, so with few seeds it may turn out smaller than V_I, though the true one cannot be.

    Where seeds drew their images (``is_redrawn``), V_I - V_E is what no number of seeds takes away, as their samples overlap.
    """

    seeds: Estimate
    images: Estimate
    both: Estimate
    points: tuple[float, ...]  # the mean of each seed
    seed_variance: float
    image_variance: float
    rest_variance: float
    n_images: int
    n_groups: int  # of images that are drawn together; without any, the images
    is_redrawn: bool = False

    @property
    def methods(self) -> dict[str, str]:
        """How each estimate came about."""
        return METHODS_REDRAWN if self.is_redrawn else METHODS

    @property
    def of_a_seed(self) -> float:
        """The variance of one seed's mean, for planning: at least that of the rest, which is a part of it and the better known one."""
        return len(self.points) * max(self.seed_variance, self.rest_variance)

    @property
    def of_images(self) -> float:
        """The variance of the mean that the images leave however many seeds there are, for planning: see ``not_negative``."""
        if self.is_redrawn:
            return self.image_variance
        return not_negative(self.image_variance - self.rest_variance, self.of_images_error)

    @property
    def of_images_error(self) -> float:
        """The standard error of V_I - V_E, two independent mean squares (Searle, Casella and McCulloch 1992, Variance Components, 3.5)."""
        squares = self.image_variance**2 + self.rest_variance**2 / (len(self.points) - 1)
        return math.sqrt(2 * squares / self.images.degrees)

    def methods_within(self, limits: str) -> dict[str, str]:
        """``methods`` where the estimates were cut by ``within`` to limits told in words such as ``0 to 100 %``."""
        return methods_within(limits, self.methods)

    def within(self, lowest: float, highest: float) -> Crossed:
        """The same with each of the three estimates cut to what the number can be, as ``Estimate.within`` does."""
        return replace(
            self,
            seeds=self.seeds.within(lowest, highest),
            images=self.images.within(lowest, highest),
            both=self.both.within(lowest, highest),
        )

    def scaled(self, factor: float) -> Crossed:
        """The same in another unit, for example in points with a factor of 100; a negative one turns the sign."""
        return replace(
            self,
            seeds=self.seeds.scaled(factor),
            images=self.images.scaled(factor),
            both=self.both.scaled(factor),
            points=tuple(factor * one for one in self.points),
            seed_variance=factor**2 * self.seed_variance,
            image_variance=factor**2 * self.image_variance,
            rest_variance=factor**2 * self.rest_variance,
        )


def crossed(
    values: NDArray[np.floating], groups: NDArray[np.integer] | None = None, level: float = LEVEL, *, redrawn: float | None = None
) -> Crossed:
    """The mean of ``values`` [seeds, images] with its intervals over seeds, over images, and over both.

    ``groups`` [images] numbers images that belong together, such as near-identical ones, from 0: they are drawn together or not at all,
    and the images' variance is then that between groups (Liang and Zeger 1986, Biometrika 73). One seed has an interval over images
    alone, and two have none over both. Raises ValueError for an empty table or values that are not finite.

    ``redrawn`` is for rows whose images their seed drew (``Results.redrawn``): how many images each is judged on for every one that it is
    trained on. ``both`` then takes the variance of a seed's mean times 1/n + ``redrawn`` in place of 1/n (Nadeau and Bengio 2003, Inference
    for the Generalization Error, Machine Learning 52), and no image is set beside the image of another seed; ``groups`` do not count.
    """
    table = np.asarray(values, dtype=float)
    if table.ndim != 2 or not table.size or not np.isfinite(table).all():
        raise ValueError(f"values must be finite numbers [seeds, images], not {table.shape}")
    if redrawn is not None:
        return _redrawn(table, redrawn, level)
    n, m = table.shape
    by_seed = table.mean(axis=1)
    mean = float(by_seed.mean())
    rests = table - by_seed[:, None]
    if groups is not None:
        rests = np.stack([np.bincount(groups, weights=row) for row in rests])
    count = rests.shape[1]
    of_images = rests.mean(axis=0)
    scale = count / (count - 1) / m**2 if count > 1 else math.nan
    image_variance = float(scale * (of_images**2).sum())
    seed_variance = float(by_seed.var(ddof=1) / n) if n > 1 else math.nan
    rest_variance = float(scale * ((rests - of_images) ** 2).sum() / (n * (n - 1))) if n > 1 else math.nan
    image_degrees = _degrees(of_images)
    images_alone = max(image_variance - rest_variance, 0.0)
    total = seed_variance + images_alone
    return Crossed(
        seeds=student(mean, _root(seed_variance), n - 1, n, deviation=float(by_seed.std(ddof=1)) if n > 1 else math.nan, level=level),
        images=student(mean, _root(image_variance), image_degrees, n, level=level),
        both=student(
            mean,
            _root(total) if n >= FEWEST_SEEDS else math.nan,
            n - 1,
            n,
            image_share=images_alone / total if total > 0 else 0.0,
            image_degrees=image_degrees,
            level=level,
        ),
        points=tuple(by_seed.tolist()),
        seed_variance=seed_variance,
        image_variance=image_variance,
        rest_variance=rest_variance,
        n_images=m,
        n_groups=count,
    )


def _redrawn(table: NDArray[np.float64], ratio: float, level: float) -> Crossed:
    n, m = table.shape
    by_seed = table.mean(axis=1)
    mean = float(by_seed.mean())
    rests = table - by_seed[:, None]
    within = float((rests**2).sum() / (m - 1) / (n * m) / n) if m > 1 else math.nan
    of_seed = float(by_seed.var(ddof=1)) if n > 1 else math.nan
    return Crossed(
        seeds=student(mean, _root(of_seed / n), n - 1, n, deviation=math.sqrt(of_seed), level=level),
        images=student(mean, _root(within), max(_degrees(rests.ravel()) - (n - 1), 0.0), n, level=level),
        both=student(mean, _root(of_seed * (1 / n + ratio)) if n >= FEWEST_SEEDS else math.nan, n - 1, n, level=level),
        points=tuple(by_seed.tolist()),
        seed_variance=of_seed / n,
        image_variance=ratio * of_seed,
        rest_variance=0.0 if n > 1 else math.nan,
        n_images=m,
        n_groups=m,
        is_redrawn=True,
    )


def not_negative(estimate: float, error: float) -> float:
    """What a variance is on average, given an unbiased estimate with its standard error and that no variance is negative.

    That is the mean of a normal distribution cut off at zero, the posterior under a flat prior (Hill 1965, JASA 60, and Box and Tiao 1973,
    Bayesian Inference in Statistical Analysis, chapter 5, for variances between groups). An estimate that is large beside its error stays
    as it is; one of zero or less, which data often give where the truth is small, becomes a part of its error instead of nothing. An
    interval has no use for it, since it is no unbiased estimate; a plan has, which must not build on a variance of zero.
    """
    if not error > 0:
        return max(estimate, 0.0)
    z = estimate / error
    return estimate + error * math.exp(-z * z / 2 - float(special.log_ndtr(z))) / math.sqrt(2 * math.pi)


def _root(variance: float) -> float:
    return math.sqrt(variance) if variance >= 0 else math.nan


def _degrees(rests: NDArray[np.floating]) -> float:
    """Degrees of freedom of a variance by its own fourth moment (Box 1953, Biometrika 40), at most one less than there are values.

    Where few images differ at all, as with the recall of a rare class, it is they that count: about two degrees for each.
    """
    squares = rests**2
    spread = float(squares.mean())
    if rests.size < 2 or not spread > 0:
        return rests.size - 1.0
    kurtosis = float((squares**2).mean()) / spread**2
    return min(rests.size - 1.0, 2 * rests.size / (kurtosis - 1)) if kurtosis > 1 else rests.size - 1.0
