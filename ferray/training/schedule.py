"""The schedule of the learning rate: a number for each step, known before the epoch begins."""

from __future__ import annotations

from typing import Any

import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

from ferray.config import Config
from ferray.training.optimizers import SGD

PLATEAU_FACTOR = 0.5
PLATEAU_PATIENCE = 5
"""Epochs without a lower validation loss after which the plateau schedule halves the learning rate, at the next such epoch."""


class Schedule:
    """torch's schedule by the config's name, on a rate that belongs to no network.

    Its own, so that the rates of a whole epoch are there before its first step, and can lie on a GPU by then.
    """

    def __init__(self, config: Config, steps_per_epoch: int) -> None:
        self._steps_per_epoch = steps_per_epoch
        self._rate = SGD([torch.zeros(1)], lr=config.learning_rate)
        self._schedule = _schedule(self._rate, config, config.epochs * steps_per_epoch)

    def epoch(self) -> list[float]:
        """The rates of the steps of the next epoch; to be asked for once an epoch."""
        rates = []
        for _ in range(self._steps_per_epoch):
            rates.append(float(self._rate.param_groups[0]["lr"]))
            if isinstance(self._schedule, LRScheduler) and not isinstance(self._schedule, ReduceLROnPlateau):
                self._rate.step()  # which moves nothing; the schedule wants it before its own
                self._schedule.step()
        return rates

    def end_epoch(self, validation_loss: float) -> None:
        """Tells the plateau schedule how the epoch went; the others go by steps."""
        if isinstance(self._schedule, ReduceLROnPlateau):
            self._schedule.step(validation_loss)

    def state(self) -> dict[str, Any]:
        """What the next epoch depends on."""
        schedule = None if self._schedule is None else self._schedule.state_dict()
        return {"rate": float(self._rate.param_groups[0]["lr"]), "schedule": schedule}

    def load(self, state: dict[str, Any]) -> None:
        """Takes over what state() gave."""
        self._rate.param_groups[0]["lr"] = state["rate"]
        if self._schedule is not None:
            self._schedule.load_state_dict(state["schedule"])


def _schedule(rate: SGD, config: Config, steps: int) -> LRScheduler | ReduceLROnPlateau | None:
    if config.schedule == "cosine":
        return CosineAnnealingLR(rate, T_max=steps)
    if config.schedule == "one_cycle":
        return OneCycleLR(rate, max_lr=config.learning_rate, total_steps=steps, cycle_momentum=False)
    if config.schedule == "plateau":
        return ReduceLROnPlateau(rate, factor=PLATEAU_FACTOR, patience=PLATEAU_PATIENCE)
    return None
