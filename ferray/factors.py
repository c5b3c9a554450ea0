"""Factors: the things that can be taken away from a config, and what is left of it without some of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ferray.config import Augmentation, Config, flatten, merge, overlay
from ferray.errors import ConfigError, Fault, nearest, short

FACTORS: dict[str, dict[str, Any]] = {
    "augmentation": {f"augmentation.{name}": 0.0 for name in Augmentation.model_fields},
    **{f"augmentation.{name}": {f"augmentation.{name}": 0.0} for name in Augmentation.model_fields},
    "input_scaling": {"input_normalization": "none"},
    "batch_norm": {"batch_norm": False},
    "normalization": {"input_normalization": "none", "batch_norm": False},
    "dropout": {"dropout": 0.0},
    "l1": {"l1": 0.0},
    "l2": {"l2": 0.0},
    "weight_decay": {"weight_decay": 0.0},
    "momentum": {"momentum": 0.0},
    "label_smoothing": {"label_smoothing": 0.0},
    "soft_labels": {"soft_labels": False},
    "loss": {"loss": "cross_entropy"},
    "schedule": {"schedule": "constant"},
    "transform": {"transform": None},
    "pretrained": {"pretrained": None},
}
"""What taking each factor away does to a config. The network, its arguments and anything else are for factors of the user's own."""


@dataclass(frozen=True)
class Factor:
    """A thing that a design takes away: its name, and of each of its parts the name and the overrides that take it away."""

    name: str
    parts: tuple[tuple[str, dict[str, Any]], ...]

    @property
    def fields(self) -> set[str]:
        """The dotted names of the fields that taking it away sets."""
        return {field for _, overrides in self.parts for field in flatten(merge({}, overrides))}


def factors(base: dict[str, Any], remove: Mapping[str, Sequence[str]], own: Mapping[str, dict[str, Any] | list[str]]) -> dict[str, Factor]:
    """The factors of a design by their names, given what each is made of by ``remove``, and the study's own factors and groups.

    Raises ConfigError for a factor that does not exist, for a factor of the study's own whose name is taken, that fits no config, that
    changes nothing in the base or that nothing names, and for a group of anything but factors that are no groups.
    """
    known = dict(FACTORS)
    for name, given in own.items():
        place = f"ablate.factors.{name}"
        if name in FACTORS:
            raise ConfigError.at(place, "ferray has a factor of this name; call yours otherwise")
        if isinstance(given, dict):
            try:
                Config.parse(overlay(base, given))
            except ConfigError as error:
                raise error.under(place) from None
            known[name] = given
    groups = {name: given for name, given in own.items() if isinstance(given, list)}
    for name, group in groups.items():
        _check_known(f"ablate.factors.{name}", group, known, groups)
    found = {}
    for name, parts in remove.items():
        _check_known("ablate.remove", [part for part in parts if part not in groups], {**known, **groups}, ())
        found[name] = Factor(name, tuple((part, known[part]) for one in parts for part in groups.get(one, [one])))
    _check_named(own, [*remove.values(), *(groups[one] for parts in remove.values() for one in parts if one in groups)])
    return found


def _check_named(own: Collection[str], lists: Collection[Sequence[str]]) -> None:
    """Raises ConfigError for factors of the study's own that stand in none of the lists."""
    told = "is never taken away: name it in `remove`, or in a group that stands there, or leave it out"
    unused = [Fault(f"ablate.factors.{name}", told) for name in own if not any(name in names for names in lists)]
    if unused:
        raise ConfigError.of(unused, where="study")


def _check_known(place: str, parts: Sequence[str], known: Collection[str], groups: Collection[str]) -> None:
    for part in parts:
        if part in groups:
            raise ConfigError.at(place, f"{part} is a group itself; name its factors")
        if part not in known:
            raise ConfigError.at(
                place, f"unknown factor {part!r}{nearest(part, known)} (there are: {', '.join(known)}; others are named in `factors`)"
            )


@dataclass(frozen=True)
class Left:
    """What removals, part by part, have left of a base, and the overrides that do so."""

    base: dict[str, Any]
    overrides: dict[str, Any]
    removed: tuple[str, ...]
    config: Config

    @classmethod
    def whole(cls, base: dict[str, Any]) -> Left:
        """All of it."""
        return cls(base, {}, (), Config.parse(base))

    def without(self, factor: Factor, searched: Collection[str]) -> Left:
        """The same without one factor more, each part of which must be there."""
        left = self
        for part, overrides in factor.parts:
            left = left._without(part, overrides, searched)
        return left

    def fixed(self, searched: Collection[str]) -> set[str]:
        """The searched fields that it fixes."""
        return {field for field in searched for name in flatten(self.overrides) if meet(field, name)}

    def _without(self, part: str, overrides: dict[str, Any], searched: Collection[str]) -> Left:
        left = self._after(part, overrides)
        if self._differs_from(left, searched):
            return left
        whole = Left.whole(self.base)
        if part not in FACTORS and not whole._differs_from(whole._after(part, overrides), searched):
            there = whole.config.flat()
            told = ", ".join(f"{name} {short(there.get(name, value))}" for name, value in flatten(merge({}, overrides)).items())
            raise ConfigError.at(f"ablate.factors.{part}", f"takes nothing away: the base has {told} already")
        raise ConfigError.at("ablate.remove", f"{self._holder} has no {part} to take away; {self._instead(part, overrides, searched)}")

    def _after(self, part: str, overrides: dict[str, Any]) -> Left:
        both = self._with(overrides)
        try:
            return Left(self.base, both, (*self.removed, part), Config.parse(overlay(self.base, both)))
        except ConfigError as error:
            told = "; ".join(str(fault) for fault in error.faults)
            raise ConfigError.at("ablate.remove", f"{part} cannot be taken away from {self._holder}: {told}") from None

    def _differs_from(self, left: Left, searched: Collection[str]) -> bool:
        """Whether what is left is something else."""
        return left.config != self.config or left.fixed(searched) != self.fixed(searched)

    def _instead(self, part: str, overrides: dict[str, Any], searched: Collection[str]) -> str:
        """What to do about a part that is not there: it never was, or has gone."""
        whole = Left.whole(self.base)
        if part in self.removed:
            return "it is named twice"
        if whole._differs_from(whole._after(part, overrides), searched):
            return f"it goes with {' and '.join(self.removed)}: name it before, or leave it out of `remove`"
        return "switch it on in `base`, or leave it out of `remove`"

    @property
    def _holder(self) -> str:
        return f"the base without {', '.join(self.removed)}" if self.removed else "the base"

    def _with(self, overrides: dict[str, Any]) -> dict[str, Any]:
        """All overrides together. What is gone with a network, a loss or a transform is not taken away from the next one."""
        settings = overlay(self.base, self.overrides)
        held: dict[str, Any] = {name: settings[name] for name in ("model", "loss", "transform") if name in settings}
        both = overlay({**held, **self.overrides}, overrides)
        own = {*self.overrides, *merge({}, overrides)}
        return {name: value for name, value in both.items() if name in own}


def meet(one: str, other: str) -> bool:
    """Whether two dotted names are the same field, or one holds the other."""
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")
