"""Worlds of several classes, in which networks give probabilities, for macro-F1, recall and loss.

The latent value of ``simulations.worlds`` is the logit of the true class's probability; the rest of it goes to one wrong class. Classes
are as rare and as hard as those of FER2013.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from ferray.analysis.per_image import CLASS, of_predictions
from simulations.worlds import ACCURACY, DIFFICULTY, NOISE, OWN, POINT, Floats

CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
SHARES = np.array([0.137, 0.015, 0.147, 0.245, 0.165, 0.116, 0.175])
HARDNESS = np.array([0.3, 0.1, 0.6, -0.6, 0.4, -0.4, 0.1])
PARTNERS = np.array([4, 0, 4, 6, 6, 2, 4])
"""The class that a wrong answer most often is."""
TO_PARTNER = 0.5
SHARPNESS = 2.0
"""Units of logit in one of the latent value."""
METRICS = ("accuracy", "macro_f1", "loss", f"{CLASS}disgust", f"{CLASS}fear")
FRESH = 100
"""New trainings, over which the truth about the drawn images is taken."""
NODES = 200
"""Equally likely values, over which expectations are taken."""


@dataclass(frozen=True)
class ClassWorld:
    """The knobs; ``effects`` are the variants' greater abilities and ``spread`` what a seed does to it, about in accuracy points."""

    seeds: int = 5
    images: int = 1000
    effects: tuple[float, ...] = (0.0,)
    spread: float = 0.6


@dataclass(frozen=True)
class Answers:
    """The first variant's study: a table of differences [seeds, images] and three truths for each metric; a loss is not turned."""

    tables: dict[str, Floats]
    seeds: dict[str, float]
    images: dict[str, float]
    both: dict[str, float]


@dataclass(frozen=True)
class Faces:
    """Drawn images: labels [images] and how easy each is for each variant [variants, images], the baseline first."""

    labels: NDArray[np.int64]
    ease: Floats


def draw_faces(world: ClassWorld, generator: np.random.Generator) -> Faces:
    """Images of the kind that all are drawn from."""
    labels = generator.choice(len(CLASSES), world.images, p=SHARES)
    own = OWN * generator.normal(size=(len(world.effects) + 1, world.images))
    return Faces(labels, DIFFICULTY * generator.normal(size=world.images) + own - HARDNESS[labels])


def draw_levels(world: ClassWorld, seeds: int, generator: np.random.Generator) -> Floats:
    """The ability of each network [variants, seeds]; half of a seed's variance is shared by the variants."""
    base = np.array([0.0, *world.effects])[:, None] * POINT + stats.norm.ppf(ACCURACY)
    block, own = generator.normal(size=seeds), generator.normal(size=(len(base), seeds))
    return np.asarray(base + world.spread * POINT * (block + own) * np.sqrt(0.5))


def answer(levels: Floats, faces: Faces, variant: int, generator: np.random.Generator) -> tuple[Floats, NDArray[np.int64]]:
    """Of networks of one variant: the true class's probability and the most likely wrong class [seeds, images]."""
    shape = (levels.size, faces.labels.size)
    latent = levels[:, None] + faces.ease[variant] + NOISE * generator.standard_normal(shape, dtype=np.float32)
    others = (faces.labels + 1 + generator.integers(0, len(CLASSES) - 1, shape)) % len(CLASSES)
    wrong = np.where(generator.random(shape, dtype=np.float32) < TO_PARTNER, PARTNERS[faces.labels], others)
    return special.expit(SHARPNESS * latent), wrong


def probabilities(told: Floats, wrong: NDArray[np.int64], labels: NDArray[np.int64]) -> Floats:
    """Class probabilities [images, classes] of one network."""
    found = np.zeros((labels.size, len(CLASSES)))
    found[np.arange(labels.size), labels] = told
    found[np.arange(labels.size), wrong] = 1 - told
    return found


