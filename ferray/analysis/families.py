"""Which effects a design judges, and which of them together: the plan prices the families that the report will judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ferray.analysis.comparisons import FAMILIES, WHOLE, Named, compared
from ferray.analysis.factorial import alias_sets, interaction_weights, is_balanced, main_weights, presence

Kind = Literal["effect", "step", "variant", "main_effect", "interaction"]


@dataclass(frozen=True)
class Family:
    """Effects of one kind, whose errors Holm's method holds down together, each as the weights of its variants."""

    kind: Kind
    contrasts: tuple[Mapping[str, float], ...]

    def __len__(self) -> int:
        return len(self.contrasts)

    @property
    def share(self) -> float:
        """The variance of one effect beside that of a paired difference, where variants vary by themselves.

        A difference of two has the squared weights 1 and 1. The main effect of a factorial averages 2^(k-1) differences and has that
        share of its variance; an interaction, of two such means of half as many, has four times the main effect's.
        """
        return max(share_of(one) for one in self.contrasts)


def share_of(weights: Mapping[str, float]) -> float:
    """See ``Family.share``."""
    return sum(weight**2 for weight in weights.values()) / 2


def families(design: str | None, baseline: str, variants: Sequence[Named], factors: Sequence[str] = ()) -> list[Family]:
    """The families that have verdicts in a study with such variants, in the order of the report; none without a comparison.

    ``variants`` are all of the study, the baseline among them, and ``factors`` those of its design.
    """
    found: list[Family] = []
    if design in WHOLE:
        removed = {one.name: one.removed for one in variants if one.removed or one.name == baseline}
        present = presence(factors, removed.values())
        if is_balanced(present):
            pairs = [first for first, *_ in alias_sets(present)]
            found.append(Family("main_effect", _contrasts(main_weights(present), list(removed))))
            found += [Family("interaction", _contrasts(interaction_weights(present, pairs), list(removed)))] if pairs else []
    asked = sorted(compared(design, baseline, variants), key=lambda one: list(FAMILIES).index(one.kind))
    for kind, own in groupby(asked, key=lambda one: one.kind):
        if kind != "difference":
            found.append(Family(kind, tuple({one.better: 1.0, one.worse: -1.0} for one in own)))
    return found


def _contrasts(weights: NDArray[np.float64], names: Sequence[str]) -> tuple[Mapping[str, float], ...]:
    return tuple(dict(zip(names, row, strict=True)) for row in weights.tolist())
