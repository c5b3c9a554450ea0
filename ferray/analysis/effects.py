"""Effects: what each factor does for the network, as claims with intervals over seeds, over images and over both, and with verdicts.

Every comparison is a table of differences with a row per seed that both sides finished and a column per image (``per_image``), so that
accuracy, macro-F1, loss and the recall of each class have their intervals by one method (``crossed``). Verdicts are given in accuracy on
the split that is told first, and Holm holds down the errors of each family together; the other metrics have adjusted p-values only.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from ferray.analysis.claims import Claim
from ferray.analysis.comparisons import FAMILIES, Comparison, Pairs, comparisons, pairs
from ferray.analysis.crossed import Crossed, crossed
from ferray.analysis.effect_sentences import caveats, sentence
from ferray.analysis.image_groups import image_groups
from ferray.analysis.needs import needs
from ferray.analysis.per_image import CLASS, of_class, per_image
from ferray.analysis.results import Results
from ferray.analysis.selection import speaking_trials
from ferray.analysis.statistics import Estimate, hedges_g, signed_rank
from ferray.analysis.verdicts import FEWEST_SEEDS, Undecided, decide, holm, undecided

DECIDED_BY = "both"
"""The estimate that verdicts and p-values rest on: they are to hold for other trainings, judged on other images."""
WILCOXON_FROM = 6
"""Seeds from which the signed-rank test can reach p < 0.05."""
VERDICT_METRIC = "accuracy"

_TURNED = {"loss": -1.0}  # a lower loss is better, and positive is to be better
_UNITS = {"loss": "nats"}


@dataclass(frozen=True)
class Effect:
    """One comparison in one metric on one split, in the unit of print, before its family has been judged."""

    comparison: Comparison
    pairs: Pairs
    split: str
    metric: str
    seeds: tuple[int, ...]
    found: Crossed
    groups: int  # of near-identical images, each counted once

    @property
    def family(self) -> str:
        """The effects that are judged together."""
        metric = "classes" if self.metric.startswith(CLASS) else self.metric
        return f"{FAMILIES[self.comparison.kind]}, {metric}, {self.split}"


def effect_claims(results: Results) -> list[Claim]:
    """The claims of every comparison, split and metric (accuracy, macro-F1, loss with its sign turned, and ``class:NAME``).

    Comparisons without a pair of finished seeds that left predictions have a claim in accuracy without estimates, which says so.
    """
    trials = speaking_trials(results)
    paired = {one: pairs(trials, one) for one in comparisons(results)}
    families: dict[str, list[Effect]] = defaultdict(list)
    for split in results.splits:
        for effect in _effects(results, paired, split):
            families[effect.family].append(effect)
    claims = [claim for family in families.values() for claim in _judged(results, family)]
    told = {(claim.kind, claim.subject) for claim in claims}
    empty = [_untold(results, one, found) for one, found in paired.items() if (one.kind, one.subject) not in told]
    place = {(one.kind, one.subject): number for number, one in enumerate(paired)}
    return sorted([*claims, *empty], key=lambda claim: place[claim.kind, claim.subject])  # type: ignore[index]


def _effects(results: Results, paired: Mapping[Comparison, Pairs], split: str) -> Iterator[Effect]:
    labels, groups, redrawn = results.labels(split), image_groups(results, split), results.redrawn(split)
    look = cache(lambda key, metric: per_image(results, key, split, metric))  # the baseline's is in most of the tables
    for comparison, found in paired.items():
        for metric in ("accuracy", "macro_f1", "loss"):
            rows = {
                seed: left - right
                for seed, (better, worse) in found.keys.items()
                if (left := look(better, metric)) is not None and (right := look(worse, metric)) is not None
            }
            if labels is None or not rows:
                continue
            table = np.stack(list(rows.values()))
            count = len(labels) if groups is None else int(groups.max()) + 1
            tables = {metric: _TURNED.get(metric, 1.0) * table}
            if metric == "accuracy":
                tables |= {f"{CLASS}{results.classes[one]}": of_class(table, labels == one) for one in np.unique(labels)}
            for name, values in tables.items():
                scale = 1.0 if name in _UNITS else 100.0
                told = crossed(values, groups, redrawn=redrawn).scaled(scale)
                if name not in _UNITS:
                    told = told.within(-100, 100)
                yield Effect(comparison, found, split, name, tuple(rows), told, count)


def _judged(results: Results, family: list[Effect]) -> Iterator[Claim]:
    """The claims of one family: with verdicts in accuracy on the headline split, otherwise with adjusted p-values only."""
    decisive = [getattr(one.found, DECIDED_BY) for one in family]
    first = family[0]
    has_verdicts = first.metric == VERDICT_METRIC and first.split == results.headline and first.comparison.kind != "difference"
    adjusted = holm([one.p if one.n >= FEWEST_SEEDS else math.nan for one in decisive])
    decisions = decide(decisive, results.smallest_effect) if has_verdicts else [None] * len(family)
    for effect, estimate, p, decision in zip(family, decisive, adjusted, decisions, strict=True):
        claim = _claim(effect, p)
        if decision is not None and _decidable(estimate):
            claim = replace(
                claim,
                verdict=decision.verdict,
                p_adjusted=decision.p,
                p_equivalence=decision.p_equivalence,
                margin=results.smallest_effect,
            )
            if decision.verdict == "inconclusive":
                claim = with_needs(claim, effect.found, undecided(one for one in decisions if one is not None))
        yield _told(results, claim, effect.comparison, effect.pairs)


def with_needs(claim: Claim, found: Crossed, family: Undecided) -> Claim:
    """A claim with what it would take to decide it, beside what else of its family is open."""
    need = needs(found, claim.margin, family, claim.counts["image_groups"])
    more: dict[str, object] = {"images_needed": need.images, "seeds_needed_on_them": need.more_seeds}
    more |= {"redrawn": True} if found.is_redrawn else {}
    return replace(claim, seeds_needed=need.seeds, details={**claim.details, **more})


def _decidable(estimate: Estimate) -> bool:
    return estimate.n >= FEWEST_SEEDS and not estimate.is_point


def _claim(effect: Effect, p: float) -> Claim:
    comparison, found = effect.comparison, effect.found
    values = np.array(found.points)
    lost = len(effect.pairs.keys) - len(values)  # finished, and no predictions are there
    counts = effect.pairs.counts
    counts |= {"paired": len(values), "missing": counts["missing"] + lost, "images": found.n_images, "image_groups": effect.groups}
    details = {
        "points": dict(zip(effect.seeds, found.points, strict=True)),
        "wilcoxon_p": signed_rank(values) if len(values) >= WILCOXON_FROM else math.nan,
        "context": comparison.context,
        "variances": {"seeds": found.seed_variance, "images": found.image_variance, "rest": found.rest_variance},
    }
    return Claim(
        name=f"{comparison.kind}/{comparison.subject}/{effect.split}/{effect.metric}",
        kind=comparison.kind,
        subject=comparison.subject,
        split=effect.split,
        metric=effect.metric,
        unit=_UNITS.get(effect.metric, "points"),
        estimates={"seeds": found.seeds, "images": found.images, "both": found.both},
        methods=found.methods,
        keys=tuple(key for seed in effect.seeds for key in effect.pairs.keys[seed]),
        sentence="",
        compared=(comparison.better, comparison.worse),
        family=effect.family,
        decided_by=DECIDED_BY,
        p_adjusted=p,
        effect_size=hedges_g(values),
        counts=counts,
        details=details,
    )


def _untold(results: Results, comparison: Comparison, found: Pairs) -> Claim:
    """The claim of a comparison of which nothing is known yet."""
    counts = found.counts
    claim = Claim(
        name=f"{comparison.kind}/{comparison.subject}/{results.headline}/{VERDICT_METRIC}",
        kind=comparison.kind,
        subject=comparison.subject,
        split=results.headline,
        metric=VERDICT_METRIC,
        unit="points",
        estimates={},
        methods={},
        keys=tuple(key for both in found.keys.values() for key in both),
        sentence="",
        compared=(comparison.better, comparison.worse),
        family=f"{FAMILIES[comparison.kind]}, {VERDICT_METRIC}, {results.headline}",
        counts={**counts, "missing": counts["missing"] + len(found.keys), "paired": 0, "images": results.images_in(results.headline)},
        details={"context": comparison.context},
    )
    return _told(results, claim, comparison, found)


def _told(results: Results, claim: Claim, comparison: Comparison, found: Pairs) -> Claim:
    claim = replace(claim, caveats=tuple(caveats(results, claim, found)))
    return replace(claim, sentence=sentence(results, claim, comparison))
