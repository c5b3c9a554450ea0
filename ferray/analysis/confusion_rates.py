"""How often one class is taken for another: every ordered pair with an interval over seeds and images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ferray.analysis.answers import Answers, answers, paired, removed_by, spoken
from ferray.analysis.claims import Claim
from ferray.analysis.crossed import METHODS, Crossed, crossed
from ferray.analysis.results import Results
from ferray.analysis.statistics import LEVEL, Estimate, clopper_pearson
from ferray.analysis.verdicts import ALPHA, FEWEST_SEEDS, holm
from ferray.analysis.wording import interval, probability, signed

FEW = 10
"""With fewer images than these on either side, in the mean training, a t interval of a share is not to be trusted."""
CUT = "cut to 0..100 %"
CROSSED = f"{METHODS['both']}, {CUT}"
EXACT = "exact binomial interval at the effective number of images (Korn and Graubard 1998), since fewer than 10 are counted"
FEW_SEEDS = f"exact binomial interval over images, since there are fewer than {FEWEST_SEEDS} seeds"


@dataclass(frozen=True)
class Rate:
    """How often images of one class are taken for another, in percent of the true class."""

    true: str
    predicted: str
    images: int  # of the true class, each counted once
    count: int  # summed over seeds
    share: Estimate  # over seeds and images together
    over_seeds: Estimate
    over_images: Estimate
    by_seed: tuple[float, ...]
    methods: Mapping[str, str]  # by ``seeds``, ``images`` and ``both``

    @property
    def method(self) -> str:
        """That of ``share``."""
        return self.methods["both"]


@dataclass(frozen=True)
class Change:
    """How much more often a class is taken for another in a variant than in the baseline, in points of the true class, paired."""

    variant: str
    spoken: str
    removed: str  # what the variant goes without, in words; empty for a free variant
    true: str
    predicted: str
    difference: Crossed
    p_adjusted: float  # Holm, over the pairs of the variant
    keys: tuple[str, ...]


def rates(own: Answers, classes: Sequence[str]) -> tuple[Rate, ...]:
    """All ordered pairs of classes of which the first has images, the most frequent confusion first."""
    found = []
    for i, true in enumerate(classes):
        answered = own.predicted[:, own.labels == i]
        if not answered.size:
            continue
        never = _rate(np.zeros(answered.shape, bool), true, "", own.redrawn)
        occurring = set(np.unique(answered).tolist())
        for j, predicted in enumerate(classes):
            if j != i:
                taken = answered == j
                found.append(_rate(taken, true, predicted, own.redrawn) if j in occurring else replace(never, predicted=predicted))
    return tuple(sorted(found, key=lambda one: -one.share.mean))


def _rate(taken: NDArray[np.bool_], true: str, predicted: str, redrawn: float | None) -> Rate:
    told = crossed(taken.astype(float), redrawn=redrawn)
    share, method = share_interval(told)
    return Rate(
        true=true,
        predicted=predicted,
        images=told.n_images,
        count=int(taken.sum()),
        share=share.scaled(100),
        over_seeds=told.seeds.within(0, 1).scaled(100),
        over_images=told.images.within(0, 1).scaled(100),
        by_seed=tuple(100 * point for point in told.points),
        methods={**told.methods, "both": method},
    )


def share_interval(told: Crossed, level: float = LEVEL) -> tuple[Estimate, str]:
    """A share (0..1) over seeds and images with an interval that also holds near 0 and 1, and its method.

    Where at least ``FEW`` images count on either side, in the mean training, the t interval of the crossed model, cut to 0..1. Elsewhere
    the exact interval of Clopper and Pearson with as many images as independent ones would be as sure (Korn and Graubard 1998, Survey
    Methodology 24): share x (1 - share) / variance, less what Student's t is wider than the normal, and never more than there are
    distinct images. With fewer than FEWEST_SEEDS seeds the exact interval over images.
    """
    share, n, images = told.both.mean, told.both.n, told.n_images
    if n >= FEWEST_SEEDS and min(share, 1 - share) * images >= FEW and told.both.has_interval:
        return told.both.within(0, 1), f"{told.methods['both']}, {CUT}"
    effective = float(images)
    if told.both.error > 0:
        narrower = float(stats.norm.ppf((1 + level) / 2) / stats.t.ppf((1 + level) / 2, told.both.degrees))
        effective = min(effective, share * (1 - share) / told.both.error**2 * narrower**2)
    exact = clopper_pearson(share * effective, effective, level)
    return replace(told.both, low=exact.low, high=exact.high), EXACT if n >= FEWEST_SEEDS else FEW_SEEDS


def changes(results: Results, split: str | None = None) -> list[Change]:
    """For every variant but the baseline, each pair's change at the seeds of both, the surest first.

    Pairs that fewer than ``FEW`` images make up, in the mean of a training with and one without, are not tested: t is not to be trusted
    there. At least three paired seeds.
    """
    split = split or results.headline
    reference = answers(results, results.baseline, split)
    found = []
    for variant in results.variants:
        both = None if variant == results.baseline else paired(answers(results, variant, split), reference)
        if both is not None and len(both[0].seeds) >= FEWEST_SEEDS:
            found += _changes(results, *both)
    return sorted(found, key=lambda one: (one.p_adjusted, -abs(one.difference.both.mean)))


def _changes(results: Results, own: Answers, reference: Answers) -> list[Change]:
    tested = []
    for i, true in enumerate(results.classes):
        members = own.labels == i
        here, there = own.predicted[:, members], reference.predicted[:, members]
        for j, predicted in enumerate(results.classes):
            with_j, without_j = here == j, there == j
            if i != j and with_j.sum() + without_j.sum() >= 2 * FEW * len(own.seeds):
                tested.append((true, predicted, crossed(with_j.astype(float) - without_j, redrawn=own.redrawn).scaled(100)))
    adjusted = holm([difference.both.p for _, _, difference in tested])
    words = (own.variant, spoken(results, own.variant), removed_by(results, own.variant))
    keys = (*own.keys, *reference.keys)
    return [Change(*words, *pair, p, keys) for pair, p in zip(tested, adjusted, strict=True)]


def change_claims(found: list[Change], split: str, label: str, baseline: str) -> list[Claim]:
    """The changes that are certain: of a factor, how much rarer the confusion is with it; of a free variant, how much rarer in it."""
    return [
        Claim(
            name=f"confusion/{one.variant} beside {baseline}/{split}/{one.true} taken for {one.predicted}", kind="confusion",
            subject=one.removed or one.variant, split=split, metric=f"rarer: {one.true} taken for {one.predicted}", unit="points",
            estimates={"seeds": told.seeds, "images": told.images, "both": told.both}, methods=told.methods, keys=one.keys,
            sentence=change_sentence(one, label, baseline),
            compared=(baseline, one.variant) if one.removed else (one.variant, baseline),
            family=f"confusion/{one.variant}/{split}", decided_by="both", p_adjusted=one.p_adjusted,
            counts={"paired": told.both.n, "images": told.n_images},
        )
        for one in certain(found)
        for told in [one.difference if one.removed else one.difference.scaled(-1)]
    ]  # fmt: skip


def certain(found: list[Change]) -> list[Change]:
    """Those of which the sign is certain after Holm."""
    return [one for one in found if one.p_adjusted < ALPHA]


def change_sentence(one: Change, label: str, baseline: str) -> str:
    """How much more or less often a class is taken for another than by the baseline."""
    told = one.difference.both
    sure = f"95 % interval {interval(told, sign=True)}, {told.n} paired seeds, {one.difference.n_images} images"
    change = f"{signed(told.mean)} points of {one.true} are taken for {one.predicted} compared with {baseline} on the {label} set"
    return f"{one.spoken}: {change} ({sure}, adjusted p {probability(one.p_adjusted)})."
