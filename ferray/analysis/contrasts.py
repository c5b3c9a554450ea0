"""The table behind a claim that is a weighted sum of trials' accuracies, losses or recalls: one number per seed and image."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ferray.analysis.claims import Claim
from ferray.analysis.factorial import interaction_weights, main_weights, shapley_weights
from ferray.analysis.per_image import per_image
from ferray.analysis.results import Results
from ferray.analysis.selection import speaking_trials

Cell = tuple[str, str]
"""A variant, and the phase of its trials: ``final`` or ``frozen``."""

PAIRS = ("effect", "step", "variant", "difference")
"""Kinds of claims that compare two variants."""
DESIGNED = ("main_effect", "interaction", "shapley", "together")
"""Kinds of claims about all variants of a factorial design."""


class Contrasts:
    """The tables of one study's claims; each trial's predictions are looked at once for every split and metric."""

    def __init__(self, results: Results) -> None:
        self._results = results
        frozen = results.trials[results.trials["phase"] == "frozen"]
        self._keys = {
            (str(variant), phase, int(seed)): str(key)
            for phase, own in (("final", speaking_trials(results)), ("frozen", frozen))
            for variant, seed, key in zip(own["variant"], own["seed"], own["key"], strict=True)
        }
        self._look = cache(lambda key, split, metric: per_image(results, key, split, metric))

    def rows(self, claim: Claim) -> dict[int, NDArray[np.float64]]:
        """By seed one number per image, whose mean is what the claim says of the seed; nothing for a claim that is no such sum."""
        weights = self._weights(claim)
        scale = (-1.0 if claim.metric == "loss" else 1.0) * (1.0 if claim.unit == "nats" else 100.0)
        found = {}
        for seed in (int(one) for one in claim.details.get("points", ())) if weights else ():
            keys = {cell: self._keys.get((*cell, seed)) for cell in weights}
            looked = {cell: self._look(key, claim.split, claim.metric) for cell, key in keys.items() if key is not None}
            tables = {cell: table for cell, table in looked.items() if table is not None}
            if len(tables) == len(weights):
                found[seed] = scale * np.sum(np.stack([weight * tables[cell] for cell, weight in weights.items()]), axis=0)
        return found

    def _weights(self, claim: Claim) -> Mapping[Cell, float]:
        if claim.kind in PAIRS and claim.compared is not None:
            better, worse = claim.compared
            return {(better, "final"): 1.0, (worse, "final"): -1.0}
        if claim.kind in DESIGNED:
            return self._designed(claim)
        return self._tuned(claim) if claim.kind == "tuned" else {}

    def _designed(self, claim: Claim) -> Mapping[Cell, float]:
        results = self._results
        factors = list(results.ablation["factors"])
        removed = {name: one.removed for name, one in results.variants.items() if one.removed or name == results.baseline}
        present = np.array([[factor not in gone for factor in factors] for gone in removed.values()])
        if claim.kind == "together":
            weights = present.all(axis=1).astype(float) - ~present.any(axis=1)
        else:
            places = [factors.index(name) for name in claim.subject.split(":")]
            match claim.kind:
                case "main_effect":
                    weights = main_weights(present)[places[0]]
                case "interaction":
                    weights = interaction_weights(present, [(places[0], places[1])])[0]
                case _:
                    weights = shapley_weights(present)[places[0]]
        return {(name, "final"): float(weight) for name, weight in zip(removed, weights, strict=True) if weight}

    def _tuned(self, claim: Claim) -> Mapping[Cell, float]:
        base = (self._results.baseline, "final")
        others = (one for one in self._results.variants.values() if one.name != base[0])
        variant = next(one for one in others if ("+".join(one.removed) or one.name) == claim.subject)
        frozen, final = (variant.name, "frozen"), (variant.name, "final")
        sign = 1.0 if variant.removed else -1.0
        match claim.details["settings"]:
            case "frozen":
                return {base: sign, frozen: -sign}
            case "final":
                return {base: sign, final: -sign}
        return {frozen: sign, final: -sign}
