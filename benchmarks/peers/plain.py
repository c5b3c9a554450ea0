"""Training as it is written down: every definition a line of its own, in the order of a textbook, and nothing done for speed.

What ferray trains must agree with it: float32 or float64, channels first, each image augmented by itself, penalties added to the loss and
differentiated by autograd, optimizers and schedules as formulas. Only what is drawn is ferray's: first weights, the order of images, the
numbers of their augmentation and the masks of dropout.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.peers.plain_images import Image, augmented, normalized
from ferray.config import Config
from ferray.data import Dataset
from ferray.seeds import derive
from ferray.training.augmentation import draw
from ferray.training.models import build
from ferray.training.state import State

MEMORY = {"adam": ("exp_avg", "exp_avg_sq"), "adamw": ("exp_avg", "exp_avg_sq"), "sgd": ("momentum_buffer", "momentum_buffer")}
"""What torch's optimizers call the two things that are remembered of each parameter; SGD has one, and its second is not used."""
Weights = dict[str, Tensor]
"""Parameters and running statistics, by ferray's names."""


@dataclass(frozen=True)
class PlainEpoch:
    """What is compared: figures as in ferray's rows, probabilities [n, classes] of the validation images, and what has been learned.

    ``gradients`` are those of the epoch's last step, penalties included, by parameter.
    """

    train_loss: float
    validation_loss: float
    penalty: float
    learning_rate: float
    probabilities: NDArray[np.float64]
    weights: dict[str, NDArray[np.float64]]
    gradients: dict[str, NDArray[np.float64]]


def train(config: Config, data: Dataset, kind: torch.dtype = torch.float32, after: State | None = None) -> Iterator[PlainEpoch]:
    """Epoch by epoch, in numbers of a kind, on the config's device. For ferray's own networks with cross-entropy.

    ``after`` is the state of an epoch of ``fit`` to go on from: not with the plateau schedule, whose past it does not tell, and with SGD
    only where it has momentum.
    """
    return _Plain(config, data, kind, after).epochs()


