"""The DNN's first two layers at once: a small dense layer on each pixel, ReLU, and a dense layer on all of what it makes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

AT_ONCE = {"cpu": 2**18, "cuda": 2**62}
"""Features that are made at a time, by the kind of device: on a processor as many as stay in its cache."""


class _PixelLayers(torch.autograd.Function):
    """What the first layer makes, 69,120 numbers for an image of 48 x 48, is never kept: it is made anew for the gradients.

    Kept, it would go through memory a dozen times in a step, which takes several times as long as the arithmetic. Pixels are taken in
    groups, so that each group's features and its part of the second layer's weights are read and written within the cache.
    """

    @staticmethod
    def forward(ctx: Any, pixels: Tensor, weight: Tensor, bias: Tensor, second: Tensor) -> Tensor:
        ctx.save_for_backward(pixels, weight, bias, second)
        out = torch.zeros(len(pixels), len(second), dtype=_sums(pixels), device=pixels.device)
        for few, columns in _groups(pixels, len(weight)):
            out += torch.mm(_features(few, weight, bias), second[:, columns].t())
        return out.to(pixels.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, Tensor, Tensor]:
        pixels, weight, bias, second = ctx.saved_tensors
        of_weight, of_bias = (torch.zeros_like(one, dtype=_sums(pixels)) for one in (weight, bias))
        of_second = torch.empty_like(second)
        units = len(weight)
        for few, columns in _groups(pixels, units):
            features = _features(few, weight, bias)
            torch.mm(gradient.t(), features, out=of_second[:, columns])
            of_features = torch.mm(gradient, second[:, columns]).mul_(features.sign_())  # ReLU's slope is the sign of what it made
            of_bias += of_features.sum(0, dtype=_sums(pixels)).view(-1, units).sum(0)
            of_weight += torch.mm(of_features.view(-1, units).t(), few.reshape(-1, few.shape[-1]))
        return None, of_weight.to(weight.dtype), of_bias.to(bias.dtype), of_second


def pixel_layers(pixels: Tensor, weight: Tensor, bias: Tensor, second: Tensor) -> Tensor:
    """relu(pixels @ weight.t() + bias) for each pixel, and those features of an image [pixels * k] times second.t().

    ``pixels`` [n, pixels, c], which get no gradient, ``weight`` [k, c], ``bias`` [k] and ``second`` [m, pixels * k], all of one dtype,
    to [n, m].
    """
    result: Tensor = _PixelLayers.apply(pixels, weight, bias, second)
    return result


def _sums(values: Tensor) -> torch.dtype:
    """In which the sums over groups are kept: in bf16 each of them would be rounded anew."""
    return torch.float32 if values.dtype == torch.bfloat16 else values.dtype


def _groups(pixels: Tensor, units: int) -> Iterator[tuple[Tensor, slice]]:
    """So many pixels of all images [n, few, c] at a time, and the columns of the second layer's weights that belong to them."""
    n, count, _ = pixels.shape
    few = max(1, min(count, AT_ONCE[pixels.device.type] // (n * units)))
    for first in range(0, count, few):
        last = min(first + few, count)
        yield pixels[:, first:last], slice(first * units, last * units)


def _features(pixels: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Of some pixels [n, few, c]: [n, few * k]."""
    made = torch.addmm(bias, pixels.reshape(-1, pixels.shape[-1]), weight.t())
    return made.relu_().view(len(pixels), -1)
