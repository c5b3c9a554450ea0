"""Full factorial designs: main effects, two-way interactions and Shapley effects, each a contrast of all variants."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np

from ferray.analysis.crossed import crossed
from ferray.analysis.factorial import interaction_weights, main_weights, shapley_weights
from ferray.analysis.verdicts import decide
from simulations import worlds
from simulations.measures import TARGETS, Share, Tally, covers

FACTORS = 3
PRESENT = np.array(list(product((True, False), repeat=FACTORS)))
"""The factors [variants, factors] that each variant has; the baseline, which has all, is first."""
PAIRS = list(combinations(range(FACTORS), 2))
CONTRASTS = {
    "main effects": main_weights(PRESENT),
    "interactions": interaction_weights(PRESENT, PAIRS),
    "Shapley effects": shapley_weights(PRESENT),
}


def effects(mains: tuple[float, ...], interactions: tuple[float, ...]) -> tuple[float, ...]:
    """What each variant but the baseline differs from it by, in points, where factors and pairs of them add so much."""
    points = PRESENT @ np.array(mains) + np.array([PRESENT[:, a] & PRESENT[:, b] for a, b in PAIRS]).T @ np.array(interactions)
    return tuple(float(one) for one in points[1:] - points[0])


def study_factorial(world: worlds.World, studies: int, seed: int) -> dict[str, Share]:
    """How often the intervals of each contrast cover, and how often a family has a false verdict about one that is zero."""
    generator = np.random.default_rng(seed)
    tally = Tally()
    for _ in range(studies):
        drawn = worlds.draw(world, generator)
        tables = np.stack([np.zeros_like(drawn.tables[0]), *drawn.tables])  # the baseline's difference to itself
        for kind, weights in CONTRASTS.items():
            found = [crossed(np.tensordot(row, tables, axes=1)).scaled(100) for row in weights]
            truths = {target: 100 * weights @ np.array([0.0, *getattr(drawn, target)]) for target in TARGETS}
            for target in TARGETS:
                tally.add(f"{kind}: {target}", covers(list(found), truths[target].tolist(), target))
            verdicts = [one.verdict for one in decide([one.both for one in found], world.margin)]
            null = [verdict in ("helps", "hurts") for verdict, truth in zip(verdicts, truths["both"], strict=True) if abs(truth) < 1e-9]
            tally.add(f"{kind}: false difference", [any(null)] if null else [])
    return tally.shares()
