"""What one epoch of a training left behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from ferray.training.state import State, copied


class Pause(Enum):
    """Why a training gives way before its epoch has ended."""

    WORKED = "it has had its turn, and goes on at once when it has the next one"
    WAITS = "a GPU has still to do what it was given"


class Trained(Protocol):
    """What an epoch knows of the training that it belongs to."""

    epoch: int
    model: nn.Module

    def state(self) -> State:
        """A copy of everything that the next epoch depends on."""


Probabilities = dict[str, NDArray[np.float32]]
"""Class probabilities [n, classes] of the splits "validation" and, where it has images, "test"."""


@dataclass(frozen=True)
class Epoch:
    """What one epoch left behind.

    ``row`` holds the figures of the ledger's row. Losses are mean cross-entropies against the labels, without penalty and without
    label smoothing, whatever is minimised, so that the splits and the variants compare; the training figures are running ones over
    the epoch's augmented batches, as Keras reports them. ``learning_rate`` is that of the epoch's last step, ``seconds`` covers
    training and evaluation, ``images_per_second`` training alone. ``selected_epoch`` is the epoch of highest validation accuracy so
    far, the first among equals; it is 0, with no probabilities, where none was finite. A diverged epoch is a training's last, and
    its figures and probabilities may not be finite.
    A test split without images has no figures and no probabilities, one without labels has probabilities and no figures.

    ``selected_weights`` holds, where ``fit`` was asked to keep them, copies of the network's parameters and running statistics at the
    selected epoch, on the processor, with the input normalization's tensors, where it has any, as ``input.mean`` and
    ``input.deviation``. They are empty where no epoch was finite, or where training went on from a state that had not kept them.
    ``pretrained`` says which weights were taken from the config's file, if it names one.
    """

    row: dict[str, float | int]
    probabilities: Probabilities
    selected_epoch: int
    selected_probabilities: Probabilities
    selected_weights: dict[str, Tensor] = field(repr=False)
    diverged: bool
    parameters: int
    pretrained: str | None
    _training: Trained = field(repr=False, compare=False)

    def state(self) -> State:
        """What ``fit`` goes on from after this epoch; to be called before the next epoch is asked for."""
        self._check_current()
        return self._training.state()

    def weights(self) -> dict[str, Tensor]:
        """The network's parameters and running statistics by name, copied; to be called before the next epoch is asked for."""
        self._check_current()
        return {name: copied(value) for name, value in self._training.model.state_dict().items()}

    def _check_current(self) -> None:
        if self._training.epoch != self.row["epoch"]:
            raise RuntimeError(
                f"epoch {self.row['epoch']} is over: training is at epoch {self._training.epoch}; "
                "call state() and weights() before asking for the next epoch"
            )
