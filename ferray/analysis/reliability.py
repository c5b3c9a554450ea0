"""The report's section on calibration: reliability diagrams, sentences, a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from ferray.analysis.calibration import (
    BINS,
    DIGITS,
    MEASURES,
    Bins,
    CalibrationInfo,
    calibration_info,
)
from ferray.analysis.calibration_claims import calibration_claims, difference_sentence, leaning_sentence
from ferray.analysis.claims import Claim
from ferray.analysis.results import Results
from ferray.analysis.style import BLUE, GREY, PALE, new_figure, note_synthetic, panels, shortened
from ferray.analysis.tables import Table
from ferray.analysis.verdicts import FEWEST_SEEDS
from ferray.analysis.wording import image_count, interval, plain, probability, signed

if TYPE_CHECKING:
    from ferray.analysis.page import Page

PANELS = 12
"""Variants in one figure of reliability diagrams; the table has all."""
SURE = 10
"""Images of a bin, per training, from which its accuracy has a filled dot."""


def section(page: Page, results: Results) -> list[Claim]:
    """Adds the section on calibration and gives its claims; while no training has left predictions there is neither."""
    info = calibration_info(results)
    if info is None:
        return []
    page.section("calibration", "Calibration")
    page.enumerate([leaning_sentence(one, info) for one in info.variants])
    page.enumerate([difference_sentence(one, info) for one in info.variants if one.gained])
    page.say(
        [
            "A calibrated network is right in 70 % of the answers that it gives with a confidence of 70 %.",
            f"The calibration error (ECE; Guo et al. 2017) is the mean distance of the two over {BINS} bins of equal width. Chance alone "
            "makes it larger than zero, the more so the fewer the images; its estimated bias is taken off (after Kumar et al. 2019), and "
            "the table has it without that as well.",
            "Intervals are over seeds and images together, of one seed over images alone, and cut to what is possible; near zero those of "
            "the calibration error are rough, because it cannot be negative. A variant is called over- or underconfident by its own "
            "interval, without a correction for the number of variants; differences have one (Holm).",
        ]
    )
    shown = info.variants[:PANELS]
    page.show(
        "calibration",
        lambda: draw_reliability(info),
        f"Accuracy of the answers on the {info.label} set against their confidence, in {BINS} bins: thin lines are seeds, dots the mean of "
        f"n seeds, hollow ones of fewer than {SURE} images a training. Grey bars are the share of images in each bin. Below the diagonal a "
        "network is surer than it is right."
        + ("" if len(shown) == len(info.variants) else f" Of {len(info.variants)} variants it shows the first {PANELS}."),
    )
    page.tabulate(calibration_table(info))
    return calibration_claims(info)


def calibration_table(info: CalibrationInfo) -> Table:
    """Every variant's measures, and how its calibration error differs from the baseline's."""
    columns = ["variant", "seeds", "ECE (points)", "95 % interval", "with bias", "confidence - accuracy", "95 % interval"]
    columns += ["log loss (nats)", "95 % interval", "Brier", "95 % interval", "ECE beside baseline", "95 % interval", "adjusted p"]
    rows = []
    for one in info.variants:
        cells = {}
        for name in MEASURES:
            told = one.measured[name].both if one.measured[name].both.has_interval else one.measured[name].images
            sign, digits = name == "overconfidence", DIGITS[name]
            cells[name] = ((signed if sign else plain)(told.mean, digits), interval(told, digits, sign=sign))
        row = [
            one.variant,
            str(one.seeds),
            *cells["ece"],
            plain(one.plain_error),
            *cells["overconfidence"],
            *cells["loss"],
            *cells["brier"],
        ]
        beside = ["", "", ""]
        if one.gained:
            change = one.gained["ece"].scaled(-1).both
            beside = [signed(change.mean), interval(change, sign=True), probability(p) if (p := one.p_adjusted["ece"]) == p else ""]
        rows.append((*row, *beside))
    caption = (
        f"Calibration on the {info.label} set ({image_count(info.images)}) at the selected epoch, as means over seeds: expected "
        "calibration error without and with its bias, mean confidence minus accuracy in points, log loss, and Brier score (the sum over "
        f"classes). Intervals are over seeds and images together, with fewer than {FEWEST_SEEDS} seeds over images alone, near-identical "
        "images being drawn together, and cut to what is possible. The last "
        f"columns have the paired difference to the baseline, {info.baseline}; p after Holm."
    )
    return Table("calibration", caption, tuple(columns), tuple(rows))


def draw_reliability(info: CalibrationInfo, columns: int = 4) -> Figure:
    """A panel per variant, of the first ``PANELS``: accuracy against confidence, and the share of images in each bin."""
    shown = info.variants[:PANELS]
    rows = math.ceil(len(shown) / columns)
    columns = max(3, math.ceil(len(shown) / rows))
    titles = [shortened(one.variant, 84 // columns) for one in shown]
    figure = new_figure(0.35 + (6.3 / columns + 0.22 + 0.12 * max(title.count("\n") for title in titles)) * rows)
    for axes, one, title in zip(panels(figure, len(shown), columns, sharex=True), shown, titles, strict=True):
        _draw_panel(axes, one.bins, info.images)
        axes.set_title(f"{title}\n", fontsize=7.5)
        error = one.measured["ece"].both.mean
        axes.text(0, 1.03, f"n = {one.seeds}, ECE {plain(error)}", transform=axes.transAxes, fontsize=7, color=GREY)
    figure.supxlabel("confidence of the answer", fontsize=8)
    figure.supylabel(f"accuracy, and share of images, {info.label}", fontsize=8)
    note_synthetic(figure, info.synthetic)
    return figure


def _draw_panel(axes: Axes, bins: Sequence[Bins], images: int) -> None:
    edges = np.linspace(0, 1, BINS + 1)
    shares = np.stack([one.shares for one in bins])
    axes.bar(edges[:-1], shares.mean(axis=0), width=1 / BINS, align="edge", color=PALE, edgecolor="white", linewidth=0.4)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=(0, (2, 2)))
    if len(bins) > 1:
        lines = [np.column_stack([one.confidence, one.accuracy])[one.shares * images >= SURE] for one in bins]
        axes.add_collection(LineCollection(lines, colors=BLUE, linewidths=0.5, alpha=0.45, zorder=2))
    total = shares.sum(axis=0)
    full = total > 0
    confidence, accuracy = (
        np.nansum([one.shares * getattr(one, name) for one in bins], axis=0)[full] / total[full] for name in ("confidence", "accuracy")
    )
    sure = shares.mean(axis=0)[full] * images >= SURE
    if sure.any():  # an empty line that is not clipped would claim room down to the figure's corner, here and below
        axes.plot(confidence[sure], accuracy[sure], "o-", color=BLUE, linewidth=1.2, markersize=3.5, mew=0, clip_on=False)
    if not sure.all():
        axes.plot(confidence[~sure], accuracy[~sure], "o", mfc="white", mec=BLUE, markersize=3.2, mew=0.8, clip_on=False)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_aspect("equal")
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
