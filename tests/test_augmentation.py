from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ferray.config import Augmentation
from ferray.training.augmentation import DRAWS, Draws, augment, draw

EVERYTHING = Augmentation(rotation=31.4, horizontal_flip=0.5, shift=0.1, zoom=0.2, brightness=0.2, contrast=0.3, erasing=0.5)


def _images(n: int = 6, channels: int = 1, height: int = 9, width: int = 9) -> Tensor:
    return torch.rand(n, channels, height, width, generator=torch.Generator().manual_seed(0)) * 255


def _draws(n: int, **values: list[float]) -> Draws:
    return {name: torch.tensor(value).expand(n, -1) for name, value in values.items()}


def _drawn(images: Tensor, settings: Augmentation, epoch: int = 1) -> Tensor:
    return augment(images, settings, draw(settings, len(images), seed=0, epoch=epoch))


def test_nothing_happens_where_everything_is_off() -> None:
    images = _images()
    assert draw(Augmentation(), 6, seed=0, epoch=1) == {}
    assert torch.equal(_drawn(images, Augmentation()), images)


@pytest.mark.parametrize("name", list(DRAWS))
def test_each_transform_changes_images_and_leaves_the_given_ones_alone(name: str) -> None:
    images = _images()
    before = images.clone()
    changed = _drawn(images, Augmentation(**{name: getattr(EVERYTHING, name)}))
    assert changed.shape == images.shape
    assert not torch.equal(changed, images)
    assert torch.equal(images, before)


@pytest.mark.parametrize("name", list(DRAWS))
def test_taking_one_transform_away_leaves_the_draws_of_the_others(name: str) -> None:
    everything = draw(EVERYTHING, 8, seed=3, epoch=2)
    without = draw(EVERYTHING.model_copy(update={name: 0.0}), 8, seed=3, epoch=2)
    assert set(without) == set(everything) - {name}
    assert all(torch.equal(without[other], everything[other]) for other in without)


def test_draws_differ_between_images_epochs_seeds_and_transforms() -> None:
    first = draw(EVERYTHING, 100, seed=0, epoch=1)
    assert all(len(values.unique()) > 0.99 * values.numel() for values in first.values())
    for other in (draw(EVERYTHING, 100, seed=0, epoch=2), draw(EVERYTHING, 100, seed=1, epoch=1)):
        assert all(not torch.equal(first[name], other[name]) for name in first)
    assert not torch.equal(first["rotation"], first["zoom"])


def test_equal_images_of_a_batch_become_different_ones() -> None:
    images = _images(1, height=48, width=48).expand(64, -1, -1, -1)
    for settings in (Augmentation(rotation=31.4), Augmentation(shift=0.2), Augmentation(zoom=0.3), EVERYTHING):
        assert len(_drawn(images, settings).flatten(1).unique(dim=0)) == 64


def test_an_image_is_changed_alike_in_whatever_batch_it_is() -> None:
    images = _images(6, channels=3)
    draws = draw(EVERYTHING, 6, seed=0, epoch=1)
    together = augment(images, EVERYTHING, draws)
    alone = torch.cat(
        [augment(images[i : i + 1], EVERYTHING, {name: values[i : i + 1] for name, values in draws.items()}) for i in range(6)]
    )
    assert torch.allclose(together, alone, atol=1e-3)


@pytest.mark.parametrize(("height", "width"), [(9, 9), (8, 8)])
def test_a_rotation_by_a_quarter_turn_is_rot90(height: int, width: int) -> None:
    images = _images(channels=2, height=height, width=width)
    turned = augment(images, Augmentation(rotation=90.0), _draws(6, rotation=[1.0]))
    assert torch.allclose(turned, torch.rot90(images, 1, (2, 3)), atol=1e-2)


def test_a_rotation_by_half_a_turn_is_exact_on_images_that_are_not_square() -> None:
    images = _images(height=6, width=11)
    assert torch.allclose(augment(images, Augmentation(rotation=180.0), _draws(6, rotation=[1.0])), images.flip(2, 3), atol=1e-2)


def test_a_rotation_keeps_proportions_on_images_that_are_not_square() -> None:
    rows, columns = torch.meshgrid(torch.arange(20.0) - 9.5, torch.arange(40.0) - 19.5, indexing="ij")
    disc = 255 * torch.exp(-(rows**2 + columns**2) / 10)[None, None]
    turned = augment(disc, Augmentation(rotation=40.0), _draws(1, rotation=[1.0]))
    assert (turned - disc).abs().mean() < 1.0


def test_the_angle_is_uniform_between_minus_and_plus_the_rotation() -> None:
    # A horizontal ramp shows the angle: along a row through the centre it rises by cos(angle) a pixel, down a column by sin(angle).
    ramp = torch.arange(21.0).expand(4000, 1, 21, 21)
    turned = _drawn(ramp, Augmentation(rotation=30.0))
    angles = torch.rad2deg(torch.atan2(turned[:, 0, 11, 10] - turned[:, 0, 9, 10], turned[:, 0, 10, 11] - turned[:, 0, 10, 9]))
    counts = torch.histc(angles, bins=6, min=-30, max=30)
    assert counts.sum() == 4000
    assert (counts - 4000 / 6).abs().max() < 4.5 * math.sqrt(4000 / 6)


