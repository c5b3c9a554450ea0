"""Where a trial's epochs come from: this process, or another one that has many trainings."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ferray import environment

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ferray.config import Config
    from ferray.data import Dataset
    from ferray.training import Epoch
    from ferray.trial import Trial


class TrainingError(Exception):
    """What the training itself raised, as opposed to the ledger or Tune: ``told`` has its type, message and traceback as texts."""

    def __init__(self, told: dict[str, str]) -> None:
        super().__init__(told)
        self.told = told


class Result(Protocol):
    """What a trial asks of an epoch; the methods before it asks for the next one."""

    @property
    def row(self) -> dict[str, float | int]:
        """The ledger's row."""

    @property
    def is_diverged(self) -> bool:
        """Whether it is the last, since numbers are not finite."""

    def checkpoint(self) -> bytes:
        """What the training goes on from."""

    def summary(self) -> dict[str, Any]:
        """Of the training up to here, for its record: the selected epoch, parameters, and what was pretrained."""

    def predictions(self) -> dict[str, NDArray[np.float32]]:
        """Class probabilities at the selected epoch and at this one."""

    def weights(self) -> bytes | None:
        """The selected epoch's weights as the content of a safetensors file, where they were kept."""

    def seen(self) -> Mapping[str, Any]:
        """What was measured of the training, for its environment."""


class Source(Protocol):
    """What a trial's epochs come from."""

    def environment(self) -> Mapping[str, Any]:
        """Where they are trained."""

    def epochs(self, checkpoint: bytes | None) -> Iterator[Result]:
        """The epochs after a checkpoint; raises TrainingError for what the training raises."""


class Here:
    """Trains in this process."""

    def __init__(self, trial: Trial, data: Dataset, *, keep_weights: bool) -> None:
        self._trial, self._data, self._keep_weights = trial, data, keep_weights

    def environment(self) -> Mapping[str, Any]:
        """This process's."""
        from ferray.training.process import settled

        return surroundings(settled(self._trial.config))

    def epochs(self, checkpoint: bytes | None) -> Iterator[Result]:
        """Those of ``fit``."""
        from ferray.training import fit
        from ferray.training.state import load_state

        trial = self._trial
        try:
            state = None if checkpoint is None else load_state(checkpoint)
            for epoch in fit(trial.config, self._data, state, attachments=trial.attachments, keep_weights=self._keep_weights):
                yield Finished(epoch)
        except Exception as fault:
            raise TrainingError(told(fault)) from fault


class Finished:
    """An epoch of this process as a Result."""

    def __init__(self, epoch: Epoch) -> None:
        self._epoch = epoch
        self.row = epoch.row
        self.is_diverged = epoch.diverged

    def checkpoint(self) -> bytes:
        """What the training goes on from."""
        from ferray.training.state import dump_state

        return dump_state(self._epoch.state())

    def summary(self) -> dict[str, Any]:
        """Of the training up to here."""
        epoch = self._epoch
        pretrained = {} if epoch.pretrained is None else {"pretrained": epoch.pretrained}
        return {"selected_epoch": epoch.selected_epoch or None, "parameters": epoch.parameters, **pretrained}

    def predictions(self) -> dict[str, NDArray[np.float32]]:
        """Class probabilities by split and epoch."""
        selected = {f"{split}_selected": values for split, values in self._epoch.selected_probabilities.items()}
        return {**selected, **{f"{split}_last": values for split, values in self._epoch.probabilities.items()}}

    def weights(self) -> bytes | None:
        """The selected epoch's, where they were kept."""
        if not self._epoch.selected_weights:
            return None
        from safetensors.torch import save

        return save({name: value.contiguous() for name, value in self._epoch.selected_weights.items()})

    def seen(self) -> Mapping[str, Any]:
        """Nothing."""
        return {}


def told(fault: BaseException) -> dict[str, str]:
    """What a record says of something that was raised."""
    return {"type": type(fault).__name__, "message": str(fault), "traceback": "".join(traceback.format_exception(fault))}


def surroundings(config: Config) -> dict[str, Any]:
    """What a training in this process runs on, and what the machine was asked for; on a GPU also which one it is.

    The config's device must be settled.
    """
    import torch

    settings: dict[str, Any] = {"device": config.device, "precision": config.precision, "threads": config.threads}
    if config.device == "cuda":
        settings["visible_gpus"] = os.environ.get("CUDA_VISIBLE_DEVICES")
        settings["cuda"] = torch.version.cuda
        settings["gpu"] = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {**environment.describe(), **settings}
