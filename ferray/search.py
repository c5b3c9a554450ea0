"""Search spaces: one-key mappings named after the ray.tune function that they call, checked without Ray and drawn with it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ferray.config import digest
from ferray.errors import ConfigError, nearest

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


@dataclass(frozen=True)
class Domain:
    """The values that one config field may take: a function of ray.tune and its arguments (for lists, the values)."""

    field: str
    function: str
    arguments: tuple[Any, ...]

    def examples(self) -> list[Any]:
        """Values that are all valid if every value is: each of a list, the ends of a range."""
        if self.function in LISTS:
            return list(self.arguments)
        if "randn" in self.function:
            return [float(self.arguments[0])]
        lower, upper = self.arguments[:2]
        if "randint" in self.function:
            return [lower, upper if self.function.startswith("q") else upper - 1]
        return [float(lower), float(upper)]

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
        if f"{one.field}.".startswith(f"{other.field}.") or f"{other.field}.".startswith(f"{one.field}."):
            both = "twice" if one.field == other.field else f"and {other.field}, one of which holds the other"
            raise ConfigError(f"search: one domain per field, not {one.field} {both}")
    return found


def _domains(search: dict[str, Any], prefix: str) -> list[Domain]:
    found: list[Domain] = []
    for name, value in search.items():
        place = f"{prefix}{name}"
        if not isinstance(value, dict) or not value:
            raise ConfigError(
                f"search.{place}: not a domain: {value!r}; write for example {{choice: [...]}} (there are: {', '.join([*LISTS, *NUMERIC])})"
            )
        unknown = [function for function in value if function not in LISTS and function not in NUMERIC]
        if not unknown and len(value) == 1:
            found.extend(_domain(place, function, arguments) for function, arguments in value.items())
        elif any(isinstance(inner, dict) for inner in value.values()):
            found.extend(_domains(value, f"{place}."))
        elif unknown:
            raise ConfigError(
                f"search.{place}: unknown domain {unknown[0]!r}{nearest(unknown[0], [*LISTS, *NUMERIC])}"
                f" (there are: {', '.join([*LISTS, *NUMERIC])})"
            )
        else:
            one, other = list(value)[:2]
            raise ConfigError(f"search.{place}: one domain per field, not two: {one} and {other}")
    return found


def samples(found: list[Domain], num_samples: int, seed: int) -> Iterator[dict[str, Any]]:
    """The field values of each sample: the full grid of ``grid_search`` fields, ``num_samples`` times, as Ray Tune multiplies them.

    The other fields are drawn once per repetition, so that all points of the grid are compared at the same draws.
    """
    grid = [domain for domain in found if domain.function == "grid_search"]
    drawn = [domain for domain in found if domain.function != "grid_search"]
    for repetition in range(num_samples if drawn else 1):
        values = {domain.field: domain.draw(seed, repetition) for domain in drawn}
        for point in itertools.product(*(domain.arguments for domain in grid)):
            chosen = {domain.field: value for domain, value in zip(grid, point, strict=True)}
            yield {domain.field: {**values, **chosen}[domain.field] for domain in found}


def _domain(place: str, function: str, arguments: Any) -> Domain:
    if not isinstance(arguments, list) or not arguments:
        raise ConfigError(f"search.{place}.{function}: takes a list that is not empty, not {arguments!r}")
    if function in LISTS:
        repeated = [value for number, value in enumerate(arguments) if value in arguments[:number]]
        if function == "grid_search" and repeated:
            raise ConfigError(f"search.{place}.{function}: each value once, but {repeated[0]!r} appears twice")
        return Domain(place, function, tuple(arguments))
    names = NUMERIC[function]
    if len(arguments) != len(names) or not all(_is_number(value) for value in arguments):
        raise ConfigError(f"search.{place}.{function}: takes [{', '.join(names)}] as numbers, not {arguments!r}")
    if names[0] == "lower":
        lower, upper = arguments[:2]
        if lower >= upper:
            raise ConfigError(f"search.{place}.{function}: the lower bound {lower} must be less than the upper bound {upper}")
        if "log" in function and lower <= 0:
            raise ConfigError(f"search.{place}.{function}: the lower bound {lower} of a logarithmic range must be greater than 0")
    elif arguments[1] <= 0:
        raise ConfigError(f"search.{place}.{function}: the standard deviation {arguments[1]} must be greater than 0")
    if names[-1] == "q":
        step = arguments[-1]
        if step <= 0:
            raise ConfigError(f"search.{place}.{function}: the step q {step} must be greater than 0")
        if names[0] == "lower" and not all(_is_multiple(bound, step) for bound in arguments[:2]):
            raise ConfigError(f"search.{place}.{function}: both bounds must be multiples of the step q {step}, not {arguments[:2]!r}")
    if "randint" in function and not all(isinstance(value, int) and abs(value) < 2**63 for value in arguments):
        raise ConfigError(f"search.{place}.{function}: takes whole numbers of at most 64 bits, not {arguments!r}")
    return Domain(place, function, tuple(arguments))


def _is_number(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number beyond every float
        return False


def _is_multiple(bound: float, step: float) -> bool:
    steps = bound / step
    return math.isfinite(steps) and math.isclose(steps, round(steps))
