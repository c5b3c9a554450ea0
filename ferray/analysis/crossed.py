"""What a mean over seeds and images says, and to whom: to other seeds, to other images, or to both.

A difference between two variants is a table with a row per seed and a column per image. Both are drawn from something larger: the
seeds from all trainings that could have been, the images from all images of the kind. The model is that of two crossed random factors,

    x[s, i] = mean + S[s] + I[i] + E[s, i],

whose variance of the mean is var(S)/n + var(I)/m + var(E)/(nm) for n seeds and m images (Cornfield and Tukey 1956, Annals of
Mathematical Statistics 27; Clark 1973, Journal of Verbal Learning and Verbal Behavior 12, asks for it where words are drawn as well as
subjects). Its parts are estimated by the analysis of variance. How often the intervals cover is in docs/simulations.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ferray.analysis.statistics import LEVEL, Estimate, student

METHODS = {
    "seeds": "paired t over seeds",
    "images": "t over images, of the mean over seeds",
    "both": "crossed random factors, seeds by images; the tails of t weighed by their shares of the variance",
}
"""How each estimate comes about."""


def methods_within(limits: str) -> dict[str, str]:
    """``METHODS`` of estimates that are cut to what the number can be, told in words such as ``0 to 100 %``."""
    return {name: f"{method}; cut to what is possible, {limits}" for name, method in METHODS.items()}


SPEAKS_ABOUT = {
    "seeds": "other trainings, judged on these very images",
    "images": "these very networks, judged on other images of the same kind",
    "both": "other trainings, judged on other images of the same kind",
}
"""What each estimate may be generalized to."""


@dataclass(frozen=True)
class Crossed:
    """One mean with three intervals, and the variances of the mean that they rest on.

    ``seed_variance``, ``image_variance`` and ``rest_variance`` are the estimated variances of the mean due to seeds (with the rest),
    images (with the rest) and the rest alone: V_S, V_I and V_E, whose sum V_S + V_I - V_E is that of ``both``. NaN where there is one
    seed. That sum is an estimate without a bias, so with few seeds it may turn out smaller than V_I, though the true one cannot be.
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


def crossed(values: NDArray[np.floating], groups: NDArray[np.integer] | None = None, level: float = LEVEL) -> Crossed:
    """The mean of ``values`` [seeds, images] with its intervals over seeds, over images, and over both.

    ``groups`` [images] numbers images that belong together, such as near-identical ones, from 0: they are drawn together or not at all,
    and the images' variance is then that between groups (Liang and Zeger 1986, Biometrika 73). One seed has an interval over images
    alone. Raises ValueError for an empty table or values that are not finite.
    """
    table = np.asarray(values, dtype=float)
    if table.ndim != 2 or not table.size or not np.isfinite(table).all():
        raise ValueError(f"values must be finite numbers [seeds, images], not {table.shape}")
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
            _root(total),
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
