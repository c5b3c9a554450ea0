"""The CNN in bf16 as hardware computes it, on a processor without bf16: float32 arithmetic on numbers rounded to bf16.

Products of bf16 numbers are exact in float32, and hardware sums them in float32; so what ``precision: bf16`` does to a training is to
round what goes into convolutions, dense layers and batch normalizations, what comes out of them, and the gradients of both. Only the
order of sums is another one. tests/test_rounded.py holds it against ``precision: bf16`` itself, which needs far longer without hardware.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ferray.config import Config
from ferray.training.batch_norm import batch_norm
from ferray.training.models import build

OPERANDS: dict[Callable[..., Any], int] = {F.conv2d: 3, F.linear: 3, F.batch_norm: 1}
"""How many of an operation's first arguments autocast has in bf16; batch normalization keeps its weights and statistics in float32."""


class _Rounded(torch.autograd.Function):
    """To the nearest bf16 number, even ones at ties, as float32; of gradients likewise."""

    @staticmethod
    def forward(_context: Any, numbers: Tensor) -> Tensor:
        return numbers.to(torch.bfloat16).to(torch.float32)

    @staticmethod
    def backward(_context: Any, *gradients: Tensor) -> Tensor:
        return gradients[0].to(torch.bfloat16).to(torch.float32)


def rounded(numbers: Tensor) -> Tensor:
    """Float32 numbers, and their gradients, rounded to bf16."""
    result: Tensor = _Rounded.apply(numbers)
    return result


class Bf16(TorchFunctionMode):
    """While it is on, torch's operations take and give the numbers that they would take and give under autocast to bf16."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Iterable[type],
        arguments: tuple[Any, ...] = (),
        keywords: Mapping[str, Any] | None = None,
    ) -> Any:
        """Rounds around those operations that autocast has in bf16; what is between them changes no number's precision."""
        if function is batch_norm:
            function = F.batch_norm  # which it is in bf16
        operands = OPERANDS.get(function)
        if operands is None:
            return function(*arguments, **(keywords or {}))
        first = [rounded(one) if isinstance(one, Tensor) else one for one in arguments[:operands]]
        return rounded(function(*first, *arguments[operands:], **(keywords or {})))


class Network(nn.Module):
    """ferray's CNN in float32 or, ``bf16``, in bf16's numbers: normalized images [n, c, h, w] to logits [n, classes].

    Not the DNN, whose first two layers are one operation with gradients of its own, which rounding from outside does not reach.
    """

    def __init__(self, in_channels: int, image_size: tuple[int, int], num_classes: int, width: float = 1.0, bf16: bool = False) -> None:
        super().__init__()
        seed = int(torch.randint(2**31, ()))  # of the trial's stream for initialisation
        self.network = build(Config.model_validate({"width": width, "seed": seed}), (in_channels, *image_size), num_classes)
        self.bf16 = bf16

    def forward(self, images: Tensor) -> Tensor:
        """Dropout's factor of 2 and rectifiers, pools and paddings give bf16 numbers for bf16 numbers, and so need no rounding."""
        if not self.bf16:
            logits: Tensor = self.network(images)
            return logits
        with Bf16():
            return rounded(self.network(images))
