"""Figures of a tuned ablation: differences at the baseline's settings and at each variant's own, and the expected best of n draws."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from ferray.analysis.crossed import Crossed
from ferray.analysis.style import BLUE, GREEN, GREY, INK, ORANGE, WIDTH, hide_y_marks, new_figure, note_synthetic, panels, shortened
from ferray.analysis.tuned import Retuned, Search, TunedInfo
from ferray.analysis.wording import factor_label

LEAST = 0.5
"""Points to either side of zero that a figure of differences always shows, lest no difference at all look like one."""
BAR = 0.06
"""Draws to either side of the place of an interval that no other stands beside."""
CURVES = 6
"""Variants in one panel of curves beside the baseline, each with a panel of its own."""


def subject_label(one: Retuned) -> str:
    """What is compared, as the axis has it: factors, or a variant by its name."""
    return " + ".join(factor_label(factor) for factor in one.subject.split("+")) if one.is_removal else one.subject


def draw_retuned(info: TunedInfo) -> Figure:
    """Left the two differences of each variant, right what tuning changes; small dots are seeds, lines intervals over seeds and images."""
    shown = [one for one in info.retuned if one.final is not None]
    names = [shortened(subject_label(one)) for one in shown]
    figure = new_figure(1.3 + sum(0.46 + 0.13 * name.count("\n") for name in names))
    left, right = figure.subplots(1, 2, sharey=True, gridspec_kw={"width_ratios": [3, 2]})
    left.set_title(f"difference to the baseline, {info.label}")
    right.set_title("re-tuned minus frozen")
    for place, one in enumerate(shown):
        for found, axes, shift, colour, is_filled in (
            (one.frozen, left, -0.17, GREY, False),
            (one.final, left, 0.17, BLUE, True),
            (one.change, right, 0.0, ORANGE if one.is_changed else INK, True),
        ):
            if found is not None:
                _draw_estimate(axes, found, place + shift, colour, is_filled=is_filled)
            if found is not None and found.both.is_point:
                words = "the same settings" if one.same and axes is right else "all the same"
                axes.annotate(words, (found.both.mean, place + shift), (5, 0), textcoords="offset points", va="center", fontsize=6.5)
    for axes in (left, right):
        axes.grid(axis="x")
        axes.axvline(0, color=GREY, linewidth=0.9)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        hide_y_marks(axes)
        low, high = axes.get_xlim()
        axes.set_xlim(min(low, -LEAST), max(high, LEAST))
        axes.set_xlabel("points of accuracy")
    left.set_yticks(range(len(names)), names)
    left.set_ylim(len(names) - 0.4, -0.6)
    handles = [
        left.plot([], [], "o-", color=colour, markersize=5, markerfacecolor=face)[0] for colour, face in ((GREY, "white"), (BLUE, BLUE))
    ]
    figure.legend(
        handles, ["at the baseline's settings (frozen)", "at its own best settings (re-tuned)"], loc="outside lower center", ncols=2
    )
    note_synthetic(figure, info.synthetic)
    return figure


def _draw_estimate(axes: Axes, found: Crossed, place: float, colour: str, *, is_filled: bool) -> None:
    both = found.both
    if len(found.points) > 1:
        axes.plot(found.points, [place + 0.11] * len(found.points), "o", color=colour, alpha=0.4, markersize=2.5, mew=0)
    if both.has_interval:
        axes.plot([both.low, both.high], [place, place], color=colour, linewidth=1.4)
    axes.plot([both.mean], [place], "o", color=colour, markersize=5, markerfacecolor=colour if is_filled else "white")


def draw_best_of(info: TunedInfo) -> Figure:
    """A panel per variant against the baseline: the expected best validation accuracy of n draws, with a band as far as there is one."""
    base, *others = info.searches
    shown = [one for one in others if one.curve is not None][:CURVES] or [base]
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure = new_figure(1.1 + 1.9 * rows, width=min(WIDTH, 1.2 + 2.2 * columns))
    made = panels(figure, len(shown), columns, label=f"best of n, {info.validation} (%)", sharex=True)
    for axes, one in zip(made, shown, strict=True):
        _draw_pair(axes, base, one)
    for axes in made[-columns:]:
        axes.set_xlabel("n, draws of settings")
    handles, labels = _marks(made[0], [base, *(one for one in shown if one is not base)])
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    note_synthetic(figure, info.synthetic)
    return figure


def _marks(axes: Axes, shown: Sequence[Search]) -> tuple[list[Artist], list[str]]:
    """What stands for what: the searches as most of their line is drawn, and each other mark that there is."""
    curves = [one.curve for one in shown if one.curve is not None]
    sure = max((int(np.isfinite(one.low).sum()) for one in curves), default=0)
    style = {0: ":", 1: "o"}.get(sure, "-")
    handles: list[Artist] = []
    labels: list[str] = []

    def add(label: str, handle: Artist) -> None:
        handles.append(handle)
        labels.append(label)

    add(shortened(shown[0].variant), axes.plot([], [], style, color=GREY, linewidth=1.6, markersize=4)[0])
    if len(shown) > 1:
        add("the variant named above", axes.plot([], [], style, color=BLUE, linewidth=1.6, markersize=4)[0])
    if sure:
        add("95 % interval", Patch(color=INK, alpha=0.2, linewidth=0))
    if sure and any(len(one.mean) > sure for one in curves):
        add("without interval", axes.plot([], [], ":", color=INK, linewidth=1.0)[0])
    if any((one.at_most > one.mean).any() for one in curves):
        add("at most", axes.plot([], [], "--", color=INK, linewidth=0.7)[0])
    return handles, labels


def _draw_pair(axes: Axes, base: Search, other: Search) -> None:
    axes.grid(axis="y")
    axes.use_sticky_edges = False  # a bar keeps its distance from the edge
    clear = other.order.clear_from if other.order is not None else None
    for one, colour in ((base, GREY), (other, BLUE)):
        if one.curve is None or (one is other and other is base):
            continue
        budgets = np.arange(1, len(one.curve.mean) + 1)
        sure = np.isfinite(one.curve.low)
        axes.plot(budgets, one.curve.mean, ":", color=colour, linewidth=1.0)
        if sure.sum() == 1:  # a band needs two; the two bars stand side by side
            place = budgets[sure] + (-BAR if one is base else BAR)
            axes.bar(place, (one.curve.high - one.curve.low)[sure], 2 * BAR, one.curve.low[sure], color=colour, alpha=0.2, linewidth=0)
            axes.plot(budgets[sure], one.curve.mean[sure], "o", color=colour, markersize=4)
        else:
            axes.fill_between(budgets[sure], one.curve.low[sure], one.curve.high[sure], color=colour, alpha=0.2, linewidth=0)
            axes.plot(budgets[sure], one.curve.mean[sure], color=colour, linewidth=1.6)
        if (one.curve.at_most > one.curve.mean).any():
            axes.plot(budgets, one.curve.at_most, "--", color=colour, linewidth=0.7)
    if clear is not None:
        axes.axvline(clear, color=GREEN, linewidth=1.0)
        axes.text(clear, 0.02, f" clear from n = {clear}", transform=axes.get_xaxis_transform(), color=GREEN, fontsize=6.5, va="bottom")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_title(shortened(other.variant, 26), fontsize=8)
