"""The page that lays two studies side by side: sentences, a figure and tables, and its own claims.json."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ferray import atomic
from ferray.analysis import claims, seal
from ferray.analysis.ablation import LEAST
from ferray.analysis.claims import Claim
from ferray.analysis.comparison import (
    AGREEMENTS,
    HEADLINE,
    ComparisonInfo,
    comparison_claims,
    comparison_info,
    difference_words,
    match_name,
    match_sentence,
    surer_sentences,
)
from ferray.analysis.comparison_tables import ROWS_ON_PAGE, effects_table, others_table
from ferray.analysis.details import status_counts
from ferray.analysis.devices import between
from ferray.analysis.differences import LOOKED_AT
from ferray.analysis.fonts import families, lettered
from ferray.analysis.matches import FACTORIAL, Match
from ferray.analysis.page import Page
from ferray.analysis.remarks import remarks
from ferray.analysis.report import Report, template
from ferray.analysis.results import Results
from ferray.analysis.style import GREY, INK, ORANGE, PALE, hide_y_marks, new_figure, note_synthetic, shortened
from ferray.analysis.tables import Table
from ferray.analysis.verdicts import FEWEST_SEEDS
from ferray.analysis.wording import factor_label, listed, moment, plural
from ferray.errors import LedgerError

ROWS_PER_FIGURE = 16
"""Effects in the figure; of more, the first are drawn and the table has all."""
SUMMARIZED = 4
"""Effects that the summary tells."""
NAMED = 8
"""Names in a list at most."""
COUNTED = {"agree": "decided alike in both", "open": "open in both", "differ": "different", "contradict": "contradictory"}
"""How pairs of verdicts are counted, by what they say of each other."""


def make_comparison(first: Results, second: Results, *, folder: str | os.PathLike[str] | None = None) -> Report:
    """Writes the page that compares two studies: ``index.html``, ``claims.json``, ``figures/`` and ``tables/``.

    ``folder`` is where it goes instead of ``reports/<first>-vs-<second>`` in the storage of the first. Raises LedgerError where the studies
    have not the same classes, are one and the same, or where the folder cannot be written.
    """
    info = comparison_info(first, second)
    place = Path(folder) if folder is not None else first.ledger.report_folder(f"{first.name}-vs-{second.name}")
    page = _page(info, [*first.variants, *second.variants, *info.names])
    told = summary(info)
    openings = [seal.record_opening(results, "compare") for results in (first, second)]
    warnings = [*between(first, second, info.names), *_remarks((first, second), info.names)]
    warnings += [f"That the test set was opened for this page could not be written down: {fault}." for fault in openings if fault]
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


def _remarks(studies: Sequence[Results], names: Sequence[str]) -> list[str]:
    """What must be known of either study before any number; what holds of both, such as of their data, is said once."""
    first, second = (remarks(results) for results in studies)
    alone = [
        f"{name}: {one}" for name, own, other in ((names[0], first, second), (names[1], second, first)) for one in own if one not in other
    ]
    return [*(f"both studies: {one}" for one in first if one in second), *alone]


def summary(info: ComparisonInfo) -> list[str]:
    """How many effects both studies tell, where their verdicts agree and contradict each other, and the first effects."""
    told = info.headline
    if not told:
        return [
            f"The studies have no effect in accuracy on the {info.label} set in common, of which both have finished pairs of seeds.",
            *(_has(info, side) for side in (0, 1)),
        ]
    counts = Counter(match.agreement for match in told if match.agreement)
    verdicts = [f"{counts[kind]} {words}" for kind, words in COUNTED.items() if counts[kind] or kind == "agree"]
    agree = f" Their verdicts: {', '.join(verdicts)}." if counts else " Not both have verdicts on any of them."
    same = sum(match.way == "same trials" for match in told)
    alike = f" {'All' if same == len(told) else same} of them rest on the same trials in both." if same else ""
    first = f"Both studies tell {plural(len(told), 'effect')} in accuracy on the {info.label} set.{agree}{alike}"
    return [first, *(match_sentence(info, match) for match in told[:SUMMARIZED])]


def _has(info: ComparisonInfo, side: int) -> str:
    """The effects that one study alone tells."""
    effects = [claim for claim in info.only[side] if claim.kind in HEADLINE]
    own = [match_name(claim) for claim in sorted(effects, key=lambda claim: HEADLINE.index(claim.kind))]
    return f"{info.names[side]} tells of {shortlist(own)}." if own else f"{info.names[side]} tells of no effect that the other does not."


def _subjects(found: Sequence[Claim]) -> str:
    return shortlist(list(dict.fromkeys(match_name(claim) if claim.kind in HEADLINE else claim.subject for claim in found)))


def shortlist(names: Sequence[str]) -> str:
    """The first of many names, and how many more there are; parted by semicolons, as names may hold commas."""
    more = [f"{len(names) - NAMED} more"] if len(names) > NAMED else []
    return "; ".join([*names[:NAMED], *more])


def _page(info: ComparisonInfo, names: list[str]) -> Page:
    page = Page(families(names))
    if info.headline or any(match.first.kind in HEADLINE for match in info.matches):
        page.section("effects", "Effects side by side")
        page.enumerate([match_sentence(info, match) for match in _foremost(info)])
        page.say([*_reading(info), *surer_sentences(info)])
    if info.headline:
        page.show("comparison", lambda: draw_comparison(info), _caption(info))
    effects = [match for match in info.matches if match.first.kind in HEADLINE]
    others = [match for match in info.matches if match.first.kind not in HEADLINE]
    if effects:
        page.tabulate(effects_table(info))
    if others:
        page.section("others", "Other claims side by side")
        page.say(_others(others))
        page.tabulate(others_table(info, [match for match in others if match.first.kind != "confusion"][:ROWS_ON_PAGE], "others"))
        page.attach(others_table(info, others, "all_others"))
    if any(info.only):
        page.section("alone", "What one study alone tells")
        for side, own in enumerate(info.only):
            kinds = {claim.kind: [one for one in own if one.kind == claim.kind] for claim in own}
            page.enumerate([f"{info.names[side]}, {kind.replace('_', ' ')}: {_subjects(found)}." for kind, found in kinds.items()])
    page.section("settings", "What differs between the studies")
    page.say([f"Looked at are {LOOKED_AT}. A search or a tuning is told by what it chose, too."])
    if info.settings:
        caption = "All in which the two studies differ, of what was looked at."
        page.tabulate(Table("settings", caption, ("what", *info.names), info.settings, frozenset({0, 1, 2})))
    else:
        page.say(["In none of this the two differ."])
    return page


def _foremost(info: ComparisonInfo) -> list[Match]:
    """The headlines, without differences of single variants where other effects speak for the factors."""
    return [match for match in info.headline if match.first.kind != "difference"] or list(info.headline)


def _others(others: Sequence[Match]) -> list[str]:
    """How many there are by kind, and how many of their differences have an interval without zero."""
    told = []
    for kind in dict.fromkeys(match.first.kind for match in others):
        own = [match.difference for match in others if match.first.kind == kind]
        known = [one for one in own if one.has_interval]
        if known:
            apart = sum(one.excludes_zero for one in known)
            told.append(f"{len(own)} of {kind} (of {plural(len(known), 'interval')} of the difference, {apart} without zero)")
        else:
            told.append(f"{len(own)} of {kind} (no intervals of the difference)")
    chance = "Of studies that are alike, one interval in 20 leaves zero out by chance; nothing here is corrected for their number."
    return [f"Claims that both studies make: {'; '.join(told)}.", chance, "tables/all_others.csv has all of them, confusions too."]


def draw_comparison(info: ComparisonInfo) -> Figure:
    """A row per effect: the number of either study with its interval over seeds and images, and their difference at the right."""
    shown = _foremost(info)[:ROWS_PER_FIGURE]
    labels = [shortened(match_name(match.first), 32) for match in shown]
    figure = new_figure(1.35 + sum(0.46 + 0.1 * name.count("\n") for name in labels))
    axes = figure.subplots()
    axes.grid(axis="x")
    margin = max(info.margins)
    axes.axvspan(-margin, margin, color=PALE, alpha=0.6, linewidth=0)
    axes.axvline(0, color=GREY, linewidth=0.9)
    across = axes.get_yaxis_transform()
    for place, match in enumerate(shown):
        for estimate, below, colour, dashes, mark in zip(match.sides, (-0.12, 0.14), (INK, ORANGE), ("-", "--"), ("o", "s"), strict=True):
            label = lettered(info.names[below > 0]) if place == 0 else None
            axes.plot([estimate.mean], [place + below], mark, color=colour, markersize=4.5)
            axes.plot([estimate.low, estimate.high], [place + below] * 2, color=colour, linestyle=dashes, linewidth=1.8, label=label)
        text = difference_words(match)
        axes.text(1.02, place - 0.1, text, transform=across, fontsize=7.5, va="center")
        if match.agreement:
            words = AGREEMENTS[match.agreement].removeprefix("the ").removesuffix(" each other")
            axes.text(1.02, place + 0.24, words, transform=across, fontsize=6.5, va="center", color=GREY)
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
    ways = {match.way for match in info.matches if match.first.kind in HEADLINE}
    sentences = ["Each number has its 95 % interval over seeds and images. A difference whose interval contains zero is no contradiction."]
    if "seeds and images" in ways:
        sentences.append(
            f"Paired differences are taken seed by seed and image by image over the seeds that both studies have (at least {FEWEST_SEEDS}, "
            "and half of either's), so that they need not be those of the two numbers, which are over all seeds of each."
        )
    if "seeds" in ways:
        sentences.append(
            "Where each seed drew the images that it is judged on, differences are taken seed by seed over the seeds of both studies, with "
            "the corrected resampled t interval."
        )
    if "images" in ways:
        sentences.append(
            "Those paired by image alone take the seeds of the two studies as independent, as too few of them are the same: the variances "
            "over seeds are added, with Welch's degrees of freedom, and that over images is one of the differences image by image."
        )
    if "independent" in ways:
        sentences.append("Unpaired ones have Welch's interval of two independent estimates.")
    if not info.same_images:
        sentences.append(f"The studies were not judged on the same images of the {info.label} set.")
    if set(info.factors[0]) != set(info.factors[1]) and any(match.first.kind in FACTORIAL for match in info.matches):
        sides = (f"{listed([factor_label(one) for one in own])} in {name}" for own, name in zip(info.factors, info.names, strict=True))
        sentences.append(f"Effects of a factorial design are means over the states of all its factors, which are {'; '.join(sides)}.")
    if "same trials" in ways:
        sentences.append("Where both numbers rest on the same trials, there is no difference to estimate.")
    return [*sentences, "The p-values of differences are not corrected for their number."]


def _caption(info: ComparisonInfo) -> str:
    number = len(_foremost(info))
    more = f" The first {ROWS_PER_FIGURE} of {number} effects." if number > ROWS_PER_FIGURE else ""
    return (
        f"The same effects in {info.names[0]} (solid, round) and {info.names[1]} (dashed, square), in accuracy points on the {info.label} "
        "set, with 95 % intervals that speak of other trainings judged on other images; right of zero is better. At the right stands the "
        f"difference of the two with its interval. Effects inside the grey band are too small to count.{more}"
    )


def _about(results: Results, name: str) -> dict[str, Any]:
    counts = status_counts(results)
    return {
        "name": name,
        "finished": counts.get("finished", 0),
        "planned": sum(counts.values()),
        "data": results.data["name"],
        "run": moment(str((results.study or {}).get("created", "unknown"))),
    }
