"""Factorial designs: what each factor does, and whether it does as much beside the others, from the combinations of k factors.

Every number here is a contrast: a weighted sum of the variants' accuracies. Each image of each seed has one of its own, so that one
table [seeds, images] gives every contrast its intervals over seeds, over images, and over both (see ``crossed``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ferray.analysis.crossed import Crossed, crossed
from ferray.analysis.image_groups import image_groups
from ferray.analysis.per_image import per_image
from ferray.analysis.results import Results
from ferray.analysis.selection import speaking_trials
from ferray.analysis.verdicts import Decision, decide
from ferray.analysis.wording import factor_label

DESIGNS = ("factorial", "fractional")
ROMAN = {3: "III", 4: "IV", 5: "V", 6: "VI", 7: "VII"}

Present = NDArray[np.bool_]
Weights = NDArray[np.float64]


def presence(factors: Sequence[str], removed: Iterable[Sequence[str]]) -> Present:
    """Which factors each variant has [variants, factors], by what it takes away."""
    return np.array([[factor not in gone for factor in factors] for gone in removed])


def main_weights(present: Present) -> Weights:
    """Weights [factors, variants] of the main effects: the mean with a factor minus the mean without it, over all variants.

    ``present`` [variants, factors] says which factors each variant has. The variants must be a whole design or a regular fraction of
    one (see ``is_balanced``), so that the other factors are there equally often on both sides (Box, Hunter and Hunter 2005, chapter 5).
    """
    return 2 * _signs(present).T / len(present)


def interaction_weights(present: Present, pairs: Sequence[tuple[int, int]]) -> Weights:
    """Weights [pairs, variants] of two-way interactions: how much more the one factor adds where the other is there than where it is not.

    That is the difference of two differences, averaged over the settings of the other factors, and the same whichever of the two is
    called the one. Half of it is what books on designs call the interaction effect, a quarter the coefficient of a regression on -1 and 1.
    """
    signs = _signs(present)
    return np.array([4 * signs[:, a] * signs[:, b] / len(present) for a, b in pairs]).reshape(-1, len(present))


def shapley_weights(present: Present) -> Weights:
    """Weights [factors, variants] of the Shapley effects (Shapley 1953, A value for n-person games), exact over all 2^k variants.

    A factor's effect is what it adds to the accuracy v(S) of the network that has the factors S, averaged over all orders in which the
    factors could be added one after the other. The effects sum to v(all) - v(none). Raises ValueError without all 2^k variants.
    """
    count = present.shape[1]
    places = {tuple(row): place for place, row in enumerate(present.tolist())}
    if len(places) != len(present) or len(present) != 2**count:
        raise ValueError(f"Shapley effects of {count} factors need all {2**count} variants, each once, not {len(present)}")
    weights = np.zeros((count, len(present)))
    for row, place in places.items():
        size = sum(row)
        for factor in range(count):
            if not row[factor]:
                with_it = places[(*row[:factor], True, *row[factor + 1 :])]
                share = math.factorial(size) * math.factorial(count - size - 1) / math.factorial(count)
                weights[factor, with_it] += share
                weights[factor, place] -= share
    return weights


def is_balanced(present: Present) -> bool:
    """Whether every two factors are there together, alone and not at all equally often, which the contrasts rest on."""
    signs = np.column_stack([np.ones(len(present)), _signs(present)])
    return bool((signs.T @ signs == len(present) * np.eye(signs.shape[1])).all())


def alias_sets(present: Present) -> list[tuple[tuple[int, int], ...]]:
    """The pairs of factors whose interactions have the same contrast, and so only one number together; without those of a main effect.

    In a whole design every pair stands alone.
    """
    signs = _signs(present)
    main = {tuple(column) for column in signs.T.tolist()}
    sets: dict[tuple[float, ...], list[tuple[int, int]]] = {}
    for a, b in combinations(range(present.shape[1]), 2):
        sets.setdefault(tuple((signs[:, a] * signs[:, b]).tolist()), []).append((a, b))
    return [tuple(pairs) for contrast, pairs in sets.items() if contrast not in main]


def _signs(present: Present) -> Weights:
    return np.where(present, 1.0, -1.0)


@dataclass(frozen=True)
class Contrast:
    """One effect in points of accuracy, positive where having the factors is good.

    ``factors`` are one for a main or Shapley effect, two for an interaction. ``aliases`` are effects, named like ``augmentation`` or
    ``augmentation:dropout``, that the design cannot tell from this one. Shapley effects have no verdict of their own.
    """

    factors: tuple[str, ...]
    crossed: Crossed
    decision: Decision | None = None
    aliases: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The factors, joined as in the names of aliases."""
        return ":".join(self.factors)


def effect_label(name: str) -> str:
    """What an effect is called in print: ``augmentation:batch_norm`` as its two factors with a multiplication sign between them."""
    return " \N{MULTIPLICATION SIGN} ".join(factor_label(factor) for factor in name.split(":"))


@dataclass(frozen=True)
class FactorialInfo:
    """What a factorial design shows on one split, over the seeds that finished all of its variants.

    ``total`` is the baseline minus the variant without any of the factors, the sum of the Shapley effects; None for a fraction, which
    has no Shapley effects. ``lost`` names the trials that keep a seed out: variant, seed and status.
    """

    design: str
    resolution: str  # of a fraction, in Roman numerals; else empty
    factors: tuple[str, ...]
    split: str
    label: str
    baseline: str
    variants: tuple[str, ...]
    present: Present  # [variants, factors]
    accuracy: NDArray[np.float64]  # [variants, seeds] in percent
    seeds: tuple[int, ...]
    planned: int  # seeds
    lost: tuple[tuple[str, int, str], ...]
    keys: tuple[str, ...]
    main: tuple[Contrast, ...]
    interactions: tuple[Contrast, ...]
    shapley: tuple[Contrast, ...]
    total: Crossed | None
    image_groups: int  # near-identical images are one
    smallest_effect: float
    synthetic: bool

    def cells(self, one: str, other: str) -> NDArray[np.float64]:
        """Accuracies in percent [without or with ``one``, without or with ``other``, seeds], means over the settings of the rest."""
        a, b = (self.present[:, self.factors.index(factor)] for factor in (one, other))
        return np.array(
            [[self.accuracy[(a == with_a) & (b == with_b)].mean(axis=0) for with_b in (False, True)] for with_a in (False, True)]
        )


