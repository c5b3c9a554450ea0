"""Settings: what a study's base, its search and a variant's overrides make of a trial's config together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ferray import conditions
from ferray.config import Config, digest, flatten, merge, overlay
from ferray.designs import Variant
from ferray.errors import ConfigError, short
from ferray.search import Domain


@dataclass(frozen=True)
class Settings:
    """The ``base`` of all configs of a study, as nested overrides on the defaults, and the ``domains`` that it searches."""

    base: dict[str, Any]
    domains: Sequence[Domain]

    def config(self, variant: Variant) -> Config:
        """A variant's config where nothing is searched. Raises ConfigError."""
        try:
            return Config.parse(self._merged(variant, {}))
        except ConfigError as error:
            raise error.under(_place(variant)) from None

    def resolved(self, variant: Variant, values: dict[str, Any]) -> tuple[Config, dict[str, Any]]:
        """A variant's config in one sample, and what of the sample takes effect in it, by dotted name. Raises ConfigError."""
        kept = values
        try:
            kept = conditions.effective(self.domains, values, lambda some: Config.parse(self._merged(variant, some)).flat())
            settings = self._merged(variant, kept)
            config = Config.parse(settings)
        except ConfigError as error:
            sample = ", ".join(f"{field} {short(value)}" for field, value in kept.items())
            hint = "; `when` limits a field to where it has one" if "has no effect" in str(error) else ""
            raise error.under("search", f"in variant {variant.name!r} with {sample}: ", hint) from None
        fixed, given = flatten(merge({}, variant.overrides)), flatten(settings)
        chosen = {name: value for name, value in flatten(merge({}, kept)).items() if name not in fixed and name in given}
        return config, {name: value for name, value in chosen.items() if given[name] == value}

    def tried(self, variants: Sequence[Variant]) -> Iterator[tuple[Config, dict[str, Any]]]:
        """Each variant in samples that show every value of the search, as ``resolved`` has it.

        Raises ConfigError for a variant that nothing tells apart from one before it.
        """
        alike: dict[str, str] = {}
        normal = {domain.field for domain in self.domains if domain.is_normal}
        for variant in variants:
            found = [self.resolved(variant, values) for values in conditions.scenarios(self.domains)]
            configs = [config for config, _ in found]
            if not found or any(domain.conditions for domain in self.domains):  # under which a field may keep what it has
                configs.append(self.config(variant))
            drawn = sorted({name for _, chosen in found for name in chosen} & normal)  # of which the samples show the mean alone
            first = alike.setdefault(digest([[config.model_dump() for config in configs], drawn]), variant.name)
            if first != variant.name:
                raise ConfigError.at(_place(variant), f"{first!r} and {variant.name!r} have the same settings{self._in_all(variant)}")
            yield from found

    def _in_all(self, variant: Variant) -> str:
        """How a variant comes to have the same settings as another one."""
        own = flatten(merge({}, variant.overrides))
        fixed = ", ".join(domain.field for domain in self.domains if any(domain.reaches(field) for field in own))
        if not fixed:
            return ", so there is nothing to compare"
        return f" in every sample, so there is nothing to compare: `search` gives {fixed} nothing but what both have"

    def _merged(self, variant: Variant, values: dict[str, Any]) -> dict[str, Any]:
        """The base, under what the search chose, under what the variant fixes: a variant without l1 has none, whatever is searched.

        A variant with another network, loss or transform takes nothing that belongs to the base's, but what is searched for its own,
        as a condition says.
        """
        under = {domain.field for domain in self.domains if domain.conditions}
        settings = overlay(overlay(self.base, values), variant.overrides)
        settings = merge(settings, {field: value for field, value in values.items() if field in under})
        return merge(settings, variant.overrides)


def _place(variant: Variant) -> str:
    """Where in a study a variant is described."""
    return "ablate.remove" if variant.removed else f"variants.{variant.name}" if variant.overrides else "base"
