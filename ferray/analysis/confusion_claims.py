"""What the confusions say: the rate of every pair, statements of readers, and what each variant changes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from ferray.analysis.answers import fates
from ferray.analysis.claims import Claim
from ferray.analysis.confusion import ConfusionInfo
from ferray.analysis.confusion_rates import (
    ALIKE,
    CROSSED,
    EXACT,
    FEW,
    FEW_SEEDS,
    FEWEST_IMAGES,
    Change,
    Rate,
    certain,
    change_claims,
    change_sentence,
    changes,
    untested,
)
from ferray.analysis.crossed import METHODS_REDRAWN
from ferray.analysis.results import Results
from ferray.analysis.statements import StatementsInfo, statement_claims, statement_sentence, statements_info
from ferray.analysis.statistics import Estimate
from ferray.analysis.tables import Table
from ferray.analysis.verdicts import FEWEST_SEEDS
from ferray.analysis.wording import MINUS, count, image_count, interval, plain, plural, probability, signed

if TYPE_CHECKING:
    from ferray.analysis.page import Page

CLAIMED = 200
"""Pairs of which claims are made, the most frequent first; tables/confusion_rates.csv has all."""
TOLD = 6
"""Certain changes that the page tells of; tables/confusion_changes.csv has all."""
TOO_FEW = f"too few images, fewer than {FEWEST_IMAGES}, to say anything"


def section(page: Page, results: Results, confusion: ConfusionInfo) -> list[Claim]:
    """Adds to the section on confusions the statements tested and the certain changes, attaches the tables, and gives the claims."""
    statements = statements_info(results)
    found = changes(results)
    page.attach(rates_table(confusion))
    if statements is not None:
        page.say(
            [
                "What readers have said of such a matrix is tested here, one statement at a time. That a class is often taken for another "
                "means that the other is its most frequent wrong answer, tested against each other one. That it is otherwise rarely the "
                "wrong answer means that it is given less often than if wrong answers were spread evenly over the classes that they can "
                "be. A statement is supported or contradicted where its p-value, adjusted by Holm over the statements, is below 0.05, and "
                "open otherwise."
            ]
        )
        page.enumerate([statement_sentence(one, statements) for one in statements.tested])
        page.attach(statements_table(statements))
    sure = certain(found)
    if sure:
        page.enumerate([change_sentence(one, confusion.label, results.baseline) for one in sure[:TOLD]])
    page.say([*_changes_words(results, found, sure), *untested(results)])
    if found:
        page.attach(changes_table(found, results.baseline, confusion.label))
    claims = [*rate_claims(confusion, fates(results, confusion.variant))]
    claims += statement_claims(statements) if statements is not None else []
    return [*claims, *change_claims(found, confusion.split, confusion.label, results.baseline)]


def _changes_words(results: Results, found: list[Change], sure: list[Change]) -> list[str]:
    if len(results.variants) < 2:
        return []
    if not found:
        return [
            f"Which confusions a variant changes is told of variants that share {FEWEST_SEEDS} finished seeds or more with "
            f"the baseline ({results.baseline}), of classes of {FEWEST_IMAGES} images or more, and of pairs that make up {FEW} or more."
        ]
    certainly = f"{plural(len(sure), 'is', 'are')} certainly confused more or less often than by the baseline ({results.baseline})"
    rest = f"; the {TOLD} surest are told" if len(sure) > TOLD else ""
    pairs = f"{plural(len(found), 'pair')} of classes tested over all variants"
    return [
        f"Of {pairs}, {certainly}, after Holm over the pairs of each variant{rest}. "
        f"Classes of fewer than {FEWEST_IMAGES} images and pairs that make up fewer than {FEW} are not tested."
    ]


def rate_claims(confusion: ConfusionInfo, counts: dict[str, int]) -> list[Claim]:
    """The rates of the ``CLAIMED`` most frequent confusions; ``counts`` says how the variant's trainings ended."""
    return [
        Claim(
            name=f"confusion/{confusion.variant}/{confusion.split}/{one.true} taken for {one.predicted}", kind="confusion",
            subject=confusion.variant, split=confusion.split, metric=f"share of {one.true} taken for {one.predicted}", unit="share",
            estimates=_estimates(one, best), methods={**one.methods, best: one.method}, keys=confusion.keys,
            sentence=rate_sentence(one, confusion), decided_by=best,
            counts={**counts, "trainings": len(confusion.seeds), "taken": one.count, "images": one.images, "image_groups": one.groups},
            caveats=_against(one, confusion),
        )
        for best in ["both" if len(confusion.seeds) >= FEWEST_SEEDS else "images"]
        for one in confusion.rates[:CLAIMED]
    ]  # fmt: skip


