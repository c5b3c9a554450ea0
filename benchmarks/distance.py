"""How far one training is from another, step by step, and how far one step is from another that begins with the same weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from benchmarks.peers.plain import PlainEpoch
    from ferray.config import Config
    from ferray.data import Dataset
    from ferray.training.state import State

Numbers = Mapping[str, NDArray[np.float64]]
"""Parameters and running statistics, or gradients, by ferray's names."""

FLOOR = 1e-7
"""Of an error that another is compared with: a number near one cannot be told more exactly in float32."""
WINDOW = 10
"""Steps whose errors are taken together."""


@dataclass(frozen=True)
class Distance:
    """Of one training from another, after an epoch or in all.

    ``loss`` is the larger difference of the epoch's two losses, in training and validation; ``probability`` the largest of a class
    probability of a validation image; ``weights`` and ``statistics`` the distance of what has been learned, as a share of how far training
    has led from the first values: 1 is as wrong as never to have trained.
    """

    loss: float
    probability: float
    weights: float
    statistics: float

    def within(self, tolerance: Distance) -> bool:
        """Whether nothing is further than that."""
        return all(own <= allowed for own, allowed in zip(astuple(self), astuple(tolerance), strict=True))


@dataclass(frozen=True)
class StepDistance:
    """Of one step from another with the same weights, images and draws.

    Each is the length of a difference: of all gradients (penalties included) as a share of their length, of all weights and of all running
    statistics as a share of how far the step led.
    """

    gradients: float
    weights: float
    statistics: float

    @property
    def largest(self) -> float:
        """Of the three."""
        return max(astuple(self))


def distances(trained: Sequence[PlainEpoch], exact: Sequence[PlainEpoch], first: Numbers) -> list[Distance]:
    """After each epoch; ``first`` are the weights and statistics that both began with."""
    return [
        Distance(
            max(abs(one.train_loss - other.train_loss), abs(one.validation_loss - other.validation_loss)),
            float(np.abs(one.probabilities - other.probabilities).max()),
            *_shares(one.weights, other.weights, first),
        )
        for one, other in zip(trained, exact, strict=True)
    ]


def distance(trained: Sequence[PlainEpoch], exact: Sequence[PlainEpoch], first: Numbers) -> Distance:
    """Of whole trainings: the largest differences after any epoch, and the shares in the end."""
    every = distances(trained, exact, first)
    return Distance(max(one.loss for one in every), max(one.probability for one in every), every[-1].weights, every[-1].statistics)


def ratios(own: Sequence[Distance], other: Sequence[Distance]) -> dict[str, list[float]]:
    """How many times as far the one is as the other, by what is compared: for each WINDOW of steps the geometric mean over them."""
    found = {}
    for name in ("loss", "probability", "weights", "statistics"):
        errors, beside = (np.maximum([getattr(one, name) for one in every], FLOOR) for every in (own, other))
        times = np.log(errors / beside)
        found[name] = [float(np.exp(times[start : start + WINDOW].mean())) for start in range(0, len(times), WINDOW)]
    return found


def step_distance(trained: PlainEpoch, exact: PlainEpoch, first: Numbers) -> StepDistance:
    """Of epochs of one step each, which began with ``first``."""
    off, length = (np.sqrt(sum((one**2).sum() for one in values)) for values in (
        [trained.gradients[name] - exact.gradients[name] for name in exact.gradients], exact.gradients.values(),
    ))  # fmt: skip
    return StepDistance(float(off / length), *_shares(trained.weights, exact.weights, first))


def _shares(trained: Numbers, exact: Numbers, first: Numbers) -> tuple[float, float]:
    """Of the weights and of the running statistics, whose share is 0 where there are none."""
    shares = []
    for is_statistic in (False, True):
        names = [name for name in first if name.endswith(("running_mean", "running_var")) == is_statistic]
        off, way = (
            np.sqrt(sum(((one[name] - other[name]) ** 2).sum() for name in names)) for one, other in ((trained, exact), (exact, first))
        )
        shares.append(float(off / way) if names else 0.0)
    return shares[0], shares[1]


def of_ferray(config: Config, data: Dataset, after: State | None = None) -> Iterator[PlainEpoch]:
    """``fit`` in the terms of the plain path. Gradients are those of Adam's or SGD's memory, and there only if an epoch is one step."""
    from benchmarks.peers.plain import MEMORY, PlainEpoch
    from ferray.training import fit

    memory = MEMORY[config.optimizer][0]
    kept, added = (config.momentum, 1.0) if config.optimizer == "sgd" else (0.9, 0.1)
    for epoch in fit(config, data, after):
        state = epoch.state()
        weights = learned(state)
        trained = [name for name in weights if not name.endswith(("running_mean", "running_var"))]
        before, remembered = (
            [one[memory].double().numpy() for one in every["optimization"]["optimizer"]["state"].values()] if every else [0.0] * len(trained)
            for every in (after, state)
        )
        is_step = len(data.train) <= config.batch_size
        gradients = {
            name: (new - kept * old) / added for name, old, new in zip(trained, before, remembered, strict=True)
        } if is_step else {}  # fmt: skip
        yield PlainEpoch(
            epoch.row["train_loss"],
            epoch.row["validation_loss"],
            epoch.row["penalty"],
            epoch.row["learning_rate"],
            epoch.probabilities["validation"].astype(np.float64),
            weights,
            gradients,
        )
        after = state


def learned(state: State) -> dict[str, NDArray[np.float64]]:
    """Weights and statistics of a state of ``fit``."""
    return {name: value.double().numpy() for name, value in state["model"].items() if not name.endswith("num_batches_tracked")}


def first_weights(config: Config, data: Dataset) -> dict[str, NDArray[np.float64]]:
    """What a training begins with."""
    from ferray.training.models import build

    return learned({"model": build(config, data.image_shape, len(data.classes)).state_dict()})
