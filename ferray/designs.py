"""Designs: how factors, the things that can be taken away, form variants."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator, field_validator, model_validator

from ferray.config import Frozen
from ferray.errors import ConfigError, nearest, short
from ferray.factors import Factor, Left, factors, meet
from ferray.fraction import MOST_FACTORS, ROMAN, Fraction, fractions

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$"
Name = Annotated[str, Field(pattern=NAME, max_length=100)]
SET_BY_THE_STUDY = {"seed": "`seeds`", "device": "`gpus`"}
"""Fields of the config that no overrides may set, and what sets them."""

Design = Literal["path", "leave_one_out", "add_one_in", "factorial", "fractional"]
CROSSED = ("add_one_in", "factorial", "fractional")
"""Designs that take a factor away also from what lacks others, so that each must be something by itself."""
MOST_CROSSED = 8
"""Factors of a factorial; 256 variants are more than anybody trains several times."""


def _overrides_or_names(given: Any, check: ValidatorFunctionWrapHandler) -> Any:
    try:
        return check(given)
    except ValidationError:  # it would tell of each of the two ways by itself
        told = "must be the overrides that take it away, as in {batch_size: 512}, or a list of factors that go together, as in [l1, l2]"
        raise ValueError(told) from None


Overrides = Annotated[dict[str, Any], Field(min_length=1)]
Own = Annotated[Overrides | Annotated[list[str], Field(min_length=1)], WrapValidator(_overrides_or_names)]
Resolution = Literal[3, 4, 5] | Literal["III", "IV", "V"]


class Ablation(Frozen):
    """Which factors are taken away, and how variants are formed from them."""

    design: Design = "path"
    """path: one factor after the other, each on top of those before it. leave_one_out: each by itself. add_one_in: all, and all but one.
    factorial: every combination. fractional: as many combinations as `resolution` needs."""
    remove: Annotated[list[str | Annotated[list[str], Field(min_length=1)]], Field(min_length=1)]
    """Factors, or lists of factors that go together; in a path in the order of their removal."""
    factors: dict[Name, Own] = Field(default_factory=dict)
    """Factors of your own: a name for `remove`, and the overrides that take it away, such as `{model_arguments.attention: false}`, or a
    list of factors that go together under this name, such as `[l1, l2]`."""
    resolution: Resolution | None = None
    """Of a fractional design. 3: main effects are confused with interactions of two factors, not with one another; 4: interactions of two
    with one another; 5: neither. III, IV and V mean the same."""

    @property
    def names(self) -> list[str]:
        """The factors of the design by their names, in the order of ``remove``; a list is called ``l1+l2``."""
        return ["+".join(_listed(one)) for one in self.remove]

    @property
    def parts(self) -> dict[str, list[str]]:
        """What each factor of the design is made of by ``remove``: itself, or the factors of a list."""
        return {"+".join(_listed(one)): _listed(one) for one in self.remove}

    @property
    def fraction(self) -> Fraction | None:
        """The smallest fraction of the named resolution; None in other designs."""
        if self.design != "fractional" or self.resolution is None:
            return None
        return next((one for one in fractions(self.names) if one.resolution >= int(self.resolution)), None)

    def removals(self) -> list[tuple[str, tuple[str, ...]]]:
        """Each variant's name, and the names of the factors that it takes away, without the baseline."""
        names = tuple(self.names)
        match self.design:
            case "path":
                taken = [names[:number] for number in range(1, len(names) + 1)]
            case "leave_one_out":
                taken = [(name,) for name in names]
            case "add_one_in":
                return [("none", names), *((f"only-{name}", tuple(other for other in names if other != name)) for name in names)]
            case "factorial":
                taken = [some for size in range(1, len(names) + 1) for some in itertools.combinations(names, size)]
            case "fractional":
                taken = self.fraction.removals[1:] if self.fraction else []
        return [(f"no-{'-'.join(some)}", some) for some in taken]

    def sentences(self) -> list[str]:
        """What the design does, for people; of a fraction also what it cannot tell apart."""
        number = len(self.names)
        factors = ", ".join(self.names)
        match self.design:
            case "path":
                if number == 1:
                    return [f"design path: {factors} taken away"]
                return [f"design path: {factors} taken away one after the other, so that what a step shows depends on the order"]
            case "leave_one_out":
                return [f"design leave_one_out: each of {factors} taken away by itself"]
            case "add_one_in":
                return [f"design add_one_in: all of {factors} taken away (none), and all but one (only-...)"]
            case "factorial":
                return [f"design factorial: all 2^{number} = {2**number} combinations of {factors}"]
        assert self.fraction
        told = f"{self.fraction.size} of the 2^{number} = {2**number} combinations of {factors}"
        return [f"design fractional: {told}", *self.fraction.sentences()]

    def describe(self) -> dict[str, Any]:
        """What the ledger keeps of the design, for the report.

        ``design`` is its name, and ``factors`` are the names of its factors in the order of ``remove``, which are those in the variants'
        ``removed``. ``groups`` has the factors that several go together in, each with the names of its parts. A fractional design adds
        ``resolution`` (that of the fraction, at least the one asked for), ``generators`` (factor: the effect that says whether it is
        there), ``defining_relation`` (effects, the shortest first) and ``aliases`` (each main effect and each interaction of two
        factors: the effects of at most three factors that it is confused with). An effect is the names of its factors with a colon
        between them, such as ``l1:dropout``, in the order of ``factors``. See ferray.fraction.Fraction.
        """
        told: dict[str, Any] = {"design": self.design, "factors": self.names}
        groups = {name: parts for name, parts in self.parts.items() if parts != [name]}
        groups |= {name: given for name, given in self.factors.items() if isinstance(given, list) and name in self.names}
        told["groups"] = {name: list(parts) for name, parts in groups.items()}
        if self.fraction:
            told["resolution"] = self.fraction.resolution
            told["generators"] = {factor: ":".join(others) for factor, others in self.fraction.generators.items()}
            told["defining_relation"] = [":".join(word) for word in self.fraction.words]
            told["aliases"] = self.fraction.aliases()
        return told

    @field_validator("remove", mode="wrap")
    @classmethod
    def _names_or_lists(cls, given: Any, check: ValidatorFunctionWrapHandler) -> Any:
        try:
            return check(given)
        except ValidationError:  # it would tell of each of the two ways by itself
            told = (
                f"must be a list of factors, and of lists of those that go together, as in [l1, [dropout, batch_norm]], not {short(given)}"
            )
            raise ConfigError.at("ablate.remove", told) from None

    @field_validator("resolution", mode="wrap")
    @classmethod
    def _number_or_numeral(cls, given: Any, check: ValidatorFunctionWrapHandler) -> Any:
        numerals = {numeral: number for number, numeral in ROMAN.items()}
        try:
            checked = check(given)
        except ValidationError:
            near = nearest(given, numerals) if isinstance(given, str) else ""
            raise ConfigError.at("ablate.resolution", f"must be 3, 4 or 5 (or III, IV or V), not {short(given)}{near}") from None
        return numerals.get(checked, checked)

    @field_validator("factors")
    @classmethod
    def _leave_some_to_the_study(cls, given: dict[str, Own]) -> dict[str, Own]:
        for name, own in given.items():
            if isinstance(own, dict):
                leave_to_the_study(f"ablate.factors.{name}", own)
        return given

    @model_validator(mode="after")
    def _check(self) -> Ablation:
        names = self.names
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice and self.design != "path":
            raise ConfigError.at("ablate.remove", f"{twice} is named twice")
        if self.design == "add_one_in" and len(names) < 2:
            raise ConfigError.at("ablate.remove", "add_one_in of a single factor has nothing beside the baseline; take leave_one_out")
        if self.design == "factorial" and len(names) > MOST_CROSSED:
            told = f"a factorial of {len(names)} factors has {2 ** len(names):,} variants; at most {MOST_CROSSED} ({2**MOST_CROSSED})"
            raise ConfigError.at("ablate.remove", f"{told}. Let some go together, or take design: fractional")
        if self.resolution is not None and self.design != "fractional":
            raise ConfigError.at("ablate.resolution", f"belongs to design: fractional, not to {self.design}")
        if self.design == "fractional" and not self.fraction:
            raise ConfigError.at("ablate.resolution", _no_fraction(names, self.resolution))
        return self


