"""Worlds: networks and images as they might be, with the truth about them known to the digit.

A network is right about an image where a latent value is above zero: the variant's ability, what the seed does to it, how easy the
image is for everybody, how easy it is for this variant, and noise of this network and image. Seeds are blocks, so a part of what a seed
does is shared by the variants. Effects are planted in expectation over seeds and images, in accuracy points.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

Floats = NDArray[np.float64]

ACCURACY = 0.70
"""Of the baseline, as on FER2013."""
DIFFICULTY, OWN, NOISE = 0.80, 0.25, 0.5454356
"""Standard deviations of an image's ease for all variants, for one variant, and of the rest; their squares sum to 1."""
PAIRED_NOISE = 0.2
"""The share of the noise that two variants of the same seed have in common."""
TWIN_NOISE = 0.9
"""The share of the noise that near-identical images have in common."""
CHANCE = 1 / 7
"""The share of images that a collapsed network, which answers one class, is right about."""
POINT = 0.01 / stats.norm.pdf(stats.norm.ppf(ACCURACY))
"""One accuracy point in units of ability."""
QUANTILES = 1000
"""Of what a seed does, over which expectations are taken."""


@dataclass(frozen=True)
class World:
    """The knobs. Spreads are standard deviations over seeds, in accuracy points; ``effects`` is one number for each compared variant."""

    seeds: int = 5
    images: int = 1000
    effects: tuple[float, ...] = (0.0,)
    spread: float = 0.6
    block_spread: float = 0.6
    ratio: float = 1.0  # of a compared variant's spread to the baseline's
    tails: Literal["normal", "t3"] = "normal"
    collapse: tuple[float, float] = (0.0, 0.0)  # share of seeds in which the baseline and a variant answer one class
    missing: float = 0.0  # share of trials
    twins: tuple[float, int] = (0.0, 1)  # share of images in clusters of near-identical ones, and how many are in each
    twins_known: bool = True
    own: float = OWN
    margin: float = 0.5  # the smallest effect that counts


@dataclass(frozen=True)
class Drawn:
    """A study in a world: a table of differences [seeds, images] for each compared variant, and the truth of each target, as shares."""

    tables: tuple[NDArray[np.floating], ...]
    groups: NDArray[np.int64] | None
    seeds: tuple[float, ...]  # other trainings, these images
    images: tuple[float, ...]  # these networks, other images
    both: tuple[float, ...]


def draw(world: World, generator: np.random.Generator) -> Drawn:
    """One study in the world. A comparison without a complete pair of seeds has a table without rows."""
    variants, seeds = len(world.effects) + 1, world.seeds
    groups = _groups(world, generator)
    ability = np.array(abilities(world))
    noise = float(np.sqrt(1 - DIFFICULTY**2 - world.own**2))
    ease = DIFFICULTY * generator.normal(size=groups.max() + 1) + world.own * generator.normal(size=(variants, groups.max() + 1))
    ease = ease[:, groups]
    spreads = _spreads(world)
    block = world.block_spread * POINT * generator.normal(size=seeds)
    level = ability[:, None] + block + spreads[:, None] * _standard(world, generator, (variants, seeds))
    collapses = np.array([world.collapse[min(one, 1)] for one in range(variants)])
    collapsed = generator.random((variants, seeds)) < collapses[:, None]
    first_class = generator.random(groups.max() + 1)[groups] < CHANCE
    shared = _noise(world, groups, (1, seeds), generator)
    own = _noise(world, groups, (variants, seeds), generator)
    latent = own
    latent *= np.float32(noise * np.sqrt(1 - PAIRED_NOISE))
    latent += np.float32(noise * np.sqrt(PAIRED_NOISE)) * shared
    latent += ease.astype(np.float32)[:, None, :]
    latent += level.astype(np.float32)[..., None]
    right = np.where(collapsed[..., None], first_class, latent > 0).astype(np.float32)
    chances = np.stack([_of_images(world, one, ease[one], noise, first_class).mean() for one in range(variants)])
    networks = np.where(collapsed, CHANCE, special.ndtr(level))
    there = generator.random((variants, seeds)) >= world.missing
    pairs = [there[0] & there[one] for one in range(1, variants)]
    return Drawn(
        tables=tuple(right[one, pair] - right[0, pair] for one, pair in enumerate(pairs, 1)),
        groups=groups if world.twins_known and world.twins[0] else None,
        seeds=tuple(chances[1:] - chances[0]),
        images=tuple(
            float((networks[one, pair] - networks[0, pair]).mean()) if pair.any() else np.nan for one, pair in enumerate(pairs, 1)
        ),
        both=tuple(effect / 100 for effect in world.effects),
    )


