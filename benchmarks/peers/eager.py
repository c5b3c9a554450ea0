"""The reference CNN in eager PyTorch by somebody who knows it: images on the device, bf16 by autocast, a fused optimizer, no recording."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from benchmarks.peers.tutorial import cnn
from benchmarks.training import REFERENCE, pixels

if TYPE_CHECKING:
    from torch import Tensor

    from benchmarks.contender import Round


def train(images: int, evaluated: int = 1, device: str = "cuda", precision: str = "bf16") -> Round:
    """An epoch, and an evaluation of two splits of so many images each; one trial at a time."""
    import torch
    from torch.nn.functional import affine_grid, cross_entropy, grid_sample

    settings: Any = REFERENCE["augmentation"]
    inputs, labels = (torch.from_numpy(one).to(device) for one in pixels(images))
    others = torch.from_numpy(pixels(evaluated)[0]).to(device)
    model = cnn().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    kernels = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    optimizer = torch.optim.Adam(model.parameters(), lr=REFERENCE["learning_rate"], fused=True)

    def augmented(batch: Tensor) -> Tensor:
        n = len(batch)
        angle = (2 * torch.rand(n, device=device) - 1) * math.radians(settings["rotation"])
        mirror = 1 - 2 * (torch.rand(n, device=device) < settings["horizontal_flip"]).float()
        cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
        turn = torch.stack([torch.stack([cos * mirror, -sin * mirror, zero], 1), torch.stack([sin, cos, zero], 1)], 1)
        grid = affine_grid(turn, list(batch.shape), align_corners=False)
        return grid_sample(batch, grid, padding_mode="border", align_corners=False)

    def logits(batch: Tensor) -> Tensor:
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=precision == "bf16"):
            result: Tensor = model(batch)
        return result.float()

    def one_round() -> float:
        model.train()
        for batch in torch.randperm(images, device=device).split(REFERENCE["batch_size"]):  # type: ignore[arg-type]
            optimizer.zero_grad()
            loss = cross_entropy(logits(augmented(inputs[batch].float() / 255)), labels[batch])
            loss = loss + REFERENCE["l1"] * sum(kernel.abs().sum() for kernel in kernels)
            loss = loss + REFERENCE["l2"] * sum(kernel.square().sum() for kernel in kernels)
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for _ in range(2):
                torch.cat([logits(part.float() / 255) for part in others.split(1024)]).argmax(1).cpu()
        return images

    for _ in range(2):
        one_round()
    return one_round
