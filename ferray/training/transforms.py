"""A training transform of the user's own: drawn batch by batch from a generator, or image by image from the global ones."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ferray.attachments import Attachments
from ferray.code import told
from ferray.config import Config
from ferray.errors import ConfigError
from ferray.seeds import derive
from ferray.training.factories import described, loaded, make
from ferray.training.generators import seeded
from ferray.training.state import State, module_state, restore_module

LARGEST = 255.0
"""A pixel's; the transform sees it as 1, as torchvision's transforms expect."""


class Transform:
    """Changes training images by a callable of the user's.

    One with a parameter ``generator`` is called once for a whole batch, as ``transform(images, generator=...)`` with float32 images
    [n, c, h, w] in 0..1 and a torch.Generator on their device. Any other is called image by image, with float32 [c, h, w] in 0..1, so
    that torchvision's transforms, which draw once a call, draw for each image; it may draw from Python's, numpy's and torch's
    global generators. Each step has streams of its own, whatever else draws.
    """

    def __init__(self, config: Config, image_shape: tuple[int, int, int], attachments: Attachments, device: torch.device) -> None:
        """Raises ConfigError where the factory does not import, does not take the arguments, raises, or returns nothing to call."""
        assert config.transform is not None
        channels, height, width = image_shape
        known = {"in_channels": channels, "image_size": (height, width)}
        self._where = f"transform: {config.transform}"
        self._seed = config.seed
        factory = loaded(attachments.code["transform"])
        with seeded(derive(config.seed, "transform"), torch.device("cpu")):
            made = make("transform", config.transform, factory, config.transform_arguments, known)
        if not callable(made):
            raise ConfigError(f"{self._where}: its factory must return what maps images to images, not {described(made)}")
        self._call: Callable[..., Any] = made.to(device) if isinstance(made, nn.Module) else made
        self._takes_batches = _has_generator(made)

    def __call__(self, images: Tensor, *, epoch: int, step: int) -> Tensor:
        """Float32 images [n, c, h, w] in 0..255 to the same shape; raises ConfigError where that is not what comes out."""
        seed = derive(self._seed, "transform", epoch, step)
        pixels = images / LARGEST
        try:
            if self._takes_batches:
                changed = self._call(pixels, generator=torch.Generator(images.device).manual_seed(seed))
                self._check(changed, pixels)
            else:
                with seeded(seed, images.device):
                    changed = [self._check(self._call(image), image) for image in pixels]
                changed = torch.stack(changed)
        except ConfigError:
            raise
        except Exception as fault:
            shape = list(images.shape if self._takes_batches else images.shape[1:])
            raise ConfigError(f"{self._where}: on float32 images {shape} it raises {told(fault)}") from fault
        result: Tensor = changed * LARGEST
        return result

    def state(self) -> State:
        """The buffers of a transform that is a module, copied."""
        return module_state(self._call)

    def load(self, state: State) -> None:
        """Takes over what state() gave."""
        restore_module(self._call, state)

    def _check(self, changed: Any, given: Tensor) -> Tensor:
        if isinstance(changed, Tensor) and changed.shape == given.shape and changed.dtype == given.dtype:
            return changed
        raise ConfigError(f"{self._where}: must return float32 {list(given.shape)}, as it is given, not {described(changed)}")


def _has_generator(transform: Callable[..., Any]) -> bool:
    try:
        called = transform.forward if isinstance(transform, nn.Module) else transform
        return "generator" in inspect.signature(called).parameters
    except (TypeError, ValueError):
        return False