class _Plain:
    def __init__(self, config: Config, data: Dataset, kind: torch.dtype, after: State | None = None) -> None:
        self.config, self.data, self.kind = config, data, kind
        self.weights: Weights = {
            name: value.to(config.device, kind if value.is_floating_point() else value.dtype)
            for name, value in (after["model"] if after else build(config, data.image_shape, len(data.classes)).state_dict()).items()
            if not name.endswith("num_batches_tracked")
        }
        self.trained = [name for name in self.weights if not name.endswith(("running_mean", "running_var"))]
        self.memory = {name: (torch.zeros_like(self.weights[name]), torch.zeros_like(self.weights[name])) for name in self.trained}
        self.gradients: Weights = {}
        self.masks: dict[str, torch.Generator] = {}
        self.is_training = False
        self.epoch = 0
        self.steps = 0
        self.halvings = 0
        self.rate = 0.0
        if after is not None:
            self._go_on(after)

    def _go_on(self, after: State) -> None:
        self.epoch, self.steps = after["epoch"], after["optimization"]["steps"]
        for name, memory in zip(self.trained, after["optimization"]["optimizer"]["state"].values(), strict=True):
            first, second = (memory[one].to(self.config.device, self.kind) for one in MEMORY[self.config.optimizer])
            self.memory[name] = (first, second)

    def epochs(self) -> Iterator[PlainEpoch]:
        losses: list[float] = []
        for epoch in range(self.epoch + 1, self.config.epochs + 1):
            train_loss = self._epoch(epoch)
            validation_loss, probabilities = self._evaluate()
            losses.append(validation_loss)
            self.halvings = halvings(losses)
            weights, gradients = _numbers(self.weights), _numbers(self.gradients)
            penalty = float(self._penalty().detach())
            yield PlainEpoch(train_loss, validation_loss, penalty, self.rate, probabilities, weights, gradients)

    def _epoch(self, epoch: int) -> float:
        config, train = self.config, self.data.train
        self.is_training = True
        self.masks = {}
        self.epoch = epoch
        generator = torch.Generator().manual_seed(derive(config.seed, "order", epoch))
        order = torch.randperm(len(train), generator=generator).numpy()
        draws = {name: one.numpy() for name, one in draw(config.augmentation, len(train), seed=config.seed, epoch=epoch).items()}
        total = 0.0
        for start in range(0, len(train), config.batch_size):
            batch = order[start : start + config.batch_size]
            images = [
                augmented(self._pixels(train.images[image]), config.augmentation, {name: one[image] for name, one in draws.items()})
                for image in batch
            ]
            total += self._step(self._inputs(images), torch.from_numpy(train.labels[batch]).to(config.device)) * len(batch)
        return total / len(train)

    def _pixels(self, image: NDArray[np.uint8]) -> Image:
        return image.astype(np.float64 if self.kind == torch.float64 else np.float32)

    def _inputs(self, images: list[Image]) -> Tensor:
        inputs = [normalized(image, self.config.input_normalization, self.data.train.images) for image in images]
        return torch.from_numpy(np.stack(inputs)).to(self.config.device, self.kind)

    def _step(self, inputs: Tensor, labels: Tensor) -> float:
        """One update; the mean cross-entropy before it."""
        config = self.config
        for name in self.trained:
            self.weights[name] = self.weights[name].detach().requires_grad_()
        shares = torch.log_softmax(self._logits(inputs), dim=1)
        cross_entropy = -shares[torch.arange(len(labels)), labels].mean()
        smooth = -shares.mean()
        loss = (1 - config.label_smoothing) * cross_entropy + config.label_smoothing * smooth + self._penalty()
        gradients = torch.autograd.grad(loss, [self.weights[name] for name in self.trained])
        self.gradients = dict(zip(self.trained, gradients, strict=True))
        self.rate = rate = learning_rate(config, self.steps, self.halvings, -(-len(self.data.train) // config.batch_size))
        self.steps += 1
        update = _sgd if config.optimizer == "sgd" else _adam
        with torch.no_grad():
            for name, gradient in zip(self.trained, gradients, strict=True):
                self.weights[name], *memory = update(self.weights[name], gradient, *self.memory[name], config, rate, self.steps)
                self.memory[name] = (memory[0], memory[1])
        return float(cross_entropy.detach())

    def _penalty(self) -> Tensor:
        kernels = [self.weights[name] for name in self.trained if self.weights[name].dim() >= 2]
        magnitudes, squares = sum(one.abs().sum() for one in kernels), sum((one**2).sum() for one in kernels)
        return self.config.l1 * magnitudes + self.config.l2 * squares

    @torch.no_grad()
    def _evaluate(self) -> tuple[float, NDArray[np.float64]]:
        self.is_training = False
        split = self.data.validation
        shares = torch.log_softmax(self._logits(self._inputs([self._pixels(image) for image in split.images])), dim=1)
        loss = -shares[torch.arange(len(split)), torch.from_numpy(split.labels).to(shares.device)].mean()
        return float(loss), shares.exp().double().cpu().numpy()

    def _logits(self, inputs: Tensor) -> Tensor:
        return self._cnn(inputs) if self.config.model == "cnn" else self._dnn(inputs)

    def _cnn(self, features: Tensor) -> Tensor:
        """Convolutions and pools keep the size as Keras' 'same' does: what is missing is added, the larger half after."""
        for block in range(3):
            for name, padding in (("first", (2, 2, 2, 2)), ("second", (1, 2, 1, 2))):
                place = f"blocks.{block}.{name}"
                features = F.conv2d(F.pad(features, padding), self.weights[f"{place}.weight"], self.weights[f"{place}.bias"])
                features = self._normalized(f"{place}_norm", features.relu())
            height, width = ((-size) % 4 for size in features.shape[-2:])
            sides = (width // 2, width - width // 2, height // 2, height - height // 2)
            features = F.max_pool2d(F.pad(features, sides, value=-math.inf), 4)
        features = self._dropped("dropout", self._dense("first", features.flatten(1)).relu())
        return self._dense("output", self._dense("second", features).relu())

    def _dnn(self, images: Tensor) -> Tensor:
        features = images.permute(0, 2, 3, 1)
        for layer in range(5):
            features = self._dense(f"hidden.{layer}", features).relu()
            rows = self._normalized(f"norms.{layer}", features.reshape(-1, features.shape[-1]))
            features = self._dropped(f"dropouts.{layer}", rows).reshape(len(images), -1)
        return self._dense("output", features)

    def _dense(self, name: str, features: Tensor) -> Tensor:
        return features @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def _normalized(self, name: str, features: Tensor) -> Tensor:
        """Batch normalization with Keras' epsilon and momentum; the running variance is torch's, by n - 1."""
        if not self.config.batch_norm:
            return features
        axes = [axis for axis in range(features.dim()) if axis != 1]
        shape = [1, -1, *[1] * (features.dim() - 2)]
        n = features.numel() // features.shape[1]
        mean, variance = self.weights[f"{name}.running_mean"], self.weights[f"{name}.running_var"]
        if self.is_training and n > 1:
            of_batch = features.mean(dim=axes)
            spread = ((features - of_batch.reshape(shape)) ** 2).mean(dim=axes)
            self.weights[f"{name}.running_mean"] = 0.99 * mean + 0.01 * of_batch.detach()
            self.weights[f"{name}.running_var"] = 0.99 * variance + 0.01 * spread.detach() * n / (n - 1)
            mean, variance = of_batch, spread
        scaled = (features - mean.reshape(shape)) / torch.sqrt(variance.reshape(shape) + 1e-3)
        return scaled * self.weights[f"{name}.weight"].reshape(shape) + self.weights[f"{name}.bias"].reshape(shape)

    def _dropped(self, name: str, features: Tensor) -> Tensor:
        rate = self.config.dropout or 0.0
        if not self.is_training or not rate:
            return features
        if name not in self.masks:
            seed = derive(self.config.seed, "dropout", name, self.epoch)
            self.masks[name] = torch.Generator(features.device).manual_seed(seed)
        uniform = torch.rand(features.shape, generator=self.masks[name], device=features.device)
        return torch.where(uniform >= rate, features / (1 - rate), 0.0)


def _numbers(values: Weights) -> dict[str, NDArray[np.float64]]:
    return {name: value.detach().double().cpu().numpy().copy() for name, value in values.items()}


def learning_rate(config: Config, step: int, halvings: int, steps_per_epoch: int) -> float:
    """Of a step, counted from 0; ``halvings`` are those of the plateau schedule."""
    highest, steps = config.learning_rate, config.epochs * steps_per_epoch
    if config.schedule == "cosine":
        return highest * (1 + math.cos(math.pi * step / steps)) / 2
    if config.schedule == "one_cycle":  # from a 25th up to the highest in three tenths of the steps, and down to nearly nothing
        first, last, peak = highest / 25, highest / 25 / 1e4, 0.3 * steps - 1
        if step <= peak:
            return first + (highest - first) * (1 - math.cos(math.pi * step / peak)) / 2
        return last + (highest - last) * (1 + math.cos(math.pi * (step - peak) / (steps - 1 - peak))) / 2
    return highest / 2**halvings if config.schedule == "plateau" else highest


def halvings(losses: list[float]) -> int:
    """How often the plateau schedule has halved: at each sixth epoch in a row that was not lower by a ten-thousandth than the lowest."""
    lowest, bad, count = math.inf, 0, 0
    for loss in losses:
        bad = 0 if loss < lowest * (1 - 1e-4) else bad + 1
        lowest = min(lowest, loss) if bad == 0 else lowest
        if bad > 5:
            bad, count = 0, count + 1
    return count


def _adam(weight: Tensor, gradient: Tensor, first: Tensor, second: Tensor, config: Config, rate: float, step: int) -> tuple[Tensor, ...]:
    """Adam and AdamW as Keras has them: epsilon beside the root of the uncorrected second moment."""
    first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
    corrected = rate * math.sqrt(1 - 0.999**step) / (1 - 0.9**step)
    return weight - rate * config.weight_decay * weight - corrected * first / (second.sqrt() + 1e-7), first, second


def _sgd(weight: Tensor, gradient: Tensor, velocity: Tensor, unused: Tensor, config: Config, rate: float, _step: int) -> tuple[Tensor, ...]:
    """SGD with Nesterov momentum."""
    gradient = gradient + config.weight_decay * weight
    velocity = config.momentum * velocity + gradient
    return weight - rate * (gradient + config.momentum * velocity), velocity, unused
