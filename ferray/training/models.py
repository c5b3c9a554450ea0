"""The two networks of the reference study, the CNN and the DNN, as PyTorch modules for images of any size; and building any network."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ferray.attachments import Attachments
from ferray.config import OWN_NETWORKS, Config
from ferray.seeds import derive
from ferray.training.batch_norm import batch_norm
from ferray.training.foreign_networks import build_foreign
from ferray.training.pixel_layers import pixel_layers

CNN_FILTERS = (32, 64, 128)
CNN_UNITS = (2048, 512)
DNN_UNITS = (30, 30, 30, 30, 30)
POOL = 4
"""Width and stride of the max pooling of each CNN block."""

RUNNING_SHARE = 0.01
"""Weight of the newest batch in the running statistics of batch normalization: what Keras calls a momentum of 0.99."""


class Dropout(nn.Module):
    """Zeroes features with probability ``rate`` while training, from a generator of its own, and scales up the others."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.generator = torch.Generator(device="cpu")

    def reseed(self, seed: int, device: torch.device) -> None:
        """Starts the module's stream of masks again, on the device that its inputs are on."""
        if self.generator.device != device:
            self.generator = torch.Generator(device=device)
        self.generator.manual_seed(seed)

    def forward(self, features: Tensor) -> Tensor:
        """Features of any shape; the same ones in evaluation."""
        if not self.training:
            return features
        kept = torch.rand(features.shape, generator=self.generator, device=features.device, dtype=torch.float32) >= self.rate
        return features * kept.to(features.dtype).mul_(1 / (1 - self.rate))


class BatchNorm(nn.BatchNorm2d):
    """Batch normalization over all but the second axis, with the epsilon and the running averages of Keras.

    A batch with a single value per channel has no variance; it is normalized with the running statistics, which it leaves alone.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-3, momentum=RUNNING_SHARE)

    def forward(self, features: Tensor) -> Tensor:
        """[n, c] or [n, c, h, w] to the same shape."""
        by_batch = self.training and features.numel() > features.shape[1]
        return batch_norm(features, self.running_mean, self.running_var, self.weight, self.bias, by_batch, RUNNING_SHARE, self.eps)


class Block(nn.Module):
    """One stage of the CNN: convolution 5x5, ReLU, normalization, convolution 4x4, ReLU, normalization, max pooling 4x4."""

    def __init__(self, channels: int, filters: int, *, batch_norm: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, filters, 5, padding=2)
        self.first_norm = BatchNorm(filters) if batch_norm else nn.Identity()
        self.second = nn.Conv2d(filters, filters, 4)
        self.second_norm = BatchNorm(filters) if batch_norm else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """[n, c, h, w] to [n, filters, ceil(h / 4), ceil(w / 4)]."""
        features = self.first_norm(self.first(images).relu_())
        # 'same' padding of an even kernel is one pixel before and two after, which the convolution itself cannot do.
        features = self.second(F.pad(features, (1, 2, 1, 2)))
        return pool_same(self.second_norm(features.relu_()))


def pool_same(features: Tensor) -> Tensor:
    """Max pooling with TensorFlow's 'same' padding: ceil(size / 4) outputs, the missing border split, its larger half after.

    [n, c, h, w] to [n, c, ceil(h / 4), ceil(w / 4)]; ceil_mode adds the half after, so nothing is copied.
    """
    before = tuple((-(-size // POOL) * POOL - size) // 2 for size in features.shape[-2:])
    return F.max_pool2d(features, POOL, POOL, padding=before, ceil_mode=True)


def channels_last(images: Tensor) -> Tensor:
    """Images [n, c, h, w] laid out in memory with the channels of a pixel side by side, in which convolutions are much faster.

    For a single channel the two layouts are the same bytes, and torch keeps the strides that say the slower one; hence as_strided.
    """
    n, channels, height, width = images.shape
    if channels > 1:
        return images.contiguous(memory_format=torch.channels_last)
    return images.contiguous().as_strided((n, 1, height, width), (height * width, 1, width, 1))


class CNN(nn.Module):
    """Three convolution blocks, then a dense head with dropout: [n, c, h, w] to logits [n, classes]."""

    def __init__(self, config: Config, image_shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        channels, height, width = image_shape
        blocks = []
        for filters in CNN_FILTERS:
            block = Block(channels, _scaled(filters, config.width or 1.0), batch_norm=bool(config.batch_norm))
            blocks.append(block)
            channels, height, width = block.second.out_channels, -(-height // POOL), -(-width // POOL)
        self.blocks = nn.Sequential(*blocks)
        first, second = (_scaled(units, config.width or 1.0) for units in CNN_UNITS)
        self.first = nn.Linear(channels * height * width, first)
        self.dropout = Dropout(config.dropout) if config.dropout else nn.Identity()
        self.second = nn.Linear(first, second)
        self.output = nn.Linear(second, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Normalized images [n, c, h, w] to logits [n, classes]."""
        features = self.blocks(channels_last(images)).flatten(1)
        features = self.dropout(self.first(features).relu_())
        logits: Tensor = self.output(self.second(features).relu_())
        return logits


