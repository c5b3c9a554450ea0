"""A trial: one config, with its seed, on one data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ferray.config import ENGINE_VERSION, Config


@dataclass(frozen=True)
class Trial:
    """A config, with its seed, on one data set, and where in a study it stands."""

    key: str
    config: Config
    data: str  # the data set's fingerprint
    variant: str
    sample: int
    overrides: dict[str, Any]  # what the search chose and the variant does not fix, by dotted name

    @property
    def identity(self) -> dict[str, Any]:
        """All that the key stands for."""
        return {"config": self.config.model_dump(), "data": self.data, "engine": ENGINE_VERSION}

    @property
    def label(self) -> str:
        """A short name for people: the variant, the sample if it is not the first, and the seed."""
        return f"{self.variant}{f' sample {self.sample}' if self.overrides else ''} seed {self.config.seed}"
