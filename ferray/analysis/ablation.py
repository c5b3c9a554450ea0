"""What each factor does, drawn: every effect with its three intervals, the band of effects that count as none, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from ferray.analysis.claims import Claim
from ferray.analysis.effect_sentences import brackets, factors_label, verdict_words
from ferray.analysis.effects import VERDICT_METRIC, effect_claims
from ferray.analysis.fonts import lettered
from ferray.analysis.results import Results
from ferray.analysis.statistics import Estimate
from ferray.analysis.style import BLUE, GREY, INK, ORANGE, PALE, hide_y_marks, new_figure, note_synthetic, shortened
from ferray.analysis.wording import factor_label, listed, signed

LEAST = 0.5
"""Points to either side of zero that a figure of effects always shows, lest no difference at all look like one."""
ROWS_PER_FIGURE = 14
"""Effects in one figure; more than these would not fit on a page."""
Dashes = Literal["-"] | tuple[float, tuple[float, ...]]
MARKS: Mapping[str, tuple[float, str, Dashes, float]] = {
    "both": (0.0, INK, "-", 2.4),
    "seeds": (0.2, BLUE, "-", 1.0),
    "images": (0.36, ORANGE, (0, (2, 1.2)), 1.0),
}
"""How each interval is drawn: how far below its row, its colour, its dashes (which tell it apart in black and white) and its width."""
TITLES = {
    "effect": "Factors: what each does for the network",
    "step": "Steps of the path, which depend on its order",
    "variant": "Other variants, against {baseline}",
    "difference": "Variants of the factorial, against {baseline} (no verdicts)",
}


@dataclass(frozen=True)
class Panel:
    """The effects of one kind, in the study's order, in accuracy on the headline split."""

    kind: str
    title: str
    claims: tuple[Claim, ...]

    def names(self) -> list[str]:
        """What each row is called, with its number of seeds."""
        return [f"{shortened(effect_name(claim), 32)} (n={claim.counts['paired']})" for claim in self.claims]


@dataclass(frozen=True)
class AblationInfo:
    """All effects of a study by kind; panels without rows are left out."""

    baseline: str
    panels: tuple[Panel, ...]
    label: str  # of the split that is told first
    margin: float  # points; effects certainly smaller than these count as none
    synthetic: bool

    def split(self, rows: int = ROWS_PER_FIGURE) -> list[AblationInfo]:
        """The same in parts of at most so many rows."""
        parts: list[list[Panel]] = [[]]
        room = rows
        for panel in self.panels:
            rest = panel.claims
            while rest:
                if room == 0:
                    parts.append([])
                    room = rows
                parts[-1].append(replace(panel, claims=rest[:room]))
                rest, room = rest[room:], max(0, room - len(rest))
        return [replace(self, panels=tuple(part)) for part in parts if part]


def ablation_info(results: Results, claims: Sequence[Claim] | None = None) -> AblationInfo:
    """The effects in accuracy on the split that is told first, of the given claims or of ``effect_claims``."""
    told = [claim for claim in (effect_claims(results) if claims is None else claims) if is_headline(results, claim)]
    panels = [
        Panel(kind, title.format(baseline=lettered(results.baseline)), tuple(claim for claim in told if claim.kind == kind))
        for kind, title in TITLES.items()
    ]
    return AblationInfo(
        baseline=results.baseline,
        panels=tuple(panel for panel in panels if panel.claims),
        label=results.split_labels[results.headline],
        margin=results.smallest_effect,
        synthetic=results.synthetic,
    )


def is_headline(results: Results, claim: Claim) -> bool:
    """Whether a claim is of an effect in accuracy on the split that is told first."""
    return claim.kind in TITLES and claim.split == results.headline and claim.metric == VERDICT_METRIC


