from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from ferray.training.normalization import InputNormalization, pixel_statistics


@pytest.fixture
def images() -> Tensor:
    return torch.randint(0, 256, (20, 3, 5, 4), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def _normalized(kind: str, images: Tensor) -> Tensor:
    return InputNormalization(kind, images, torch.device("cpu"))(images.float())


def test_none_keeps_the_pixels_of_0_to_255(images: Tensor) -> None:
    assert torch.equal(_normalized("none", images), images.float())


def test_scale_maps_pixels_to_0_to_1(images: Tensor) -> None:
    assert torch.allclose(_normalized("scale", images), images.float() / 255)


def test_standardize_gives_each_channel_of_the_training_set_mean_0_and_deviation_1(images: Tensor) -> None:
    result = _normalized("standardize", images).double()
    assert result.mean(dim=(0, 2, 3)).abs().max() < 1e-6
    assert (result.std(dim=(0, 2, 3), correction=0) - 1).abs().max() < 1e-6


def test_standardize_uses_the_training_set_for_other_images_too(images: Tensor) -> None:
    normalize = InputNormalization("standardize", images, torch.device("cpu"))
    means = images.double().mean(dim=(0, 2, 3))
    assert torch.allclose(
        normalize(torch.zeros(2, 3, 5, 4))[0, :, 0, 0].double(), -means / images.double().std(dim=(0, 2, 3), correction=0)
    )


def test_per_image_gives_each_image_mean_0_and_deviation_1(images: Tensor) -> None:
    result = _normalized("per_image", images).double()
    assert result.mean(dim=(1, 2, 3)).abs().max() < 1e-5
    assert (result.std(dim=(1, 2, 3), correction=0) - 1).abs().max() < 1e-5


@pytest.mark.parametrize("kind", ["standardize", "per_image"])
def test_images_of_one_colour_stay_finite(kind: str) -> None:
    assert torch.equal(_normalized(kind, torch.full((2, 1, 4, 4), 9, dtype=torch.uint8)), torch.zeros(2, 1, 4, 4))


def test_pixel_statistics_are_exact(images: Tensor) -> None:
    mean, deviation = pixel_statistics(images)
    pixels = images.numpy().astype(np.float64)
    assert np.allclose(mean[:, 0, 0], pixels.mean(axis=(0, 2, 3)), rtol=1e-7)
    assert np.allclose(deviation[:, 0, 0], pixels.std(axis=(0, 2, 3)), rtol=1e-7)
