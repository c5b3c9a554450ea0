"""A training transform of the user's own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from own_code import outcomes, train, write

from ferray.attachments import Finder
from ferray.config import Config
from ferray.errors import ConfigError
from ferray.training.transforms import Transform

SMALL = {"model": "dnn", "width": 0.2}
BATCHED = """
    import torch
    def make(share=1.0):
        def transform(images, generator):
            assert images.dim() == 4 and images.dtype == torch.float32 and 0 <= images.min() and images.max() <= 1
            return images * (1 - share * torch.rand(len(images), 1, 1, 1, generator=generator, device=images.device))
        return transform
"""


def _transform(folder: Path, reference: str, **arguments: object) -> Transform:
    config = Config(transform=reference, transform_arguments=arguments)
    return Transform(config, (1, 6, 6), Finder([folder]).attach(config), torch.device("cpu"))


def test_a_transform_with_a_generator_is_called_for_a_batch_with_a_stream_for_each_step(tmp_path: Path) -> None:
    transform = _transform(write(tmp_path, own=BATCHED), "./own.py:make")
    images = torch.full((3, 1, 6, 6), 200.0)
    first, again = transform(images, epoch=1, step=0), transform(images, epoch=1, step=0)
    assert torch.equal(first, again)
    assert len(first[:, 0, 0, 0].unique()) == 3
    assert not torch.equal(first, transform(images, epoch=1, step=1))
    assert not torch.equal(first, transform(images, epoch=2, step=0))
    assert torch.allclose(_transform(tmp_path, "./own.py:make", share=0.0)(images, epoch=1, step=0), images)


def test_torchvisions_transforms_draw_image_by_image(tmp_path: Path) -> None:
    transform = _transform(tmp_path, "torchvision.transforms.v2:ColorJitter", brightness=0.5)
    images = torch.full((8, 1, 6, 6), 120.0)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    changed = transform(images, epoch=1, step=0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(transform(images, epoch=1, step=0), changed)
    assert len(changed[:, 0, 0, 0].unique()) == 8
    assert 60 <= changed.min() < changed.max() <= 180


def test_only_training_images_are_transformed_and_a_transform_that_does_nothing_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path, own="def make(factor=1.0): return lambda image: image * factor\n")
    plain, same, dark = (
        outcomes(train(tmp_path, **SMALL, epochs=1, learning_rate=1e-12, optimizer="sgd", **one))[0]
        for one in (
            {},
            {"transform": "./own.py:make"},
            {"transform": "./own.py:make", "transform_arguments": {"factor": 0.0}},
        )
    )
    assert same["train_loss"] == pytest.approx(plain["train_loss"], rel=1e-5)
    assert dark["train_loss"] != pytest.approx(plain["train_loss"], rel=1e-3)
    assert dark["validation_loss"] == pytest.approx(plain["validation_loss"], rel=1e-5)


@pytest.mark.parametrize("source", [BATCHED, "import random\ndef make(): return lambda image: image * random.random()\n"])
def test_a_training_with_a_transform_repeats(tmp_path: Path, source: str) -> None:
    write(tmp_path, own=source)
    first = outcomes(train(tmp_path, **SMALL, transform="./own.py:make"))
    assert outcomes(train(tmp_path, **SMALL, transform="./own.py:make")) == first


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("def make(): return 3", "transform: ./own.py:make: its factory must return what maps images to images, not an int"),
        ("def make(): return lambda image: image[:, 1:]", "must return float32 [1, 6, 6], as it is given, not a tensor float32 [1, 5, 6]"),
        ("def make(): return lambda image: (image * 255).byte()", "not a tensor uint8 [1, 6, 6]"),
        ("def make(): return lambda image: None", "not None"),
        ("def make(): return lambda images, generator: images[1:]", "must return float32 [2, 1, 6, 6], as it is given"),
        ("def make(): return lambda image: image / 'a'", "on float32 images [1, 6, 6] it raises TypeError: "),
        ("def make(images): return images", "missing a required argument: 'images'; ferray calls it with transform_arguments, and what it"),
    ],
)
def test_a_transform_that_is_none_is_told(tmp_path: Path, body: str, message: str) -> None:
    write(tmp_path, own=body + "\n")
    with pytest.raises(ConfigError) as raised:
        _transform(tmp_path, "./own.py:make")(torch.zeros(2, 1, 6, 6), epoch=1, step=0)
    assert message in str(raised.value)
