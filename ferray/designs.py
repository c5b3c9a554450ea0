"""Designs: how factors, the things that can be taken away, form variants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, field_validator

from ferray.config import Augmentation, Config, Frozen, merge, overlay
from ferray.errors import ConfigError, nearest

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$"
Name = Annotated[str, Field(pattern=NAME, max_length=100)]
SET_BY_THE_STUDY = {"seed": "`seeds`", "device": "`gpus`"}
"""Fields of the config that no overrides may set, and what sets them."""

FACTORS: dict[str, dict[str, Any]] = {
    "augmentation": {f"augmentation.{name}": 0.0 for name in Augmentation.model_fields},
    **{f"augmentation.{name}": {f"augmentation.{name}": 0.0} for name in Augmentation.model_fields},
    "input_scaling": {"input_normalization": "none"},
    "batch_norm": {"batch_norm": False},
    "normalization": {"input_normalization": "none", "batch_norm": False},
    "dropout": {"dropout": 0.0},
    "l1": {"l1": 0.0},
    "l2": {"l2": 0.0},
    "label_smoothing": {"label_smoothing": 0.0},
    "schedule": {"schedule": "constant"},
}
"""What taking each factor away does to a config."""


class Ablation(Frozen):
    """Which factors are taken away, and how variants are formed from them."""

    design: Literal["path"] = "path"
    """path: one factor after the other, each on top of those before it."""
    remove: Annotated[list[str | list[str]], Field(min_length=1)]
    """Factors, or lists of factors that go together, in the order of their removal."""
    factors: dict[Name, dict[str, Any]] = Field(default_factory=dict)
    """Factors of your own: a name for `remove`, and the overrides that take it away, such as `{model_arguments.attention: false}`."""

    def describe(self) -> dict[str, Any]:
        """What the ledger keeps of the design, for the report: its name and its factors in their order, groups by their names."""
        factors = [step if isinstance(step, str) else "+".join(step) for step in self.remove]
        return {"design": self.design, "factors": factors}

    @field_validator("remove", mode="wrap")
    @classmethod
    def _names_or_lists(cls, given: Any, check: ValidatorFunctionWrapHandler) -> Any:
        try:
            return check(given)
        except ValidationError:  # it would tell of each of the two ways by itself
            raise ValueError("a list that is not empty, of factors and of lists of them that go together") from None

    @field_validator("factors")
    @classmethod
    def _leave_some_to_the_study(cls, given: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name, overrides in given.items():
            leave_to_the_study(f"ablate.factors.{name}", overrides)
        return given


@dataclass(frozen=True)
class Variant:
    """A named set of overrides on the base config; ``removed`` names the factors it takes away, in the order of their removal."""

    name: str
    overrides: dict[str, Any] = field(default_factory=dict)
    removed: tuple[str, ...] = ()


def leave_to_the_study(place: str, given: dict[str, Any]) -> None:
    """Raises ConfigError where overrides set a field of the config that the study itself sets."""
    for name in given:
        head = name.partition(".")[0]
        if head in SET_BY_THE_STUDY:
            raise ConfigError.at(f"{place}.{name}", f"{head} is set by the study's {SET_BY_THE_STUDY[head]}")


def factors(base: dict[str, Any], own: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """All factors: ferray's and the study's own. Raises ConfigError for one whose name is taken, or that fits no config."""
    for name, overrides in own.items():
        place = f"ablate.factors.{name}"
        if name in FACTORS:
            raise ConfigError.at(place, "ferray has a factor of this name; call yours otherwise")
        try:
            Config.parse(overlay(base, overrides))
        except ConfigError as error:
            raise error.under(place) from None
    return {**FACTORS, **own}


def path(base: dict[str, Any], remove: Sequence[str | Sequence[str]], own: Mapping[str, dict[str, Any]] | None = None) -> list[Variant]:
    """Variants that take the factors away one after the other, each on top of those before it.

    A step may be a list of factors that go together; ``own`` are factors of the study's, by name the overrides that take each away.
    What a step shows depends on the order. Raises ConfigError for a step of no factors, and for a factor that does not exist or that
    the base, without what was removed before, does not have.
    """
    known = factors(base, own or {})
    variants = []
    removed: list[str] = []
    overrides: dict[str, Any] = {}
    for step in remove:
        if not step:
            raise ConfigError.at("ablate.remove", f"a step names a factor or a list of them, not {step!r}")
        for factor in [step] if isinstance(step, str) else step:
            overrides = merge(overrides, _removal(overlay(base, overrides), factor, known, removed))
            removed.append(factor)
        variants.append(Variant("no-" + "-".join(removed), dict(overrides), tuple(removed)))
    return variants


def _removal(left: dict[str, Any], factor: str, known: Mapping[str, dict[str, Any]], removed: Sequence[str]) -> dict[str, Any]:
    """The overrides that take a factor away from what the removals before it have left of the base, which must have it."""
    place = "ablate.remove"
    if factor not in known:
        raise ConfigError.at(place, f"unknown factor {factor!r}{nearest(factor, known)} (there are: {', '.join(known)})")
    overrides = known[factor]
    holder = f"the base without {', '.join(removed)}" if removed else "the base"
    before = Config.parse(left)
    try:
        after = Config.parse(overlay(left, overrides))
    except ConfigError as error:
        told = "; ".join(str(fault) for fault in error.faults)
        raise ConfigError.at(place, f"{factor} cannot be taken away from {holder}: {told}") from None
    if after == before:
        raise ConfigError.at(place, f"{holder} has no {factor} to take away; switch it on in `base`, or leave it out of `remove`")
    return overrides
