"""How gradients become steps: the penalty on kernels, and the optimizer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ferray.config import Config
from ferray.training.models import kernels
from ferray.training.optimizers import SGD, Adam, AdamW

ADAM_EPSILON = 1e-7
ADAM_BETAS = (0.9, 0.999)
LATE = 2.0**24
"""A number of steps after which torch's Adam corrects nothing any more, and to which float32 cannot add one."""


class Optimization:
    """Optimizer and penalty of one model, with the state that training goes on from.

    With ``on_device`` all that changes from step to step is read from tensors on the model's device, so that a step can be recorded
    and replayed; the numbers are the same but for rounding.
    """

    def __init__(self, model: nn.Module, config: Config, *, on_device: bool = False) -> None:
        self.config = config
        self.kernels: list[Tensor] = list(kernels(model))
        self.steps = 0
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        device = self._parameters[0].device if self._parameters else torch.device("cpu")
        self._rate = torch.full((), config.learning_rate, device=device) if on_device else None
        self.optimizer = self._optimizer()

    def rates(self, rates: Sequence[float]) -> Sequence[float] | Tensor:
        """The learning rates of the next steps, each in the form that step() takes.

        On the device they are a row each: the rate as the optimizer takes it, and what AdamW's decay leaves of a weight.
        """
        if self._rate is None:
            return rates
        taken = list(rates)
        if not isinstance(self.optimizer, SGD):
            corrections = [
                math.sqrt(1 - ADAM_BETAS[1] ** step) / (1 - ADAM_BETAS[0] ** step)
                for step in range(self.steps + 1, self.steps + len(taken) + 1)
            ]
            taken = [rate * correction for rate, correction in zip(rates, corrections, strict=True)]
        kept = [1 - rate * self.config.weight_decay for rate in rates]
        return torch.tensor([taken, kept], dtype=torch.float32).T.contiguous().to(self._rate.device)

    def step(self, rate: float | Tensor) -> None:
        """One update, by one of rates(), from the gradients of the mean loss, to which the penalty's are added; then clears them."""
        self._add_penalty_gradients()
        if isinstance(rate, Tensor):
            self._set_on_device(rate)
        else:
            self._set(rate)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def count(self, steps: int) -> None:
        """Tells that so many steps on the device were taken; replayed ones cannot count themselves."""
        self.steps += steps

    @torch.no_grad()
    def penalty(self) -> Tensor:
        """l1 * sum |w| + l2 * sum w^2 over kernels, a number on the model's device."""
        if not self.kernels:
            return torch.zeros(())
        magnitudes = torch.stack(torch._foreach_norm(self.kernels, 1, dtype=torch.float64)).sum()
        squares = torch.stack(torch._foreach_norm(self.kernels, 2, dtype=torch.float64)).square().sum()
        return self.config.l1 * magnitudes + self.config.l2 * squares

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on, apart from the weights and the rate."""
        return {"optimizer": self.optimizer.state_dict(), "steps": self.steps}

    def load(self, state: dict[str, Any]) -> None:
        """Takes over what state() gave."""
        groups = [{name: value for name, value in group.items() if name != "params"} for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(state["optimizer"])
        for group, own in zip(self.optimizer.param_groups, groups, strict=True):
            group.update(own)  # such as the tensor that the rate is read from; what was given belongs to the device that it comes from
        self.steps = state["steps"]
        for parameter, kept in self.optimizer.state.items():
            self._settle(parameter, kept)

    def _settle(self, parameter: Tensor, kept: dict[str, Any]) -> None:
        """Turns what another kind of device left of a parameter into what this one goes on from."""
        on_device = self._rate is not None
        if "step" in kept and bool(kept["step"] >= LATE) != on_device:
            kept["step"].fill_(LATE if on_device else self.steps)
        for name, value in kept.items():  # fused optimizers go through all memory in its order, and take the same order for granted
            if isinstance(value, Tensor) and value.shape == parameter.shape and value.stride() != parameter.stride():
                kept[name] = torch.empty_like(parameter, memory_format=torch.preserve_format).copy_(value)

    def _set(self, rate: float) -> None:
        self.steps += 1
        group = self.optimizer.param_groups[0]
        group["lr"] = rate
        if not isinstance(self.optimizer, SGD):
            # Keras adds epsilon to the root of the uncorrected second moment, torch to that of the corrected one, so that the same
            # update takes epsilon divided by the root of the correction.
            group["eps"] = ADAM_EPSILON / math.sqrt(1 - ADAM_BETAS[1] ** self.steps)

    @torch.no_grad()
    def _set_on_device(self, rate: Tensor) -> None:
        if self._rate is None:
            raise ValueError("the rate is a tensor, and the optimization is not on the device")
        self._rate.copy_(rate[0])
        if isinstance(self.optimizer, AdamW):
            torch._foreach_mul_([parameter for parameter in self._parameters if parameter.grad is not None], rate[1])

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

    def _optimizer(self) -> Optimizer:
        config, parameters = self.config, self._parameters
        on_device = self._rate is not None
        rate = config.learning_rate if self._rate is None else self._rate
        if config.optimizer == "sgd":
            nesterov = config.momentum > 0  # torch refuses it without momentum
            return SGD(parameters, rate, momentum=config.momentum, nesterov=nesterov, weight_decay=config.weight_decay, fused=True)
        adam: Adam | AdamW
        if config.optimizer == "adamw":
            decay = (
                0.0 if on_device else config.weight_decay
            )  # the rate on the device holds Adam's corrections, which decay knows nothing of
            adam = AdamW(parameters, rate, betas=ADAM_BETAS, eps=ADAM_EPSILON, weight_decay=decay, fused=True, capturable=on_device)
        else:
            adam = Adam(parameters, rate, betas=ADAM_BETAS, eps=ADAM_EPSILON, fused=True, capturable=on_device)
        if on_device:
            # Late from the beginning: torch's correction, and with it the place of epsilon, would otherwise not be Keras'.
            for parameter in parameters:
                zeros = (torch.zeros_like(parameter, memory_format=torch.preserve_format) for _ in range(2))
                step = torch.tensor(LATE, device=parameter.device)
                adam.state[parameter] = {"step": step, **dict(zip(("exp_avg", "exp_avg_sq"), zeros, strict=True))}
        return adam
