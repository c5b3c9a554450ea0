"""How often intervals cover, verdicts are false and effects show in many studies of one world."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ferray import power
from ferray.analysis.crossed import Crossed, crossed
from ferray.analysis.verdicts import ALPHA, Decision, decide
from simulations import answers, worlds

TARGETS = ("seeds", "images", "both")


@dataclass(frozen=True)
class Share:
    """A share of studies with its Monte-Carlo standard error."""

    value: float
    error: float
    studies: int

    @property
    def as_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return {"value": self.value, "error": self.error, "studies": self.studies}


@dataclass
class Tally:
    """One number between 0 and 1 from each study, by what it measures."""

    found: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, name: str, hits: list[bool]) -> None:
        """The share of a study's comparisons; a study without any says nothing."""
        if hits:
            self.found[name].append(float(np.mean(hits)))

    def shares(self) -> dict[str, Share]:
        """The means over studies."""
        return {name: _share(values) for name, values in self.found.items()}


def _share(values: list[float]) -> Share:
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    return Share(float(np.mean(values)), deviation / math.sqrt(len(values)), len(values))


def study_world(world: worlds.World, studies: int, seed: int) -> dict[str, Share]:
    """What many studies of a world show.

    ``seeds``, ``images`` and ``both`` are how often these intervals cover. Per study and family: ``false difference`` where a variant
    without effect is said to help or hurt, ``wrong sign`` where one with an effect is said to do the opposite, ``false none`` where one of
    at least the margin is said to have no effect. ``shown`` is how many true effects are, ``none shown`` how many of the variants
    without an effect are said to have none, and ``predicted`` and ``none predicted`` what ferray.power says of either.
    """
    generator = np.random.default_rng(seed)
    tally = Tally()
    variances = []
    for _ in range(studies):
        drawn = worlds.draw(world, generator)
        found = [crossed(table, drawn.groups).scaled(100) if len(table) else None for table in drawn.tables]
        for target in TARGETS:
            truths = [100 * one for one in getattr(drawn, target)]
            tally.add(target, covers(found, truths, target))
        judged = [(one, effect) for one, effect in zip(found, world.effects, strict=True) if one is not None]
        decisions = decide([one.both for one, _ in judged], world.margin)
        add_verdicts(tally, decisions, [effect for _, effect in judged], world.margin)
        variances += [
            (one.seed_variance * len(one.points), one.image_variance - one.rest_variance) for one, _ in judged if len(one.points) > 1
        ]
    return tally.shares() | _predicted(world, np.mean(variances, axis=0))


def covers(found: list[Crossed | None], truths: list[float], target: str) -> list[bool]:
    """Whether each interval holds the truth; comparisons without an interval, or with one that is only a point, are left out."""
    estimates = [(getattr(one, target), truth) for one, truth in zip(found, truths, strict=True) if one is not None]
    return [bool(one.low <= truth <= one.high) for one, truth in estimates if one.has_interval and not one.is_point]


def add_verdicts(tally: Tally, decisions: list[Decision], effects: list[float], margin: float) -> None:
    """Counts the true and false verdicts of one family."""
    pairs = [(one.verdict, effect) for one, effect in zip(decisions, effects, strict=True)]
    nulls = [verdict for verdict, effect in pairs if effect == 0]
    large = [verdict for verdict, effect in pairs if abs(effect) >= margin]
    tally.add("false difference", [any(verdict in ("helps", "hurts") for verdict in nulls)] if nulls else [])
    tally.add("none shown", [verdict == "no effect" for verdict in nulls])
    tally.add("false none", [any(verdict == "no effect" for verdict in large)] if large else [])
    signed = [(verdict, "helps" if effect > 0 else "hurts") for verdict, effect in pairs if effect != 0]
    tally.add("shown", [verdict == right for verdict, right in signed])
    tally.add("wrong sign", [any(verdict in ("helps", "hurts") and verdict != right for verdict, right in signed)] if signed else [])


def _predicted(world: worlds.World, variances: np.ndarray[Any, Any]) -> dict[str, Share]:
    """Of worlds whose seeds are normal and whose trials are all there, which is what power is told for.

    It is that of a family's only effect, and of one that is larger than the margin; others are shown a little more, or less, often.
    """
    if world.tails != "normal" or world.missing or any(world.collapse) or world.twins[0]:
        return {}
    of_seed, of_images = float(variances[0]), max(0.0, float(variances[1]))
    family = {"comparisons": len(world.effects), "alpha": ALPHA, "images": world.images}
    found = {}
    true = [abs(effect) for effect in world.effects if effect]
    if len(true) == 1 and true[0] > world.margin:
        found["predicted"] = power.power_of(true[0], of_seed, of_images, world.seeds, **family)
    if len(true) < len(world.effects):
        found["none predicted"] = power.equivalence_power(0.0, of_seed, of_images, world.seeds, world.margin, **family)
    return {name: Share(value, 0.0, 0) for name, value in found.items()}


def study_classes(world: answers.ClassWorld, studies: int, seed: int) -> dict[str, dict[str, Share]]:
    """How often the intervals cover, and how often a difference is told where there is none, by metric."""
    generator = np.random.default_rng(seed)
    tallies = {metric: Tally() for metric in answers.METRICS}
    for _ in range(studies):
        drawn = answers.draw(world, generator)
        for metric, table in drawn.tables.items():
            found = crossed(table)
            for target in TARGETS:
                tallies[metric].add(target, covers([found], [getattr(drawn, target)[metric]], target))
            if world.effects[0] == 0:
                tallies[metric].add("false difference", [found.both.p < ALPHA])
    return {metric: tally.shares() for metric, tally in tallies.items()}
