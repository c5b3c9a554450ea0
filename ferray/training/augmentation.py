"""Random changes to training images: drawn image by image, done for a whole batch at once on the images' device."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ferray.config import Augmentation
from ferray.seeds import derive

DRAWS = {"rotation": 1, "horizontal_flip": 1, "shift": 2, "zoom": 1, "brightness": 1, "contrast": 1, "erasing": 5}
"""Uniform numbers that each transform needs for an image."""

ERASED_AREA = (0.02, 0.33)
ERASED_ASPECT = (0.3, 1 / 0.3)
"""Share of the image and height over width of the erased rectangle, as in Zhong et al., "Random Erasing Data Augmentation", 2020."""

Draws = dict[str, Tensor]


def draw(settings: Augmentation, images: int, *, seed: int, epoch: int) -> Draws:
    """Uniform numbers in 0..1 for every image of one epoch, [images, k] on the processor, for the transforms that are on.

    Each transform has a stream of its own and each image its own row, so that switching one transform off, or another batch size or
    order of images, leaves all other draws as they are. The numbers are the same on every device.
    """
    return {
        name: torch.rand(
            images, numbers, generator=torch.Generator().manual_seed(derive(seed, "augmentation", name, epoch)), dtype=torch.float32
        )
        for name, numbers in DRAWS.items()
        if getattr(settings, name) > 0
    }


def augment(images: Tensor, settings: Augmentation, draws: Draws) -> Tensor:
    """Changed copies of float images [n, c, h, w] with pixels in 0..255, given the draws [n, k] of just these images.

    Flip, zoom, rotation and shift, in this order, are one affine map and one bilinear resampling, in which the nearest edge pixel
    fills what comes from outside; a flip alone is exact. Then brightness and contrast, cut to 0..255, then erasing.
    """
    if draws.keys() & {"rotation", "shift", "zoom"}:
        images = _resample(images, settings, draws)
    elif "horizontal_flip" in draws:
        images = torch.where(_flipped(settings, draws)[:, None, None, None], images.flip(-1), images)
    if draws.keys() & {"brightness", "contrast"}:
        images = _relight(images, settings, draws)
    if "erasing" in draws:
        images = _erase(images, settings, draws["erasing"])
    return images


def _flipped(settings: Augmentation, draws: Draws) -> Tensor:
    return draws["horizontal_flip"][:, 0] < settings.horizontal_flip


def _around_zero(uniform: Tensor, reach: float) -> Tensor:
    return (2 * uniform - 1) * reach


def _resample(images: Tensor, settings: Augmentation, draws: Draws) -> Tensor:
    n, _, height, width = images.shape
    zero = torch.zeros(n, device=images.device, dtype=images.dtype)
    angle = _around_zero(draws["rotation"][:, 0], math.radians(settings.rotation)) if "rotation" in draws else zero
    scale = 1 / (1 + _around_zero(draws["zoom"][:, 0], settings.zoom)) if "zoom" in draws else zero + 1
    right, down = _around_zero(draws["shift"], settings.shift).unbind(1) if "shift" in draws else (zero, zero)
    mirror = torch.where(_flipped(settings, draws), -1.0, 1.0) if "horizontal_flip" in draws else zero + 1
    # The map goes from a place in the result to the place in the image that it shows, in coordinates from -1 to 1 on both axes, hence
    # the inverse of each step in reverse order: shift, rotation (which needs true proportions), zoom, flip.
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    across, along = sin * (height / width), sin * (width / height)
    left, up = -2 * right, -2 * down
    column = torch.stack([cos, -across, cos * left - across * up], dim=1) * mirror[:, None]
    row = torch.stack([along, cos, along * left + cos * up], dim=1)
    grid = F.affine_grid(torch.stack([column, row], dim=1), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _relight(images: Tensor, settings: Augmentation, draws: Draws) -> Tensor:
    if "contrast" in draws:
        mean = images.mean(dim=(1, 2, 3), keepdim=True)
        factor = 1 + _around_zero(draws["contrast"], settings.contrast)
        images = (images - mean) * factor[:, :, None, None] + mean
    if "brightness" in draws:
        images = images + _around_zero(draws["brightness"], 255 * settings.brightness)[:, :, None, None]
    return images.clamp(0, 255)


def _erase(images: Tensor, settings: Augmentation, draws: Tensor) -> Tensor:
    height, width = images.shape[-2:]
    happens, area, aspect, top, left = draws.unbind(1)
    smallest, largest = ERASED_AREA
    flattest, tallest = (math.log(bound) for bound in ERASED_ASPECT)
    pixels = (smallest + (largest - smallest) * area) * height * width
    shape = torch.exp(flattest + (tallest - flattest) * aspect)
    rows = (pixels * shape).sqrt().round().clamp(1, height)
    columns = (pixels / shape).sqrt().round().clamp(1, width)
    first_row = (top * (height - rows + 1)).floor()
    first_column = (left * (width - columns + 1)).floor()
    row_number = torch.arange(height, device=images.device)
    column_number = torch.arange(width, device=images.device)
    in_rows = (row_number >= first_row[:, None]) & (row_number < (first_row + rows)[:, None])
    in_columns = (column_number >= first_column[:, None]) & (column_number < (first_column + columns)[:, None])
    inside = in_rows[:, None, :, None] & in_columns[:, None, None, :] & (happens < settings.erasing)[:, None, None, None]
    return torch.where(inside, images.mean(dim=(2, 3), keepdim=True), images)
