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
from ferray.training.factories import described, make
from ferray.training.generators import seeded

TORCHVISION = "torchvision:"
TRIED_IMAGES = 2


def build_foreign(config: Config, image_shape: tuple[int, int, int], classes: int, attachments: Attachments) -> nn.Module:
    """torchvision's or the user's network for images [channels, height, width], on the processor, initialised from the config's seed.

    Whatever draws from the global generators has a stream of its own there, and leaves them as they were. One pass over two grey images
    in evaluation gives lazy modules their shapes. Raises ConfigError where the code does not import, where its factory does not take
    the arguments, raises, or returns no module, and where that module does not map [n, c, h, w] to [n, classes].
    """
    processor = torch.device("cpu")
    with seeded(derive(config.seed, "initialisation"), processor):
        model = _built(config, image_shape, classes, attachments).to(processor)
        _try(f"model: {config.model}", model, image_shape, classes)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ConfigError(f"model: {config.model}: has no parameter that can be trained")
    return model


def _built(config: Config, image_shape: tuple[int, int, int], classes: int, attachments: Attachments) -> nn.Module:
    if config.model.startswith(TORCHVISION):
        from ferray.training import torchvision_networks  # torchvision takes seconds to import

        return torchvision_networks.build(config.model.removeprefix(TORCHVISION), config.model_arguments, image_shape, classes)
    channels, height, width = image_shape
    known = {"num_classes": classes, "in_channels": channels, "image_size": (height, width)}
    model = make("model", config.model, attachments.code["model"].load(), config.model_arguments, known)
    if not isinstance(model, nn.Module):
        raise ConfigError(f"model: {config.model}: must return a torch.nn.Module, not {described(model)}")
    return model


def _try(where: str, model: nn.Module, image_shape: tuple[int, int, int], classes: int) -> None:
    shape = [TRIED_IMAGES, *image_shape]
    model.eval()
    try:
        with torch.no_grad():
            logits: Any = model(torch.full(shape, 0.5))
    except Exception as fault:
        raise ConfigError(f"{where}: on images {shape} it raises {told(fault)}") from fault
    wanted = f"logits [n, classes], here [{TRIED_IMAGES}, {classes}]"
    if not isinstance(logits, Tensor) or not logits.is_floating_point() or list(logits.shape) != [TRIED_IMAGES, classes]:
        raise ConfigError(f"{where}: must return {wanted}, for images {shape}, not {described(logits)}")