def test_a_flip_alone_mirrors_exactly_and_as_often_as_asked() -> None:
    images = _images(1, channels=3).expand(4000, -1, -1, -1)
    flipped = _drawn(images, Augmentation(horizontal_flip=0.3))
    mirrored = (flipped == images.flip(-1)).flatten(1).all(dim=1)
    kept = (flipped == images).flatten(1).all(dim=1)
    assert (mirrored ^ kept).all()
    assert abs(mirrored.float().mean().item() - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 4000)


def test_a_certain_flip_mirrors_every_image() -> None:
    images = _images()
    assert torch.equal(_drawn(images, Augmentation(horizontal_flip=1.0)), images.flip(-1))


def test_a_flip_within_a_rotation_is_the_rotation_of_the_mirrored_image() -> None:
    images = _images(height=12, width=10)
    both = augment(images, Augmentation(rotation=30.0, horizontal_flip=1.0), _draws(6, rotation=[0.8], horizontal_flip=[0.1]))
    assert torch.allclose(both, augment(images.flip(-1), Augmentation(rotation=30.0), _draws(6, rotation=[0.8])), atol=1e-2)


def test_a_shift_by_whole_pixels_moves_them_and_repeats_the_edge() -> None:
    images = _images(height=10, width=20)
    moved = augment(images, Augmentation(shift=0.2), _draws(6, shift=[1.0, 0.25]))  # 4 pixels to the right, 1 up
    assert torch.allclose(moved[:, :, :-1, 4:], images[:, :, 1:, :-4], atol=1e-2)
    assert torch.allclose(moved[:, :, :-1, :4], images[:, :, 1:, :1].expand(-1, -1, -1, 4), atol=1e-2)
    assert torch.allclose(moved[:, :, -1, 4:], images[:, :, -1, :-4], atol=1e-2)


def test_the_shift_is_in_the_directions_of_the_turned_image() -> None:
    images = _images(height=10, width=10)
    draws = _draws(6, rotation=[1.0], shift=[1.0, 0.5])
    both = augment(images, Augmentation(rotation=90.0, shift=0.2), draws)
    expected = augment(torch.rot90(images, 1, (2, 3)), Augmentation(shift=0.2), _draws(6, shift=[1.0, 0.5]))
    assert torch.allclose(both, expected, atol=1e-2)


def test_a_zoom_above_one_shows_the_centre_larger() -> None:
    ramp = torch.arange(20.0).expand(1, 1, 20, 20)
    larger = augment(ramp, Augmentation(zoom=0.6), _draws(1, zoom=[5 / 6]))  # factor 1.4
    smaller = augment(ramp, Augmentation(zoom=0.6), _draws(1, zoom=[1 / 6]))  # factor 0.6
    assert torch.allclose(larger[0, 0, 10].diff(), torch.full((19,), 1 / 1.4), atol=1e-4)
    assert torch.allclose(smaller[0, 0, 10, 7:13].diff(), torch.full((5,), 1 / 0.6), atol=1e-4)


def test_brightness_is_added_and_cut_to_the_range_of_pixels() -> None:
    images = _images()
    brighter = augment(images, Augmentation(brightness=0.4), _draws(6, brightness=[0.75]))
    assert torch.allclose(brighter, (images + 0.2 * 255).clamp(0, 255), atol=1e-3)


def test_contrast_stretches_each_image_about_its_mean() -> None:
    images = 100 + _images() / 10
    stretched = augment(images, Augmentation(contrast=0.5), _draws(6, contrast=[1.0]))
    means = images.mean(dim=(1, 2, 3), keepdim=True)
    assert torch.allclose(stretched, means + 1.5 * (images - means), atol=1e-3)


def test_erasing_fills_a_rectangle_of_2_to_33_percent_with_the_mean_in_so_many_images() -> None:
    images = _images(2000, height=24, width=24)
    erased = _drawn(images, Augmentation(erasing=0.4))
    different = (erased != images)[:, 0]
    touched = different.flatten(1).any(dim=1)
    assert abs(touched.float().mean().item() - 0.4) < 4 * math.sqrt(0.24 / 2000)
    rows, columns = different.any(dim=2).sum(dim=1), different.any(dim=1).sum(dim=1)
    assert torch.equal(different.sum(dim=(1, 2)), rows * columns)  # a full rectangle
    share = (rows * columns)[touched] / 24**2
    assert share.min() > 0.01
    assert share.max() < 0.36
    assert share.max() - share.min() > 0.25
    first = touched.nonzero()[0, 0]
    assert torch.allclose(erased[first, 0][different[first]], images[first].mean())


def test_everything_together_keeps_pixels_within_their_range() -> None:
    changed = _drawn(_images(200, channels=3, height=16, width=12), EVERYTHING)
    assert changed.min() >= 0
    assert changed.max() <= 255


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_gpu_changes_images_as_a_processor_does() -> None:
    images, draws = _images(32, height=48, width=48), draw(EVERYTHING, 32, seed=0, epoch=1)
    on_gpu = augment(images.cuda(), EVERYTHING, {name: values.cuda() for name, values in draws.items()})
    assert torch.allclose(on_gpu.cpu(), augment(images, EVERYTHING, draws), atol=0.5)
