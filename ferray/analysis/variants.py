"""Variant: what a study calls a named set of overrides, as its record tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Variant:
    """A named set of overrides; ``removed`` lists the factors that a removal takes away and is empty for a free variant."""

    name: str
    overrides: Mapping[str, Any]
    removed: tuple[str, ...]
    config: Mapping[str, Any]
