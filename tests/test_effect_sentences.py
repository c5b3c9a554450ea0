"""Sentences of effects: what stands beside verdicts."""

from __future__ import annotations

import math

from ferray.analysis.claims import Claim
from ferray.analysis.effect_sentences import UNCORRECTED, uncorrected
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
