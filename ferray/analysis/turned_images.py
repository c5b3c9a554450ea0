"""Images that a component of the network, or a variant, sets right or wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ferray.analysis.answers import Answers, answers, paired, removed_by
from ferray.analysis.claims import Claim
from ferray.analysis.constant import constant_answers, constant_words
from ferray.analysis.examples import as_picture
from ferray.analysis.pictures import COLUMNS, Picture, Row, most_frequent
from ferray.analysis.results import Results
from ferray.analysis.statistics import Estimate
from ferray.analysis.tables import Table
from ferray.analysis.wording import count, image_count, plain, plural


@dataclass(frozen=True)
class Turned:
    """Images that most trainings get right with a component (or in a variant) and most get wrong without it, and the other way round."""

    variant: str
    title: str  # what does it: the component, or the variant
    seeds: int
    fixed: Row
    broken: Row
    keys: tuple[str, ...]
    constant: tuple[str, ...]  # which trainings of either side answer one class for nearly every image, in words

    @property
    def is_variant(self) -> bool:
        """Whether it is told of a free variant, not of a component that the design removes."""
        return self.title == self.variant


@dataclass(frozen=True)
class TurnedInfo:
    """For every variant but the baseline what the component does image by image; ``seeds`` are those of both."""

    baseline: str
    split: str
    label: str
    images: int
    variants: tuple[Turned, ...]
    synthetic: bool


def turned_info(results: Results, split: str | None = None) -> TurnedInfo | None:
    """What each variant's difference to the baseline does to the images; None without images or two pairs of trainings at the same seeds.

    Right and wrong go by the majority of the paired seeds; ties are neither. The images shown are those of the largest gap between the
    mean probabilities of the true class.
    """
    split = split or results.headline
    images, reference = results.images(split), answers(results, results.baseline, split)
    if images is None or reference is None:
        return None
    found = []
    for variant in results.variants:
        both = None if variant == results.baseline else paired(answers(results, variant, split), reference)
        if both is None or len(both[0].seeds) < 2:
            continue
        removed = removed_by(results, variant)
        with_it, without = (both[1], both[0]) if removed else both  # a removal's component is in the baseline, a free variant's in itself
        fixed, lost = _right(with_it) & _wrong(without), _wrong(with_it) & _right(without)
        gap = _true_probability(with_it) - _true_probability(without)
        name, n = removed or variant, len(both[0].seeds)
        fixed_row, broken_row = (
            Row(name, int(kind.sum()), _pictures(results, with_it, without, images, _largest(kind, sign * gap)))
            for kind, sign in ((fixed, 1), (lost, -1))
        )
        constant = [one for own in both if (one := constant_answers(own, results.classes))]
        words = tuple(constant_words(one, results.split_labels[split]) for one in constant)
        found.append(Turned(variant, name, n, fixed_row, broken_row, (*both[0].keys, *both[1].keys), words))
    if not found:
        return None
    return TurnedInfo(results.baseline, split, results.split_labels[split], len(reference.labels), tuple(found), results.synthetic)


def _right(own: Answers) -> NDArray[np.bool_]:
    return np.asarray(2 * (own.predicted == own.labels).sum(axis=0) > len(own.seeds))


def _wrong(own: Answers) -> NDArray[np.bool_]:
    return np.asarray(2 * (own.predicted != own.labels).sum(axis=0) > len(own.seeds))


def _true_probability(own: Answers) -> NDArray[np.float64]:
    return np.asarray(own.probabilities[:, np.arange(len(own.labels)), own.labels].mean(axis=0), dtype=float)


def _largest(members: NDArray[np.bool_], gap: NDArray[np.float64]) -> NDArray[np.int64]:
    places = np.flatnonzero(members)
    return places[np.argsort(-gap[places], kind="stable")][:COLUMNS]


def _pictures(
    results: Results, with_it: Answers, without: Answers, images: NDArray[np.uint8], places: NDArray[np.int64]
) -> tuple[Picture, ...]:
    size = len(results.classes)
    told = [(most_frequent(own, size)[0], _true_probability(own)) for own in (without, with_it)]
    return tuple(
        Picture(
            int(one),
            results.classes[with_it.labels[one]],
            (
                results.classes[with_it.labels[one]],
                *(
                    f"{word} {results.classes[modal[one]]} {probability[one]:.2f}"
                    for word, (modal, probability) in zip(("\N{MINUS SIGN}", "+"), told, strict=True)
                ),
            ),
            as_picture(images[one]),
        )
        for one in places
    )


def turned_sentence(one: Turned, info: TurnedInfo) -> str:
    """How many images a component sets right and wrong, or in which a free variant differs from the baseline."""
    where = f"of the {image_count(info.images)} of the {info.label} set, by the majority of {plural(one.seeds, 'paired seed')}"
    warning = "".join(f"; {words}" for words in one.constant)
    if one.is_variant:
        right = f"{one.variant} gets {plural(one.fixed.n, 'image')} right that the baseline ({info.baseline}) gets wrong"
        return f"{right}, and {count(one.broken.n)} wrong that the baseline gets right ({where}){warning}."
    turn = "turns" if one.fixed.n == 1 else "turn"
    return f"With {one.title}, {plural(one.fixed.n, 'image')} {turn} right and {count(one.broken.n)} wrong ({where}){warning}."


def turned_claims(info: TurnedInfo) -> list[Claim]:
    """For each component, or free variant, how many more images it sets right than wrong, in percent of all; it has no interval."""
    return [
        Claim(
            name=f"turned/{one.variant}/{info.split}",
            kind="turned",
            subject=one.title,
            split=info.split,
            metric="images set right minus images set wrong",
            unit="points",
            estimates={"majority": Estimate(100 * (one.fixed.n - one.broken.n) / info.images, math.nan, math.nan, one.seeds)},
            methods={"majority": "right and wrong by the majority of the paired seeds; no interval"},
            keys=one.keys,
            sentence=turned_sentence(one, info),
            compared=(one.variant, info.baseline) if one.is_variant else (info.baseline, one.variant),
            caveats=one.constant,
            counts={"set right": one.fixed.n, "set wrong": one.broken.n, "images": info.images, "paired": one.seeds},
        )
        for one in info.variants
    ]


def turned_table(info: TurnedInfo) -> Table:
    """How many images each component sets right and wrong."""
    columns = ("variant", "what does it", "set right", "set wrong", "net", "net (% of the images)", "paired seeds")
    rows = []
    for one in info.variants:
        net = one.fixed.n - one.broken.n
        share = plain(100 * net / info.images)
        rows.append((one.variant, one.title, count(one.fixed.n), count(one.broken.n), plain(net, 0), share, str(one.seeds)))
    caption = (
        f"Images of the {info.label} set that most of the paired trainings get right with a component, or in a variant, and most get wrong "
        f"without it or in {info.baseline} (set right), and the other way round (set wrong)."
    )
    return Table("galleries", caption, columns, tuple(rows), frozenset({0, 1}))