def _estimates(one: Rate, best: str) -> dict[str, Estimate]:
    """What a rate may be generalized to; its best interval is one over images alone where there are too few seeds."""
    told = {"seeds": one.over_seeds, "images": one.over_images, "both": replace(one.share, low=math.nan, high=math.nan), best: one.share}
    return {name: estimate.scaled(0.01) for name, estimate in told.items()}


def rate_sentence(one: Rate, confusion: ConfusionInfo) -> str:
    """The share of a class that is taken for another, with its interval, and what there is against believing it."""
    amount = image_count(one.images, one.groups)
    sure = f"95 % interval {interval(one.share)}, n = {amount}, {plural(len(confusion.seeds), 'seed')}"
    taken = f"{confusion.variant} takes {plain(one.share.mean)} % of {one.true} for {one.predicted}"
    return f"{taken} on the {confusion.label} set ({sure}){''.join(f'; {words}' for words in _against(one, confusion))}."


def _against(one: Rate, confusion: ConfusionInfo) -> tuple[str, ...]:
    return (*(() if one.has_images else (TOO_FEW,)), *((confusion.fixed,) if confusion.fixed else ()))


def rates_table(confusion: ConfusionInfo) -> Table:
    """Every ordered pair with its rate and the three intervals."""
    columns = ("true", "predicted", "share (%)", "95 % interval", "over seeds", "over images", "count", "images", "seeds", "method")
    rows = tuple(
        (
            one.true,
            one.predicted,
            plain(one.share.mean, 2),
            interval(one.share, 2),
            interval(one.over_seeds, 2),
            interval(one.over_images, 2),
            count(one.count),
            count(one.images),
            str(len(confusion.seeds)),
            "exact" if one.method in (EXACT, ALIKE, FEW_SEEDS) else "crossed t" if one.method == CROSSED else "resampled t",
        )
        for one in confusion.rates
    )
    drawn = any(one.methods["seeds"].startswith(METHODS_REDRAWN["seeds"]) for one in confusion.rates)
    usual = "the corrected resampled t" if drawn else "that of crossed random factors"
    caption = (
        f"All ordered pairs of classes as {confusion.variant} confuses them on the {confusion.label} set, in percent of the true class, "
        f"those of classes with fewer than {FEWEST_IMAGES} images last. "
        f"The first interval is over seeds and images together: {usual}, or, where fewer than "
        f"{FEW} images count in the mean training, there are fewer than {FEWEST_SEEDS} seeds or all have the same share, the exact "
        "binomial one at the effective "
        "number of images (Korn and Graubard 1998). Near-identical images are drawn together, and intervals are cut to 0 to 100 %."
    )
    return Table("confusion_rates", caption, columns, rows, frozenset({0, 1, 9}))


def statements_table(info: StatementsInfo) -> Table:
    """Each statement with its answer and numbers."""
    columns = (
        "statement",
        "answer",
        "share (%)",
        "95 % interval",
        "compared with",
        "difference (points)",
        "95 % interval",
        "p",
        "adjusted p",
    )
    rows = tuple(
        (
            one.statement.words,
            one.answer,
            plain(one.rate.mean),
            interval(one.rate),
            one.rival or "an even spread",
            signed(one.difference.both.mean),
            interval(one.difference.both, sign=True),
            probability(one.p),
            probability(one.p_adjusted),
        )
        for one in info.tested
    )
    caption = (
        f"Statements about confusions, tested on {info.variant}, {info.label} set, {plural(info.seeds, 'seed')}. The difference is that of "
        "the share to the strongest rival's, or to what an even spread of wrong answers would give. Intervals are over seeds and images "
        "together, near-identical images being drawn together, and cut to what is possible; the adjusted p-value is Holm's over the "
        "statements that are tested."
    )
    return Table("statements", caption, columns, rows, frozenset({0, 1, 4}))


def changes_table(found: list[Change], baseline: str, label: str) -> Table:
    """Every tested change of a confusion, the surest first."""
    columns = ("variant", "true", "predicted", "difference (points)", "95 % interval", "p", "adjusted p", "images", "pairs")
    rows = tuple(
        (
            one.variant,
            one.true,
            one.predicted,
            signed(one.difference.both.mean),
            interval(one.difference.both, sign=True),
            probability(one.difference.both.p),
            probability(one.p_adjusted),
            count(one.difference.n_images),
            str(one.difference.both.n),
        )
        for one in found
    )
    caption = (
        f"How much more of a class is taken for another than by {baseline} on the {label} set, in points of the true class, paired by seed "
        f"and image, with intervals over both, near-identical images being drawn together, cut to {MINUS}100 to +100 points; p-values are "
        "adjusted by Holm over the pairs of each variant."
    )
    return Table("confusion_changes", caption, columns, rows, frozenset({0, 1, 2}))
