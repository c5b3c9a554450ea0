"""How gradients become steps: the penalty on kernels, the optimizer, and the schedule of its learning rate."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

from ferray.config import Config
from ferray.training.models import kernels

ADAM_EPSILON = 1e-7
ADAM_BETAS = (0.9, 0.999)
PLATEAU_FACTOR = 0.5
PLATEAU_PATIENCE = 5
"""Epochs without a lower validation loss after which the plateau schedule halves the learning rate, at the next such epoch."""


class Optimization:
    """Optimizer, penalty and schedule of one model, with the state that training goes on from."""

    def __init__(self, model: nn.Module, config: Config, steps_per_epoch: int) -> None:
        self.config = config
        self.kernels: list[Tensor] = list(kernels(model))
        self.optimizer = _optimizer(model, config)
        self.schedule = _schedule(self.optimizer, config, steps_per_epoch)
        self.steps = 0

    @property
    def learning_rate(self) -> float:
        """The rate that the next step takes."""
        return float(self.optimizer.param_groups[0]["lr"])

    def step(self) -> None:
        """One update from the gradients of the mean cross-entropy, to which the penalty's are added, and then clears them."""
        self._add_penalty_gradients()
        self.steps += 1
        if not isinstance(self.optimizer, SGD):
            # Keras adds epsilon to the root of the uncorrected second moment, torch to that of the corrected one, so that the same
            # update takes epsilon divided by the root of the correction.
            self.optimizer.param_groups[0]["eps"] = ADAM_EPSILON / math.sqrt(1 - ADAM_BETAS[1] ** self.steps)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if isinstance(self.schedule, LRScheduler) and not isinstance(self.schedule, ReduceLROnPlateau):
            self.schedule.step()

    def end_epoch(self, validation_loss: float) -> None:
        """Tells the plateau schedule how the epoch went; the others go by steps."""
        if isinstance(self.schedule, ReduceLROnPlateau):
            self.schedule.step(validation_loss)

    @torch.no_grad()
    def penalty(self) -> Tensor:
        """l1 * sum |w| + l2 * sum w^2 over kernels, a number on the model's device."""
        if not self.kernels:
            return torch.zeros(())
        magnitudes = torch.stack(torch._foreach_norm(self.kernels, 1, dtype=torch.float64)).sum()
        squares = torch.stack(torch._foreach_norm(self.kernels, 2, dtype=torch.float64)).square().sum()
        return self.config.l1 * magnitudes + self.config.l2 * squares

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on, apart from the weights."""
        schedule = None if self.schedule is None else self.schedule.state_dict()
        return {"optimizer": self.optimizer.state_dict(), "schedule": schedule, "steps": self.steps}

    def load(self, state: dict[str, Any]) -> None:
        """Takes over what state() gave."""
        self.optimizer.load_state_dict(state["optimizer"])
        if self.schedule is not None:
            self.schedule.load_state_dict(state["schedule"])
        self.steps = state["steps"]

    @torch.no_grad()
    def _add_penalty_gradients(self) -> None:
        # Far cheaper than autograd through the sums, which would read and write every kernel several times more.
        reached = [kernel for kernel in self.kernels if kernel.grad is not None]  # a network may leave some of its layers unused
        gradients = [kernel.grad for kernel in reached if kernel.grad is not None]
        if not reached:
            return
        if self.config.l1:
            torch._foreach_add_(gradients, torch._foreach_sign(reached), alpha=self.config.l1)
        if self.config.l2:
            torch._foreach_add_(gradients, reached, alpha=2 * self.config.l2)


def _optimizer(model: nn.Module, config: Config) -> Optimizer:
    parameters, rate = [parameter for parameter in model.parameters() if parameter.requires_grad], config.learning_rate
    if config.optimizer == "sgd":
        nesterov = config.momentum > 0  # torch refuses it without momentum
        return SGD(parameters, rate, momentum=config.momentum, nesterov=nesterov, weight_decay=config.weight_decay, fused=True)
    if config.optimizer == "adamw":
        return AdamW(parameters, rate, betas=ADAM_BETAS, eps=ADAM_EPSILON, weight_decay=config.weight_decay, fused=True)
    return Adam(parameters, rate, betas=ADAM_BETAS, eps=ADAM_EPSILON, fused=True)


def _schedule(optimizer: Optimizer, config: Config, steps_per_epoch: int) -> LRScheduler | ReduceLROnPlateau | None:
    steps = config.epochs * steps_per_epoch
    if config.schedule == "cosine":
        return CosineAnnealingLR(optimizer, T_max=steps)
    if config.schedule == "one_cycle":
        return OneCycleLR(optimizer, max_lr=config.learning_rate, total_steps=steps, cycle_momentum=False)
    if config.schedule == "plateau":
        return ReduceLROnPlateau(optimizer, factor=PLATEAU_FACTOR, patience=PLATEAU_PATIENCE)
    return None
