"""How often one class is taken for another: every ordered pair with an interval over seeds and images."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ferray.analysis.answers import Answers, answers, paired, removed_by, spoken
from ferray.analysis.claims import Claim
from ferray.analysis.constant import constant_answers, constant_words
from ferray.analysis.crossed import Crossed, methods_within
from ferray.analysis.results import Results
from ferray.analysis.statistics import LEVEL, Estimate, clopper_pearson
from ferray.analysis.verdicts import ALPHA, FEWEST_SEEDS, holm
from ferray.analysis.wording import MINUS, image_count, interval, listed, plural, probability, signed

FEW = 10
"""With fewer images than these on either side, in the mean training, a t interval of a share is not to be trusted."""
FEWEST_IMAGES = 20
"""Images of the true class, near-identical ones being one, below which nothing is said of its confusions.

Even the exact interval of a share of one half, over 20 images, reaches from 27 to 73 %.
"""
SHARES = "0 to 100 %"
CHANGES = f"{MINUS}100 to +100 points"
CROSSED = methods_within(SHARES)["both"]
EXACT = "exact binomial interval at the effective number of images (Korn and Graubard 1998), since fewer than 10 are counted"
ALIKE = "exact binomial interval over images, since all trainings have the same share, which tells no spread"
FEW_SEEDS = f"exact binomial interval over images, since there are fewer than {FEWEST_SEEDS} seeds"


@dataclass(frozen=True)
class Rate:
    """How often images of one class are taken for another, in percent of the true class."""

    true: str
    predicted: str
    images: int  # of the true class, each counted once
    groups: int  # of these, near-identical ones being one
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

    @property
    def has_images(self) -> bool:
        """Whether there are images enough to say anything."""
        return self.groups >= FEWEST_IMAGES


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
    """All ordered pairs of classes of which the first has images, the most frequent confusion first.

    Those of classes with too few images come after all others, so that what is told first is well founded.
    """
    found = []
    for i, true in enumerate(classes):
        members = own.labels == i
        if not members.any():
            continue
        occurring = set(np.unique(own.predicted[:, members]).tolist())
        never = _rate(own, members, true, "", len(classes))
        for j, predicted in enumerate(classes):
            if j != i:
                found.append(_rate(own, members, true, predicted, j) if j in occurring else replace(never, predicted=predicted))
    return tuple(sorted(found, key=lambda one: (not one.has_images, -one.share.mean)))


def recalls(own: Answers, classes: Sequence[str]) -> tuple[Rate, ...]:
    """How often images of each class are recognized, in the order of the classes; those without images are left out."""
    members = {place: own.labels == place for place in range(len(classes))}
    return tuple(_rate(own, one, classes[place], classes[place], place) for place, one in members.items() if one.any())


def _rate(own: Answers, members: NDArray[np.bool_], true: str, predicted: str, answer: int) -> Rate:
    taken = own.predicted[:, members] == answer
    told = own.told(taken.astype(float), members)
    share, method = share_interval(told)
    return Rate(
        true=true,
        predicted=predicted,
        images=told.n_images,
        groups=told.n_groups,
        count=int(taken.sum()),
        share=share.scaled(100),
        over_seeds=replace(told.within(0, 1).seeds, p=math.nan).scaled(100),
        over_images=replace(told.within(0, 1).images, p=math.nan).scaled(100),
        by_seed=tuple(100 * point for point in told.points),
        methods={**told.methods_within(SHARES), "both": method},
    )


def share_interval(told: Crossed, level: float = LEVEL) -> tuple[Estimate, str]:
    """A share (0..1) over seeds and images with an interval that also holds near 0 and 1, and its method.

    Where at least ``FEW`` images count on either side, in the mean training, the t interval of the crossed model, cut to 0..1. Elsewhere
    the exact interval of Clopper and Pearson with as many images as independent ones would be as sure (Korn and Graubard 1998, Survey
    Methodology 24): share x (1 - share) / variance, less what Student's t is wider than the normal, and never more than there are
    distinct images, of which near-identical ones are one. With fewer than FEWEST_SEEDS seeds, or where all have the same share, the exact
    interval over images. That a share is zero is no hypothesis, so there is no p-value.
    """
    both = replace(told.both, p=math.nan)
    share, n, images = both.mean, both.n, told.n_groups
    is_counted = min(share, 1 - share) * images >= FEW
    if n >= FEWEST_SEEDS and is_counted and both.has_interval and not both.is_point:
        return both.within(0, 1), told.methods_within(SHARES)["both"]
    effective = float(images)
    if both.error > 0:
        narrower = float(stats.norm.ppf((1 + level) / 2) / stats.t.ppf((1 + level) / 2, both.degrees))
        effective = min(effective, share * (1 - share) / both.error**2 * narrower**2)
    exact = clopper_pearson(share * effective, effective, level)
    return replace(both, low=exact.low, high=exact.high), FEW_SEEDS if n < FEWEST_SEEDS else ALIKE if is_counted else EXACT


def changes(results: Results, split: str | None = None) -> list[Change]:
    """For every variant but the baseline, each pair's change at the seeds of both, the surest first.

    Not tested are variants with fewer than three paired seeds, and those of which a paired training, or the baseline's, answers one class
    for nearly every image: leaving out such trainings would choose among them by their outcome, and with them the change is not one of
    what looks alike to a network. Nor are classes of fewer than ``FEWEST_IMAGES`` images, and pairs that fewer than ``FEW`` images make
    up, in the mean of a training with and one without: t is not to be trusted there.
    """
    split = split or results.headline
    found = []
    for own, reference in _compared(results, split):
        if len(own.seeds) >= FEWEST_SEEDS and not _fixed(results, own, reference):
            found += _changes(results, own, reference)
    return sorted(found, key=lambda one: (math.isnan(one.p_adjusted), one.p_adjusted, -abs(one.difference.both.mean)))


def untested(results: Results, split: str | None = None) -> list[str]:
    """Why the changes of a variant are not tested although it has seeds enough, a sentence for each such variant."""
    split = split or results.headline
    return [
        f"Changes of {own.variant} are not tested: {listed(words)}."
        for own, reference in _compared(results, split)
        if len(own.seeds) >= FEWEST_SEEDS and (words := _fixed(results, own, reference))
    ]


def _compared(results: Results, split: str) -> Iterator[tuple[Answers, Answers]]:
    reference = answers(results, results.baseline, split)
    for variant in results.variants:
        both = None if variant == results.baseline else paired(answers(results, variant, split), reference)
        if both is not None:
            yield both


def _fixed(results: Results, *compared: Answers) -> list[str]:
    label = results.split_labels[compared[0].split]
    return [constant_words(one, label) for own in compared if (one := constant_answers(own, results.classes))]


def _changes(results: Results, own: Answers, reference: Answers) -> list[Change]:
    tested = []
    for i, true in enumerate(results.classes):
        members = own.labels == i
        here, there, each = own.predicted[:, members], reference.predicted[:, members], own.distinct(members)
        if each.sum() < FEWEST_IMAGES - 0.5:  # a sum of fractions
            continue
        for j, predicted in enumerate(results.classes):
            with_j, without_j = (here == j).astype(float), (there == j).astype(float)
            if i != j and ((with_j + without_j) @ each).sum() >= (2 * FEW - 1e-6) * len(own.seeds):
                difference = own.told(with_j - without_j, members).within(-1, 1).scaled(100)
                tested.append((true, predicted, difference))
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
            estimates={"seeds": told.seeds, "images": told.images, "both": told.both}, methods=told.methods_within(CHANGES), keys=one.keys,
            sentence=change_sentence(one, label, baseline),
            compared=(baseline, one.variant) if one.removed else (one.variant, baseline),
            family=f"confusion/{one.variant}/{split}", decided_by="both", p_adjusted=one.p_adjusted,
            counts={"paired": told.both.n, "images": told.n_images, "image_groups": told.n_groups},
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
    amount = image_count(one.difference.n_images, one.difference.n_groups)
    sure = f"95 % interval {interval(told, sign=True)}, {plural(told.n, 'paired seed')}, n = {amount}"
    often = "more" if told.mean > 0 else "less"
    change = f"on the {label} set, {one.true} is taken for {one.predicted} {often} often than by the baseline, {baseline}"
    return f"{one.spoken}: {change} ({signed(told.mean)} points, {sure}, adjusted p {probability(one.p_adjusted)})."
