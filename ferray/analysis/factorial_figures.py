"""Figures of factorial designs: main and Shapley effects, a map of interactions, and what the strongest of them look like."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ferray.analysis.factorial import Contrast, FactorialInfo, effect_label
from ferray.analysis.fonts import lettered
from ferray.analysis.statistics import Estimate
from ferray.analysis.style import BLUE, GREY, INK, ORANGE, WIDTH, hide_y_marks, new_figure, note_synthetic, panels, shortened
from ferray.analysis.wording import factor_label, interval, signed

LEAST = 0.5
"""Points to either side of zero that a figure of effects always shows, lest no effect at all look like one."""
WITH_INTERVALS = 6
"""Factors up to which a cell of the map has room for its interval."""
LARGEST_MAP = 12
"""Factors in a map at most; of more it shows those with the largest effects."""
MOST_PLOTS = 6
"""Interactions drawn one by one at most."""
MOST_ALIASES = 3
"""Aliases beside an effect at most."""
DIVERGING: Colormap = LinearSegmentedColormap.from_list("ferray_diverging", [ORANGE, "#F7F7F7", BLUE])


@dataclass(frozen=True)
class MapInfo:
    """A square of effects in points: main effects on the diagonal, interactions below it; NaN above."""

    factors: tuple[str, ...]
    values: NDArray[np.float64]
    estimates: dict[tuple[int, int], Estimate]
    decided: frozenset[tuple[int, int]]  # cells whose verdict is helps or hurts
    limit: float  # of the colours, to either side of zero
    left_out: int  # factors
    label: str
    synthetic: bool


def map_info(info: FactorialInfo) -> MapInfo:
    """The map of a whole design's effects, of the factors with the largest ones where there are too many."""
    largest = {factor: max(abs(one.crossed.both.mean) for one in _all(info) if factor in one.factors) for factor in info.factors}
    kept = sorted(info.factors, key=lambda factor: -largest[factor])[:LARGEST_MAP]
    factors = tuple(factor for factor in info.factors if factor in kept)
    values = np.full((len(factors), len(factors)), np.nan)
    estimates: dict[tuple[int, int], Estimate] = {}
    decided = set()
    for one in _all(info):
        if not set(one.factors) <= set(factors):
            continue
        places = [factors.index(factor) for factor in one.factors]
        cell = (max(places), min(places))
        values[cell], estimates[cell] = one.crossed.both.mean, one.crossed.both
        if one.decision is not None and one.decision.verdict in ("helps", "hurts"):
            decided.add(cell)
    limit = max(LEAST, float(np.nanmax(np.abs(values))))
    left_out = len(info.factors) - len(factors)
    return MapInfo(factors, values, estimates, frozenset(decided), limit, left_out, info.label, info.synthetic)


def strongest(info: FactorialInfo) -> tuple[Contrast, ...]:
    """The interactions to be drawn one by one, those of the smallest p-values first, larger ones first among equals."""
    ranked = sorted(info.interactions, key=lambda one: (_known(one.crossed.both.p), -abs(one.crossed.both.mean)))
    return tuple(ranked[:MOST_PLOTS])


def draw_effects(info: FactorialInfo) -> Figure:
    """Main effects, and beside them Shapley effects where there are any: dots are seeds, the line is the interval over seeds and images."""
    panels = [("main effect", info.main), *([("Shapley effect", info.shapley)] if info.shapley else [])]
    return _forest(info, panels, [_told(one) for one in info.main], "with the factor minus without it (points of accuracy)")


def draw_alias_sets(info: FactorialInfo) -> Figure:
    """Interactions of a fraction, each with those that it cannot be told from."""
    return _forest(
        info, [("interactions", info.interactions)], [_told(one) for one in info.interactions], "interaction (points of accuracy)"
    )


def draw_map(info: MapInfo) -> Figure:
    """The map: each cell has its estimate, bold where decided, and below it the interval over seeds and images where there is room."""
    size = len(info.factors)
    figure = new_figure(0.9 + min(5.4, 0.62 * size if size <= WITH_INTERVALS else 0.36 * size))
    axes = figure.subplots()
    image = axes.imshow(np.ma.masked_invalid(info.values), cmap=DIVERGING, vmin=-info.limit, vmax=info.limit, aspect="auto")
    for cell, estimate in info.estimates.items():
        row, column = cell
        colour = "white" if abs(estimate.mean) > 0.65 * info.limit else INK
        room = size <= WITH_INTERVALS
        weight = "bold" if cell in info.decided else "normal"
        up = 0.14 if room else 0.0
        axes.text(
            column, row - up, signed(estimate.mean), ha="center", va="center", color=colour, fontsize=8.5 if room else 7, weight=weight
        )
        if room:
            told = interval(estimate, sign=True)
            axes.text(column, row + 0.2, told, ha="center", va="center", color=colour, fontsize=6.5)
    names = [shortened(factor_label(factor), 14) for factor in info.factors]
    axes.set_xticks(range(size), names)
    if size > WITH_INTERVALS:
        for label in axes.get_xticklabels():
            label.set(rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(size), names)
    axes.tick_params(length=0)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    figure.colorbar(image, ax=axes, label=f"points of accuracy, {info.label}", fraction=0.05, pad=0.02).outline.set_visible(False)
    note_synthetic(figure, info.synthetic)
    return figure


