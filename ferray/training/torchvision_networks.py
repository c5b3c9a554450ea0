"""torchvision's classifiers by name, adapted to the channels, the classes and the size of any images.

They are made for colour images of 224 pixels, which most of them shrink to 7 at the end. Images of less than 64 pixels would be shrunk
to nothing, so that their networks begin more gently, as is usual for CIFAR:

| family | for images of less than 64 pixels |
| --- | --- |
| ResNet, ResNeXt, Wide ResNet, DenseNet, GoogLeNet | the first convolution is 3x3 with stride 1, without the max pooling after it |
| SqueezeNet | the same |
| Inception v3 | the first convolution has stride 1, without its two max poolings |
| MobileNet, MNASNet, EfficientNet, RegNet | the first convolution has stride 1 |
| ShuffleNet | the first convolution has stride 1, without the max pooling after it |
| AlexNet | the first convolution is 3x3 with stride 1 |
| VGG | max poolings that would leave less than a pixel go, and the last map is averaged to one pixel, not repeated to 7x7 |
| ConvNeXt, Swin | the first convolution's patches are 2x2 instead of 4x4 |
| ViT | patches of an eighth of the image's side, as far as that is a whole number, else the largest that give at least eight |

MaxViT is as it is: its windows divide only images whose sides are multiples of 224, and others are refused. ViT takes square images.
"""

from __future__ import annotations

import inspect
import math
import typing
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torchvision import models

from ferray.code import told
from ferray.errors import ConfigError, nearest

PREFIX = "torchvision:"
SMALL = 64
"""Images whose smaller side has fewer pixels get a gentler beginning."""

TOKENS = 8
"""Patches along each side of a small image that a ViT sees, at least."""

EARLY_POOLS: dict[type[nn.Module], tuple[str, ...]] = {
    models.ResNet: ("maxpool",),
    models.DenseNet: ("features.pool0",),
    models.GoogLeNet: ("maxpool1",),
    models.Inception3: ("maxpool1", "maxpool2"),
    models.ShuffleNetV2: ("maxpool",),
    models.SqueezeNet: ("features.2",),
}
WITHOUT_AUXILIARY_HEADS: dict[type[nn.Module], dict[str, Any]] = {
    models.GoogLeNet: {"aux_logits": False, "transform_input": False, "init_weights": True},
    models.Inception3: {"aux_logits": False, "transform_input": False, "init_weights": True},
}


