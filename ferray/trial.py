"""A trial: one config, with its seed, on one data set; and the list of them that a study needs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ferray.attachments import Attachments, Finder
from ferray.config import Config, trial_identity, trial_key
from ferray.errors import ConfigError

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


@dataclass(frozen=True)
class Cell:
    """What all seeds of a trial have in common."""

    phase: Phase
    variant: str
    sample: int
    config: Config  # whose seed counts for nothing
    overrides: dict[str, Any]


def trials(seeds: Iterable[int], cells: Iterable[Cell], data: str, finder: Finder, stopping: Stopping | None = None) -> list[Trial]:
    """A trial for each seed and cell, the same one of a variant once in each phase.

    ``data`` is the fingerprint of the data set, ``finder`` finds the files that configs name, and ``stopping`` is for those that tune.
    """
    cells = list(cells)
    found: dict[tuple[str, str, str], Trial] = {}
    for seed in seeds:
        for cell in cells:
            config = cell.config.model_copy(update={"seed": seed})
            attachments = finder.attach(config)
            key = trial_key(config, data, attachments.digests)
            if (cell.phase, cell.variant, key) not in found:
                rule = stopping if cell.phase == "tuning" else None
                trial = Trial(key, config, data, cell.variant, cell.sample, cell.overrides, attachments, cell.phase, rule)
                found[cell.phase, cell.variant, key] = trial
    return list(found.values())


def check_drawn(planned: Iterable[Trial]) -> None:
    """Raises ConfigError where it so happens that draws leave two variants with the same trials, or tuning with one sample to choose from.

    ``planned`` are those of ``Study.plan``.
    """
    planned = list(planned)
    again = "draw more (`num_samples`), or others (`search_seed`)"
    keys: dict[str, set[str]] = {}
    for trial in planned:
        keys.setdefault(trial.variant, set()).add(trial.key)
    alike: dict[frozenset[str], str] = {}
    for variant, own in keys.items():
        first = alike.setdefault(frozenset(own), variant)
        if first != variant:
            told = f"as it was drawn, {first!r} and {variant!r} have the same settings in every sample, so there is nothing to compare"
            raise ConfigError.at("search", f"{told}: {again}")
    if {(trial.phase, trial.sample) for trial in planned} == {("tuning", 0)}:
        raise ConfigError.at("search", f"as it was drawn, all samples are the same, so there is none to choose: {again}")
