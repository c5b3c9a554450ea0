"""Synthetic faces: drawn, not photographed, with planted truths that an analysis can be checked against.

FER2013's seven classes with its imbalance in every split; no files, and the same bytes for the same seed on every machine. What is
planted, and the constants that say how much of it:

- *Look-alikes* (LOOKALIKES). Of the sad faces, 35 % show what neutral faces show, of the surprised 30 % fear, of the disgusted 50 %
  anger. Neutral, fear and anger are the more frequent of each pair among such faces, so the best answer to them is always that one:
  sad is often taken for neutral and seldom the other way round. The rest of each pair lies close in MEANS beside SPREAD too.
- *Pose* (TRAIN_ANGLE, EVALUATION_ANGLE). Training faces are upright within 5 degrees; validation and test faces lean up to 20.
  Training with random rotation helps.
- *Mirror* (EVALUATION_MIRRORED). Light from one side, the parting, the nose's shadow and the higher corner of the mouth lie on one side
  in training, on either side in validation and test. Training with random flips helps.
- *Light* (TRAIN_LIGHT, EVALUATION_LIGHT). Brightness and contrast hardly vary in training, and much in validation and test. A network
  whose inputs are normalized image by image does not notice; taking that and batch normalization away hurts.
- *Label noise* (LABEL_NOISE). That share of the labels of every split is dealt out anew at random, which leaves the counts as they are.

Together the look-alikes and the noise put a ceiling of about 82 % on any accuracy, and the spread of expressions lowers it further.
Validation and test are drawn alike; nothing but angles, mirroring and light sets them apart from training.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ferray.data.dataset import CLASSES, SPLITS, Dataset, Split, apportion
from ferray.data.faces import Faces, Floats, draw

NAME = "synthetic faces"

FER2013_COUNTS = np.array([4953, 547, 5121, 8989, 6077, 4002, 6198], np.int64)
"""Images of each class in all of FER2013: the imbalance of the synthetic faces."""

LOOKALIKES = {"sad": ("neutral", 0.35), "surprise": ("fear", 0.30), "disgust": ("angry", 0.50)}
"""Class -> the class whose expression some of its faces show, and their share."""

LABEL_NOISE = 0.09
"""Share of labels dealt out anew. Some of them come back as they were, so that about 7.5 % are wrong."""

TRAIN_ANGLE = 5.0
EVALUATION_ANGLE = 20.0
"""Degrees; faces lean by a uniform angle within plus or minus this."""

EVALUATION_MIRRORED = 0.5
"""Share of mirrored faces in validation and test; there are none in training."""


@dataclass(frozen=True)
class Light:
    """Ranges of what the light does to a picture whose grey values lie in 0..1."""

    gain: tuple[float, float]
    offset: tuple[float, float]
    side: tuple[float, float] = (0.2, 0.4)  # brighter by this share at the left edge than in the middle


TRAIN_LIGHT = Light(gain=(0.9, 1.1), offset=(-0.03, 0.03))
EVALUATION_LIGHT = Light(gain=(0.4, 1.1), offset=(-0.05, 0.3))

EXPRESSION = ("brow_height", "brow_slope", "eye_opening", "mouth_curve", "mouth_opening", "mouth_width", "nose_wrinkle", "teeth")
MEANS = {
    "angry": (-0.7, 1.0, -0.2, -0.5, 0.1, -0.1, 0.4, 0.5),
    "disgust": (-0.5, 0.7, -0.5, -0.4, 0.3, 0.0, 0.9, 0.6),
    "fear": (0.6, -0.6, 0.7, -0.3, 0.6, 0.3, 0.0, 0.6),
    "happy": (0.1, 0.0, -0.3, 1.0, 0.4, 0.8, 0.0, 1.0),
    "sad": (0.0, -0.8, -0.4, -0.7, -0.1, -0.2, 0.0, 0.0),
    "surprise": (0.9, -0.1, 0.9, 0.0, 1.0, -0.4, 0.0, 0.1),
    "neutral": (0.0, 0.0, 0.0, 0.0, -0.1, 0.0, 0.0, 0.0),
}
"""The mean of each class in units of a clear expression, in the order of EXPRESSION."""

SPREAD = 0.3
"""Standard deviation of every expression parameter within a class."""


@dataclass(frozen=True, eq=False)
class Population:
    """The faces of one split, not drawn yet, and what is known about each; the classes are int64 [n]."""

    faces: Faces
    shown: NDArray[np.int64]  # the class whose expression the face shows
    truth: NDArray[np.int64]  # its class before label noise
    labels: NDArray[np.int64]  # its class in the dataset


def generate(images: int, *, seed: int = 0) -> Dataset:
    """So many training faces, and a quarter as many each for validation and test; 6,000 faces in all take about two seconds."""
    sizes = {"train": images, "validation": images // 4, "test": images // 4}
    splits = {name: drawn(name, population(name, size, seed=seed), seed=seed) for name, size in sizes.items()}
    return Dataset.build(NAME, CLASSES, splits, synthetic=True)


def drawn(split: str, people: Population, *, seed: int = 0) -> Split:
    """The pictures of a population with their labels."""
    return Split(draw(people.faces, np.random.default_rng([seed, SPLITS.index(split), 1])), people.labels)


def population(split: str, size: int, *, seed: int = 0) -> Population:
    """So many faces of one split, as the seed would have them."""
    generator = np.random.default_rng([seed, SPLITS.index(split), 0])
    truth = generator.permutation(np.repeat(np.arange(len(CLASSES)), apportion(size, FER2013_COUNTS)))
    shown = truth.copy()
    for name, (other, share) in LOOKALIKES.items():
        alike = (truth == CLASSES.index(name)) & (generator.random(size) < share)
        shown[alike] = CLASSES.index(other)
    labels = truth.copy()
    redrawn = np.flatnonzero(generator.random(size) < LABEL_NOISE)
    labels[redrawn] = generator.permutation(labels[redrawn])
    return Population(_faces(shown, generator, is_train=split == "train"), shown, truth, labels)


def _faces(shown: NDArray[np.int64], generator: np.random.Generator, *, is_train: bool) -> Faces:
    size = len(shown)

    def uniform(low: float, high: float) -> Floats:
        return generator.uniform(low, high, size).astype(np.float32)

    def happens(probability: float) -> Floats:
        return (generator.random(size) < probability).astype(np.float32)

    means = np.array([MEANS[name] for name in CLASSES])[shown]
    expression = (means + SPREAD * generator.standard_normal(means.shape)).astype(np.float32)
    light = TRAIN_LIGHT if is_train else EVALUATION_LIGHT
    angle = TRAIN_ANGLE if is_train else EVALUATION_ANGLE
    skin = uniform(0.45, 0.9)
    return Faces(
        **dict(zip(EXPRESSION, expression.T, strict=True)),
        skin=skin,
        hair=skin * uniform(0.12, 0.75),
        head_width=uniform(0.6, 0.74),
        jaw=uniform(0.15, 0.42),
        eye_distance=uniform(0.27, 0.33),
        eye_size=uniform(0.9, 1.15),
        iris=uniform(0.05, 0.3),
        brow_weight=uniform(0.7, 1.3),
        nose_length=uniform(0.16, 0.26),
        nose_width=uniform(0.1, 0.16),
        lips=uniform(0.2, 0.4),
        hairline=uniform(-0.78, -0.58),
        parting=uniform(-0.45, -0.2),
        hair_length=uniform(-0.4, 0.9),
        beard=happens(0.15) * uniform(0.3, 0.9),
        glasses=happens(0.1),
        half_smile=uniform(0.0, 0.05),
        background=uniform(0.1, 0.8),
        clothes=uniform(0.1, 0.8),
        angle=uniform(-angle, angle),
        shift_x=uniform(-0.08, 0.08),
        shift_y=uniform(-0.08, 0.08),
        scale=uniform(0.88, 1.05),
        mirror=np.ones(size, np.float32) if is_train else 1 - 2 * happens(EVALUATION_MIRRORED),
        side_light=uniform(*light.side),
        gain=uniform(*light.gain),
        offset=uniform(*light.offset),
        noise=uniform(0.01, 0.03),
    )
