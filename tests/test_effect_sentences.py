"""Sentences of effects: what stands beside verdicts."""

from __future__ import annotations

import math

from ferray.analysis.claims import Claim
from ferray.analysis.effect_sentences import UNCORRECTED, needs, uncorrected
from ferray.analysis.statistics import Estimate


def claim(low: float, high: float, p: float) -> Claim:
    both = Estimate((low + high) / 2, low, high, 5)
    return Claim("effect/l1/test/accuracy", "effect", "l1", "test", "accuracy", "points", {"both": both}, {}, (), "", p_adjusted=p)


def test_an_interval_without_zero_beside_a_p_that_decides_nothing_is_explained() -> None:
    assert uncorrected([claim(1.7, 17.3, 0.061)]) == [UNCORRECTED]
    assert uncorrected([claim(-1.0, 2.0, 0.4), claim(-3.0, -2.0, 0.05)]) == [UNCORRECTED]


def test_nothing_is_explained_where_nothing_looks_odd() -> None:
    assert uncorrected([]) == []
    assert uncorrected([claim(-1.0, 2.0, 0.3), claim(1.0, 2.0, 0.01), claim(1.0, 2.0, math.nan)]) == []


def test_an_effect_that_nothing_would_decide_is_not_called_small() -> None:
    told = needs(claim(-23.9, 23.2, 0.9))
    assert told == (
        "the estimate lies so near to zero, or to the margin, beside its spread that neither 1,000 seeds nor 1,000 times the images "
        "would decide"
    )
