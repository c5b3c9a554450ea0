"""Which classes are taken for which: the confusion matrix and its largest entries."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ferray.analysis.answers import answers
from ferray.analysis.confusion_rates import Rate, rates, recalls
from ferray.analysis.constant import constant_answers, constant_words
from ferray.analysis.fonts import lettered
from ferray.analysis.results import Results
from ferray.analysis.selection import best_variant
from ferray.analysis.style import BLUE, broken, new_figure, note_synthetic

ANNOTATED = 12
"""Classes up to which a matrix stands twice, as counts and as percent, with a number in each cell."""
LARGEST = 24
"""Classes of the largest matrix that can be read on a page."""


@dataclass(frozen=True)
class ConfusionInfo:
    """Counts [true, predicted] summed over the seeds of one variant at the selected epoch; ``images`` counts each class's images once."""

    variant: str
    split: str
    label: str
    classes: tuple[str, ...]
    counts: NDArray[np.int64]
    seeds: tuple[int, ...]
    images: Mapping[str, int]
    by_seed: NDArray[np.int64]  # [seeds, true, predicted]
    synthetic: bool
    rates: tuple[Rate, ...]  # of all ordered pairs, the most frequent confusion first, those of classes with too few images last
    recalls: tuple[Rate, ...]  # of the classes with images, each taken for itself
    keys: tuple[str, ...]  # of the trials, by seed
    fixed: str = ""  # which of the trainings answer one class for nearly every image, in words; empty where none does

    @property
    def shares(self) -> NDArray[np.float64]:
        """Each row of the counts in percent of the true class; NaN for a class without images."""
        totals = np.array([[self.images[name] * len(self.seeds)] for name in self.classes])
        with np.errstate(invalid="ignore"):
            shares: NDArray[np.float64] = 100 * self.counts / totals
        return shares

    def readable(self) -> ConfusionInfo:
        """The same matrix, of many classes only the ``LARGEST`` part: those in the most confused pairs, in their old order."""
        if len(self.classes) <= LARGEST:
            return self
        chosen: dict[str, None] = {}
        for pair in pairs_info(self, len(self.classes) ** 2).pairs:
            new = [name for name in (pair.true, pair.predicted) if name not in chosen]
            if len(chosen) + len(new) > LARGEST:
                break
            chosen |= dict.fromkeys(new)
        chosen = chosen or dict.fromkeys(self.classes[:LARGEST])
        places = [place for place, name in enumerate(self.classes) if name in chosen]
        square = np.ix_(places, places)
        return replace(
            self,
            classes=tuple(self.classes[place] for place in places),
            counts=self.counts[square],
            by_seed=np.stack([matrix[square] for matrix in self.by_seed]),
        )


@dataclass(frozen=True)
class PairsInfo:
    """The ordered pairs of classes with the largest shares of the true class, the largest first, those with too few images last."""

    variant: str
    split: str
    label: str
    pairs: tuple[Rate, ...]
    seeds: int
    synthetic: bool
    fixed: str = ""  # as of ``ConfusionInfo``

    @property
    def largest(self) -> tuple[Rate, ...]:
        """The largest share with all that equal it; none where too few images or trainings of one answer leave nothing to tell."""
        told = () if self.fixed else tuple(pair for pair in self.pairs if pair.has_images)
        return tuple(pair for pair in told if math.isclose(pair.share.mean, told[0].share.mean))


def confusion_info(results: Results, variant: str | None = None, split: str | None = None) -> ConfusionInfo | None:
    """The matrix of a variant, or of the one that validation ranks first, on a split, or on the one that is told first.

    None while no finished trial has predictions.
    """
    split = split or results.headline
    chosen = variant or best_variant(results)
    own = None if chosen is None else answers(results, chosen, split)
    if own is None:
        return None
    size = len(results.classes)
    cells = [np.bincount(own.labels * size + predicted, minlength=size * size) for predicted in own.predicted]
    by_seed = np.stack(cells).reshape(-1, size, size)
    totals = np.bincount(own.labels, minlength=size)
    label, fixed = results.split_labels[split], constant_answers(own, results.classes)
    return ConfusionInfo(
        variant=own.variant,
        split=split,
        label=label,
        classes=results.classes,
        counts=by_seed.sum(axis=0),
        seeds=own.seeds,
        images={name: int(number) for name, number in zip(results.classes, totals, strict=True)},
        by_seed=by_seed,
        synthetic=results.synthetic,
        rates=rates(own, results.classes),
        recalls=recalls(own, results.classes),
        keys=own.keys,
        fixed="" if fixed is None else constant_words(fixed, label),
    )


