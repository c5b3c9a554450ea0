"""Galleries: images that every training gets wrong, and those that a component of the network sets right or wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ferray.analysis.answers import Answers, answers, paired, removed_by
from ferray.analysis.claims import Claim
from ferray.analysis.examples import as_picture
from ferray.analysis.fonts import lettered
from ferray.analysis.results import Results
from ferray.analysis.selection import best_variant
from ferray.analysis.statistics import Estimate
from ferray.analysis.style import GREY, PALE, broken, new_figure, note_synthetic
from ferray.analysis.tables import Table
from ferray.analysis.wording import count, plain, plural

if TYPE_CHECKING:
    from ferray.analysis.page import Page

COLUMNS = 7
"""Images in a row."""
ROWS = 5
"""Rows, of a variant each, in one figure."""


@dataclass(frozen=True)
class Picture:
    """One image with what the trainings answered, in words, and the mean probabilities of its true class that it is chosen by."""

    index: int  # in the split
    true: str
    lines: tuple[str, ...]
    image: NDArray[np.uint8]  # [height, width] or [height, width, 3]


@dataclass(frozen=True)
class Row:
    """The first of ``n`` images of one kind."""

    title: str
    n: int
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class HardInfo:
    """Images that every training of a variant gets wrong, by how many of them agree on the answer, and how sure they are of it."""

    variant: str
    label: str
    seeds: int
    images: int
    n: int
    agreed: int  # of these, how many all trainings give the same answer to
    rows: tuple[Row, ...]
    keys: tuple[str, ...]
    synthetic: bool


@dataclass(frozen=True)
class Turned:
    """Images that most trainings get right with a component (or in a variant) and most get wrong without it, and the other way round."""

    variant: str
    title: str  # what does it: the component, or the variant
    seeds: int
    fixed: Row
    broken: Row
    keys: tuple[str, ...]

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


def hard_info(results: Results, variant: str | None = None, split: str | None = None) -> HardInfo | None:
    """The images that all trainings of a variant get wrong, or of the one that validation ranks first; None without two trainings."""
    split, chosen = split or results.headline, variant or best_variant(results)
    own = None if chosen is None else answers(results, chosen, split)
    images = results.images(split)
    if own is None or images is None or len(own.seeds) < 2:
        return None
    members = np.flatnonzero((own.predicted != own.labels).all(axis=0))
    modal, votes = _modal(own, len(results.classes))
    mean = own.probabilities.mean(axis=0)
    sure = mean[np.arange(len(modal)), modal]
    order = members[np.lexsort((-sure[members], -votes[members]))][: COLUMNS * 2]
    pictures = [
        Picture(
            int(one),
            results.classes[own.labels[one]],
            (
                f"{results.classes[own.labels[one]]} \N{RIGHTWARDS ARROW} {results.classes[modal[one]]}",
                f"{votes[one]} of {len(own.seeds)}, {sure[one]:.2f}",
            ),
            as_picture(images[one]),
        )
        for one in order
    ]
    rows = tuple(Row("", len(members), tuple(pictures[start : start + COLUMNS])) for start in range(0, len(pictures), COLUMNS))
    return HardInfo(
        variant=own.variant,
        label=results.split_labels[split],
        seeds=len(own.seeds),
        images=len(own.labels),
        n=len(members),
        agreed=int((votes[members] == len(own.seeds)).sum()),
        rows=rows,
        keys=own.keys,
        synthetic=results.synthetic,
    )


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
        found.append(Turned(variant, name, n, fixed_row, broken_row, (*both[0].keys, *both[1].keys)))
    if not found:
        return None
    return TurnedInfo(results.baseline, split, results.split_labels[split], len(reference.labels), tuple(found), results.synthetic)


def _modal(own: Answers, classes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The most frequent answer to each image, of equals the one of higher mean probability, and how many trainings give it."""
    votes = np.stack([(own.predicted == place).sum(axis=0) for place in range(classes)], axis=1)
    modal = (votes + 0.5 * own.probabilities.mean(axis=0)).argmax(axis=1)
    return modal, votes[np.arange(len(modal)), modal]


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
    told = [(_modal(own, size)[0], _true_probability(own)) for own in (without, with_it)]
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


