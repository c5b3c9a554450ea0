from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from ferray.config import Config
from ferray.training import pixel_layers as module
from ferray.training.models import build
from ferray.training.pixel_layers import pixel_layers


@pytest.mark.parametrize("at_once", [1, 60, 2**20])
def test_the_two_layers_and_their_gradients_are_those_of_the_layers_one_by_one(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setitem(module.AT_ONCE, "cpu", at_once)
    generator = torch.Generator().manual_seed(0)
    pixels, weight, bias, second, gradient = (
        torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ([5, 7, 3], [4, 3], [4], [6, 28], [5, 6])
    )
    weights = [one.requires_grad_() for one in (weight, bias, second)]
    ours = pixel_layers(pixels, *weights)
    plain = F.linear(F.linear(pixels, weight, bias).relu().flatten(1), second)
    assert torch.allclose(ours, plain)
    for one, other in zip(torch.autograd.grad(ours, weights, gradient), torch.autograd.grad(plain, weights, gradient), strict=True):
        assert torch.allclose(one, other)


def test_the_dnn_answers_alike_in_training_and_in_evaluation_where_nothing_tells_them_apart() -> None:
    model = build(Config(model="dnn"), (3, 8, 8), 4)
    images = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(model.train()(images), model.eval()(images), atol=1e-5)


def test_bfloat16_is_computed_where_it_is_asked_for() -> None:
    model = build(Config(model="dnn", width=0.2), (1, 8, 8), 4).train()
    images = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(images)
    assert logits.dtype == torch.bfloat16
    assert torch.allclose(logits.float(), model(images), atol=0.05)
    logits.float().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.dtype == torch.float32 for parameter in model.parameters())
