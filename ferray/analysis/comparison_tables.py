"""The tables of two studies side by side: effects, and other claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ferray.analysis.comparison import DIGITS, HEADLINE, ComparisonInfo, match_name, metric_name, verdict_of
from ferray.analysis.effect_tables import METRICS
from ferray.analysis.matches import Match, Way
from ferray.analysis.statistics import Estimate
from ferray.analysis.tables import Table
from ferray.analysis.wording import plain, plural, probability, signed

ROWS_ON_PAGE = 60
"""Of the table of other claims; a file has all."""
WAYS: Mapping[Way, str] = {
    "same trials": "same trials",
    "further seeds": "same trials but further seeds",
    "seeds and images": "image, {shared}",
    "seeds": "{shared}",
    "images": "image",
    "independent": "nothing",
    "limits": "nothing (from the limits)",
    "none": "no interval",
}
"""What a difference is paired by, as a cell has it."""
CAPTIONS = {
    "others": f"Other claims that both studies make, without those about confusions; the first {ROWS_ON_PAGE}.",
    "all_others": "All claims that both studies make of other things than effects.",
}


def effects_table(info: ComparisonInfo) -> Table:
    """Every effect on the split that is told first, in accuracy, macro-F1 and loss."""
    told = [one for one in info.matches if one.first.kind in HEADLINE and one.first.metric in METRICS and one.first.split == info.split]
    told.sort(key=lambda one: HEADLINE.index(one.first.kind))
    columns = ("effect", "metric", *info.names, "verdicts", "difference", "p", "paired by")
    rows = []
    for match in told:
        *numbers, difference = _cells(match)
        verdicts = "; ".join(verdict_of(claim) for claim in (match.first, match.second)) if match.agreement else ""
        names = (match_name(match.first), METRICS[match.first.metric])
        rows.append((*names, *numbers, verdicts, difference, probability(match.difference.p), _paired_by(match)))
    caption = (
        f"Every effect that both studies tell on the {info.label} set, with 95 % intervals; verdicts are in accuracy. claims.json has "
        "other splits and the classes, and the method of each difference."
    )
    return Table("comparison", caption, columns, tuple(rows), frozenset({0, 1, 4, 7}))


def others_table(info: ComparisonInfo, matches: Sequence[Match], name: str) -> Table:
    """Claims of other things than effects; ``name`` is one of ``CAPTIONS``."""
    columns = ("claim", "metric", *info.names, "difference", "paired by")
    rows = tuple(
        (
            f"{one.subject}, {one.kind}",
            f"{metric_name(one)} ({', '.join(filter(None, (one.split, one.unit)))})",
            *_cells(match),
            _paired_by(match),
        )
        for match in matches
        for one in [match.first]
    )
    caption = f"{CAPTIONS[name]} With 95 % intervals over seeds and images, or over what the claim has; claims.json says by which method."
    return Table(name, caption, columns, rows, frozenset({0, 1, 5}))


def _cells(match: Match) -> tuple[str, str, str]:
    """Both numbers and their difference, each with its interval."""
    digits = DIGITS.get(match.first.unit, 1)
    signs = match.first.unit != "share" or match.first.kind == "divergence"
    one, other = (_cell(estimate, digits, sign=signs) for estimate in match.sides)
    return one, other, _cell(match.difference, digits, sign=True)


def _cell(estimate: Estimate, digits: int, *, sign: bool) -> str:
    write = signed if sign else plain
    number = write(estimate.mean, digits)
    if not estimate.has_interval:
        return number
    limits = f"[{write(estimate.low, digits)}, {write(estimate.high, digits)}]"
    return f"{number} (no spread)" if estimate.is_point else f"{number} {limits}"


def _paired_by(match: Match) -> str:
    return WAYS[match.way].format(shared=plural(match.shared, "seed"))