def build(name: str, arguments: Mapping[str, Any], image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """The classifier that torchvision calls so, for images [channels, height, width]: [n, c, h, w] to logits [n, classes].

    ``arguments`` go to torchvision's builder. Draws from the global generators. Raises ConfigError for a name that torchvision does not
    know, for arguments that its builder does not take, and for images that the network cannot take.
    """
    where = f"model: {PREFIX}{name}"
    names = models.list_models(module=models)
    if name not in names:
        raise ConfigError(f"{where}: torchvision has no classifier of this name{nearest(name, names)}")
    for field, instead in (("weights", "pretrained: FILE"), ("progress", "nothing")):
        if field in arguments:
            raise ConfigError(f"{where}: model_arguments.{field}: nothing is downloaded; write {instead} instead")
    family = typing.get_type_hints(models.get_model_builder(name))["return"]
    channels, height, width = image_shape
    given = {"num_classes": classes, **WITHOUT_AUXILIARY_HEADS.get(family, {}), **_sized(where, name, family, height, width), **arguments}
    try:
        network: nn.Module = models.get_model(name, **given)
    except Exception as fault:
        known = _parameters(family)
        unknown = next((one for one in arguments if one not in known), None)
        if unknown is not None and isinstance(fault, TypeError):
            takes = ", ".join(known)
            message = f"model_arguments.{unknown}: it takes no such argument{nearest(unknown, known)} (it takes: {takes})"
            raise ConfigError(f"{where}: {message}") from None
        raise ConfigError(f"{where}: model_arguments: torchvision refuses them: {told(fault)}") from fault
    if min(height, width) < SMALL:
        _begin_gently(network, height, width)
    _take_channels(network, channels)
    return network.to(memory_format=torch.channels_last)  # in which convolutions are fast


def _parameters(family: type[nn.Module]) -> list[str]:
    return [name for name in inspect.signature(family).parameters if name not in ("weights", "progress")]


def _sized(where: str, name: str, family: type[nn.Module], height: int, width: int) -> dict[str, Any]:
    """What a family's builder must know of the images' size."""
    if family is models.MaxVit:
        if height % 224 or width % 224:
            raise ConfigError(f"{where}: takes images whose sides are multiples of 224, not {height}x{width}; see data.image_size")
        return {"input_size": (height, width)}
    if family is not models.VisionTransformer:
        return {}
    patch = int(name.rpartition("_")[2])
    if height != width:
        raise ConfigError(f"{where}: takes square images, not {height}x{width}; see data.image_size")
    if height < SMALL:
        return {"image_size": patch * (height // _small_patch(height))}  # as many tokens, of patches that are exchanged after
    if height % patch:
        raise ConfigError(f"{where}: takes images whose sides are multiples of {patch}, not {height}x{width}; see data.image_size")
    return {"image_size": height}


def _small_patch(size: int) -> int:
    """The largest divisor of a small image's side that leaves at least TOKENS patches along it."""
    return max(patch for patch in range(1, size + 1) if size % patch == 0 and (size // patch >= TOKENS or patch == 1))


def _begin_gently(network: nn.Module, height: int, width: int) -> None:
    """Exchanges what would shrink a small image at once; see the module's table."""
    name, first = _first_convolution(network)
    if isinstance(network, models.VGG):
        _shorten_vgg(network, min(height, width))
    elif isinstance(network, models.VisionTransformer):
        patch = _small_patch(height)
        _exchange(network, name, first.in_channels, kernel=patch, stride=patch, padding=0)
        network.patch_size, network.image_size = patch, height
    elif first.stride == (4, 4) and first.kernel_size == (4, 4):  # ConvNeXt, Swin
        _exchange(network, name, first.in_channels, kernel=2, stride=2, padding=0)
    elif first.stride != (1, 1):
        _exchange(network, name, first.in_channels, kernel=3, stride=1, padding=first.padding if first.kernel_size == (3, 3) else 1)
    for pool in EARLY_POOLS.get(type(network), ()):
        network.set_submodule(pool, nn.Identity())


def _shorten_vgg(network: models.VGG, size: int) -> None:
    kept: list[nn.Module] = []
    for layer in network.features:
        if isinstance(layer, nn.MaxPool2d):
            if size < 2:
                continue
            size //= 2
        kept.append(layer)
    network.features = nn.Sequential(*kept)
    network.avgpool = nn.AdaptiveAvgPool2d(1)
    first = typing.cast("nn.Linear", network.classifier[0])
    last = [layer for layer in kept if isinstance(layer, nn.Conv2d)][-1]
    smaller = nn.Linear(last.out_channels, first.out_features)
    nn.init.normal_(smaller.weight, 0, 0.01)  # as torchvision does
    nn.init.zeros_(smaller.bias)
    network.classifier[0] = smaller


def _first_convolution(network: nn.Module) -> tuple[str, nn.Conv2d]:
    return next((name, module) for name, module in network.named_modules() if isinstance(module, nn.Conv2d))


def _take_channels(network: nn.Module, channels: int) -> None:
    name, first = _first_convolution(network)
    if first.in_channels != channels:
        _exchange(network, name, channels, kernel=first.kernel_size, stride=first.stride, padding=first.padding)


def _exchange(network: nn.Module, name: str, channels: int, **shape: Any) -> None:
    """Puts another convolution in the place of one, its weights drawn so that the features keep their variance."""
    old = typing.cast("nn.Conv2d", network.get_submodule(name))
    settings = {"kernel_size": shape["kernel"], "stride": shape["stride"], "padding": shape["padding"]}
    new = nn.Conv2d(channels, old.out_channels, bias=old.bias is not None, **settings)
    inputs = old.weight[0].numel() / new.weight[0].numel()
    nn.init.normal_(new.weight, std=float(old.weight.detach().std()) * math.sqrt(inputs))
    if new.bias is not None:
        nn.init.zeros_(new.bias)
    network.set_submodule(name, new)
