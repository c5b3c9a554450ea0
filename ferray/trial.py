"""A trial: one config, with its seed, on one data set."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ferray.attachments import Attachments
from ferray.config import Config, trial_identity

Phase = Literal["tuning", "frozen", "final"]
"""What a trial is for. ``tuning``: it helps to choose a variant's settings, on validation alone. ``frozen``: a variant at the settings
that were best for the baseline, on fresh seeds. ``final``: a variant at its own best settings on fresh seeds, and every trial of a study
without tuning. The baseline's frozen trials are its final ones."""


@dataclass(frozen=True)
class Stopping:
    """The rule by which a scheduler may stop a trial early; see ferray.tuning.Tuning for its fields."""

    scheduler: Literal["asha", "median"]
    grace_epochs: int
    reduction_factor: int | None  # of asha

    @property
    def rule(self) -> dict[str, Any]:
        """What the record of a trial that was stopped holds of it: by another rule the trial might have gone on."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Trial:
    """A config, with its seed, on one data set, and where in a study it stands."""

    key: str
    config: Config
    data: str  # the data set's fingerprint
    variant: str
    sample: int
    overrides: dict[str, Any]  # what the search chose and the variant does not fix, by dotted name
    attachments: Attachments = field(default_factory=Attachments)
    phase: Phase = "final"
    stopping: Stopping | None = None
    """What may stop it early; None where it is wanted in full length."""

    @property
    def identity(self) -> dict[str, Any]:
        """All that the key stands for."""
        return trial_identity(self.config, self.data, self.attachments.digests)

    @property
    def rule(self) -> dict[str, Any] | None:
        """That of ``stopping``, as the ledger has it."""
        return self.stopping.rule if self.stopping else None

    @property
    def label(self) -> str:
        """A short name for people: the variant, the sample if it is not the first, and the seed."""
        return f"{self.variant}{f' sample {self.sample}' if self.overrides else ''} seed {self.config.seed}"
