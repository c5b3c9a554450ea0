"""One training as a generator of epochs, the same to the last bit however often it is repeated, interrupted and gone on with."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ferray.attachments import Attachments, Finder
from ferray.config import OWN_NETWORKS, Config
from ferray.errors import ResourceError
from ferray.seeds import derive
from ferray.training.augmentation import augment, draw
from ferray.training.foreign_networks import TORCHVISION, check_logits
from ferray.training.generators import seeded
from ferray.training.losses import Loss, vote_shares
from ferray.training.metrics import scores
from ferray.training.models import build, channels_last, parameter_count, reseed_dropout
from ferray.training.normalization import InputNormalization
from ferray.training.optimization import Optimization
from ferray.training.pretrained import begin_from
from ferray.training.process import set_process_state
from ferray.training.state import State, copied, finite_tensors, restore_buffers, unsaved_buffers
from ferray.training.transforms import Transform

if TYPE_CHECKING:
    from ferray.data import Dataset

Probabilities = dict[str, NDArray[np.float32]]
"""Class probabilities [n, classes] of the splits "validation" and, where it has images, "test"."""

EVALUATION_BATCH = 256
"""Images per forward pass of an evaluation."""


@dataclass(frozen=True)
class Epoch:
    """What one epoch left behind.

    ``row`` holds the figures of the ledger's row. Losses are mean cross-entropies against the labels, without penalty and without
    label smoothing, whatever is minimised, so that the splits and the variants compare; the training figures are running ones over
    the epoch's augmented batches, as Keras reports them. ``learning_rate`` is that of the epoch's last step, ``seconds`` covers
    training and evaluation, ``images_per_second`` training alone. ``selected_epoch`` is the epoch of highest validation accuracy so
    far, the first among equals; it is 0, with no probabilities, where none was finite. A diverged epoch is a training's last, and
    its figures and probabilities may not be finite.
    A test split without images has no figures and no probabilities, one without labels has probabilities and no figures.

    ``selected_weights`` holds, where ``fit`` was asked to keep them, copies of the network's parameters and running statistics at the
    selected epoch, on the processor, with the input normalization's tensors, where it has any, as ``input.mean`` and
    ``input.deviation``. They are empty where no epoch was finite, or where training went on from a state that had not kept them.
    ``pretrained`` says which weights were taken from the config's file, if it names one.
    """

    row: dict[str, float | int]
    probabilities: Probabilities
    selected_epoch: int
    selected_probabilities: Probabilities
    selected_weights: dict[str, Tensor] = field(repr=False)
    diverged: bool
    parameters: int
    pretrained: str | None
    _training: _Training = field(repr=False, compare=False)

    def state(self) -> State:
        """What ``fit`` goes on from after this epoch; to be called before the next epoch is asked for."""
        self._check_current()
        return self._training.state()

    def weights(self) -> dict[str, Tensor]:
        """The network's parameters and running statistics by name, copied; to be called before the next epoch is asked for."""
        self._check_current()
        return {name: copied(value) for name, value in self._training.model.state_dict().items()}

    def _check_current(self) -> None:
        if self._training.epoch != self.row["epoch"]:
            raise RuntimeError(
                f"epoch {self.row['epoch']} is over: training is at epoch {self._training.epoch}; "
                "call state() and weights() before asking for the next epoch"
            )


def fit(
    config: Config, data: Dataset, resume: State | None = None, *, attachments: Attachments | None = None, keep_weights: bool = False
) -> Iterator[Epoch]:
    """Trains the config's network on the data, epoch by epoch; to stop early is not to ask for the next epoch.

    ``resume`` is the state() of an earlier epoch of the same config and data: the epochs after it follow, with the same numbers as if
    nothing had happened in between. Divergence (a loss or a weight that is not finite) ends the training with a diverged epoch.
    Where the data have no validation split of their own, the config's seed draws it: ``Dataset.for_seed``.
    The test split is evaluated and used for nothing. ``attachments`` are the code and the weights that the config names; without them
    they are looked for in the current folder. ``keep_weights`` keeps the selected epoch's. Raises ResourceError where the config's
    device is missing, and ConfigError where what the config names is not there.
    """
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ResourceError("config.device: 'cuda' is asked for, and torch finds no CUDA GPU here; use a machine with one, or device 'cpu'")
    if attachments is None:
        attachments = Finder([Path.cwd()]).attach(config)
    return _epochs(config, data, resume, attachments, keep_weights=keep_weights)


