"""The steps of an epoch, each a function of tensors on the device alone, so that a GPU never waits for the processor between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.torch_version import TorchVersion

from ferray.config import OWN_NETWORKS, Config
from ferray.seeds import derive
from ferray.training.augmentation import Draws, augment, draw
from ferray.training.capture import Captured, new_pool
from ferray.training.foreign_networks import TORCHVISION
from ferray.training.losses import Loss
from ferray.training.models import Dropout, reseed_dropout
from ferray.training.optimization import Optimization
from ferray.training.transforms import Transform

SAFE_VERSION = "2.15"
"""Of torch, from which on graphs of several trainings are known to keep their draws apart."""
Logits = Callable[[Tensor], Tensor]
"""Images [n, c, h, w] with pixels in 0..255 to float32 logits [n, classes]."""


class Steps:
    """One pass after another over the training images.

    What happens in an epoch is fixed by tensors that lie on the device before its first step: the order of the images, the draws of
    augmentation, and the learning rates. Each step leaves its loss and its predictions in tensors there, too.
    """

    def __init__(
        self, config: Config, model: nn.Module, logits: Logits, loss: Loss, transform: Transform | None, images: Tensor, targets: Tensor
    ) -> None:
        """``images`` are uint8 [n, c, h, w], ``targets`` what the loss takes for them; both lie on the model's device."""
        self._config, self._model, self._logits = config, model, logits
        self._loss, self._transform = loss, transform
        self._images, self._targets = images, targets
        self._device = images.device
        self.sizes = batch_sizes(len(images), config)
        self.is_captured = is_capturable(config, self._device)
        self.optimization = Optimization(model, config, on_device=self.is_captured or self._device.type == "cuda")
        n = len(images)
        # Made once: small results of each step, kept in between the large ones, would leave the heap in pieces, and it would grow by
        # gigabytes within an epoch; and a recorded step reads and writes where it did when it was recorded.
        self._order = torch.empty(n, dtype=torch.int64, device=self._device)
        self._losses = torch.empty(len(self.sizes), device=self._device)
        self._predictions = torch.empty(n, dtype=torch.int64, device=self._device)
        self._draws: Draws = {}
        self._rates: Sequence[float] | Tensor = ()
        self._number = torch.zeros(1, dtype=torch.int64, device=self._device)
        self._recorded: dict[int, Captured] = {}
        self._pool = new_pool(self._device)

    def epoch(self, number: int, rates: Sequence[float], labels: Tensor) -> Iterator[None]:
        """Takes all steps of an epoch, and gives way to others after each; ``labels`` [n] are those of the images."""
        config = self._config
        generator = torch.Generator().manual_seed(derive(config.seed, "order", number))
        self._order.copy_(torch.randperm(len(self._order), generator=generator))
        for name, values in draw(config.augmentation, len(self._order), seed=config.seed, epoch=number).items():
            if name in self._draws:
                self._draws[name].copy_(values)
            else:
                self._draws[name] = values.to(self._device)
        taken = self.optimization.rates(rates)
        if isinstance(taken, Tensor) and isinstance(self._rates, Tensor):
            self._rates.copy_(taken)
        else:
            self._rates = taken
        reseed_dropout(self._model, config.seed, epoch=number, device=self._device)
        self._number.zero_()
        self._model.train()
        first = 0
        for step, size in enumerate(self.sizes):
            if self.is_captured:
                self._replay(step, size, labels)
            else:
                batch = self._order[first : first + size]
                loss = self._step(batch, self._rates[step], labels, (number, step), self._predictions[first : first + size])
                self._losses[step] = loss
            first += size
            yield
        if isinstance(self._rates, Tensor):
            self.optimization.count(len(self.sizes))

    def results(self, labels: Tensor) -> dict[str, Tensor]:
        """Of the last epoch: the mean loss (float64), the labels in the order of the steps [n], and the predictions [n]."""
        total = self._losses.sum(dtype=torch.float64)
        return {"loss": total / len(self._order), "labels": labels[self._order], "predictions": self._predictions}

    def _step(self, batch: Tensor, rate: float | Tensor, labels: Tensor, place: tuple[int, int], predictions: Tensor) -> Tensor:
        """One step on the images of a batch [b]; writes the predictions [b], and returns the sum of the images' cross-entropies."""
        draws = {name: values[batch] for name, values in self._draws.items()}
        pixels = augment(self._images[batch].float(), self._config.augmentation, draws)
        if self._transform is not None:
            epoch, step = place
            pixels = self._transform(pixels, epoch=epoch, step=step)
        with torch.enable_grad():
            logits = self._logits(pixels)
            loss = self._loss(logits, self._targets[batch])
            torch.autograd.backward(loss)
        logits = logits.detach()
        torch.argmax(logits, dim=1, out=predictions)
        self.optimization.step(rate)
        return loss.detach() * len(batch) if self._loss.is_plain else F.cross_entropy(logits, labels[batch], reduction="sum")

    def _replay(self, step: int, size: int, labels: Tensor) -> None:
        """The same, on a batch that is found by a number on the device; what has one size is recorded once."""
        if size not in self._recorded:
            generators = [module.generator for module in self._model.modules() if isinstance(module, Dropout)]
            function = self._numbered(size, labels) if size == self.sizes[0] else self._last(size, labels)
            self._recorded[size] = Captured(function, self._device, generators, self._pool)
        self._recorded[size]()

    def _numbered(self, size: int, labels: Tensor) -> Callable[[], None]:
        whole = sum(1 for one in self.sizes if one == size)
        order = self._order[: whole * size].view(whole, size)
        predictions = self._predictions[: whole * size].view(whole, size)

        def step() -> None:
            batch = order.index_select(0, self._number).view(size)
            rate = torch.as_tensor(self._rates).index_select(0, self._number).view(-1)
            predicted = torch.empty_like(batch)
            loss = self._step(batch, rate, labels, (0, 0), predicted)
            predictions.index_copy_(0, self._number, predicted.view(1, size))
            self._losses.index_copy_(0, self._number, loss.view(1))
            self._number.add_(1)

        return step

    def _last(self, size: int, labels: Tensor) -> Callable[[], None]:
        batch, predictions = self._order[-size:], self._predictions[-size:]

        def step() -> None:
            self._losses[-1] = self._step(batch, self._rates[-1], labels, (0, 0), predictions)

        return step


def batch_sizes(images: int, config: Config) -> list[int]:
    """How many images each step of an epoch takes. A rest of one image, which torch's batch normalization refuses, joins the one before."""
    whole, rest = divmod(images, config.batch_size)
    sizes = [config.batch_size] * whole + [rest] * bool(rest)
    is_foreign = config.model not in OWN_NETWORKS
    if is_foreign and whole and rest == 1 < config.batch_size:
        sizes[-2:] = [config.batch_size + 1]
    return sizes


def is_capturable(config: Config, device: torch.device) -> bool:
    """Whether a step may be recorded and replayed: on a GPU, where all code in it is known to decide nothing on the processor.

    A user's own network, loss or transform may, such as by drawing from Python's generator, and a recording would repeat what it decided
    once; it is run as it is.
    """
    # Before, all graphs of a process had one place for the state of the default generator, from which torchvision's networks draw.
    is_safe = TorchVersion(torch.__version__) >= SAFE_VERSION
    is_known = config.model in OWN_NETWORKS or (config.model.startswith(TORCHVISION) and is_safe)
    return device.type == "cuda" and is_known and config.loss == "cross_entropy" and config.transform is None
