"""Verdicts: helps, hurts, no effect larger than what counts, or inconclusive, with the family's errors held down together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ferray.analysis.claims import Verdict
from ferray.analysis.statistics import Estimate

ALPHA = 0.05
"""At most this share of families without any effect has a false verdict of helps or hurts."""
FEWEST_SEEDS = 3
"""With fewer seeds there is no verdict and no interval over both: two differences say next to nothing of how far off a third may lie."""


@dataclass(frozen=True)
class Decision:
    """A verdict with the p-values that decided it, both adjusted by Holm over the family."""

    verdict: Verdict
    p: float  # of the hypothesis of no effect
    p_equivalence: float  # of the hypothesis of an effect of at least the margin


def holm(p: Sequence[float]) -> list[float]:
    """Adjusted p-values that hold the family-wise error (Holm 1979, Scandinavian Journal of Statistics 6); NaN stays, and counts."""
    values = np.asarray(p, dtype=float)
    order = np.argsort(values)  # NaN last
    steps = values[order] * np.arange(len(values), 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return [float(one) for one in adjusted]


def equivalence(estimate: Estimate, margin: float) -> float:
    """The p-value of two one-sided t tests that the mean lies within +-margin (Schuirmann 1987, J Pharmacokinet Biopharm 15)."""
    return estimate.tail(margin - abs(estimate.mean))


@dataclass(frozen=True)
class Undecided:
    """How many effects of a family are not yet shown to be there, and not yet shown to be smaller than the margin.

    Holm's method tests the smallest p-value at the level divided by the size of the family, and each one after it at that divided by how
    many are left. What is shown is ahead of the others, which are therefore tested among themselves.
    """

    differences: int
    equivalences: int


def undecided(decisions: Iterable[Decision], alpha: float = ALPHA) -> Undecided:
    """Those of a family, of whose members at least one is open; p-values that are not known show nothing."""
    known = list(decisions)
    return Undecided(sum(not one.p < alpha for one in known), sum(not one.p_equivalence < alpha for one in known))


def decide(estimates: Sequence[Estimate], margin: float, alpha: float = ALPHA) -> list[Decision]:
    """The verdicts of one family of effects, positive ones being good, in the unit of ``margin``.

    An effect that is certainly smaller than the margin is none, even where it is certainly not zero.
    """
    enough = [estimate.n >= FEWEST_SEEDS for estimate in estimates]
    differs = holm([one.p if is_enough else math.nan for one, is_enough in zip(estimates, enough, strict=True)])
    equals = holm([equivalence(one, margin) if is_enough else math.nan for one, is_enough in zip(estimates, enough, strict=True)])
    return [
        Decision(_verdict(one, p, p_equivalence, alpha), p, p_equivalence)
        for one, p, p_equivalence in zip(estimates, differs, equals, strict=True)
    ]


def _verdict(estimate: Estimate, p: float, p_equivalence: float, alpha: float) -> Verdict:
    if p_equivalence < alpha:
        return "no effect"
    if p < alpha:
        return "helps" if estimate.mean > 0 else "hurts"
    return "inconclusive"
