"""Augmentation and input normalization image by image, from what docs/study-file.md says of them, in the images' own precision."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ferray.config import Augmentation

Image = NDArray[np.floating[Any]]
"""[channels, height, width], pixels in 0..255, of float32 or float64."""


def augmented(image: Image, settings: Augmentation, draws: Mapping[str, Any]) -> Image:
    """One image, changed by its own draws: uniform numbers in 0..1 for each transform that is on."""
    if draws.keys() & {"rotation", "shift", "zoom", "horizontal_flip"}:
        image = _moved(image, settings, draws)
    if "contrast" in draws:
        image = (image - image.mean()) * (1 + _around_zero(draws["contrast"][0], settings.contrast)) + image.mean()
    if "brightness" in draws:
        image = image + 255 * _around_zero(draws["brightness"][0], settings.brightness)
    if draws.keys() & {"brightness", "contrast"}:
        image = image.clip(0, 255)
    return _erased(image, draws["erasing"]) if "erasing" in draws and draws["erasing"][0] < settings.erasing else image


def _around_zero(uniform: float, reach: float) -> float:
    return (2 * float(uniform) - 1) * reach


def _moved(image: Image, settings: Augmentation, draws: Mapping[str, Any]) -> Image:
    """Flip, zoom, rotation and shift, in this order: each pixel shows the place that all of them, undone in reverse, lead back to."""
    _, height, width = image.shape
    rows, columns = (np.arange(size, dtype=image.dtype) - (size - 1) / 2 for size in (height, width))
    down, right = np.meshgrid(rows, columns, indexing="ij")
    if "shift" in draws:
        right = right - width * _around_zero(draws["shift"][0], settings.shift)
        down = down - height * _around_zero(draws["shift"][1], settings.shift)
    if "rotation" in draws:
        angle = math.radians(_around_zero(draws["rotation"][0], settings.rotation))
        right, down = right * math.cos(angle) - down * math.sin(angle), right * math.sin(angle) + down * math.cos(angle)
    if "zoom" in draws:
        factor = 1 + _around_zero(draws["zoom"][0], settings.zoom)
        right, down = right / factor, down / factor
    if "horizontal_flip" in draws and draws["horizontal_flip"][0] < settings.horizontal_flip:
        right = -right
    return _between_pixels(image, down + (height - 1) / 2, right + (width - 1) / 2)


def _between_pixels(image: Image, rows: NDArray[Any], columns: NDArray[Any]) -> Image:
    """Bilinear, at places [height, width]; outside of the image is its nearest edge pixel."""
    _, height, width = image.shape
    rows, columns = rows.clip(0, height - 1), columns.clip(0, width - 1)
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    bottom, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    below, beside = rows - top, columns - left
    upper = image[:, top, left] * (1 - beside) + image[:, top, right] * beside
    lower = image[:, bottom, left] * (1 - beside) + image[:, bottom, right] * beside
    moved: Image = upper * (1 - below) + lower * below
    return moved


def _erased(image: Image, draws: Any) -> Image:
    """With a rectangle of 2 to 33 % of the image, 0.3 to 3.3 times as high as wide, overwritten by each channel's mean."""
    _, height, width = image.shape
    _, area, aspect, top, left = (float(one) for one in draws)
    pixels = (0.02 + 0.31 * area) * height * width
    shape = math.exp(math.log(0.3) * (1 - 2 * aspect))
    rows = min(max(round(math.sqrt(pixels * shape)), 1), height)
    columns = min(max(round(math.sqrt(pixels / shape)), 1), width)
    row, column = math.floor(top * (height - rows + 1)), math.floor(left * (width - columns + 1))
    erased = image.copy()
    erased[:, row : row + rows, column : column + columns] = image.mean(axis=(1, 2))[:, None, None]
    return erased


def normalized(image: Image, kind: str, training: NDArray[np.uint8]) -> Image:
    """One image as a network gets it; ``training`` are the training images [n, channels, height, width]."""
    if kind == "scale":
        return image / 255
    if kind == "standardize":
        mean, deviation = training.mean(axis=(0, 2, 3)), training.std(axis=(0, 2, 3))
        return (image - mean[:, None, None]) / deviation[:, None, None]
    if kind == "per_image":
        return (image - image.mean()) / max(image.std(), 1 / math.sqrt(image.size))
    return image
