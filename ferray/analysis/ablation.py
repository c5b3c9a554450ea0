"""What each removal costs: differences to the baseline over the same seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ferray.analysis.fonts import lettered
from ferray.analysis.results import Results
from ferray.analysis.selection import finished_of, speaking_trials
from ferray.analysis.statistics import Estimate, bootstrap_mean, paired_difference
from ferray.analysis.style import GREY, SPLIT_COLOURS, hide_y_marks, new_figure, note_synthetic, shortened
from ferray.analysis.variants import Variant

LEAST = 0.5
"""Points to either side of zero that a figure of differences always shows, lest no difference at all look like one."""


@dataclass(frozen=True)
class Removal:
    """One variant with something taken away. Differences are variant minus baseline, in accuracy points and by split."""

    variant: str
    removed: tuple[str, ...]
    added: tuple[str, ...]  # what this removal takes away beyond the one before it; all of ``removed`` where that is not its start
    before: str  # the variant that the step starts from: the previous one of the path, or the baseline
    difference: Mapping[str, Estimate]  # over seeds, paired
    step: Mapping[str, Estimate]  # the same to the variant before
    images: Mapping[str, Estimate]  # the difference to the baseline, with the bootstrap interval over the images
    points: Mapping[str, tuple[float, ...]]  # the difference of each seed
    diverged: int
    failed: int
    planned: int


@dataclass(frozen=True)
class AblationInfo:
    """All removals in the order of the plan."""

    baseline: str
    removals: tuple[Removal, ...]
    labels: Mapping[str, str]  # of the splits with figures
    headline: str  # the split that is told first
    synthetic: bool


def ablation_info(results: Results) -> AblationInfo:
    """The differences of every variant that removes something; free variants (another network) are no ablation."""
    trials = speaking_trials(results)
    removals = []
    before = results.variants[results.baseline]
    for variant in results.variants.values():
        if not variant.removed:
            continue
        start = before if set(before.removed) < set(variant.removed) else results.variants[results.baseline]
        removals.append(_removal(results, trials, variant, start))
        before = variant
    return AblationInfo(results.baseline, tuple(removals), results.split_labels, results.headline, results.synthetic)


def _removal(results: Results, trials: pd.DataFrame, variant: Variant, start: Variant) -> Removal:
    own = trials[trials["variant"] == variant.name]
    difference, step, images, points = {}, {}, {}, {}
    for split in results.splits:
        pairs = _pairs(trials, variant.name, results.baseline, f"{split}_accuracy")
        points[split] = tuple(100 * (pairs["own"] - pairs["reference"]).to_numpy(float))
        difference[split] = _points(pairs)
        step[split] = _points(_pairs(trials, variant.name, start.name, f"{split}_accuracy"))
        images[split] = bootstrap_mean(_by_image(results, pairs, split)).scaled(100)
    return Removal(
        variant=variant.name,
        removed=variant.removed,
        added=tuple(name for name in variant.removed if name not in start.removed),
        before=start.name,
        difference=difference,
        step=step,
        images=images,
        points=points,
        diverged=int((own["status"] == "diverged").sum()),
        failed=int((own["status"] == "failed").sum()),
        planned=len(own),
    )


def _pairs(trials: pd.DataFrame, variant: str, reference: str, column: str) -> pd.DataFrame:
    """One row per seed that both variants finished: the two numbers and the two keys."""
    columns = ["key", column]
    left = finished_of(trials, variant)[columns].set_axis(["own_key", "own"], axis=1)
    right = finished_of(trials, reference)[columns].set_axis(["reference_key", "reference"], axis=1)
    return left.join(right, how="inner")


def _points(pairs: pd.DataFrame) -> Estimate:
    return paired_difference(pairs["own"].to_numpy(float), pairs["reference"].to_numpy(float)).scaled(100)


def _by_image(results: Results, pairs: pd.DataFrame, split: str) -> NDArray[np.float64]:
    """Per image, over the paired seeds: how much more often the variant was right about it than the baseline."""
    labels = results.labels(split)
    total: NDArray[np.float64] = np.zeros(0 if labels is None else labels.size)
    pair_count = 0
    for own, reference in zip(pairs["own_key"], pairs["reference_key"], strict=True):
        left, right = results.probabilities(own, split), results.probabilities(reference, split)
        if left is not None and right is not None and labels is not None and len(left) == len(right) == labels.size:
            total += (left.argmax(axis=1) == labels).astype(float) - (right.argmax(axis=1) == labels)
            pair_count += 1
    return total / pair_count if pair_count else total[:0]


def draw_ablation(info: AblationInfo) -> Figure:
    """One panel per split: zero is the baseline, small dots are seeds, the large one their mean with its 95 % paired t interval."""
    names = [shortened(removal.variant) for removal in info.removals]
    figure = new_figure(1.05 + sum(0.36 + 0.13 * name.count("\n") for name in names))
    panels = figure.subplots(1, len(info.labels), sharey=True, sharex=True, squeeze=False)[0]
    for split, axes in zip(info.labels, panels, strict=True):
        colour = SPLIT_COLOURS[split]
        axes.set_title(info.labels[split])
        axes.grid(axis="x")
        axes.axvline(0, color=GREY, linewidth=0.9)
        for place, removal in enumerate(info.removals):
            estimate, points = removal.difference[split], removal.points[split]
            if estimate.has_interval:
                axes.plot(points, [place + 0.22] * len(points), "o", color=colour, alpha=0.45, markersize=3, mew=0)
                axes.plot([estimate.low, estimate.high], [place, place], color=colour, linewidth=1.4)
            if estimate.n:
                axes.plot([estimate.mean], [place], "o", color=colour, markersize=5.5)
            else:
                note = "no pair of finished seeds"
                axes.text(0.02, place, note, transform=axes.get_yaxis_transform(), color=GREY, va="center", fontsize=7)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        hide_y_marks(axes)
    low, high = panels[0].get_xlim()
    panels[0].set_xlim(min(low, -LEAST), max(high, LEAST))
    figure.supxlabel(f"accuracy minus that of {lettered(info.baseline)} (points)", fontsize=8)
    ticks = [f"{name} (n={removal.difference[info.headline].n})" for name, removal in zip(names, info.removals, strict=True)]
    panels[0].set_yticks(range(len(names)), ticks)
    panels[0].set_ylim(len(names) - 0.4, -0.6)
    note_synthetic(figure, info.synthetic)
    return figure
