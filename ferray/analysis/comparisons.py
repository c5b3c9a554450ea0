"""Which variants of a study are compared with which, and in what direction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Protocol

import pandas as pd

from ferray.analysis.results import Results
from ferray.analysis.selection import finished_of

Kind = Literal["effect", "step", "variant", "difference"]
"""``effect``: what a factor does for the network. ``step``: what a later step of a path does, which depends on the steps before it.
``variant``: how much better a free variant is than the baseline. ``difference``: the same of a variant of a factorial design, in which
main effects speak for the factors."""

FAMILIES: Mapping[Kind, str] = {
    "effect": "factors",
    "step": "steps of the path",
    "variant": "variants",
    "difference": "variants of the factorial",
}
"""Comparisons of one kind are a family, whose errors are held down together."""

WHOLE = ("factorial", "fractional")
"""Designs whose main effects have the verdicts."""


class Named(Protocol):
    """A variant, of a study file or of a ledger: its name, and the factors that it takes away."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def removed(self) -> tuple[str, ...]: ...  # noqa: D102


@dataclass(frozen=True)
class Comparison:
    """Two variants, of which ``better`` minus ``worse`` is told: positive where the subject is good for the network."""

    kind: Kind
    subject: str  # factors, joined by +, or a variant's name
    better: str
    worse: str
    context: tuple[str, ...] = ()  # factors that are gone on both sides

    @property
    def varied(self) -> str:
        """The variant that stands against the baseline, or against the one that its step starts from."""
        return self.better if self.kind in ("variant", "difference") or self.added else self.worse

    @property
    def reference(self) -> str:
        """The other one."""
        return self.worse if self.varied == self.better else self.better

    @property
    def added(self) -> bool:
        """Whether the factor was added to a network without any, not taken away from one with all."""
        return self.kind == "effect" and bool(self.context)


@dataclass(frozen=True)
class Pairs:
    """The seeds of a comparison. Every seed that both sides plan is paired or lost, for one reason each."""

    keys: Mapping[int, tuple[str, str]]  # by seed that both finished: the trial of the better side, and of the worse
    lost: Mapping[int, tuple[str, str]]  # by any other seed: what became of it (failed, diverged, ...), and of which variant

    @property
    def counts(self) -> dict[str, int]:
        """How many seeds are planned, paired, diverged, failed, and missing for any other reason."""
        reasons = [reason for reason, _ in self.lost.values()]
        diverged, failed = reasons.count("diverged"), reasons.count("failed")
        rest = len(reasons) - diverged - failed
        return {
            "planned": len(self.keys) + len(self.lost),
            "paired": len(self.keys),
            "diverged": diverged,
            "failed": failed,
            "missing": rest,
        }


def comparisons(results: Results) -> list[Comparison]:
    """Every comparison that the study's design asks for, in the order of its variants.

    Factors against the baseline, or each alone against a network without any (``add_one_in``); then the steps of a path beyond its
    first, free variants, and for factorial designs each variant.
    """
    return compared(results.ablation.get("design", "path"), results.baseline, list(results.variants.values()))


def compared(design: str | None, baseline: str, variants: Sequence[Named]) -> list[Comparison]:
    """The same of variants that need not have run yet, the baseline among them."""
    removals = [one for one in variants if one.removed]
    free = [Comparison("variant", one.name, one.name, baseline) for one in variants if not one.removed and one.name != baseline]
    if design in WHOLE:
        return [*(Comparison("difference", one.name, one.name, baseline) for one in removals), *free]
    if design == "add_one_in":
        return [*_additions(baseline, removals), *free]
    effects = [Comparison("effect", "+".join(one.removed), baseline, one.name) for one in removals]
    return [*effects, *(_steps(removals) if design == "path" else []), *free]


def _additions(baseline: str, removals: Sequence[Named]) -> list[Comparison]:
    """Each factor alone against none of them, and all of them together."""
    if not removals:
        return []
    bare = max(removals, key=lambda one: len(one.removed))
    found = []
    for one in removals:
        alone = [name for name in bare.removed if name not in one.removed]
        if one != bare and set(one.removed) < set(bare.removed):
            found.append(Comparison("effect", "+".join(alone), one.name, bare.name, context=one.removed))
    return [*found, Comparison("effect", "+".join(bare.removed), baseline, bare.name)]


def _steps(removals: Sequence[Named]) -> list[Comparison]:
    """What each variant takes away beyond the one before it; the first step of a path is an effect already."""
    found = []
    for before, after in pairwise(removals):
        if set(before.removed) < set(after.removed):
            more = [name for name in after.removed if name not in before.removed]
            found.append(Comparison("step", "+".join(more), before.name, after.name, context=before.removed))
    return found


def pairs(trials: pd.DataFrame, comparison: Comparison) -> Pairs:
    """The seeds of a comparison among the rows of trials that speak for their variants."""
    sides = (comparison.better, comparison.worse)
    finished = [finished_of(trials, name)["key"].to_dict() for name in sides]
    statuses = [_statuses(trials, name) for name in sides]
    keys, lost = {}, {}
    for seed in sorted(set(statuses[0]) & set(statuses[1])):
        if seed in finished[0] and seed in finished[1]:
            keys[seed] = (str(finished[0][seed]), str(finished[1][seed]))
            continue
        fates = [(status[seed], name) for status, name in zip(statuses, sides, strict=True) if status[seed] != "finished"]
        lost[seed] = min(fates, key=lambda fate: ("diverged", "failed").index(fate[0]) if fate[0] in ("diverged", "failed") else 2)
    return Pairs(keys, lost)


def _statuses(trials: pd.DataFrame, variant: str) -> dict[int, str]:
    own = trials[trials["variant"] == variant].drop_duplicates("seed")
    return {int(seed): str(status) for seed, status in zip(own["seed"], own["status"], strict=True)}
