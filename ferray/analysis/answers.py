"""What the trainings of a variant answered, image by image, and how all of its trainings ended."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ferray.analysis.crossed import Crossed, crossed
from ferray.analysis.image_groups import image_groups
from ferray.analysis.results import Results
from ferray.analysis.selection import finished_of, speaking_trials
from ferray.analysis.wording import factor_label, listed


@dataclass(frozen=True)
class Answers:
    """The probabilities that the finished trainings of a variant gave at their selected epochs, a row per seed."""

    variant: str
    split: str
    seeds: tuple[int, ...]
    keys: tuple[str, ...]
    probabilities: NDArray[np.float32]  # [seeds, images, classes]
    labels: NDArray[np.int64]  # [images]
    redrawn: float | None = None  # as in ``Results.redrawn``: where it is, an image of one seed is not that of another
    groups: NDArray[np.int64] | None = None  # [images], the number of each image's group of near-identical ones; None where unknown

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """The answered class [seeds, images]."""
        return np.asarray(self.probabilities.argmax(axis=2), dtype=np.int64)

    def told(self, values: NDArray[np.floating], members: NDArray[np.bool_] | None = None) -> Crossed:
        """What ``values`` say on average, a row per seed and a column per image, or per member; near-identical ones are drawn together."""
        return crossed(values, self._groups(members), redrawn=self.redrawn)

    def distinct(self, members: NDArray[np.bool_]) -> NDArray[np.float64]:
        """What each member [images] counts where near-identical ones count as one together."""
        groups = self._groups(members)
        return np.ones(members.sum()) if groups is None else 1 / np.bincount(groups)[groups]

    def _groups(self, members: NDArray[np.bool_] | None) -> NDArray[np.int64] | None:
        """Those of the members, numbered from 0 anew."""
        if self.groups is None or members is None:
            return self.groups
        return np.asarray(np.unique(self.groups[members], return_inverse=True)[1], dtype=np.int64)

    def of(self, seeds: tuple[int, ...]) -> Answers:
        """The same of some of its seeds, in their order."""
        places = [self.seeds.index(seed) for seed in seeds]
        return replace(self, seeds=seeds, keys=tuple(self.keys[place] for place in places), probabilities=self.probabilities[places])


def answers(results: Results, variant: str, split: str) -> Answers | None:
    """The answers of a variant's chosen sample on a split, or None while no finished training of it has left any."""
    labels = results.labels(split)
    if labels is None or not labels.size:
        return None
    found = {}
    for seed, key in finished_of(speaking_trials(results), variant)["key"].items():
        probabilities = results.probabilities(str(key), split)
        if probabilities is not None and len(probabilities) == labels.size:
            found[int(str(seed))] = (str(key), probabilities)
    if not found:
        return None
    keys, tables = zip(*found.values(), strict=True)
    return Answers(variant, split, tuple(found), keys, np.stack(tables), labels, results.redrawn(split), image_groups(results, split))


def paired(one: Answers | None, other: Answers | None) -> tuple[Answers, Answers] | None:
    """Both at the seeds that both have, or None where they share none."""
    seeds = tuple(seed for seed in one.seeds if seed in other.seeds) if one is not None and other is not None else ()
    return (one.of(seeds), other.of(seeds)) if one is not None and other is not None and seeds else None


def fates(results: Results, variant: str) -> dict[str, int]:
    """How many trainings of a variant's chosen sample are planned, and how many of them have each status that occurs."""
    trials = speaking_trials(results)
    status = trials.loc[trials["variant"] == variant, "status"]
    return {"planned": len(status), **{str(name): int(number) for name, number in status.value_counts().items()}}


def removed_by(results: Results, variant: str) -> str:
    """What the design removes in a variant, in words; empty for a free variant, and where another variant removes the same."""
    removed = results.variants[variant].removed
    alike = [name for name, other in results.variants.items() if other.removed == removed]
    return listed([factor_label(name) for name in removed]) if len(alike) == 1 else ""


def spoken(results: Results, variant: str) -> str:
    """What a sentence about a variant begins with: ``Without augmentation and dropout`` where the design removes them, else its name."""
    removed = removed_by(results, variant)
    return f"Without {removed}" if removed else variant