def _listed(one: str | list[str]) -> list[str]:
    return [one] if isinstance(one, str) else one


def _no_fraction(names: Sequence[str], resolution: int | str | None) -> str:
    """Why there is no fraction of so many factors, and what there is instead."""
    number = len(names)
    if number > MOST_FACTORS:
        return f"there are fractions of 3 to {MOST_FACTORS} factors, not of {number}; let some go together"
    known = ", ".join(f"{one.resolution} ({one.size} variants)" for one in fractions(names))
    instead = f"there is {f'resolution {known}' if known else 'none at all'}; or take design: factorial ({2**number} variants)"
    if resolution is None:
        return f"is missing: of {number} factor{'s' * (number > 1)}, {instead}"
    told = f"no fraction of {number} factor{'s' * (number > 1)} has resolution {resolution}"
    return f"{told} and is smaller than the full factorial; {instead}"


@dataclass(frozen=True)
class Variant:
    """A named set of overrides on the base config; ``removed`` names the factors that it takes away as the design does, in its order."""

    name: str
    overrides: dict[str, Any] = field(default_factory=dict)
    removed: tuple[str, ...] = ()


def leave_to_the_study(place: str, given: dict[str, Any]) -> None:
    """Raises ConfigError where overrides set a field of the config that the study itself sets."""
    for name in given:
        head = name.partition(".")[0]
        if head in SET_BY_THE_STUDY:
            raise ConfigError.at(f"{place}.{name}", f"{head} is set by the study's {SET_BY_THE_STUDY[head]}")


def variants(base: dict[str, Any], ablation: Ablation, searched: Collection[str] = ()) -> list[Variant]:
    """The variants of a design on a base config, which is itself the baseline and not among them.

    ``searched`` are the fields that a search sets: taking a factor away then fixes them, whatever the base has. Raises ConfigError for
    a factor that does not exist or that what is left of the base does not have; and in designs that cross factors, for two of which one
    sets what the other does, or is there with the other only.
    """
    chosen = factors(base, ablation.parts, ablation.factors)
    whole = Left.whole(base)
    if ablation.design in CROSSED:
        for one, other in itertools.combinations(chosen.values(), 2):
            _check_apart(whole, one, other, searched)
    reached: dict[tuple[str, ...], Left] = {(): whole}
    found = []
    for name, removed in ablation.removals():
        for number, factor in enumerate(removed):
            before, after = removed[:number], removed[: number + 1]
            if after not in reached:
                reached[after] = reached[before].without(chosen[factor], searched)
        found.append(Variant(name, reached[removed].overrides, removed))
    return found


def _check_apart(whole: Left, one: Factor, other: Factor, searched: Collection[str]) -> None:
    """Raises ConfigError unless each of two factors is something by itself, whether the other is there or not."""
    both = next((name for name in sorted(one.fields) for field in other.fields if meet(name, field)), None)
    if both:
        told = f"{one.name} and {other.name} both set {both}, so that neither is there without the other"
        raise ConfigError.at("ablate.remove", f"{told}; let them go together, or take leave_one_out or path")
    for first, second in ((one, other), (other, one)):
        whole.without(first, searched).without(second, searched)
