"""Search spaces: one-key mappings named after the ray.tune function that they call, checked without Ray and drawn with it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ferray.conditions import WHEN, Condition, conditions, in_order, same
from ferray.config import digest, flatten, merge
from ferray.errors import ConfigError, nearest, reads_as_number, short

NUMERIC = {  # function of ray.tune: its arguments
    "uniform": ("lower", "upper"),
    "quniform": ("lower", "upper", "q"),
    "loguniform": ("lower", "upper"),
    "qloguniform": ("lower", "upper", "q"),
    "randint": ("lower", "upper"),
    "qrandint": ("lower", "upper", "q"),
    "lograndint": ("lower", "upper"),
    "qlograndint": ("lower", "upper", "q"),
    "randn": ("mean", "sd"),
    "qrandn": ("mean", "sd", "q"),
}
LISTS = ("choice", "grid_search")
MEANINGS = {
    "choice": "one of the values, each as likely as the others",
    "grid_search": "every value, in all combinations with the other grids",
    "uniform": "between the bounds, all values as likely",
    "quniform": "the same, in steps of q",
    "loguniform": "between the bounds, all orders of magnitude as likely",
    "qloguniform": "the same, in steps of q",
    "randint": "a whole number from lower to upper - 1, each as likely",
    "qrandint": "a whole number from lower to upper in steps of q",
    "lograndint": "a whole number from lower to upper - 1, all orders of magnitude as likely",
    "qlograndint": "the same from lower to upper, in steps of q",
    "randn": "normally distributed",
    "qrandn": "the same, in steps of q",
}
"""What each of them draws."""

CODE = {
    "sample_from": "runs code, which a study file never does; `when` makes one field depend on another",
    "eval": "runs code, which a study file never does",
}
"""What Ray Tune knows beside these, and why it is refused."""


@dataclass(frozen=True)
class Domain:
    """The values that one config field may take: a function of ray.tune and its arguments (for lists, the values).

    Where one of its conditions does not hold, the field keeps the value that it has without the search.
    """

    field: str
    function: str
    arguments: tuple[Any, ...]
    conditions: tuple[Condition, ...] = ()

    def reaches(self, field: str) -> bool:
        """Whether a draw may set the given field: it is this one, one below it, or one that holds it."""
        return f"{self.field}.".startswith(f"{field}.") or f"{field}.".startswith(f"{self.field}.")

    @property
    def is_constant(self) -> bool:
        """Whether every draw is the same."""
        is_counted = self.function in LISTS or "randint" in self.function
        return is_counted and all(same(value, self.examples()[0]) for value in self.examples())

    @property
    def is_normal(self) -> bool:
        """Whether it is normally distributed, so that its examples are one of many values."""
        return "randn" in self.function

    def giving(self, field: str, value: Any) -> list[Any]:
        """The values of this domain, at most one, under which the given field has the given value."""
        if self.function not in LISTS and self.field == field:
            return [value] if _is_number(value) and self._draws(value) else []
        found = [one for one in self.examples() if same(flatten(merge({}, {self.field: one})).get(field), value)]
        return found[:1]

    def examples(self) -> list[Any]:
        """Values that are all valid if every value is: each of a list, the ends of a range."""
        if self.function in LISTS:
            return list(self.arguments)
        if self.is_normal:
            return [float(self.arguments[0])]
        lower, upper = self.arguments[:2]
        if "randint" in self.function:
            return [lower, upper if self.function.startswith("q") else upper - 1]
        return [float(lower), float(upper)]

    def _draws(self, value: float) -> bool:
        """Whether a range may give exactly this value, which one without steps as good as never does."""
        step = self.arguments[-1] if self.function.startswith("q") else 1 if "randint" in self.function else None
        if step is None or not _is_multiple(value, step):
            return False
        return self.is_normal or self.examples()[0] <= value <= self.examples()[-1]

    def draw(self, seed: int, sample: int) -> Any:
        """The field's value in one sample: it depends on nothing but the domain, the seed and the sample's number.

        More samples or further fields therefore leave the earlier draws as they are.
        """
        import numpy as np
        from ray import tune

        arguments = (list(self.arguments),) if self.function in LISTS else self.arguments
        domain = getattr(tune, self.function)(*arguments)
        stream = int(digest([seed, sample, self.field])[:8], 16)
        value = domain.sample(random_state=np.random.RandomState(stream))
        return value.item() if isinstance(value, np.generic) else value


def domains(search: dict[str, Any]) -> list[Domain]:
    """The domains of a study's ``search`` mapping, nested or dotted.

    Raises ConfigError for anything that is not a domain, and for two domains that would set the same field.
    """
    found = _domains(search, "")
    for one, other in itertools.combinations(found, 2):
        if one.reaches(other.field):
            both = "twice" if one.field == other.field else f"and {other.field}, one of which holds the other"
            raise ConfigError.at("search", f"one domain per field, not {one.field} {both}")
    in_order(found)
    return found


def _domains(search: dict[str, Any], prefix: str) -> list[Domain]:
    found: list[Domain] = []
    for name, value in search.items():
        field = f"{prefix}{name}"
        place = f"search.{field}"
        if not isinstance(value, dict) or not value:
            raise ConfigError.at(place, f"not a domain: {short(value)}; write for example {{choice: [...]}} ({_all_domains()})")
        functions = [function for function in value if function != WHEN]
        known = [function for function in functions if function in LISTS or function in NUMERIC]
        unknown = [function for function in functions if function not in known]
        is_nested = any(isinstance(value[function], dict) for function in functions)
        is_condition = WHEN in value and not _holds_mappings(value[WHEN])
        if len(known) == 1 and not unknown:
            domain = _domain(field, known[0], value[known[0]])
            found.append(replace(domain, conditions=conditions(place, value[WHEN])) if WHEN in value else domain)
        elif is_condition and (is_nested or not functions):
            raise ConfigError.at(f"{place}.when", f"stands beside a domain, as in {{choice: [...], when: {{...}}}} ({_all_domains()})")
        elif is_nested or (WHEN in value and not is_condition):
            found.extend(_domains(value, f"{field}."))
        elif unknown:
            reason = CODE.get(unknown[0], f"unknown domain {unknown[0]!r}{nearest(unknown[0], [*LISTS, *NUMERIC])} ({_all_domains()})")
            raise ConfigError.at(place, f"{unknown[0]} {reason}" if unknown[0] in CODE else reason)
        else:
            raise ConfigError.at(place, f"one domain per field, not two: {known[0]} and {known[1]}")
    return found


def _all_domains() -> str:
    return f"there are: {', '.join([*LISTS, *NUMERIC])}"


def _holds_mappings(value: Any) -> bool:
    return isinstance(value, dict) and any(isinstance(inner, dict) for inner in value.values())


def samples(found: list[Domain], num_samples: int, seed: int) -> Iterator[dict[str, Any]]:
    """The field values of each sample: the full grid of ``grid_search`` fields, ``num_samples`` times, as Ray Tune multiplies them.

    It is there once where no other field has more than one value. The other fields are drawn once per repetition, so that all points of
    the grid are compared at the same draws.
    """
    grid = [domain for domain in found if domain.function == "grid_search"]
    drawn = [domain for domain in found if domain.function != "grid_search"]
    for repetition in range(_repetitions(found, num_samples)):
        values = {domain.field: domain.draw(seed, repetition) for domain in drawn}
        for point in itertools.product(*(domain.arguments for domain in grid)):
            chosen = {domain.field: value for domain, value in zip(grid, point, strict=True)}
            yield {domain.field: {**values, **chosen}[domain.field] for domain in found}


def count(found: Sequence[Domain], num_samples: int) -> tuple[int, str]:
    """How many samples there are, unless a value is drawn again, and how the number comes about, as in ``8 draws x 3 grid points``."""
    points = math.prod(len(domain.arguments) for domain in found if domain.function == "grid_search")
    draws = _repetitions(found, num_samples)
    sizes = " x ".join(str(len(domain.arguments)) for domain in found if domain.function == "grid_search")
    parts = [f"{draws:,} draws"] * (draws > 1) + [f"{sizes} grid points"] * (points > 1)
    return draws * points, " x ".join(parts) or "1 sample"


def _repetitions(found: Sequence[Domain], num_samples: int) -> int:
    """How often the grid is repeated: once where every repetition would be the same."""
    return num_samples if any(domain.function != "grid_search" and not domain.is_constant for domain in found) else 1


def _domain(field: str, function: str, arguments: Any) -> Domain:
    place = f"search.{field}.{function}"
    if not isinstance(arguments, list) or not arguments:
        raise ConfigError.at(place, f"takes a list that is not empty, not {short(arguments)}")
    if function in LISTS:
        repeated = [value for number, value in enumerate(arguments) if value in arguments[:number]]
        if function == "grid_search" and repeated:
            raise ConfigError.at(place, f"each value once, but {short(repeated[0])} appears twice")
        return Domain(field, function, tuple(arguments))
    names = NUMERIC[function]
    text = [value for value in arguments if isinstance(value, str) and reads_as_number(value)]
    if text:
        raise ConfigError.at(place, f"takes [{', '.join(names)}] as numbers, and {text[0]!r} is text: remove the quotes")
    if len(arguments) != len(names) or not all(_is_number(value) for value in arguments):
        raise ConfigError.at(place, f"takes [{', '.join(names)}] as numbers, not {short(arguments)}")
    if names[0] == "lower":
        lower, upper = arguments[:2]
        if lower >= upper:
            raise ConfigError.at(place, f"the lower bound {lower} must be less than the upper bound {upper}")
        if "log" in function and lower <= 0:
            raise ConfigError.at(place, f"the lower bound {lower} of a logarithmic range must be greater than 0")
    elif arguments[1] <= 0:
        raise ConfigError.at(place, f"the standard deviation {arguments[1]} must be greater than 0")
    if names[-1] == "q":
        step = arguments[-1]
        if step <= 0:
            raise ConfigError.at(place, f"the step q {step} must be greater than 0")
        if names[0] == "lower" and not all(_is_multiple(bound, step) for bound in arguments[:2]):
            raise ConfigError.at(place, f"both bounds must be multiples of the step q {step}, not {arguments[:2]!r}")
    if "randint" in function and not all(isinstance(value, int) and abs(value) < 2**63 for value in arguments):
        raise ConfigError.at(place, f"takes whole numbers of at most 64 bits, not {short(arguments)}")
    return Domain(field, function, tuple(arguments))


def _is_number(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number beyond every float
        return False


def _is_multiple(bound: float, step: float) -> bool:
    steps = bound / step
    return math.isfinite(steps) and math.isclose(steps, round(steps))