def _epochs(config: Config, data: Dataset, resume: State | None, attachments: Attachments, *, keep_weights: bool) -> Iterator[Epoch]:
    training: _Training | None = None
    epoch = resume["epoch"] if resume else 0
    while epoch < config.epochs:
        epoch += 1
        # At each epoch, since another training of the same process may have its turn in between.
        set_process_state(config)
        if training is None:
            training = _Training(config, data.for_seed(config.seed), resume, attachments, keep_weights=keep_weights)
        result = training.run_epoch()
        yield result
        if result.diverged:
            return


class _Training:
    """The model, its optimization, the data on the device, and the best epoch so far."""

    def __init__(self, config: Config, data: Dataset, resume: State | None, attachments: Attachments, *, keep_weights: bool) -> None:
        self.config = config
        self.keep_weights = keep_weights
        self.device = torch.device(config.device)
        self.classes = len(data.classes)
        host_images = {name: _tensor(split.images) for name, split in data.splits.items()}
        self.normalize = InputNormalization(config.input_normalization, host_images["train"], self.device)
        self.images = {name: images.to(self.device) for name, images in host_images.items()}
        self.labels = {name: _tensor(split.labels).to(self.device) for name, split in data.splits.items()}
        self.labelled = {name for name, split in data.splits.items() if split.labelled}
        model = build(config, data.image_shape, self.classes, attachments)
        self.pretrained = None if attachments.pretrained is None else begin_from(model, attachments.pretrained)
        self.model = model.to(self.device)
        self.finite = finite_tensors(self.model)  # not all: an attention mask may hold infinities from the beginning
        self.parameters = parameter_count(self.model)
        self.loss = Loss(config, self.classes, attachments, self.device)
        self.transform = None if config.transform is None else Transform(config, data.image_shape, attachments, self.device)
        labels = self.labels["train"]
        self.targets = vote_shares(getattr(data.train, "votes", None), labels, self.classes) if config.soft_labels else labels
        self.optimization = Optimization(self.model, config, len(self._batches(labels)))
        self.epoch = 0
        self.selected_epoch = 0
        self.selected_accuracy = -1.0
        self.selected_probabilities: Probabilities = {}
        self.selected_weights: dict[str, Tensor] = {}
        if resume is not None:
            self._load(resume)

    def run_epoch(self) -> Epoch:
        """Trains for one epoch and evaluates."""
        start = time.perf_counter()
        self.epoch += 1
        # Whatever the caller has switched on; and a user's own code may draw from the global generators.
        with torch.autocast(self.device.type, enabled=False), seeded(derive(self.config.seed, "global", self.epoch), self.device):
            figures, learning_rate = self._train()
            trained = time.perf_counter()
            probabilities = {}
            for split in ("validation", "test"):
                if len(self.labels[split]):
                    of_split, probabilities[split] = self._evaluate(split)
                    figures |= of_split
            penalty = self.optimization.penalty().item()
        finite = all(math.isfinite(figures[f"{split}_loss"]) for split in ("train", "validation"))
        finite = finite and self.finite <= finite_tensors(self.model)
        if finite:
            self.optimization.end_epoch(figures["validation_loss"])
            if figures["validation_accuracy"] > self.selected_accuracy:
                self.selected_epoch, self.selected_accuracy = self.epoch, figures["validation_accuracy"]
                self.selected_probabilities = probabilities
                self.selected_weights = self._weights() if self.keep_weights else {}
        row: dict[str, float | int] = {
            "epoch": self.epoch,
            **figures,
            "penalty": penalty,
            "learning_rate": learning_rate,
            "seconds": time.perf_counter() - start,
            "images_per_second": len(self.labels["train"]) / (trained - start),
        }
        selected = (self.selected_epoch, self.selected_probabilities, self.selected_weights)
        return Epoch(row, probabilities, *selected, not finite, self.parameters, self.pretrained, self)

    def state(self) -> State:
        """A copy of everything that the next epoch depends on."""
        kept = {"selected_weights": copied(self.selected_weights)} if self.keep_weights else {}
        return {
            **kept,
            "epoch": self.epoch,
            "model": copied(dict(self.model.state_dict())),
            "buffers": copied(unsaved_buffers(self.model)),
            "loss": self.loss.state(),
            "transform": {} if self.transform is None else self.transform.state(),
            "optimization": copied(self.optimization.state()),
            "selected_epoch": self.selected_epoch,
            "selected_accuracy": self.selected_accuracy,
            "selected_probabilities": {name: torch.from_numpy(values.copy()) for name, values in self.selected_probabilities.items()},
        }

    def _load(self, state: State) -> None:
        self.model.load_state_dict(state["model"])
        restore_buffers(self.model, state["buffers"])
        self.loss.load(state["loss"])
        if self.transform is not None:
            self.transform.load(state["transform"])
        self.optimization.load(copied(state["optimization"]))  # the optimizer would go on in the given tensors
        self.epoch = state["epoch"]
        self.selected_epoch = state["selected_epoch"]
        self.selected_accuracy = state["selected_accuracy"]
        self.selected_probabilities = {name: values.numpy().copy() for name, values in state["selected_probabilities"].items()}
        if self.keep_weights:
            self.selected_weights = copied(state.get("selected_weights", {}))

    def _weights(self) -> dict[str, Tensor]:
        """Copies of all that turns pixels into logits."""
        tensors = {**self.model.state_dict(), **{f"input.{name}": value for name, value in self.normalize.tensors.items()}}
        return {name: copied(value) for name, value in tensors.items() if isinstance(value, Tensor)}

    def _batches(self, order: Tensor) -> list[Tensor]:
        """The images of an epoch [n] in batches. A rest of one image, which torch's batch normalization refuses, joins the one before."""
        batches = list(torch.split(order, self.config.batch_size))
        is_foreign = self.config.model not in OWN_NETWORKS
        if is_foreign and len(batches) > 1 and len(batches[-1]) == 1 < self.config.batch_size:
            batches[-2:] = [torch.cat(batches[-2:])]
        return batches

    def _train(self) -> tuple[dict[str, float], float]:
        """One pass over the training images; the running figures, and the learning rate of the last step."""
        config = self.config
        images, labels = self.images["train"], self.labels["train"]
        generator = torch.Generator().manual_seed(derive(config.seed, "order", self.epoch))
        order = torch.randperm(len(labels), generator=generator).to(self.device)
        draws = {
            name: values.to(self.device)
            for name, values in draw(config.augmentation, len(labels), seed=config.seed, epoch=self.epoch).items()
        }
        reseed_dropout(self.model, config.seed, epoch=self.epoch, device=self.device)
        self.model.train()
        batches = self._batches(order)
        # Made before the loop: small results of each step, kept in between the large ones, would leave the heap in pieces, and it
        # would grow by gigabytes within an epoch.
        losses = torch.empty(len(batches), device=self.device)
        predictions = torch.empty_like(order)
        learning_rate = self.optimization.learning_rate
        for step, batch in enumerate(batches):
            targets = labels[batch]
            pixels = augment(images[batch].float(), config.augmentation, {name: values[batch] for name, values in draws.items()})
            if self.transform is not None:
                pixels = self.transform(pixels, epoch=self.epoch, step=step)
            with torch.enable_grad():
                logits = self._logits(pixels)
                loss = self.loss(logits, self.targets[batch])
                torch.autograd.backward(loss)
            logits = logits.detach()
            losses[step] = loss.detach() * len(batch) if self.loss.is_plain else F.cross_entropy(logits, targets, reduction="sum")
            first = step * config.batch_size
            torch.argmax(logits, dim=1, out=predictions[first : first + len(batch)])
            learning_rate = self.optimization.learning_rate
            self.optimization.step()
        total = losses.sum(dtype=torch.float64).item()
        return self._figures("train", total / len(labels), labels[order], predictions), learning_rate

    @torch.no_grad()  # no inference mode: what a network keeps of it could not be trained on
    def _evaluate(self, split: str) -> tuple[dict[str, float], NDArray[np.float32]]:
        """Loss, accuracy and macro-F1 of a split, where it has labels, and its class probabilities."""
        labels = self.labels[split]
        self.model.eval()
        logits = torch.cat([self._logits(images.float()) for images in torch.split(self.images[split], EVALUATION_BATCH)])
        probabilities: NDArray[np.float32] = logits.softmax(dim=1).cpu().numpy()
        if split not in self.labelled:
            return {}, probabilities
        loss = F.cross_entropy(logits, labels).item()
        return self._figures(split, loss, labels, logits.argmax(dim=1)), probabilities

    def _logits(self, pixels: Tensor) -> Tensor:
        """Float32 logits of images with pixels in 0..255, computed in the config's precision."""
        inputs = self.normalize(pixels)
        inputs = channels_last(inputs) if self.config.model.startswith(TORCHVISION) else inputs
        # No cache: inside another autocast region it is not emptied, and the network would go on with the weights of earlier steps.
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16", cache_enabled=False):
            logits = check_logits(f"model: {self.config.model}", self.model(inputs), list(inputs.shape), self.classes)
        return logits.float()

    def _figures(self, split: str, loss: float, labels: Tensor, predictions: Tensor) -> dict[str, float]:
        known = scores(loss, labels.cpu().numpy(), predictions.cpu().numpy(), self.classes)
        return {f"{split}_{name}": value for name, value in known.items()}


def _tensor(array: NDArray[Any]) -> Tensor:
    """The array's memory as a tensor, which is only read."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)