def draw_ablation(info: AblationInfo) -> Figure:
    """A panel per kind of effect. Zero is no effect, the band around it too small to count; a row has three intervals and its verdict."""
    names = [panel.names() for panel in info.panels]
    heights = [0.5 + sum(0.44 + 0.1 * name.count("\n") for name in rows) for rows in names]
    figure = new_figure(0.85 + sum(heights))
    axes = figure.subplots(max(1, len(heights)), 1, squeeze=False, height_ratios=heights or None)[:, 0]
    for panel, rows, one in zip(info.panels, names, axes, strict=False):
        _draw_panel(one, panel, rows, info)
    figure.legend(handles=_legend(info), loc="outside lower center", ncols=3, handlelength=2.4, fontsize=7)
    note_synthetic(figure, info.synthetic)
    return figure


def _draw_panel(axes: Axes, panel: Panel, names: Sequence[str], info: AblationInfo) -> None:
    axes.set_title(panel.title)
    axes.grid(axis="x")
    axes.axvspan(-info.margin, info.margin, color=PALE, alpha=0.6, linewidth=0)
    axes.axvline(0, color=GREY, linewidth=0.9)
    for place, claim in enumerate(panel.claims):
        _draw_row(axes, place, claim)
    low, high = axes.get_xlim()
    least = max(LEAST, 1.25 * info.margin)
    axes.set_xlim(min(low, -least), max(high, least))
    axes.xaxis.set_major_locator(MaxNLocator(7))
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.5)
    of_variant = panel.kind in ("variant", "difference")
    what = f"accuracy minus that of {lettered(info.baseline)}" if of_variant else "accuracy with it minus without"
    axes.set_xlabel(f"{what} ({info.label}, points)")
    hide_y_marks(axes)


def _draw_row(axes: Axes, place: int, claim: Claim) -> None:
    across = axes.get_yaxis_transform()
    if not claim.estimates:
        axes.text(0.02, place, "no pair of finished seeds", transform=across, color=GREY, va="center", fontsize=7)
        return
    for name, (below, colour, dashes, width) in MARKS.items():
        estimate = claim.estimates[name]
        if estimate.has_interval:
            axes.plot([estimate.low, estimate.high], [place + below] * 2, color=colour, linewidth=width, linestyle=dashes)
    points = list(claim.details["points"].values())
    axes.plot(points, [place + MARKS["seeds"][0]] * len(points), "o", color=BLUE, markersize=2.6, mew=0)
    best = claim.estimates["both"]
    axes.plot([best.mean], [place], "o", color=INK, markersize=5)
    axes.text(
        1.02, place, verdict_words(claim), transform=across, fontsize=7.5, va="center", fontweight="bold" if claim.verdict else "normal"
    )
    axes.text(1.02, place + 0.34, _number(best), transform=across, fontsize=6.5, va="center", color=GREY)


def _number(estimate: Estimate) -> str:
    return f"{signed(estimate.mean)} {brackets(estimate)}"


def effect_name(claim: Claim) -> str:
    """What the effect of a claim is called in a row of a table or figure."""
    if claim.kind in ("variant", "difference"):
        return claim.subject
    context = claim.details.get("context") or ()
    if claim.kind == "step":
        return f"{factors_label(claim.subject)} after {listed([factor_label(name) for name in context])}"
    return f"{factors_label(claim.subject)} alone" if context else factors_label(claim.subject)


def _legend(info: AblationInfo) -> list[Line2D | Patch]:
    told = {"both": "other trainings, other images", "seeds": "other trainings, these images", "images": "these networks, other images"}
    lines = [
        Line2D([], [], color=colour, linestyle=dashes, linewidth=width, label=told[name])
        for name, (_, colour, dashes, width) in MARKS.items()
    ]
    dot = Line2D([], [], color=BLUE, marker="o", markersize=2.6, mew=0, linestyle="none", label="each seed")
    mean = Line2D([], [], color=INK, marker="o", markersize=5, linestyle="none", label="mean")
    small = f"too small to count (\N{PLUS-MINUS SIGN}{info.margin:g})"
    return [*lines, mean, dot, Patch(color=PALE, alpha=0.6, linewidth=0, label=small)]
