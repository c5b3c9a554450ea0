"""The tables of effects: verdicts with all that they rest on, the other metrics, and the classes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ferray.analysis.ablation import AblationInfo, effect_name
from ferray.analysis.claims import Claim
from ferray.analysis.effect_sentences import verdict_words
from ferray.analysis.per_image import CLASS
from ferray.analysis.results import Results
from ferray.analysis.tables import Table
from ferray.analysis.wording import count, interval, plain, points, probability, signed

MOST_CLASSES = 60
"""Rows of the table of classes; of more, those of the smallest p are shown, and claims.json has all."""
METRICS = {"accuracy": "accuracy (points)", "macro_f1": "macro-F1 (points)", "loss": "loss, turned (nats)"}


def effects_table(info: AblationInfo) -> Table:
    """The effects in accuracy on the split that is told first: verdict, number, three intervals, p, size, seeds, and seeds needed."""
    columns = (
        "effect", "verdict", "points", "95 % interval", "over seeds", "over images", "p", "p (Holm)", "p of an effect of the margin (Holm)",
        "g", "seeds", "seeds needed",
    )  # fmt: skip
    rows = []
    for claim in (claim for panel in info.panels for claim in panel.claims):
        seeds = f"{claim.counts['paired']} of {claim.counts['planned']}"
        if not claim.estimates:
            rows.append((effect_name(claim), verdict_words(claim), *["n/a"] * 8, seeds, ""))
            continue
        both = claim.estimates["both"]
        intervals = [interval(claim.estimates[name], sign=True) for name in ("both", "seeds", "images")]
        judged = [probability(both.p), probability(claim.p_adjusted), probability(claim.p_equivalence), plain(claim.effect_size)]
        rows.append((effect_name(claim), verdict_words(claim), signed(both.mean), *intervals, *judged, seeds, _needed(claim)))
    caption = (
        f"Effects in accuracy on the {info.label} set: of a factor, how much better the network is with it; of a variant, how much better "
        f"it is than {info.baseline}. The first interval, on which the verdict rests, speaks of other trainings judged on other images; "
        "those over seeds and over images hold the other one fixed. Verdicts compare p with 0.05 after Holm's correction over the effects "
        f"of a kind; an effect counts as none where it is shown to be smaller than {points(info.margin)}. g is Hedges' size of the paired "
        "differences over seeds."
    )
    return Table("effects", caption, columns, tuple(rows), frozenset({0, 1}))


def metrics_table(results: Results, claims: Sequence[Claim]) -> Table:
    """The effects in every metric and on every split but those of ``effects_table``; without verdicts."""
    columns = ("effect", "split", "metric", "number", "95 % interval", "over seeds", "over images", "p (Holm)", "p (Wilcoxon)", "seeds")
    rows = []
    for claim in claims:
        if claim.metric not in METRICS or not claim.estimates or (claim.metric == "accuracy" and claim.split == results.headline):
            continue
        digits = 3 if claim.unit == "nats" else 1
        intervals = [interval(claim.estimates[name], digits, sign=True) for name in ("both", "seeds", "images")]
        names = (effect_name(claim), results.split_labels[claim.split], METRICS[claim.metric])
        judged = [probability(claim.p_adjusted), probability(claim.details["wilcoxon_p"])]
        rows.append((*names, signed(claim.estimates["both"].mean, digits), *intervals, *judged, str(claim.counts["paired"])))
    caption = (
        "The same effects in other metrics and on the other split: intervals as in the table above, p-values adjusted by Holm over the "
        "effects of a kind in one metric on one split, and no verdicts. Positive is better everywhere: of the loss it is told how much "
        "lower it is. Wilcoxon's test needs six seeds."
    )
    return Table("effects_metrics", caption, columns, tuple(rows), frozenset({0, 1, 2}))


def effect_classes_table(results: Results, claims: Sequence[Claim]) -> Table:
    """Which classes an effect helps or hurts on the split that is told first, the clearest of each effect first."""
    columns = ("effect", "class", "images", "recognized (points)", "95 % interval", "over seeds", "over images", "p (Holm)")
    own = [claim for claim in claims if claim.metric.startswith(CLASS) and claim.split == results.headline]
    shown = sorted(own, key=_p)[:MOST_CLASSES]
    places = {effect: place for place, effect in enumerate(dict.fromkeys((claim.kind, claim.subject) for claim in own))}
    counts = results.data["counts"][results.headline]
    rows = []
    for claim in sorted(shown, key=lambda one: (places[one.kind, one.subject], -one.estimates["both"].mean)):
        name = claim.metric.removeprefix(CLASS)
        intervals = [interval(claim.estimates[one], sign=True) for one in ("both", "seeds", "images")]
        number = signed(claim.estimates["both"].mean)
        rows.append((effect_name(claim), name, count(counts[name]), number, *intervals, probability(claim.p_adjusted)))
    caption = (
        f"The share of each class of the {results.split_labels[results.headline]} set that is recognized, as in the tables above. Holm's "
        "correction is over all classes and effects of a kind; there are no verdicts by class."
    )
    if len(own) > len(shown):
        caption += f" Of {len(own):,} rows these are the {len(shown)} of the smallest p; claims.json has all."
    return Table("effects_by_class", caption, columns, tuple(rows), frozenset({0, 1}))


def _p(claim: Claim) -> float:
    p = claim.estimates["both"].p
    return p if math.isfinite(p) else 2.0


def _needed(claim: Claim) -> str:
    if claim.verdict != "inconclusive":
        return ""
    if claim.seeds_needed is not None:
        return count(claim.seeds_needed)
    images = claim.details.get("images_needed")
    return f"{count(claim.details['seeds_needed_on_them'])} on {count(images)} images" if images else "out of reach"
