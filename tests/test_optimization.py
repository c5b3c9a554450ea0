from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ferray.config import Config
from ferray.training.models import build, kernels
from ferray.training.optimization import Optimization


def _model() -> nn.Module:
    return build(Config(model="dnn", width=0.2, seed=1), (1, 4, 4), 3)


def _gradients(model: nn.Module, step: int, scale: float = 1.0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(step)
    return [torch.randn(parameter.shape, generator=generator) * scale for parameter in model.parameters()]


def _take_steps(optimization: Optimization, model: nn.Module, steps: int, scale: float = 1.0) -> None:
    for step in range(steps):
        for parameter, gradient in zip(model.parameters(), _gradients(model, step, scale), strict=True):
            parameter.grad = gradient
        optimization.step()


@pytest.mark.parametrize("scale", [1.0, 1e-6])
@pytest.mark.parametrize(("optimizer", "decay"), [("adam", 0.0), ("adamw", 0.1)])
def test_adam_takes_the_steps_that_keras_defines(optimizer: str, decay: float, scale: float) -> None:
    model = _model()
    config = Config(model="dnn", optimizer=optimizer, weight_decay=decay, learning_rate=0.01)
    weights = [parameter.detach().double().clone() for parameter in model.parameters()]
    first = [torch.zeros_like(weight) for weight in weights]
    second = [torch.zeros_like(weight) for weight in weights]
    for t in range(1, 8):
        rate = 0.01 * math.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        for i, gradient in enumerate(_gradients(model, t - 1, scale)):
            first[i] = 0.9 * first[i] + 0.1 * gradient.double()
            second[i] = 0.999 * second[i] + 0.001 * gradient.double() ** 2
            weights[i] = weights[i] * (1 - 0.01 * decay) - rate * first[i] / (second[i].sqrt() + 1e-7)
    _take_steps(Optimization(model, config, 10), model, 7, scale)
    assert all(torch.allclose(p.double(), w, atol=2e-6) for p, w in zip(model.parameters(), weights, strict=True))


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_takes_nesterov_steps(momentum: float) -> None:
    model = _model()
    config = Config(model="dnn", optimizer="sgd", momentum=momentum, learning_rate=0.01, weight_decay=0.1)
    weights = [parameter.detach().double().clone() for parameter in model.parameters()]
    velocity = [torch.zeros_like(weight) for weight in weights]
    for t in range(5):
        for i, gradient in enumerate(_gradients(model, t)):
            decayed = gradient.double() + 0.1 * weights[i]
            velocity[i] = momentum * velocity[i] + decayed
            weights[i] = weights[i] - 0.01 * (decayed + momentum * velocity[i])
    _take_steps(Optimization(model, config, 10), model, 5)
    assert all(torch.allclose(p.double(), w, atol=2e-6) for p, w in zip(model.parameters(), weights, strict=True))


@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.02), (0.01, 0.0), (0.01, 0.02)])
def test_the_penalty_gives_the_steps_and_the_value_of_autograd_through_its_sums(l1: float, l2: float) -> None:
    images, labels = torch.rand(8, 1, 4, 4, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 3
    config = Config(model="dnn", optimizer="sgd", momentum=0.0, learning_rate=0.5, l1=l1, l2=l2)
    ours, reference = _model(), _model()
    kernel = kernels(ours)[0]
    with torch.no_grad():
        kernel[0, 0] = kernels(reference)[0][0, 0] = 0.0  # where |w| has no slope
    optimization = Optimization(ours, config, 1)
    penalty = sum((l1 * weight.abs().sum() + l2 * weight.square().sum() for weight in kernels(reference)), torch.zeros(()))
    assert optimization.penalty().item() == pytest.approx(penalty.item(), rel=1e-5)

    F.cross_entropy(ours(images), labels).backward()
    optimization.step()
    (F.cross_entropy(reference(images), labels) + penalty).backward()
    torch.optim.SGD(reference.parameters(), lr=0.5).step()
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(ours.parameters(), reference.parameters(), strict=True))


def _rates(schedule: str, steps: int, **settings: Any) -> list[float]:
    model = _model()
    optimization = Optimization(model, Config(model="dnn", schedule=schedule, epochs=steps // 10, **settings), 10)
    rates = []
    for _ in range(steps):
        rates.append(optimization.learning_rate)
        _take_steps(optimization, model, 1)
    return rates


def test_the_constant_schedule_keeps_the_learning_rate() -> None:
    assert set(_rates("constant", 20, learning_rate=0.25)) == {0.25}


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_the_cosine_schedule_falls_from_the_learning_rate_towards_zero_step_by_step(optimizer: str) -> None:
    expected = [0.5 * (1 + math.cos(math.pi * step / 40)) / 8 for step in range(40)]
    assert _rates("cosine", 40, optimizer=optimizer, learning_rate=1 / 8) == pytest.approx(expected)


def test_the_one_cycle_schedule_rises_to_the_learning_rate_and_falls_to_nearly_zero() -> None:
    rates = _rates("one_cycle", 40, learning_rate=0.1)
    peak = rates.index(max(rates))
    assert max(rates) == pytest.approx(0.1)
    assert rates[0] == pytest.approx(0.1 / 25)
    assert 10 <= peak <= 12
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] < 1e-5


def test_the_plateau_schedule_halves_the_rate_after_five_epochs_without_a_lower_validation_loss() -> None:
    optimization = Optimization(_model(), Config(model="dnn", schedule="plateau", learning_rate=0.1), 10)
    rates = []
    for loss in (2.0, 1.0, *[1.0] * 5, 1.5, 0.5):
        optimization.end_epoch(loss)
        rates.append(optimization.learning_rate)
    assert rates == pytest.approx([0.1] * 7 + [0.05] * 2)
