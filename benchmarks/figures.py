"""A figure: what was measured, beside its peer, with what is asked of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np


@dataclass(frozen=True)
class Spread:
    """Of repeats: their median, the least and the most, and how many."""

    median: float
    least: float
    most: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Raises ValueError for no values."""
        if not values:
            raise ValueError("there is no spread of no values")
        return cls(float(np.median(values)), float(min(values)), float(max(values)), len(values))


@dataclass(frozen=True)
class Figure:
    """``value`` in ``unit``; ``ratio`` is value by peer, round by round. ``target`` and ``aim`` are of the ratio where there is one.

    None as ``value`` means not measured, and ``reason`` says why. ``memory`` is the largest process's [bytes], ``trial_memory`` that of
    the largest process beside it that runs trials.
    """

    key: str
    title: str
    unit: str
    value: Spread | None = None
    peer: str | None = None
    peer_value: Spread | None = None
    ratio: Spread | None = None
    target: float | None = None
    aim: float | None = None
    better: Literal["more", "less"] = "more"
    memory: int | None = None
    peer_memory: int | None = None
    trial_memory: int | None = None
    peer_trial_memory: int | None = None
    reason: str | None = None

    @property
    def judged(self) -> float | None:
        """The number that the target is about."""
        of = self.value if self.peer is None else self.ratio
        return None if of is None else of.median

    @property
    def is_met(self) -> bool | None:
        """Whether the target is reached; None without a target or a measurement."""
        if self.target is None or self.judged is None:
            return None
        return self.judged >= self.target if self.better == "more" else self.judged <= self.target

    @property
    def as_json(self) -> dict[str, Any]:
        """Plain values, without what is not there."""
        return {name: value for name, value in {**asdict(self), "is_met": self.is_met}.items() if value is not None}
