from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ferray.config import Config
from ferray.training.models import build, kernels
from ferray.training.optimization import Optimization
from ferray.training.state import copied


def _model() -> nn.Module:
    return build(Config(model="dnn", width=0.2, seed=1), (1, 4, 4), 3)


def _gradients(model: nn.Module, step: int, scale: float = 1.0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(step)
    return [torch.randn(parameter.shape, generator=generator) * scale for parameter in model.parameters()]


def _take_steps(optimization: Optimization, model: nn.Module, steps: int, scale: float = 1.0) -> None:
    rates = optimization.rates([0.01] * steps)
    for step in range(steps):
        for parameter, gradient in zip(model.parameters(), _gradients(model, step, scale), strict=True):
            parameter.grad = gradient
        optimization.step(rates[step])


on_the_device_or_not = pytest.mark.parametrize("on_device", [False, True])


@on_the_device_or_not
@pytest.mark.parametrize("scale", [1.0, 1e-6])
@pytest.mark.parametrize(("optimizer", "decay"), [("adam", 0.0), ("adamw", 0.1)])
def test_adam_takes_the_steps_that_keras_defines(optimizer: str, decay: float, scale: float, on_device: bool) -> None:
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
    _take_steps(Optimization(model, config, on_device=on_device), model, 7, scale)
    assert all(torch.allclose(p.double(), w, atol=2e-6) for p, w in zip(model.parameters(), weights, strict=True))


@on_the_device_or_not
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_takes_nesterov_steps(momentum: float, on_device: bool) -> None:
    model = _model()
    config = Config(model="dnn", optimizer="sgd", momentum=momentum, learning_rate=0.01, weight_decay=0.1)
    weights = [parameter.detach().double().clone() for parameter in model.parameters()]
    velocity = [torch.zeros_like(weight) for weight in weights]
    for t in range(5):
        for i, gradient in enumerate(_gradients(model, t)):
            decayed = gradient.double() + 0.1 * weights[i]
            velocity[i] = momentum * velocity[i] + decayed
            weights[i] = weights[i] - 0.01 * (decayed + momentum * velocity[i])
    _take_steps(Optimization(model, config, on_device=on_device), model, 5)
    assert all(torch.allclose(p.double(), w, atol=2e-6) for p, w in zip(model.parameters(), weights, strict=True))


@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.02), (0.01, 0.0), (0.01, 0.02)])
def test_the_penalty_gives_the_steps_and_the_value_of_autograd_through_its_sums(l1: float, l2: float) -> None:
    images, labels = torch.rand(8, 1, 4, 4, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 3
    config = Config(model="dnn", optimizer="sgd", momentum=0.0, learning_rate=0.5, l1=l1, l2=l2)
    ours, reference = _model(), _model()
    kernel = kernels(ours)[0]
    with torch.no_grad():
        kernel[0, 0] = kernels(reference)[0][0, 0] = 0.0  # where |w| has no slope
    optimization = Optimization(ours, config)
    penalty = sum((l1 * weight.abs().sum() + l2 * weight.square().sum() for weight in kernels(reference)), torch.zeros(()))
    assert optimization.penalty().item() == pytest.approx(penalty.item(), rel=1e-5)

    F.cross_entropy(ours(images), labels).backward()
    optimization.step(0.5)
    (F.cross_entropy(reference(images), labels) + penalty).backward()
    torch.optim.SGD(reference.parameters(), lr=0.5).step()
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(ours.parameters(), reference.parameters(), strict=True))


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@on_the_device_or_not
def test_steps_go_on_from_a_state_as_if_nothing_had_happened(optimizer: str, on_device: bool) -> None:
    config = Config(model="dnn", optimizer=optimizer, l1=1e-3, l2=1e-3)
    whole, model = _model(), _model()
    _take_steps(optimization := Optimization(whole, config, on_device=on_device), whole, 4)
    optimization.count(4 * on_device)
    _take_steps(optimization, whole, 4)

    _take_steps(first := Optimization(model, config, on_device=on_device), model, 4)
    first.count(4 * on_device)
    second = Optimization(model, config, on_device=on_device)
    second.load(copied(first.state()))
    _take_steps(second, model, 4)
    assert all(torch.equal(one, other) for one, other in zip(whole.parameters(), model.parameters(), strict=True))


@pytest.mark.parametrize(("optimizer", "decay"), [("adam", 0.0), ("adamw", 0.1), ("sgd", 0.1)])
@pytest.mark.parametrize("on_device", [False, True], ids=["to the device", "from the device"])
def test_steps_go_on_on_another_kind_of_device(optimizer: str, decay: float, on_device: bool) -> None:
    config = Config(model="dnn", optimizer=optimizer, weight_decay=decay, learning_rate=0.01, l1=1e-3)
    whole, model = _model(), _model()
    _take_steps(optimization := Optimization(whole, config), whole, 4)
    _take_steps(optimization, whole, 4)

    _take_steps(first := Optimization(model, config, on_device=on_device), model, 4)
    first.count(4 * on_device)
    second = Optimization(model, config, on_device=not on_device)
    second.load(copied(first.state()))
    _take_steps(second, model, 4)
    assert all(torch.allclose(one, other, atol=2e-6) for one, other in zip(whole.parameters(), model.parameters(), strict=True))


def test_moments_in_another_order_of_memory_are_taken_over_by_their_places() -> None:
    """As a GPU leaves them of a convolution, whose weights lie there channel by channel."""
    config = Config(optimizer="adam", learning_rate=0.01)
    gradient = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    found = []
    for order in (torch.contiguous_format, torch.channels_last):
        model = nn.Conv2d(3, 4, 2, bias=False)
        with torch.no_grad():
            model.weight.fill_(0.5)
        model.to(memory_format=order)  # type: ignore[call-overload]
        first = Optimization(model, config)
        model.weight.grad = gradient.clone().to(memory_format=order)
        first.step(0.01)
        model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        second = Optimization(model, config)
        second.load(copied(first.state()))
        model.weight.grad = gradient.flip(0)
        second.step(0.01)
        found.append(model.weight.detach())
    assert torch.equal(*found)