class DNN(nn.Module):
    """A dense layer on the channels of each pixel, then four on everything: [n, c, h, w] to logits [n, classes]."""

    def __init__(self, config: Config, image_shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        channels, height, width = image_shape
        units = [_scaled(units, config.width or 1.0) for units in DNN_UNITS]
        inputs = [channels, units[0] * height * width, *units[1:]]
        self.hidden = nn.ModuleList(nn.Linear(before, after) for before, after in zip(inputs, units, strict=False))
        self.norms = nn.ModuleList(BatchNorm(after) if config.batch_norm else nn.Identity() for after in units)
        self.dropouts = nn.ModuleList(Dropout(config.dropout) if config.dropout else nn.Identity() for _ in units)
        self.output = nn.Linear(units[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        """Normalized images [n, c, h, w] to logits [n, classes]."""
        n = len(images)
        pixels = images.movedim(1, -1).flatten(1, 2)
        if self.training and isinstance(self.norms[0], nn.Identity) and isinstance(self.dropouts[0], nn.Identity):
            second = self._first_two(pixels)
        else:
            second = self.hidden[1](self._after(0, self.hidden[0](pixels.flatten(0, 1))).reshape(n, -1))
        features = self._after(1, second)
        for number in range(2, len(self.hidden)):
            features = self._after(number, self.hidden[number](features))
        logits: Tensor = self.output(features)
        return logits

    def _first_two(self, pixels: Tensor) -> Tensor:
        """What the first two layers make of pixels [n, h * w, c], where nothing but ReLU is between them."""
        first, second = self.hidden[0], self.hidden[1]
        kind = torch.get_autocast_dtype(pixels.device.type) if torch.is_autocast_enabled(pixels.device.type) else pixels.dtype
        weights = [parameter.to(kind) for parameter in (*first.parameters(), *second.parameters())]
        return pixel_layers(pixels.to(kind), *weights[:3]) + weights[3]

    def _after(self, number: int, features: Tensor) -> Tensor:
        """What follows a layer."""
        result: Tensor = self.dropouts[number](self.norms[number](features.relu_()))
        return result


def build(config: Config, image_shape: tuple[int, int, int], classes: int, attachments: Attachments | None = None) -> nn.Module:
    """The config's network for images [channels, height, width], on the processor, initialised from the config's seed.

    A network of the user's own needs its ``attachments``; see ferray.training.foreign_networks. Weights to begin from are not read here.

    In ferray's own, kernels are Glorot-uniform (Glorot and Bengio, 2010) and biases zero, as in Keras. Each parameter has its own
    stream, named after it, so that a layer's first weights do not depend on which other layers there are. torch's global generator is
    not used.
    """
    if config.model not in OWN_NETWORKS:
        return build_foreign(config, image_shape, classes, attachments or Attachments())
    network = CNN if config.model == "cnn" else DNN
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):  # constructors draw from the global generator what is overwritten below
        model = network(config, image_shape, classes)
    for module_name, module in model.named_modules():
        if isinstance(module, BatchNorm):
            module.reset_parameters()  # ones and zeros
        elif isinstance(module, (nn.Conv2d, nn.Linear)):
            generator = torch.Generator().manual_seed(derive(config.seed, "initialisation", f"{module_name}.weight"))
            nn.init.xavier_uniform_(module.weight, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    reseed_dropout(model, config.seed, epoch=0, device=torch.device("cpu"))
    return model


def reseed_dropout(model: nn.Module, seed: int, *, epoch: int, device: torch.device) -> None:
    """Gives every dropout layer the stream of one epoch."""
    for name, module in model.named_modules():
        if isinstance(module, Dropout):
            module.reseed(derive(seed, "dropout", name, epoch), device)


def kernels(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that l1 and l2 penalise: weights of convolutions and dense layers, not biases and not normalization.

    In general these are the trainable ones of at least two dimensions.
    """
    return [parameter for parameter in model.parameters() if parameter.dim() >= 2 and parameter.requires_grad]


def parameter_count(model: nn.Module) -> int:
    """Trainable numbers in a network."""
    return sum(math.prod(parameter.shape) for parameter in model.parameters() if parameter.requires_grad)


def _scaled(units: int, width: float) -> int:
    return max(1, round(units * width))
