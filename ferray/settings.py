"""Settings: what a study's base, its search and a variant's overrides make of a trial's config together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ferray import conditions
from ferray.config import Config, flatten, merge, overlay
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
            place = "ablate.remove" if variant.removed else f"variants.{variant.name}" if variant.overrides else "base"
            raise error.under(place) from None

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

    def _merged(self, variant: Variant, values: dict[str, Any]) -> dict[str, Any]:
        """The base, under what the search chose, under what the variant fixes: a variant without l1 has none, whatever is searched.

        A variant with another network, loss or transform takes nothing that belongs to the base's, but what is searched for its own,
        as a condition says.
        """
        under = {domain.field for domain in self.domains if domain.conditions}
        settings = overlay(overlay(self.base, values), variant.overrides)
        settings = merge(settings, {field: value for field, value in values.items() if field in under})
        return merge(settings, variant.overrides)