def draw(world: ClassWorld, generator: np.random.Generator) -> Answers:
    """One study in the world. A class without an image has no table."""
    faces, levels = draw_faces(world, generator), draw_levels(world, world.seeds, generator)
    rows = [
        [probabilities(told, wrong, faces.labels) for told, wrong in zip(*answer(levels[variant], faces, variant, generator), strict=True)]
        for variant in (0, 1)
    ]
    tables = {}
    for metric in METRICS:
        if metric.startswith(CLASS) and not (faces.labels == CLASSES.index(metric.removeprefix(CLASS))).any():
            continue
        reference, ours = (np.stack([of_predictions(row, faces.labels, metric, CLASSES) for row in own]) for own in rows)
        tables[metric] = ours - reference
    return Answers(
        tables=tables,
        seeds={
            metric: _of_images(world, faces, 1, metric, generator) - _of_images(world, faces, 0, metric, generator) for metric in tables
        },
        images={metric: float((truth(metric, levels[1]) - truth(metric, levels[0])).mean()) for metric in tables},
        both={metric: expected(world, metric) for metric in tables},
    )


def _of_images(world: ClassWorld, faces: Faces, variant: int, metric: str, generator: np.random.Generator) -> float:
    """What all trainings of a variant would have on these images on average; by fresh trainings where it is no mean over images."""
    if metric == "macro_f1":
        told, wrong = answer(draw_levels(world, FRESH, generator)[variant], faces, variant, generator)
        return float(_macro_f1(np.where(told > 0.5, faces.labels, wrong), faces.labels).mean())
    latent = stats.norm.ppf(ACCURACY) + (0.0, *world.effects)[variant] * POINT + faces.ease[variant]
    spread = np.sqrt(NOISE**2 + (world.spread * POINT) ** 2)
    if metric == "loss":
        return float(np.interp(latent, *_loss_by_latent(float(spread))).mean())
    right = special.ndtr(latent / spread)
    own = slice(None) if metric == "accuracy" else faces.labels == CLASSES.index(metric.removeprefix(CLASS))
    return float(right[own].mean())


@lru_cache(maxsize=16)
def _loss_by_latent(spread: float) -> tuple[Floats, Floats]:
    at = np.linspace(-7, 7, 701)
    noise = spread * stats.norm.ppf((np.arange(NODES) + 0.5) / NODES)
    return at, np.logaddexp(0, -SHARPNESS * (at[:, None] + noise)).mean(axis=1)


def _macro_f1(predicted: NDArray[np.int64], labels: NDArray[np.int64]) -> Floats:
    """Of each network [seeds], over the classes that occur."""
    size = len(CLASSES)
    places = np.arange(len(predicted))[:, None] * size + predicted
    answered = np.bincount(places.ravel(), minlength=len(predicted) * size).reshape(-1, size)
    hits = np.bincount(places[predicted == labels], minlength=len(predicted) * size).reshape(-1, size)
    both = answered + np.bincount(labels, minlength=size)
    f1 = 2 * hits / np.maximum(both, 1)
    return np.asarray(f1.sum(axis=1) / (both > 0).sum(axis=1))


@lru_cache(maxsize=256)
def expected(world: ClassWorld, metric: str, variant: int = 1) -> float:
    """The true difference of a variant to the baseline over all seeds and images."""
    steps = world.spread * POINT * stats.norm.ppf((np.arange(NODES) + 0.5) / NODES) + stats.norm.ppf(ACCURACY)
    return float((truth(metric, steps + world.effects[variant - 1] * POINT) - truth(metric, steps)).mean())


def truth(metric: str, levels: Floats) -> Floats:
    """What networks of these abilities [n] would have on all images there could be [n]."""
    if metric == "loss":
        latent = levels[:, None, None] - HARDNESS[:, None] + stats.norm.ppf((np.arange(NODES) + 0.5) / NODES)
        return np.asarray(np.logaddexp(0, -SHARPNESS * latent).mean(axis=2) @ SHARES)
    recall = special.ndtr(levels[:, None] - HARDNESS)
    if metric == "accuracy":
        return np.asarray(recall @ SHARES)
    if metric.startswith(CLASS):
        return np.asarray(recall[:, CLASSES.index(metric.removeprefix(CLASS))])
    size = len(CLASSES)
    wrong = np.full((size, size), (1 - TO_PARTNER) / (size - 1)) * (1 - np.eye(size))
    wrong[np.arange(size), PARTNERS] += TO_PARTNER
    hits = SHARES * recall
    answered = hits + (SHARES * (1 - recall)) @ wrong
    return np.asarray((2 * hits / (answered + SHARES)).mean(axis=1))