def draw_pairs(info: FactorialInfo, chosen: Sequence[Contrast]) -> Figure:
    """A panel per interaction: accuracy without and with the one factor, a line for either state of the other; thin lines are seeds.

    Parallel lines are no interaction.
    """
    columns = min(3, len(chosen))
    rows = math.ceil(len(chosen) / columns)
    figure = new_figure(0.45 + 1.9 * rows, width=min(WIDTH, 0.9 + 1.9 * columns))
    for axes, contrast in zip(panels(figure, len(chosen), columns, label=f"accuracy, {info.label} (%)"), chosen, strict=True):
        _draw_pair(axes, info, contrast)
    note_synthetic(figure, info.synthetic)
    return figure


def _draw_pair(axes: Axes, info: FactorialInfo, contrast: Contrast) -> None:
    other, one = contrast.factors
    cells = info.cells(one, other)  # [without or with one, without or with other, seeds]
    axes.grid(axis="y")
    for state, (colour, style) in enumerate(((GREY, "--"), (BLUE, "-"))):
        axes.plot([0, 1], cells[:, state], color=colour, linewidth=0.5, alpha=0.35)
        label = f"{'with' if state else 'without'} {lettered(factor_label(other))}"
        axes.plot([0, 1], cells[:, state].mean(axis=1), style, marker="o", markersize=4, color=colour, linewidth=1.6, label=label)
    name = shortened(factor_label(one), 18)
    axes.set_xticks([0, 1], [f"without\n{name}", f"with\n{name}"])
    axes.set_xlim(-0.25, 1.25)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.legend(loc="best", handlelength=1.6, fontsize=6.5)
    axes.set_title(f"{signed(contrast.crossed.both.mean)} points", fontsize=8)


def _forest(info: FactorialInfo, panels: Sequence[tuple[str, Sequence[Contrast]]], names: Sequence[str], told: str) -> Figure:
    figure = new_figure(1.05 + sum(0.36 + 0.13 * name.count("\n") for name in names))
    drawn = figure.subplots(1, len(panels), sharey=True, sharex=True, squeeze=False)[0]
    for axes, (title, contrasts) in zip(drawn, panels, strict=True):
        axes.set_title(f"{title}, {info.label}")
        axes.grid(axis="x")
        axes.axvline(0, color=GREY, linewidth=0.9)
        for place, one in enumerate(contrasts):
            both, points = one.crossed.both, one.crossed.points
            if len(points) > 1:
                axes.plot(points, [place + 0.22] * len(points), "o", color=BLUE, alpha=0.45, markersize=3, mew=0)
            if both.has_interval:
                axes.plot([both.low, both.high], [place, place], color=BLUE, linewidth=1.4)
            axes.plot([both.mean], [place], "o", color=BLUE, markersize=5.5)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        hide_y_marks(axes)
    low, high = drawn[0].get_xlim()
    drawn[0].set_xlim(min(low, -LEAST), max(high, LEAST))
    figure.supxlabel(told, fontsize=8)
    drawn[0].set_yticks(range(len(names)), names)
    drawn[0].set_ylim(len(names) - 0.4, -0.6)
    note_synthetic(figure, info.synthetic)
    return figure


def _told(contrast: Contrast) -> str:
    """An effect's name with its first aliases below."""
    name = shortened(effect_label(contrast.name))
    shown = [shortened(f"= {effect_label(alias)}", 34) for alias in contrast.aliases[:MOST_ALIASES]]
    rest = len(contrast.aliases) - len(shown)
    return "\n".join([name, *shown, *([f"and {rest} more"] if rest else [])])


def _all(info: FactorialInfo) -> tuple[Contrast, ...]:
    return (*info.main, *info.interactions)


def _known(p: float) -> float:
    return p if math.isfinite(p) else 2.0
