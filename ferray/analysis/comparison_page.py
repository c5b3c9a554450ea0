"""The page that lays two studies side by side: sentences, a figure and tables, and its own claims.json."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ferray import atomic
from ferray.analysis import claims
from ferray.analysis.ablation import LEAST, effect_name
from ferray.analysis.comparison import ComparisonInfo, comparison_claims, comparison_info, match_sentence
from ferray.analysis.details import status_counts
from ferray.analysis.effect_sentences import brackets, verdict_words
from ferray.analysis.effect_tables import METRICS
from ferray.analysis.fonts import families, lettered
from ferray.analysis.page import Page
from ferray.analysis.remarks import remarks
from ferray.analysis.report import Report, template
from ferray.analysis.results import Results
from ferray.analysis.style import GREY, INK, ORANGE, PALE, hide_y_marks, new_figure, note_synthetic, shortened
from ferray.analysis.tables import Table
from ferray.analysis.wording import interval, listed, moment, plural, probability, signed
from ferray.errors import LedgerError

ROWS_PER_FIGURE = 16
"""Effects in the figure; of more, the first are drawn and the table has all."""
SUMMARIZED = 4
"""Effects that the summary tells."""


def make_comparison(first: Results, second: Results, *, folder: str | os.PathLike[str] | None = None) -> Report:
    """Writes the page that compares two studies: ``index.html``, ``claims.json``, ``figures/`` and ``tables/``.

    ``folder`` is where it goes instead of ``reports/<first>-vs-<second>`` in the storage of the first. Raises LedgerError where the studies
    have not the same classes, are one and the same, or where the folder cannot be written.
    """
    info = comparison_info(first, second)
    place = Path(folder) if folder is not None else first.ledger.report_folder(f"{first.name}-vs-{second.name}")
    page = _page(info, [*first.variants, *second.variants, *info.names])
    told = summary(info)
    warnings = [f"{name}: {one}" for results, name in zip((first, second), info.names, strict=True) for one in remarks(results)]
    context = {
        "title": f"{info.names[0]} and {info.names[1]}",
        "studies": [_about(results, name) for results, name in zip((first, second), info.names, strict=True)],
        "summary": told,
        "synthetic": info.synthetic,
        "remarks": warnings,
    }
    try:
        place.mkdir(parents=True, exist_ok=True)
        for drawing in page.drawings:
            drawing.save(place / "figures")
        for table in page.tables:
            table.save(place / "tables")
        claims.write(place / "claims.json", " and ".join(info.names), comparison_claims(info))
        atomic.write(place / "index.html", template("comparison.html.j2").render(page=page, **context).encode())
    except OSError as error:
        raise LedgerError(f"cannot write the comparison to {place}: {error.strerror or error}") from error
    return Report(place / "index.html", tuple(told), tuple(warnings))


def summary(info: ComparisonInfo) -> list[str]:
    """How many effects both studies tell, where their verdicts agree and contradict each other, and the first effects."""
    told = info.headline
    if not told:
        return ["The studies have no effect in common of which both have finished pairs of seeds, so there is nothing to lay side by side."]
    counts = Counter(match.agreement for match in told if match.agreement)
    verdicts = [f"{number} {word}" for word in ("agree", "differ", "contradict") if (number := counts[word])]
    agree = f" Of their verdicts, {listed(verdicts)}." if verdicts else " Not both have verdicts on any of them."
    first = f"Both studies tell {plural(len(told), 'effect')} in accuracy on the {info.label} set.{agree}"
    return [first, *(match_sentence(info, match) for match in told[:SUMMARIZED])]


def _page(info: ComparisonInfo, names: list[str]) -> Page:
    page = Page(families(names))
    page.section("effects", "Effects side by side")
    if info.headline:
        page.enumerate([match_sentence(info, match) for match in info.headline])
        page.say(_reading(info))
        page.show("comparison", lambda: draw_comparison(info), _caption(info))
    if info.matches:
        page.tabulate(_table(info))
    for names_only, own in zip(info.only, info.names, strict=True):
        if names_only:
            page.say([f"Only {own} tells of {listed(names_only)}."])
    page.section("settings", "What differs between the studies")
    if info.settings:
        rows = tuple((name, *values) for name, *values in info.settings)
        caption = "Settings of the baselines, data, seeds and designs in which the two studies differ; all others are the same."
        page.tabulate(Table("settings", caption, ("setting", *info.names), rows, frozenset({0, 1, 2})))
    else:
        page.say(["Data, seeds, design and all settings of the baselines are the same."])
    return page


def draw_comparison(info: ComparisonInfo) -> Figure:
    """A row per effect: the number of either study with its interval over seeds and images, and their difference at the right."""
    shown = info.headline[:ROWS_PER_FIGURE]
    labels = [shortened(effect_name(match.first), 32) for match in shown]
    figure = new_figure(1.35 + sum(0.46 + 0.1 * name.count("\n") for name in labels))
    axes = figure.subplots()
    axes.grid(axis="x")
    margin = max(info.margins)
    axes.axvspan(-margin, margin, color=PALE, alpha=0.6, linewidth=0)
    axes.axvline(0, color=GREY, linewidth=0.9)
    across = axes.get_yaxis_transform()
    for place, match in enumerate(shown):
        for claim, below, colour, dashes, mark in ((match.first, -0.12, INK, "-", "o"), (match.second, 0.14, ORANGE, "--", "s")):
            estimate = claim.estimates["both"]
            label = lettered(info.names[below > 0]) if place == 0 else None
            axes.plot([estimate.mean], [place + below], mark, color=colour, markersize=4.5)
            axes.plot([estimate.low, estimate.high], [place + below] * 2, color=colour, linestyle=dashes, linewidth=1.8, label=label)
        apart = match.difference
        text = f"{signed(apart.mean)} {brackets(apart)}"
        axes.text(1.02, place - 0.1, text, transform=across, fontsize=7.5, va="center")
        if match.agreement:
            axes.text(1.02, place + 0.24, f"verdicts {match.agreement}", transform=across, fontsize=6.5, va="center", color=GREY)
    axes.text(1.02, -0.75, "difference", transform=across, fontsize=7, va="center", color=GREY)
    low, high = axes.get_xlim()
    least = max(LEAST, 1.25 * margin)
    axes.set_xlim(min(low, -least), max(high, least))
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.95)
    axes.set_xlabel(f"effect in accuracy ({info.label}, points)")
    hide_y_marks(axes)
    figure.legend(loc="outside lower center", ncols=2, handlelength=2.6)
    note_synthetic(figure, info.synthetic)
    return figure


def _reading(info: ComparisonInfo) -> list[str]:
    sentences = ["Each number has its 95 % interval over seeds and images. A difference whose interval contains zero is no contradiction."]
    if any(match.shared for match in info.headline):
        sentences.append(
            "Paired differences are taken seed by seed and image by image over the seeds that both studies have, "
            "so that they need not be those of the two numbers, which are over all seeds of each."
        )
    if any(not match.shared for match in info.headline):
        sentences.append(
            "Unpaired ones have Welch's interval of two independent estimates, which is rather too wide where the images are the same."
        )
    if not info.same_data:
        sentences.append("The studies were not judged on the same images.")
    return [*sentences, "The p-values of differences are not corrected for their number."]


def _caption(info: ComparisonInfo) -> str:
    more = f" The first {ROWS_PER_FIGURE} of {len(info.headline)} effects." if len(info.headline) > ROWS_PER_FIGURE else ""
    return (
        f"The same effects in {info.names[0]} (solid, round) and {info.names[1]} (dashed, square), in accuracy points on the {info.label} "
        "set, with 95 % intervals that speak of other trainings judged on other images; right of zero is better. At the right stands the "
        f"difference of the two with its interval. Effects inside the grey band are too small to count.{more}"
    )


def _table(info: ComparisonInfo) -> Table:
    columns = (
        "effect", "split", "metric", info.names[0], "95 % interval", "verdict", info.names[1], "95 % interval", "verdict", "difference",
        "95 % interval", "p", "shared seeds",
    )  # fmt: skip
    rows = []
    for match in info.matches:
        if match.first.metric not in METRICS:
            continue
        digits = 3 if match.first.unit == "nats" else 1
        numbers: list[str] = []
        for claim in (match.first, match.second):
            both = claim.estimates["both"]
            numbers += [signed(both.mean, digits), interval(both, digits, sign=True), verdict_words(claim) if claim.verdict else ""]
        apart = [signed(match.difference.mean, digits), interval(match.difference, digits, sign=True), probability(match.difference.p)]
        names = (effect_name(match.first), match.first.split, METRICS[match.first.metric])
        rows.append((*names, *numbers, *apart, str(match.shared) if match.shared else "unpaired"))
    caption = "Every effect that both studies tell; verdicts are in accuracy on the split that is told first. claims.json has the classes."
    return Table("comparison", caption, columns, tuple(rows), frozenset({0, 1, 2, 5, 8}))


def _about(results: Results, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "finished": status_counts(results).get("finished", 0),
        "planned": len(results.trials),
        "data": results.data["name"],
        "run": moment(str((results.study or {}).get("created", "unknown"))),
    }
