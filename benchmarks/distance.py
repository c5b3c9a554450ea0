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

STATISTICS = ("running_mean", "running_var")
FLOOR = 1e-7
"""Of an error that another is compared with: a number near one cannot be told more exactly in float32."""


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


def ratios(own: Sequence[Distance], other: Sequence[Distance]) -> dict[str, float]:
    """How many times as far the one is as the other, by what is compared: the geometric mean over the steps."""
    found = {}
    for name in ("loss", "probability", "weights", "statistics"):
        errors, beside = (np.maximum([getattr(one, name) for one in every], FLOOR) for every in (own, other))
        found[name] = float(np.exp(np.log(errors / beside).mean()))
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
        names = [name for name in first if name.endswith(STATISTICS) == is_statistic]
        off, way = (
            np.sqrt(sum(((one[name] - other[name]) ** 2).sum() for name in names)) for one, other in ((trained, exact), (exact, first))
        )
        shares.append(float(off / way) if names else 0.0)
    return shares[0], shares[1]


def of_ferray(config: Config, data: Dataset, after: State | None = None) -> Iterator[PlainEpoch]:
    """``fit`` in the terms of the plain path. Gradients are those of the optimizer's memory, and there only if an epoch is one step."""
    from benchmarks.peers.plain import PlainEpoch
    from ferray.training import fit

    kept, added = (config.momentum, 1.0) if config.optimizer == "sgd" else (0.9, 0.1)
    before = {} if after is None else _remembered(config, after)
    for epoch in fit(config, data, after):
        state = epoch.state()
        remembered = _remembered(config, state)
        is_step = len(data.train) <= config.batch_size
        gradients = {name: (now - kept * before.get(name, 0.0)) / added for name, now in remembered.items()} if is_step else {}
        before = remembered
        row, probabilities = epoch.row, epoch.probabilities["validation"].astype(np.float64)
        figures = (row["train_loss"], row["validation_loss"], row["penalty"], row["learning_rate"])
        yield PlainEpoch(*figures, probabilities, learned(state), gradients)


def _remembered(config: Config, state: State) -> dict[str, NDArray[np.float64]]:
    """The optimizer's mean of past gradients, of each parameter."""
    from benchmarks.peers.plain import MEMORY

    names = [name for name in learned(state) if not name.endswith(STATISTICS)]
    memory = state["optimization"]["optimizer"]["state"].values()
    return {name: one[MEMORY[config.optimizer][0]].double().numpy() for name, one in zip(names, memory, strict=True)}


def learned(state: State) -> dict[str, NDArray[np.float64]]:
    """Weights and statistics of a state of ``fit``."""
    return {name: value.double().numpy() for name, value in state["model"].items() if not name.endswith("num_batches_tracked")}


def first_weights(config: Config, data: Dataset) -> dict[str, NDArray[np.float64]]:
    """What a training begins with."""
    from ferray.training.models import build

    return learned({"model": build(config, data.image_shape, len(data.classes)).state_dict()})
