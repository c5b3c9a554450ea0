"""Designs: how factors, the things that can be taken away, form variants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ferray.config import Augmentation, Config, merge
from ferray.errors import ConfigError, nearest

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


@dataclass(frozen=True)
class Variant:
    """A named set of overrides on the base config; ``removed`` names the factors it takes away, in the order of their removal."""

    name: str
    overrides: dict[str, Any] = field(default_factory=dict)
    removed: tuple[str, ...] = ()


def path(base: dict[str, Any], remove: Sequence[str | Sequence[str]]) -> list[Variant]:
    """Variants that take the factors away one after the other, each on top of those before it.

    A step may be a list of factors that go together. What a step shows depends on the order. Raises ConfigError for a step of no
    factors, and for a factor that does not exist or that the base, without what was removed before, does not have.
    """
    variants = []
    removed: list[str] = []
    overrides: dict[str, Any] = {}
    for step in remove:
        if not step:
            raise ConfigError(f"ablate.remove: a step names a factor or a list of them, not {step!r}")
        for factor in [step] if isinstance(step, str) else step:
            overrides = merge(overrides, _removal(merge(base, overrides), factor, removed))
            removed.append(factor)
        variants.append(Variant("no-" + "-".join(removed), dict(overrides), tuple(removed)))
    return variants


def _removal(left: dict[str, Any], factor: str, removed: Sequence[str]) -> dict[str, Any]:
    """The overrides that take a factor away from what the removals before it have left of the base, which must have it."""
    if factor not in FACTORS:
        raise ConfigError(f"ablate.remove: unknown factor {factor!r}{nearest(factor, FACTORS)} (there are: {', '.join(FACTORS)})")
    overrides = FACTORS[factor]
    if Config.parse(merge(left, overrides)) == Config.parse(left):
        holder = f"the base without {', '.join(removed)}" if removed else "the base"
        raise ConfigError(f"ablate.remove: {holder} has no {factor} to take away; switch it on in `base`, or leave it out of `remove`")
    return overrides
