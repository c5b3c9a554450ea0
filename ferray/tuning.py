"""Tuning within an ablation: on which seeds settings are chosen for each variant, and which are the best."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from ferray import search
from ferray.config import Frozen
from ferray.errors import ConfigError, short
from ferray.search import Domain
from ferray.seeds import Seeds
from ferray.trial import Stopping

FIRST_SEED = 1_000_000
"""Of tuning, where only a number of seeds is given: beyond any number of the study's own seeds, so that more of those change nothing."""
REDUCTION_FACTOR = 3
"""Of asha, where none is given."""


class Tuning(Frozen):
    """Chooses settings for every variant by itself, on seeds of its own, before the study's `seeds` compare the variants."""

    seeds: Seeds = 1
    """How many (1000000, 1000001, ...), or which, each sample is tried on; none of the study's own."""
    scheduler: Literal["none", "asha", "median"] = "none"
    """What stops hopeless samples early: none trains all in full, asha keeps the best at each rung, median stops what is below it."""
    grace_epochs: Annotated[int, Field(ge=1)] = 1
    """Of asha and median: no trial is stopped before so many epochs."""
    reduction_factor: Annotated[int, Field(ge=2)] | None = None
    """Of asha: one of so many trials goes on beyond a rung, and rungs are so many times as far apart; 3 where it is left out."""
    within: Literal["variant"] = "variant"
    """The trials that a scheduler compares with each other: those of one variant."""

    @property
    def all_seeds(self) -> list[int]:
        """The seeds of tuning, one by one."""
        return [FIRST_SEED + number for number in range(self.seeds)] if isinstance(self.seeds, int) else self.seeds

    def check(self, searched: Sequence[Domain], num_samples: int, confirming: Collection[int]) -> None:
        """Raises ConfigError where there is nothing to choose, or a seed would both choose the settings and judge them."""
        if search.count(searched, num_samples)[0] < 2:
            more = "say in `search` what is tried"
            if search.count(searched, 2)[0] > 1:
                more = f"`num_samples` says how many draws of `search` there are, and is {num_samples}; give 2 or more"
            raise ConfigError.at("tuning", f"there is one sample to choose from; {more}")
        if len(set(self.all_seeds)) < len(self.all_seeds):
            raise ConfigError.at("tuning.seeds", f"each seed once, not {self.seeds}")
        shared = [seed for seed in self.all_seeds if seed in confirming]
        if shared:
            both = f"{', '.join(map(str, shared[:5]))}{', ...' * (len(shared) > 5)}"
            told = f"seeds that choose the settings cannot judge them too: {both} {'is' if len(shared) == 1 else 'are'} also in `seeds`"
            if isinstance(self.seeds, list):
                told += f"; a number of them, such as {len(self.seeds)}, is counted from {FIRST_SEED}"
            raise ConfigError.at("tuning.seeds", told)

    @property
    def stopping(self) -> Stopping | None:
        """What may stop the trials of tuning early; None for nothing."""
        if self.scheduler == "none":
            return None
        return Stopping(
            self.scheduler, self.grace_epochs, (self.reduction_factor or REDUCTION_FACTOR) if self.scheduler == "asha" else None
        )

    @field_validator("within", mode="before")
    @classmethod
    def _never_across(cls, given: object) -> object:
        if given != "variant":
            told = (
                f"must be 'variant', not {short(given)}: trials are stopped early only by trials of their own variant. Augmentation and "
                "regularization slow convergence, so that rungs across variants would stop the very variants under study, and bias every "
                "comparison"
            )
            raise ConfigError.at("tuning.within", told)
        return given

    @model_validator(mode="after")
    def _of_the_scheduler(self) -> Tuning:
        """A scheduler that is set to none by name is switched off, and what belongs to it may stay; see ``check_local``."""
        if self.reduction_factor is not None and self.scheduler == "median":
            raise ConfigError.at("tuning.reduction_factor", "belongs to scheduler: asha, not to median, which has no rungs; leave it out")
        given = [name for name in ("grace_epochs", "reduction_factor") if name in self.model_fields_set and getattr(self, name) is not None]
        if given and "scheduler" not in self.model_fields_set:
            add = f"add scheduler: asha{' or median' * (given == ['grace_epochs'])}"
            told = f"belongs to a scheduler, and without one nothing is stopped early; {add}, or leave it out"
            raise ConfigError.at(f"tuning.{given[0]}", told)
        return self

    def check_scheduler(self, epochs: int, searched: Collection[str]) -> None:
        """Raises ConfigError where the scheduler could stop nothing, or would compare what cannot be compared.

        ``epochs`` is the length of the study's shortest trials, ``searched`` the dotted names of the fields that are searched.
        """
        if self.scheduler == "none":
            return
        if "epochs" in searched:
            told = f"{self.scheduler} compares trials at the same epoch, where trials of another length are at another point of theirs"
            raise ConfigError.at("tuning.scheduler", f"{told}: do not search `epochs`, or write none")
        if self.grace_epochs >= epochs:
            told = f"must be less than the {epochs} epochs of a trial, not {self.grace_epochs}, else {self.scheduler} stops nothing"
            raise ConfigError.at("tuning.grace_epochs", told)

    def check_local(self) -> None:
        """Raises ConfigError where the scheduler needs what a run without Ray does not have."""
        if self.scheduler != "none":
            told = f"{self.scheduler} is one of Ray Tune's schedulers, and --local (local=True) runs without Ray"
            raise ConfigError.at("tuning.scheduler", f"{told}: leave it out, or write none (--set tuning.scheduler=none)")


@dataclass(frozen=True)
class Score:
    """The validation accuracy, 0..1, of one finished trial of tuning."""

    variant: str
    sample: int
    accuracy: float


def choose(finished: Iterable[Score]) -> dict[str, int]:
    """The sample of each variant with the highest mean accuracy, among those with the most finished seeds; the first among equals.

    Losing a bad seed is thereby no advantage. Variants without a finished trial have none.
    """
    found: dict[tuple[str, int], list[float]] = {}
    for score in finished:
        if math.isfinite(score.accuracy):
            found.setdefault((score.variant, score.sample), []).append(score.accuracy)
    ranks = {place: (len(values), fmean(values)) for place, values in found.items()}
    best: dict[str, int] = {}
    for variant, sample in sorted(ranks):
        if variant not in best or ranks[variant, sample] > ranks[variant, best[variant]]:
            best[variant] = sample
    return best
