"""Whether fast training gives the answers of plain training: how far ``fit`` is from the plain path after 50 steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Figure, Spread

if TYPE_CHECKING:
    from benchmarks.peers.plain import PlainEpoch
    from ferray.config import Config
    from ferray.data import Dataset

STEPS = 50
EPOCHS = 10
BATCH = 16
AUGMENTATION = {
    "rotation": 31.4, "horizontal_flip": 0.5, "shift": 0.1, "zoom": 0.1, "brightness": 0.1, "contrast": 0.1, "erasing": 0.3,
}  # fmt: skip
EVERYTHING: dict[str, Any] = {
    "width": 0.25,
    "batch_norm": True,
    "dropout": 0.3,
    "augmentation": AUGMENTATION,
    "l1": 1e-3,
    "l2": 1e-3,
    "label_smoothing": 0.1,
    "learning_rate": 1e-4,
    "epochs": EPOCHS,
    "batch_size": BATCH,
    "precision": "fp32",
}
"""Everything that can be wrong at once, in steps so small that 50 of them multiply little what float32 rounds."""


@dataclass(frozen=True)
class Deviation:
    """How far one training is from another.

    ``loss`` is the largest difference of an epoch's loss, in training or validation; ``probability`` that of a class probability of a
    validation image after any epoch; ``weights`` and ``statistics`` the distance of what was learned in the end, as a share of how far
    the steps led from the first values: 1 is as wrong as never to have trained.
    """

    loss: float
    probability: float
    weights: float
    statistics: float

    def within(self, tolerance: Deviation) -> bool:
        """Whether nothing is further than that."""
        return (
            self.loss <= tolerance.loss
            and self.probability <= tolerance.probability
            and self.weights <= tolerance.weights
            and self.statistics <= tolerance.statistics
        )


TOLERANCES = {
    "without batch norm": Deviation(loss=1e-5, probability=1e-5, weights=1e-3, statistics=0.0),
    "with batch norm": Deviation(loss=1e-2, probability=1e-3, weights=5e-2, statistics=5e-3),
}
"""After 50 steps of EVERYTHING on toy images, from the plain path in float64. docs/performance.md says where the second line is missed.

Without batch norm, what remains is float32's rounding. With it, torch's channels-last batch normalization adds a relative error of 1e-6 to
1e-4, by the size of the batch, and small batches multiply it.
"""


def of_ferray(config: Config, data: Dataset) -> list[PlainEpoch]:
    """``fit`` in the terms of the plain path."""
    from benchmarks.peers.plain import PlainEpoch
    from ferray.training import fit

    return [
        PlainEpoch(
            epoch.row["train_loss"],
            epoch.row["validation_loss"],
            epoch.row["penalty"],
            epoch.row["learning_rate"],
            epoch.probabilities["validation"].astype(np.float64),
            {name: value.double().numpy() for name, value in epoch.weights().items() if not name.endswith("num_batches_tracked")},
        )
        for epoch in fit(config, data)
    ]


def deviation(trained: Sequence[PlainEpoch], exact: Sequence[PlainEpoch], first: Mapping[str, NDArray[np.float64]]) -> Deviation:
    """Of one training from another, epoch by epoch; ``first`` are the weights and statistics that both began with."""
    pairs = list(zip(trained, exact, strict=True))
    losses = [
        difference
        for one, other in pairs
        for difference in (one.train_loss - other.train_loss, one.validation_loss - other.validation_loss)
    ]
    probabilities = [np.abs(one.probabilities - other.probabilities).max() for one, other in pairs]
    shares = {}
    for is_statistic in (False, True):
        names = [name for name in first if name.endswith(("running_mean", "running_var")) == is_statistic]
        off, way = (
            np.sqrt(sum(((one.weights[name] - other[name]) ** 2).sum() for name in names))
            for one, other in ((trained[-1], exact[-1].weights), (exact[-1], first))
        )
        shares[is_statistic] = float(off / way) if names else 0.0
    return Deviation(float(np.abs(losses).max()), float(max(probabilities)), shares[False], shares[True])


def first_weights(config: Config, data: Dataset) -> dict[str, NDArray[np.float64]]:
    """What a training begins with."""
    from ferray.training.models import build

    state = build(config, data.image_shape, len(data.classes)).state_dict()
    return {name: value.double().numpy() for name, value in state.items() if not name.endswith("num_batches_tracked")}


def compared(config: Config, data: Dataset) -> tuple[Deviation, Deviation]:
    """Of ``fit``, and of the plain path in float32, each from the plain path in float64."""
    import torch

    from benchmarks.peers import plain

    exact, first = list(plain.train(config, data, torch.float64)), first_weights(config, data)
    return deviation(of_ferray(config, data), exact, first), deviation(list(plain.train(config, data)), exact, first)


def figures(rounds: int) -> list[Figure]:
    """Of so many seeds each, on synthetic faces: what ferray and what float32 alone is away from the plain path in float64."""
    from ferray.config import Config
    from ferray.data import load
    from ferray.data_source import DataSource

    data = load(DataSource(source="synthetic", images=STEPS // EPOCHS * BATCH))
    figures: list[Figure] = []
    for model, batch_norm in (("cnn", False), ("cnn", True), ("dnn", False), ("dnn", True)):
        kind = "with batch norm" if batch_norm else "without batch norm"
        pairs = [
            compared(Config.model_validate({**EVERYTHING, "model": model, "batch_norm": batch_norm, "seed": seed}), data)
            for seed in range(rounds)
        ]
        for name in ("loss", "probability", "weights"):
            own, plain = (Spread.of([getattr(pair[place], name) for pair in pairs]) for place in (0, 1))
            key, title = f"{model}_{kind.partition(' ')[0]}_norm_{name}", f"{model.upper()} {kind}: {UNITS[name]}"
            target = getattr(TOLERANCES[kind], name)
            figures.append(Figure(key, f"{title}, ferray", "", own, target=target, better="less"))
            figures.append(Figure(f"{key}_float32", f"{title}, plain path in float32", "", plain))
    return figures


UNITS = {"loss": "largest difference of a loss", "probability": "of a probability", "weights": "weights, as a share of their way"}
