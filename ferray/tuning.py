"""Tuning within an ablation: how the search chooses settings for each variant, and on which seeds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ferray.config import Frozen
from ferray.seeds import Seeds

FIRST_SEED = 1_000_000
"""Of tuning, where only a number of seeds is given: beyond any number of the study's own seeds, so that more of those change nothing."""


class Tuning(Frozen):
    """Chooses settings for every variant by itself, on seeds of its own, before the study's `seeds` compare the variants."""

    seeds: Seeds = 1
    """How many (1000000, 1000001, ...), or which, each sample is tried on; none of the study's own."""
    scheduler: Literal["none", "asha", "median"] = "none"
    """What stops hopeless samples early: none trains all in full, asha keeps the best at each rung, median stops what is below it."""
    grace_epochs: Annotated[int, Field(ge=1)] = 1
    """No trial is stopped before so many epochs."""
    reduction_factor: Annotated[int, Field(ge=2)] = 3
    """Of asha: one of so many trials goes on beyond a rung, and rungs are so many times as far apart."""
    within: Literal["variant"] = "variant"
    """The trials that a scheduler compares with each other: those of one variant."""

    @property
    def which(self) -> list[int]:
        """The seeds of tuning."""
        return [FIRST_SEED + number for number in range(self.seeds)] if isinstance(self.seeds, int) else self.seeds
