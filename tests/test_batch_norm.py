"""Batch normalization on a processor, beside formulas in float64."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ferray.training.batch_norm import batch_norm, moments

SHAPES = [(32, 8, 48, 48), (16, 30, 12, 12), (3, 5, 7, 7), (2, 200, 1, 1), (40_000, 3), (2, 4), (7, 1, 9, 5)]


@pytest.fixture(autouse=True)
def _threads(one_thread: None) -> None:
    pass


def _features(shape: tuple[int, ...]) -> Tensor:
    """As a rectifier leaves them: half of them alike, which is where sums of one number after the other go wrong."""
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(0)).mul_(0.1).relu_()
    return drawn.contiguous(memory_format=torch.channels_last) if len(shape) == 4 else drawn


def _off(values: Tensor, exact: Tensor) -> float:
    return float((values.double() - exact).norm() / exact.norm())


def _step(features: Tensor, gradient: Tensor, *, own: bool = True) -> dict[str, Tensor]:
    """What a step makes of features and running statistics, and the gradients."""
    kind, channels = features.dtype, features.shape[1]
    features = features.detach().requires_grad_()
    weight, bias = (torch.linspace(0.5, last, channels).to(kind).requires_grad_() for last in (1.5, -0.3))
    mean, variance = torch.full((channels,), 0.2, dtype=kind), torch.full((channels,), 2.0, dtype=kind)
    made = (batch_norm if own else F.batch_norm)(features, mean, variance, weight, bias, True, 0.25, 1e-3)
    gradients = torch.autograd.grad(made, [features, weight, bias], gradient)
    named = dict(zip(("of features", "of weight", "of bias"), gradients, strict=True))
    return {"made": made.detach(), "mean": mean, "variance": variance, **named}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_step_is_that_of_float64_but_for_rounding(shape: tuple[int, ...]) -> None:
    features, gradient = _features(shape), torch.randn(shape, generator=torch.Generator().manual_seed(1))
    exact = _step(features.double().contiguous(), gradient.double(), own=False)
    off = {name: _off(value, exact[name]) for name, value in _step(features, gradient).items()}
    assert max(off[name] for name in ("made", "mean", "variance")) < 1e-6, off
    assert max(off[name] for name in ("of features", "of weight", "of bias")) < 2e-5, off


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_layouts_and_offsets_leave_the_moments_exact(shape: tuple[int, ...]) -> None:
    for offset in (0.0, 100.0):
        features = _features(shape) * 10 + offset
        variance, mean = torch.var_mean(features.double(), [axis for axis in range(features.dim()) if axis != 1], correction=0)
        for layout in (features, features.contiguous()):
            own_mean, own_variance = moments(layout)
            assert _off(own_mean, mean) < 1e-6
            assert _off(own_variance, variance) < 1e-5


def test_features_that_are_all_alike_have_no_variance() -> None:
    mean, variance = moments(torch.full((16, 3, 4, 4), 0.1).contiguous(memory_format=torch.channels_last))
    assert torch.allclose(mean, torch.full((3,), 0.1))
    assert variance.max() < 1e-15


@pytest.mark.parametrize(("kind", "training"), [(torch.float32, False), (torch.bfloat16, True), (torch.float64, True)])
def test_elsewhere_it_is_torchs_own_to_the_bit(kind: torch.dtype, training: bool) -> None:
    features = _features((8, 4, 6, 6)).to(kind)
    made = []
    for function in (batch_norm, F.batch_norm):
        statistics = [torch.full((4,), value, dtype=torch.promote_types(kind, torch.float32)) for value in (0.2, 2.0, 1.5, -0.3)]
        made.append([function(features, *statistics, training, 0.25, 1e-3), *statistics[:2]])
    assert all(torch.equal(one, other) for one, other in zip(*made, strict=True))
