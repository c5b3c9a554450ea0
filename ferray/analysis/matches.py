"""Claims of two studies that say the same of the same subject, and how far their numbers lie apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ferray.analysis.claims import Claim
from ferray.analysis.contrasts import Contrasts
from ferray.analysis.crossed import crossed
from ferray.analysis.image_groups import image_groups
from ferray.analysis.results import Results
from ferray.analysis.statistics import Estimate, student
from ferray.analysis.verdicts import FEWEST_SEEDS

Way = Literal["same trials", "further seeds", "seeds and images", "seeds", "images", "independent", "limits", "none"]
"""How a difference is taken; see ``METHODS``."""

METHODS: Mapping[Way, str] = {
    "same trials": "none: both numbers rest on the same trials, so that nothing is left to chance between them",
    "further seeds": "the two numbers subtracted: the trials of one are among those of the other, so that only its further seeds differ",
    "seeds and images": "crossed random factors, seeds by images, of the difference seed by seed and image by image over the shared seeds",
    "seeds": (
        "corrected resampled t (Nadeau and Bengio 2003) of the difference seed by seed over the shared seeds, each of which drew the "
        "images that both are judged on"
    ),
    "images": (
        "crossed random factors, seeds by images, of the difference image by image; the seeds of the two are taken as independent, with "
        "Welch's degrees of freedom"
    ),
    "independent": (
        "two independent estimates: variances added, with Welch's degrees of freedom; rather too wide where they share seeds or images"
    ),
    "limits": (
        "two independent estimates, from the limits of their intervals (square and add); rather too wide where they share seeds or images"
    ),
    "none": "the two numbers subtracted; without two intervals of 95 % there is none of the difference",
}

FACTORIAL = ("main_effect", "interaction", "shapley", "together")
PREFERRED = ("both", "seeds", "images", "majority", "draws")
"""Which estimate of two claims is compared: the first that has an interval in both, or else the first that both have."""

Place = tuple[str, str, tuple[str, ...], str, str, str]


@dataclass(frozen=True)
class Match:
    """One claim of either study, of the same kind, subject, split and metric."""

    first: Claim
    second: Claim
    estimate: str  # the name of the estimates compared
    difference: Estimate  # first minus second, in the claims' unit
    way: Way
    shared: int  # seeds that the difference is paired over
    common: int  # trials that both rest on

    @property
    def sides(self) -> tuple[Estimate, Estimate]:
        """The two estimates compared."""
        return self.first.estimates[self.estimate], self.second.estimates[self.estimate]

    @property
    def agreement(self) -> str:
        """Whether the verdicts agree, are both open (inconclusive), contradict each other (helps against hurts), or merely differ.

        Empty without two of them.
        """
        verdicts = {self.first.verdict, self.second.verdict}
        if None in verdicts:
            return ""
        if len(verdicts) == 1:
            return "open" if verdicts == {"inconclusive"} else "agree"
        return "contradict" if verdicts == {"helps", "hurts"} else "differ"

    @property
    def is_surer(self) -> bool:
        """Whether the difference has a narrower interval than one of the two numbers."""
        apart = self.difference
        widths = [one.high - one.low for one in self.sides if one.has_interval]
        return apart.has_interval and not apart.is_point and apart.high - apart.low < max(widths, default=0.0)


def place(results: Results, claim: Claim) -> Place:
    """What a claim is of, in words that do not hang on its study: kind, subject, context, split, metric, and what else tells it apart."""
    factors = {factor for variant in results.variants.values() for factor in variant.removed}
    mark = ":" if claim.kind in FACTORIAL else "+"
    parts = claim.subject.split(mark)
    subject = mark.join(sorted(parts)) if set(parts) <= factors else claim.subject
    aspect = ""
    match claim.kind:
        case "tuned":
            aspect = claim.details["settings"]
        case "overfitting":
            aspect = claim.name.rpartition("/")[2]
        case "optimism":
            aspect = claim.name.split("/")[1]
        case "confusion" | "statement":
            aspect = claim.details.get("rival") or ""
    return claim.kind, subject, tuple(sorted(claim.details.get("context") or ())), claim.split, claim.metric, aspect


class Matcher:
    """Two studies between which differences are taken; either's tables are made once."""

    def __init__(self, first: Results, second: Results) -> None:
        self._first = first
        self._contrasts = Contrasts(first), Contrasts(second)
        splits = [split for split in first.splits if split in second.splits]
        self._same = {split: same_images(first, second, split) for split in splits}

    def shares_images(self, split: str) -> bool:
        """Whether both studies were judged on the same images of a split."""
        return self._same.get(split, False)

    def match(self, left: Claim, right: Claim) -> Match | None:
        """Two claims of one place with their difference; None where they have no estimate in common."""
        known = [name for name in PREFERRED if name in left.estimates and name in right.estimates]
        if not known:
            return None
        sides = [{name: claim.estimates[name] for name in known} for claim in (left, right)]
        name = next((one for one in known if all(side[one].has_interval for side in sides)), known[0])
        common = len(set(left.keys) & set(right.keys))
        way, difference, shared = self._difference(left, right, name)
        return Match(left, right, name, difference, way, shared, common)

    def _difference(self, left: Claim, right: Claim, name: str) -> tuple[Way, Estimate, int]:
        one, other = left.estimates[name], right.estimates[name]
        apart, n = one.mean - other.mean, min(one.n, other.n)
        keys = set(left.keys), set(right.keys)
        if keys[0] == keys[1] and math.isclose(one.mean, other.mean, rel_tol=1e-9, abs_tol=1e-12):
            return "same trials", Estimate(apart, math.nan, math.nan, n), 0
        if (keys[0] < keys[1] or keys[1] < keys[0]) and _as_many_of_each_seed(left, right):
            return "further seeds", Estimate(apart, math.nan, math.nan, n), 0
        if name == "both" and self.shares_images(left.split):
            tables = [contrasts.rows(claim) for contrasts, claim in zip(self._contrasts, (left, right), strict=True)]
            groups, redrawn = image_groups(self._first, left.split), self._first.redrawn(left.split)
            shared = [seed for seed in tables[0] if seed in tables[1]]
            if len(shared) >= FEWEST_SEEDS and 2 * len(shared) >= max(map(len, tables)):
                apart_by_image = np.stack([tables[0][seed] - tables[1][seed] for seed in shared])
                both = crossed(apart_by_image, groups, redrawn=redrawn).both
                return "seeds and images" if redrawn is None else "seeds", both, len(shared)
            if redrawn is None and min(map(len, tables)) > 1:
                return "images", between([np.stack(list(table.values())) for table in tables], groups), 0
        if not (one.has_interval and other.has_interval) or left.kind == "search order":  # whose intervals are of 99 %
            return "none", Estimate(apart, math.nan, math.nan, n), 0
        if left.unit == "share" or not (one.error >= 0 and other.error >= 0 and one.degrees > 0 and other.degrees > 0):
            return "limits", square_and_add(one, other), 0
        return "independent", welch(one, other), 0