def pairs_info(confusion: ConfusionInfo, top: int = 10) -> PairsInfo:
    """The ``top`` ordered pairs by share of the true class. Classes without images and pairs that never occur are left out."""
    pairs = tuple(pair for pair in confusion.rates if pair.count)[:top]
    return PairsInfo(confusion.variant, confusion.split, confusion.label, pairs, len(confusion.seeds), confusion.synthetic, confusion.fixed)


def draw_confusion(info: ConfusionInfo) -> Figure:
    """Two matrices side by side, counts over all seeds and percent of each true class; of more than ``ANNOTATED`` classes, percent only."""
    if len(info.classes) > ANNOTATED:
        figure = new_figure(1.2 + 0.21 * len(info.classes))
        _draw_matrix(figure.subplots(), info, info.shares, "percent of the true class", "{:.0f}")
        note_synthetic(figure, info.synthetic)
        return figure
    figure = new_figure(3.62 + 0.12 * info.synthetic)
    left, right = figure.subplots(1, 2)
    seeds = "seed" if len(info.seeds) == 1 else f"{len(info.seeds)} seeds"
    _draw_matrix(left, info, info.counts.astype(float), f"images x {seeds}" if len(info.seeds) > 1 else "images", "{:.0f}")
    _draw_matrix(right, info, info.shares, "percent of the true class", "{:.1f}")
    right.set_ylabel("")
    right.tick_params(labelleft=False)
    note_synthetic(figure, info.synthetic)
    return figure


def _draw_matrix(axes: Axes, info: ConfusionInfo, values: NDArray[np.float64], title: str, form: str) -> None:
    texts = np.array([[form.format(value) if np.isfinite(value) else "-" for value in row] for row in values])
    if len(info.classes) > ANNOTATED:
        texts[np.nan_to_num(values, nan=1) < 0.5] = ""  # zeros would only be noise
    names = [lettered(name, 18) for name in info.classes]
    sns.heatmap(
        np.nan_to_num(info.shares),  # both matrices are shaded by row share, so that a rare class is not pale throughout
        ax=axes, cmap="Blues", vmin=0, vmax=100, cbar=False, square=True, xticklabels=names, yticklabels=names,
        annot=texts, fmt="", annot_kws={"fontsize": 6.5 if len(info.classes) <= 8 else 5.5},
    )  # fmt: skip
    axes.set_title(title)
    axes.set_xticklabels(axes.get_xticklabels(), rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticklabels(axes.get_yticklabels(), rotation=0)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.tick_params(length=0)


def draw_pairs(info: PairsInfo) -> Figure:
    """One line per pair: the share with its interval over seeds and images, and a small dot per seed."""
    names = [broken(f"{lettered(pair.true)} \N{RIGHTWARDS ARROW} {lettered(pair.predicted)} (n={pair.images})", 40) for pair in info.pairs]
    lines = sum(0.25 + 0.13 * name.count("\n") for name in names)
    figure = new_figure(0.75 + max(0.25, lines), width=5.2)
    axes = figure.subplots()
    axes.grid(axis="x")
    for place, pair in enumerate(info.pairs):
        axes.plot([pair.share.low, pair.share.high], [place, place], color=BLUE, linewidth=1.4)
        if len(pair.by_seed) > 1:
            axes.plot(pair.by_seed, [place + 0.22] * len(pair.by_seed), "o", color=BLUE, alpha=0.4, markersize=2.5, mew=0, clip_on=False)
        axes.plot([pair.share.mean], [place], "o", color=BLUE, markersize=5)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(max(1, len(names)) - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.set_xlabel(f"share of the true class, {info.label} (%)")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    note_synthetic(figure, info.synthetic)
    return figure
