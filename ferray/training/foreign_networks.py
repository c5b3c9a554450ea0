"""Networks that are not ferray's own: built from the trial's seed, and tried on a few images before they are trained."""

from __future__ import annotations

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

TORCHVISION = "torchvision:"
TRIED = (2, 1)
"""Images of each pass. A network that squeezes its outputs fails for one, as the last batch of an evaluation may be."""


def build_foreign(config: Config, image_shape: tuple[int, int, int], classes: int, attachments: Attachments) -> nn.Module:
    """torchvision's or the user's network for images [channels, height, width], on the processor, initialised from the config's seed.

    Whatever draws from the global generators has a stream of its own there, and leaves them as they were. Passes over grey images in
    evaluation give lazy modules their shapes. Raises ConfigError where the code does not import, where its factory does not take
    the arguments, raises, or returns no module, and where that module does not map [n, c, h, w] to [n, classes], one image included.
    """
    processor = torch.device("cpu")
    with seeded(derive(config.seed, "initialisation"), processor):
        model = _built(config, image_shape, classes, attachments).to(processor)
        for images in TRIED:
            _try(f"model: {config.model}", model, [images, *image_shape], classes)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ConfigError(f"model: {config.model}: has no parameter that can be trained")
    return model


def _built(config: Config, image_shape: tuple[int, int, int], classes: int, attachments: Attachments) -> nn.Module:
    if config.model.startswith(TORCHVISION):
        from ferray.training import torchvision_networks  # torchvision takes seconds to import

        return torchvision_networks.build(config.model.removeprefix(TORCHVISION), config.model_arguments, image_shape, classes)
    channels, height, width = image_shape
    known = {"num_classes": classes, "in_channels": channels, "image_size": (height, width)}
    model = make("model", config.model, loaded(attachments.code["model"]), config.model_arguments, known)
    if not isinstance(model, nn.Module):
        raise ConfigError(f"model: {config.model}: must return a torch.nn.Module, not {described(model)}")
    return model


def check_logits(where: str, logits: Any, shape: list[int], classes: int) -> Tensor:
    """What a network made of images of a shape [n, c, h, w]. Raises ConfigError where that is anything but logits [n, classes]."""
    if isinstance(logits, Tensor) and logits.is_floating_point() and list(logits.shape) == [shape[0], classes]:
        return logits
    wanted = f"logits [n, classes], here [{shape[0]}, {classes}]"
    raise ConfigError(f"{where}: must return {wanted}, for images {shape}, not {described(logits)}")


def _try(where: str, model: nn.Module, shape: list[int], classes: int) -> None:
    model.eval()
    try:
        with torch.no_grad():
            logits: Any = model(torch.full(shape, 0.5, dtype=torch.float32))
    except Exception as fault:
        raise ConfigError(f"{where}: on images {shape} it raises {told(fault)}") from fault
    check_logits(where, logits, shape, classes)
