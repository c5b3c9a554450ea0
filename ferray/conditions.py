"""Conditions of a search: a field that is searched only where other fields of the config have certain values."""

from __future__ import annotations

import graphlib
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ferray.config import Augmentation, Config, flatten, merge
from ferray.errors import ConfigError, nearest, short

if TYPE_CHECKING:
    from ferray.search import Domain

WHEN = "when"
MOST_WAYS = 100
"""So many ways in which a field's conditions hold are tried before anything runs."""


@dataclass(frozen=True)
class Condition:
    """That a field of the config has one of some values."""

    field: str
    allowed: tuple[Any, ...]

    def holds(self, settings: Mapping[str, Any]) -> bool:
        """Whether it holds in a config given as one level of dotted names."""
        return self.field in settings and any(same(settings[self.field], value) for value in self.allowed)


def conditions(place: str, when: Any) -> tuple[Condition, ...]:
    """The conditions of a ``when`` mapping, nested or dotted. Raises ConfigError for anything else."""
    if not isinstance(when, dict) or not when:
        raise ConfigError.at(f"{place}.when", f"names fields and their values, as in {{optimizer: sgd}}, not {short(when)}")
    found = []
    for field, value in flatten(merge({}, when)).items():
        if value == []:
            raise ConfigError.at(f"{place}.when.{field}", "a value, or a list of values that is not empty")
        found.append(Condition(field, tuple(value) if isinstance(value, list) else (value,)))
    if not found:
        raise ConfigError.at(f"{place}.when", f"names fields and their values, as in {{optimizer: sgd}}, not {short(when)}")
    return tuple(found)


def check_fields(found: Sequence[Domain]) -> None:
    """Raises ConfigError for a condition on a field that no config has, or that has fields of its own."""
    groups = [name for name, field in Config.model_fields.items() if field.annotation in (Augmentation, dict[str, Any])]
    names = [name for name in Config.model_fields if name not in (*groups, "seed")] + [
        f"augmentation.{name}" for name in Augmentation.model_fields
    ]
    for domain in found:
        for condition in domain.conditions:
            field = condition.field
            place = f"search.{domain.field}.when.{field}"
            if field in groups:
                raise ConfigError.at(place, f"names a group of fields; name one of them, as in {field}.NAME")
            if field == "seed":
                raise ConfigError.at(place, "every seed has the same samples; no condition can look at it")
            if field not in names and not any(field.startswith(f"{group}.") for group in groups if group != "augmentation"):
                raise ConfigError.at(place, f"unknown field{nearest(field, names)}")


def check_reachable(found: Sequence[Domain], tried: Iterable[tuple[Config, Mapping[str, Any]]]) -> None:
    """Raises ConfigError for a condition that holds in none of the tried configs, each given with the values that take effect in it."""
    seen: dict[str, list[Any]] = {condition.field: [] for domain in found for condition in domain.conditions}
    reached: set[str] = set()
    for config, chosen in tried:
        settings = config.flat() if seen else {}
        for field in seen.keys() & settings.keys():
            if not any(same(settings[field], value) for value in seen[field]):
                seen[field].append(settings[field])
        reached |= {domain.field for domain in found if any(domain.reaches(field) for field in chosen)}
    for domain in (domain for domain in found if domain.conditions):
        place = f"search.{domain.field}.when"
        for condition in domain.conditions:
            _check_values(f"{place}.{condition.field}", condition, seen[condition.field])
        if domain.field not in reached:
            raise ConfigError.at(place, "no variant and no sample meets all of these conditions")


def _check_values(place: str, condition: Condition, seen: Sequence[Any]) -> None:
    for value in condition.allowed:
        if not any(same(value, one) for one in seen):
            known = " or ".join(short(one) for one in seen[:5]) or "not there at all"
            near = nearest(value, [one for one in seen if isinstance(one, str)]) if isinstance(value, str) else ""
            raise ConfigError.at(place, f"is never {short(value)} in this study; it is {known}{near}")


def in_order(found: Sequence[Domain]) -> list[Domain]:
    """The domains, each after those that its conditions look at. Raises ConfigError where they go round in a ring."""
    by_field = {domain.field: domain for domain in found}
    before = {
        domain.field: [other.field for other in found if any(other.reaches(condition.field) for condition in domain.conditions)]
        for domain in sorted(found, key=lambda domain: bool(domain.conditions))
    }
    try:
        return [by_field[field] for field in graphlib.TopologicalSorter(before).static_order()]
    except graphlib.CycleError as error:
        ring = list(reversed(error.args[1]))
        told = f"{ring[0]} depends on itself" if len(ring) == 2 else f"the conditions go round in a ring: {' -> '.join(ring)}"
        raise ConfigError.at(f"search.{ring[0]}.when", told) from None


def effective(
    found: Sequence[Domain], values: Mapping[str, Any], settings: Callable[[dict[str, Any]], Mapping[str, Any]]
) -> dict[str, Any]:
    """The values of a sample that take effect: those of fields without conditions, and of fields whose conditions hold.

    ``settings`` gives the config's settings, as one level of dotted names, under some of the values.
    """
    kept = {domain.field: values[domain.field] for domain in found if not domain.conditions}
    for domain in in_order(found) if len(kept) < len(found) else ():
        if domain.conditions:
            now = settings(kept)
            if all(condition.holds(now) for condition in domain.conditions):
                kept[domain.field] = values[domain.field]
    return {field: kept[field] for field in values if field in kept}


def scenarios(found: Sequence[Domain]) -> Iterator[dict[str, Any]]:
    """Samples that show every value which is no mere draw between two others: each domain with each of its examples.

    The other fields have their first example, or, as far as they can, what the domain's conditions ask for.
    """
    first = {domain.field: domain.examples()[0] for domain in found}
    for domain in found:
        ways = itertools.product(*([(one.field, value) for value in one.allowed] for one in domain.conditions))
        for way in itertools.islice(ways, MOST_WAYS):
            asked = _asked(found, domain, dict(way))
            for example in domain.examples():
                yield {**first, **asked, domain.field: example}


def _asked(found: Sequence[Domain], domain: Domain, way: Mapping[str, Any]) -> dict[str, Any]:
    """The values of other domains under which a domain's conditions hold in the given way, and theirs in turn, where they can."""
    values: dict[str, Any] = {}
    for field, wanted in way.items():
        for other in found:
            if other is not domain and other.reaches(field):
                for value in other.giving(field, wanted):
                    inner = {condition.field: condition.allowed[0] for condition in other.conditions}
                    values = {**_asked(found, other, inner), **values, other.field: value}
    return values


def same(one: Any, other: Any) -> bool:
    """Equality in which true is not 1, and 0.3 is three steps of 0.1."""
    if isinstance(one, bool) != isinstance(other, bool):
        return False
    if isinstance(one, float) and isinstance(other, float | int):
        return math.isclose(one, other, rel_tol=1e-9)
    return bool(one == other)