def section(page: Page, results: Results) -> list[Claim]:
    """Adds the galleries, and gives the claims of what each component turns; without images or trainings enough there are none."""
    hard, turned = hard_info(results), turned_info(results)
    if hard is None and turned is None:
        return []
    page.section("galleries", "Images to look at")
    if hard is not None:
        page.say([hard_sentence(hard)])
    if hard is not None and hard.rows:
        page.show(
            "gallery_hard",
            lambda: draw_gallery(hard.rows, hard.synthetic),
            f"Images of the {hard.label} set that all {hard.seeds} trainings of {hard.variant} get wrong: true class and most frequent "
            "answer, how many trainings give it, and its mean probability; the most agreed first, then the surest. Wrong labels often "
            "show here.",
        )
    if turned is None:
        return []
    page.enumerate([turned_sentence(one, turned) for one in turned.variants])
    page.say(
        [
            "Images turn by chance as well, from one training to another. What a component does of its own shows in how many more it sets "
            "right than wrong; the images are those of the largest change of the mean probability of their class."
        ]
    )
    for name, verb, row_of in _KINDS:
        rows = [row_of(one) for one in turned.variants]
        shown = [row for row in rows if row.pictures][:ROWS]
        if shown:
            page.show(
                f"gallery_{name}",
                lambda shown=shown: draw_gallery(shown, turned.synthetic),  # type: ignore[misc]
                f"Images of the {turned.label} set that most trainings {verb} (n images, the first {COLUMNS}): true class; then the most "
                "frequent answer and the mean probability of the true class without it (\N{MINUS SIGN}) and with it (+)."
                + ("" if len(shown) == len(rows) else f" Of {len(rows)} variants it shows {len(shown)}."),
            )
    page.tabulate(turned_table(turned))
    return turned_claims(turned)


_KINDS: tuple[tuple[str, str, Callable[[Turned], Row]], ...] = (
    ("fixed", "get wrong without what stands at the left and right with it", lambda one: one.fixed),
    ("broken", "get right without what stands at the left and wrong with it", lambda one: one.broken),
)


def hard_sentence(info: HardInfo) -> str:
    """How many images every training gets wrong, and how often they agree on the wrong answer."""
    share = f"{count(info.n)} of {count(info.images)} images of the {info.label} set ({plain(100 * info.n / info.images)} %)"
    agreed = f"to {count(info.agreed)} of these all give the same answer"
    return f"Each of the {info.seeds} trainings of {info.variant} gets {share} wrong; {agreed}."


def turned_sentence(one: Turned, info: TurnedInfo) -> str:
    """How many images a component sets right and wrong, or in which a free variant differs from the baseline."""
    where = f"of the {count(info.images)} images of the {info.label} set, by the majority of {plural(one.seeds, 'paired seed')}"
    if one.is_variant:
        right = f"{one.variant} gets {plural(one.fixed.n, 'image')} right that {info.baseline} gets wrong"
        return f"{right}, and {count(one.broken.n)} wrong that {info.baseline} gets right ({where})."
    turn = "turns" if one.fixed.n == 1 else "turn"
    return f"With {one.title}, {plural(one.fixed.n, 'image')} {turn} right and {count(one.broken.n)} wrong ({where})."


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


def draw_gallery(rows: tuple[Row, ...] | list[Row], synthetic: bool) -> Figure:
    """Rows of images with words below each, the row's title and number of images at the left."""
    lines = max(len(picture.lines) for row in rows for picture in row.pictures)
    titled = any(row.title for row in rows)
    figure = new_figure(0.15 + (0.82 + 0.13 * lines) * len(rows))
    grid = figure.subplots(len(rows), COLUMNS, squeeze=False)
    for row, line in zip(rows, grid, strict=True):
        for place, axes in enumerate(line):
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
            if place < len(row.pictures):
                picture = row.pictures[place]
                axes.imshow(picture.image, cmap="gray", vmin=0, vmax=255)
                axes.spines[:].set_visible(True)
                axes.spines[:].set_color(PALE)
                axes.set_xlabel("\n".join(lettered(text, 24) for text in picture.lines), fontsize=6, color=GREY, labelpad=2)
        if titled:
            name = f"{broken(lettered(row.title, 60), 14)}\nn = {row.n}"
            line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=7.5, labelpad=6)
    note_synthetic(figure, synthetic)
    return figure
