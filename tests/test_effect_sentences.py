"""Sentences of effects: what stands beside verdicts."""

from __future__ import annotations

from ferray.analysis.claims import Claim, Verdict
from ferray.analysis.effect_sentences import UNCORRECTED, uncorrected
from ferray.analysis.statistics import Estimate


def claim(low: float, high: float, verdict: Verdict | None) -> Claim:
    both = Estimate((low + high) / 2, low, high, 5)
    return Claim("effect/l1/test/accuracy", "effect", "l1", "test", "accuracy", "points", {"both": both}, {}, (), "", verdict=verdict)


def test_an_inconclusive_verdict_beside_an_interval_without_zero_is_explained() -> None:
    assert uncorrected([claim(1.7, 17.3, "inconclusive")]) == [UNCORRECTED]
    assert uncorrected([claim(-1.0, 2.0, "inconclusive"), claim(-3.0, -2.0, "inconclusive")]) == [UNCORRECTED]


def test_nothing_is_explained_where_nothing_looks_odd() -> None:
    assert uncorrected([]) == []
    assert uncorrected([claim(-1.0, 2.0, "inconclusive"), claim(1.0, 2.0, "helps"), claim(1.0, 2.0, None)]) == []
