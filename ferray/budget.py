"""A budget: how much a study may spend before it stops."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import model_validator

from ferray.config import Frozen, Positive
from ferray.errors import ConfigError, nearest

Unit = Literal["gpu_hours", "processor_hours", "hours"]
WORDS: dict[Unit, str] = {"gpu_hours": "GPU-hour", "processor_hours": "processor-hour", "hours": "hour"}
"""What people call one of each."""
ALLOWED = "gpu_hours (of all GPUs in use), processor_hours (of all processors in use) or hours (by the clock)"


class Budget(Frozen):
    """What a study may spend: one of the three. A run ends cleanly once that much is spent."""

    gpu_hours: Positive | None = None
    """GPUs that trials were given (`gpus`) times the hours that their epochs took, of all trials of the study in the ledger."""
    processor_hours: Positive | None = None
    """Processors that trials were given times the hours that their epochs took, of all trials of the study in the ledger."""
    hours: Positive | None = None
    """Hours by the clock since the command began; each command has its own."""

    @model_validator(mode="before")
    @classmethod
    def _known(cls, given: Any) -> Any:
        for name in given if isinstance(given, dict) else ():
            if name not in WORDS:
                near = nearest(name.lower().replace("cpu", "processor").replace("core", "processor"), WORDS)
                raise ConfigError.at(f"budget.{name}", f"unknown key{near or '.'} Give one of {ALLOWED}")
        return given

    @model_validator(mode="after")
    def _is_one(self) -> Budget:
        given = [name for name in WORDS if getattr(self, name) is not None]
        if len(given) != 1:
            has = f"not {' and '.join(given)}" if given else "as in {processor_hours: 4}"
            raise ConfigError.at("budget", f"needs one of {ALLOWED}, {has}")
        return self

    @property
    def unit(self) -> Unit:
        """Which of the three it is."""
        return next(name for name in WORDS if getattr(self, name) is not None)

    @property
    def amount(self) -> float:
        """How many hours of it."""
        return float(getattr(self, self.unit))

    def told(self) -> str:
        """The budget in words: ``4 processor-hours``."""
        return f"{self.amount:g} {WORDS[self.unit]}{'s' * (self.amount != 1)}"