def factorial_info(results: Results, split: str | None = None) -> FactorialInfo | None:
    """The effects of a study's factors on a split (the headline), or None where it has no factorial design.

    A seed counts where every variant finished on it, lest a contrast compare different seeds; the others are told in ``lost``. Without
    such a seed there are no effects.
    """
    design = str(results.ablation.get("design", ""))
    if design not in DESIGNS:
        return None
    split = split or results.headline
    factors = tuple(str(name) for name in results.ablation["factors"])
    removed = {name: variant.removed for name, variant in results.variants.items() if variant.removed or name == results.baseline}
    present = presence(factors, removed.values())
    if not is_balanced(present):
        return None
    values, seeds, keys, planned, lost = _blocks(results, tuple(removed), split)
    groups = image_groups(results, split)
    images = _Images(groups, results.redrawn(split))
    main: tuple[Contrast, ...] = ()
    interactions, shapley, total = main, main, None
    if seeds:
        told: Mapping[str, Sequence[str]] = results.ablation.get("aliases") or {}
        names = [(factor,) for factor in factors]
        aliases = [tuple(told.get(factor, ())) for factor in factors]
        main = _decided(names, main_weights(present), values, images, aliases, results.smallest_effect)
        sets = alias_sets(present)
        pairs = [(factors[a], factors[b]) for (a, b), *_ in sets]
        others = [
            tuple(told.get(":".join(pair), (f"{factors[a]}:{factors[b]}" for a, b in rest)))
            for pair, (_, *rest) in zip(pairs, sets, strict=True)
        ]
        weights = interaction_weights(present, [first for first, *_ in sets])
        interactions = _decided(pairs, weights, values, images, others, results.smallest_effect)
    if seeds and design == "factorial":
        shapley = tuple(Contrast(name, _contrast(own, values, images)) for name, own in zip(names, shapley_weights(present), strict=True))
        total = _contrast(present.all(axis=1).astype(float) - ~present.any(axis=1), values, images)
    return FactorialInfo(
        design=design,
        resolution=ROMAN.get(int(results.ablation.get("resolution") or 0), ""),
        factors=factors,
        split=split,
        label=results.split_labels[split],
        baseline=results.baseline,
        variants=tuple(removed),
        present=present,
        accuracy=100 * values.mean(axis=2) if seeds else np.zeros((len(removed), 0)),
        seeds=seeds,
        planned=planned,
        lost=lost,
        keys=keys,
        main=main,
        interactions=interactions,
        shapley=shapley,
        total=total,
        image_groups=values.shape[2] if groups is None else len(np.unique(groups)),
        smallest_effect=results.smallest_effect,
        synthetic=results.synthetic,
    )


def _blocks(
    results: Results, variants: Sequence[str], split: str
) -> tuple[NDArray[np.float64], tuple[int, ...], tuple[str, ...], int, tuple[tuple[str, int, str], ...]]:
    """Right or wrong [variants, complete seeds, images]; these seeds; their trials' keys; how many are planned; what the others lack."""
    trials = speaking_trials(results)
    trials = trials[trials["variant"].isin(variants)].drop_duplicates(["variant", "seed"])
    rows = {(str(row["variant"]), int(row["seed"])): row for row in trials.to_dict("records")}
    planned = sorted({seed for _, seed in rows})
    tables: list[NDArray[np.float64]] = []
    seeds: list[int] = []
    lost: list[tuple[str, int, str]] = []
    for seed in planned:
        own, lacking = [], []
        for variant in variants:
            row = rows.get((variant, seed))
            status = "missing" if row is None else str(row["status"])
            values = per_image(results, str(row["key"]), split, "accuracy") if row is not None and status == "finished" else None
            if values is None:
                lacking.append((variant, seed, status))
            else:
                own.append(values)
        lost += lacking
        if not lacking:
            seeds.append(seed)
            tables.append(np.stack(own))
    keys = tuple(str(rows[variant, seed]["key"]) for seed in seeds for variant in variants)
    return np.stack(tables, axis=1) if tables else np.zeros((len(variants), 0, 0)), tuple(seeds), keys, len(planned), tuple(lost)


@dataclass(frozen=True)
class _Images:
    """What ``crossed`` must know of a split's images."""

    groups: NDArray[np.int64] | None
    redrawn: float | None


def _contrast(weights: Weights, values: NDArray[np.float64], images: _Images) -> Crossed:
    """In points."""
    return crossed(np.tensordot(weights, values, axes=1), images.groups, redrawn=images.redrawn).scaled(100)


def _decided(
    names: Sequence[tuple[str, ...]],
    weights: Weights,
    values: NDArray[np.float64],
    images: _Images,
    aliases: Sequence[tuple[str, ...]],
    margin: float,
) -> tuple[Contrast, ...]:
    """Contrasts with their verdicts, as one family."""
    found = [_contrast(own, values, images) for own in weights]
    decisions = decide([one.both for one in found], margin)
    return tuple(Contrast(*given) for given in zip(names, found, decisions, aliases, strict=True))