@lru_cache(maxsize=256)
def abilities(world: World) -> tuple[float, ...]:
    """Of the baseline and each variant, such that their expected accuracies differ by the effects."""
    return tuple(
        float(optimize.brentq(lambda ability, one=one, goal=goal: _accuracy(world, one, ability) - goal, -4.0, 6.0))
        for one, goal in enumerate([ACCURACY, *(ACCURACY + effect / 100 for effect in world.effects)])
    )


def _accuracy(world: World, variant: int, ability: float) -> float:
    """Expected over seeds and images; the block's part is normal and is taken into the scale."""
    steps = _spreads(world)[variant] * _quantiles(world.tails)
    alive = float(special.ndtr((ability + steps) / np.sqrt(1 + (world.block_spread * POINT) ** 2)).mean())
    share = world.collapse[min(variant, 1)]
    return (1 - share) * alive + share * CHANCE


def _of_images(world: World, variant: int, ease: Floats, noise: float, first_class: NDArray[np.bool_]) -> Floats:
    """How often each image is recognized over all seeds."""
    at, alive = _by_ease(world, variant, noise)
    share = world.collapse[min(variant, 1)]
    return np.asarray((1 - share) * np.interp(ease, at, alive) + share * first_class)


@lru_cache(maxsize=256)
def _by_ease(world: World, variant: int, noise: float) -> tuple[Floats, Floats]:
    """How often an image of each ease is recognized over seeds that do not collapse, for interpolation."""
    at = np.linspace(-5, 5, 401)
    scale = np.sqrt(noise**2 + (world.block_spread * POINT) ** 2)
    steps = abilities(world)[variant] + _spreads(world)[variant] * _quantiles(world.tails)
    return at, special.ndtr((at[:, None] + steps) / scale).mean(axis=1)


def _spreads(world: World) -> Floats:
    return np.array([1.0] + [world.ratio] * len(world.effects)) * world.spread * POINT


@lru_cache(maxsize=2)
def _quantiles(tails: str) -> Floats:
    """Equally likely values with variance 1."""
    shares = (np.arange(QUANTILES) + 0.5) / QUANTILES
    values = stats.t.ppf(shares, 3) / np.sqrt(3) if tails == "t3" else stats.norm.ppf(shares)
    return np.asarray(values, dtype=float)


def _standard(world: World, generator: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Draws with variance 1."""
    return generator.standard_t(3, shape) / np.sqrt(3) if world.tails == "t3" else generator.normal(size=shape)


def _groups(world: World, generator: np.random.Generator) -> NDArray[np.int64]:
    """The cluster of each image [images], from 0."""
    share, size = world.twins
    in_twins = int(share * world.images) // max(size, 1) * size
    twins = np.repeat(np.arange(in_twins // max(size, 1)), size)
    return np.concatenate([twins, np.arange(world.images - in_twins) + len(twins) // max(size, 1)])


def _noise(world: World, groups: NDArray[np.int64], shape: tuple[int, int], generator: np.random.Generator) -> NDArray[np.float32]:
    """Standard noise [..., images], which near-identical images mostly share."""
    own = generator.standard_normal((*shape, world.images), dtype=np.float32)
    if not world.twins[0]:
        return own
    of_twins = generator.standard_normal((*shape, int(groups.max()) + 1), dtype=np.float32)[..., groups]
    return np.asarray(np.sqrt(TWIN_NOISE) * of_twins + np.sqrt(1 - TWIN_NOISE) * own, dtype=np.float32)