def _as_many_of_each_seed(left: Claim, right: Claim) -> bool:
    """Whether two claims rest on as many trials of each seed, as of one design; so do claims that do not tell their seeds apart."""
    seeds = [len(claim.details.get("points") or ()) for claim in (left, right)]
    return len(left.keys) * seeds[1] == len(right.keys) * seeds[0]


def same_images(first: Results, second: Results, split: str) -> bool:
    """Whether a split holds the same images with the same classes in the same order, whatever the studies were trained on."""
    if first.data["fingerprint"] == second.data["fingerprint"]:
        return True
    pairs = [(first.labels(split), second.labels(split)), (first.images(split), second.images(split))]
    return all(one is not None and other is not None and np.array_equal(one, other) for one, other in pairs)


def welch(left: Estimate, right: Estimate) -> Estimate:
    """The difference of two independent estimates over seeds and images: variances are added, those of seeds and of images apart.

    Each sum has the degrees of freedom of Welch (1947, Biometrika 34). Speaks about what the two speak about; ``n`` is the smaller one.
    Without both errors there is no interval.
    """
    sides = (left, right)
    of_seeds = [((1 - one.image_share) * one.error**2, one.degrees) for one in sides]
    of_images = [(one.image_share * one.error**2, one.image_degrees) for one in sides]
    images = sum(variance for variance, _ in of_images)
    return _summed(left.mean - right.mean, of_seeds, images, _degrees(of_images), min(left.n, right.n))


def between(tables: Sequence[NDArray[np.floating]], groups: NDArray[np.integer] | None = None) -> Estimate:
    """The difference of the means of two tables [seeds, images] over the same images, whose seeds have nothing to do with each other.

    The variance of the seeds is the sum of the two, as of independent samples. That of the images is one of the differences of the seeds'
    means, image by image, less what the rest adds to it, as in ``crossed``. Speaks about other trainings judged on other images. Raises
    ValueError with fewer than two seeds in either.
    """
    if min(map(len, tables)) < 2:
        raise ValueError("two seeds of either at least")
    sides = [crossed(table, groups) for table in tables]
    apart = crossed((tables[0].mean(axis=0) - tables[1].mean(axis=0))[None], groups)
    images = max(apart.image_variance - sum(one.rest_variance for one in sides), 0.0)
    of_seeds = [(one.seed_variance, one.both.degrees) for one in sides]
    return _summed(apart.images.mean, of_seeds, images, apart.images.degrees, min(one.both.n for one in sides))


def square_and_add(left: Estimate, right: Estimate) -> Estimate:
    """The difference of two independent estimates from the limits of their intervals, which need not lie evenly about them.

    Newcombe (1998, Statistics in Medicine 17) so compares two shares, Zou and Donner (2008, Statistics in Medicine 27) any two numbers. It
    has the level that both intervals have, and no p-value. Where one side's interval has no width, the other's remains.
    """
    mean = left.mean - right.mean
    low = mean - math.hypot(left.mean - left.low, right.high - right.mean)
    high = mean + math.hypot(left.high - left.mean, right.mean - right.low)
    return Estimate(mean, low, high, min(left.n, right.n))


def _summed(mean: float, of_seeds: Sequence[tuple[float, float]], images: float, image_degrees: float, n: int) -> Estimate:
    """The estimate whose variance is that of two sets of seeds, given with their degrees of freedom, and of the images."""
    total = sum(variance for variance, _ in of_seeds) + images
    share = images / total if total > 0 else 0.0
    error = math.sqrt(total) if total >= 0 else math.nan
    return student(mean, error, _degrees(of_seeds), n, image_share=share, image_degrees=image_degrees)


def _degrees(parts: Sequence[tuple[float, float]]) -> float:
    """Of the sum of variances, given with their own degrees of freedom."""
    rest = sum(variance**2 / degrees for variance, degrees in parts)
    return sum(variance for variance, _ in parts) ** 2 / rest if rest > 0 else min(degrees for _, degrees in parts)


def by_place(results: Results, claims: Sequence[Claim]) -> dict[Place, Claim]:
    """The claims that have an estimate, by what they are of."""
    return {place(results, claim): claim for claim in claims if claim.estimates}


def numbers(claim: Claim) -> dict[str, Any]:
    """A claim's verdict and estimates, for a machine."""
    told = {name: {"mean": one.mean, "low": one.low, "high": one.high, "n": one.n, "p": one.p} for name, one in claim.estimates.items()}
    return {"verdict": claim.verdict, "estimates": told}
