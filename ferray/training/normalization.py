"""What is done to pixels before a network sees them, in training and in evaluation alike."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class InputNormalization:
    """Maps float images [n, c, h, w] with pixels in 0..255 to a network's inputs, in one of four ways.

    ``none`` keeps 0..255; ``scale`` maps to 0..1; ``standardize`` subtracts the training set's mean and divides by its standard
    deviation, channel by channel; ``per_image`` does so with each image's own, where the deviation is at least one over the square root
    of the number of its values, as in TensorFlow's per_image_standardization, so that a blank image stays finite.
    """

    def __init__(self, kind: str, training_images: Tensor, device: torch.device) -> None:
        """Takes the training set as uint8 [n, c, h, w]; its statistics are exact, from counts of the 256 values."""
        self.kind = kind
        if kind == "standardize":
            mean, deviation = pixel_statistics(training_images)
            self.mean, self.deviation = mean.to(device), deviation.to(device)

    @classmethod
    def restored(cls, kind: str, tensors: Mapping[str, Tensor], device: torch.device) -> InputNormalization:
        """The same normalization again, from what ``tensors`` told of it. Raises KeyError where they lack something."""
        normalization = cls.__new__(cls)
        normalization.kind = kind
        if kind == "standardize":
            normalization.mean, normalization.deviation = tensors["mean"].to(device), tensors["deviation"].to(device)
        return normalization

    @property
    def tensors(self) -> dict[str, Tensor]:
        """What it learned from the training set: ``mean`` and ``deviation``, each [c, 1, 1], or nothing."""
        return {"mean": self.mean, "deviation": self.deviation} if self.kind == "standardize" else {}

    def __call__(self, images: Tensor) -> Tensor:
        """Float images [n, c, h, w] with pixels in 0..255 to inputs of the same shape."""
        if self.kind == "none":
            return images
        if self.kind == "scale":
            return images * (1 / 255)
        if self.kind == "standardize":
            return (images - self.mean) / self.deviation
        variance, mean = torch.var_mean(images, dim=(1, 2, 3), correction=0, keepdim=True)
        return (images - mean) / variance.sqrt().clamp(min=images[0].numel() ** -0.5)


def pixel_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel of uint8 images [n, c, h, w], each [c, 1, 1]; a constant channel has deviation 1."""
    values = torch.arange(256, dtype=torch.float64)
    figures = []
    for channel in range(images.shape[1]):
        share = torch.bincount(images[:, channel].reshape(-1), minlength=256).to(torch.float64) / images[:, channel].numel()
        mean = (share * values).sum()
        deviation = (share * (values - mean) ** 2).sum().sqrt()
        figures.append((mean, deviation if deviation > 0 else torch.ones_like(deviation)))
    means, deviations = zip(*figures, strict=True)
    return torch.stack(means).float()[:, None, None], torch.stack(deviations).float()[:, None, None]
