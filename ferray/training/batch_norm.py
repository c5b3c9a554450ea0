"""Batch normalization by a batch's own statistics, on a processor, to float32's rounding in the layout of fast convolutions.

With the channels of a pixel side by side, torch adds up a channel's numbers one by one in float32. They are 294,912 in a batch of 128
images of 48 x 48 pixels, and the variance comes out wrong by up to a thousandth of itself; with the channels one after another, where torch
adds in float64, by a ten-millionth. Here sums are added up of sums of parts (Higham, 1993, The accuracy of floating point summation), and
squares are those of distances from the mean, which is as exact and takes no longer.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.overrides import handle_torch_function, has_torch_function_unary

AT_ONCE = 2**17
"""Numbers in a part: as many as stay in a processor's cache."""
ROW = 128
"""Numbers in a row from which on rows of more are no faster."""


class _BatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, mean: Tensor, variance: Tensor, weight: Tensor, bias: Tensor, epsilon: float) -> Tensor:
        ctx.save_for_backward(features, mean, variance, weight)
        ctx.epsilon = epsilon
        return torch.native_batch_norm(features, weight, bias, mean, variance, False, 0.0, epsilon)[0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        features, mean, variance, weight = ctx.saved_tensors
        scale = (variance + ctx.epsilon).rsqrt()
        # torch's own sums again, but of numbers of either sign: they come out right to some 1e-5, and features hardly feel it.
        of_features, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, features, weight, None, None, mean, scale, True, ctx.epsilon, [True, True, True]
        )
        return of_features, None, None, of_weight, of_bias, None


def batch_norm(
    features: Tensor, running_mean: Tensor, running_var: Tensor, weight: Tensor, bias: Tensor, training: bool, momentum: float, eps: float
) -> Tensor:
    """``F.batch_norm`` of features [n, c, ...], and itself but for float32 in training on a processor.

    ``momentum`` is the weight of this batch in the running statistics [c]. Of each channel there must be at least two numbers in training.
    """
    own = (features, running_mean, running_var, weight, bias, training, momentum, eps)
    if has_torch_function_unary(features):  # as torch's own functions do, for those who watch or change what they are given
        overridden: Tensor = handle_torch_function(batch_norm, (features,), *own)
        return overridden
    if not training or features.device.type != "cpu" or features.dtype != torch.float32:
        return F.batch_norm(*own)
    mean, variance = moments(features.detach())
    n = features.numel() // features.shape[1]
    running_mean.mul_(1 - momentum).add_(mean, alpha=momentum)
    running_var.mul_(1 - momentum).add_(variance, alpha=momentum * n / (n - 1))
    result: Tensor = _BatchNorm.apply(features, mean, variance, weight, bias, eps)
    return result


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance (that of the numbers, by n) of each channel of features [n, c, ...], both [c]."""
    channels = features.shape[1]
    pixels = features.movedim(1, -1).reshape(-1, channels)
    n, beside = len(pixels), 1
    while beside * channels < ROW and n % (2 * beside) == 0:
        beside *= 2
    rows = pixels.view(n // beside, beside * channels)
    mean = rows.sum(0).view(beside, channels).sum(0) / n
    means = mean.repeat(beside)
    parts = [(few - means).square_().sum(0) for few in torch.split(rows, max(1, AT_ONCE // rows.shape[1]))]
    return mean, torch.stack(parts).sum(0).view(beside, channels).sum(0) / n
