"""One training as a generator of epochs, the same to the last bit however often it is repeated, interrupted and gone on with."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from ferray.attachments import Attachments, Finder
from ferray.config import OWN_NETWORKS, Config
from ferray.errors import ResourceError
from ferray.seeds import derive
from ferray.training.epoch import Epoch, Pause, Probabilities
from ferray.training.fetch import Fetch, Stopwatch
from ferray.training.foreign_networks import TORCHVISION, check_logits
from ferray.training.generators import seed_all
from ferray.training.losses import Loss, vote_shares
from ferray.training.metrics import scores
from ferray.training.models import build, channels_last, parameter_count
from ferray.training.normalization import InputNormalization
from ferray.training.pretrained import begin_from
from ferray.training.process import Surroundings, settled
from ferray.training.resident import of_seed, resident
from ferray.training.schedule import Schedule
from ferray.training.state import State, copied, finite_flags, finite_tensors, restore_buffers, unsaved_buffers
from ferray.training.steps import Steps
from ferray.training.transforms import Transform

if TYPE_CHECKING:
    from ferray.data import Dataset

EVALUATION_BATCH = {"cpu": 256, "cuda": 1024}
"""Images per forward pass of an evaluation, by the kind of device."""


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
    _check_device(config)
    if attachments is None:
        attachments = Finder([Path.cwd()]).attach(config)
    every = turns(config, data, resume, attachments=attachments, keep_weights=keep_weights, steps=None)
    return (epoch for epoch in every if isinstance(epoch, Epoch))


def turns(
    config: Config,
    data: Dataset,
    resume: State | None = None,
    *,
    attachments: Attachments,
    keep_weights: bool = False,
    steps: int | None = 1,
) -> Generator[Epoch | Pause]:
    """The epochs of ``fit``, with a Pause wherever another training of this process may have its turn.

    That is after so many ``steps`` each time, and, on a GPU, while an epoch's figures are on their way to the processor; without
    ``steps`` it is never, and a GPU is waited for. The numbers are those of ``fit``, whatever has its turn in between.
    """
    _check_device(config)
    config = settled(config)
    surroundings = Surroundings(config)
    training: _Training | None = None
    epoch = resume["epoch"] if resume else 0
    try:
        while epoch < config.epochs:
            epoch += 1
            with surroundings.turn():
                if training is None:
                    device, own = surroundings.device, of_seed(data, config.seed)
                    training = _Training(config, own, device, resume, attachments, keep_weights=keep_weights)
                running = training.run_epoch(waits=steps is None)
            result: Epoch | Pause = Pause.WORKED
            while isinstance(result, Pause):
                with surroundings.turn():
                    result = _advanced(running, steps)
                yield result
            if result.diverged:
                return
    finally:
        surroundings.settle()  # before anything that is still at work loses its memory


def _check_device(config: Config) -> None:
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ResourceError("config.device: 'cuda' is asked for, and torch finds no CUDA GPU here; use a machine with one, or device 'cpu'")


def _advanced(running: Generator[Pause, None, Epoch], steps: int | None) -> Epoch | Pause:
    """The epoch, if it ends within so many steps."""
    try:
        for _ in itertools.repeat(None) if steps is None else range(steps):
            if next(running) is Pause.WAITS:
                return Pause.WAITS
    except StopIteration as end:
        epoch: Epoch = end.value
        return epoch
    return Pause.WORKED


class _Training:
    """The model, its optimization, the data on the device, and the best epoch so far."""

    def __init__(
        self, config: Config, data: Dataset, device: torch.device, resume: State | None, attachments: Attachments, *, keep_weights: bool
    ) -> None:
        self.config = config
        self.keep_weights = keep_weights
        self.device = device
        self.classes = len(data.classes)
        self.data = resident(data, device)
        self.normalize = InputNormalization(config.input_normalization, torch.as_tensor(data.train.images), device)
        self.labelled = {name for name, split in data.splits.items() if split.labelled}
        model = build(config, data.image_shape, self.classes, attachments)
        self.pretrained = None if attachments.pretrained is None else begin_from(model, attachments.pretrained)
        is_own = config.model in OWN_NETWORKS
        self.model = model.to(device)
        if is_own and device.type == "cuda":
            self.model.to(memory_format=torch.channels_last)  # of the convolutions' weights, which would be turned around at each step
        self.finite = finite_tensors(self.model)  # not all: an attention mask may hold infinities from the beginning
        self.parameters = parameter_count(self.model)
        self.loss = Loss(config, self.classes, attachments, device)
        self.transform = None if config.transform is None else Transform(config, data.image_shape, attachments, device)
        labels = self.data.labels["train"]
        targets = vote_shares(getattr(data.train, "votes", None), labels, self.classes) if config.soft_labels else labels
        self.steps = Steps(config, self.model, self._logits, self.loss, self.transform, self.data.images["train"], targets)
        self.schedule = Schedule(config, len(self.steps.sizes))
        self.epoch = 0
        self.selected_epoch = 0
        self.selected_accuracy = -1.0
        self.selected_probabilities: Probabilities = {}
        self.selected_weights: dict[str, Tensor] = {}
        if resume is not None:
            self._load(resume)

    def run_epoch(self, *, waits: bool) -> Generator[Pause, None, Epoch]:
        """Trains for one epoch and evaluates, and gives way to others in between unless it ``waits``."""
        start = time.perf_counter()
        watch = Stopwatch(self.device)
        self.epoch += 1
        seed_all(derive(self.config.seed, "global", self.epoch), self.device)
        labels, rates = self.data.labels["train"], self.schedule.epoch()
        for _ in self.steps.epoch(self.epoch, rates, labels):
            yield Pause.WORKED
        watch.stop()
        results = {"train": self.steps.results(labels)}
        for split in ("validation", "test"):
            if len(self.data.labels[split]):
                results[split] = yield from self._evaluated(split)
        names, flags = finite_flags(self.model)
        results["model"] = {"penalty": self.steps.optimization.penalty(), "finite": flags}
        fetch = Fetch(results, self.device)
        while not (waits or fetch.is_there()):
            yield Pause.WAITS
        fetched = fetch.results()
        of_model = fetched.pop("model")
        figures = {name: value for split, one in fetched.items() for name, value in self._figures(split, one).items()}
        probabilities = {split: one["probabilities"].numpy() for split, one in fetched.items() if "probabilities" in one}
        finite = all(math.isfinite(figures[f"{split}_loss"]) for split in ("train", "validation"))
        finite = finite and self.finite <= {name for name, flag in zip(names, of_model["finite"].tolist(), strict=True) if flag}
        if finite:
            self.schedule.end_epoch(figures["validation_loss"])
            self._select(figures, probabilities)
        row: dict[str, float | int] = {
            "epoch": self.epoch,
            **figures,
            "penalty": of_model["penalty"].item(),
            "learning_rate": rates[-1],
            "seconds": time.perf_counter() - start,
            "images_per_second": len(labels) / watch.seconds(),
        }
        selected = (self.selected_epoch, self.selected_probabilities, self.selected_weights)
        return Epoch(row, probabilities, *selected, not finite, self.parameters, self.pretrained, self)

    def _select(self, figures: dict[str, float], probabilities: Probabilities) -> None:
        """Keeps what belongs to this epoch, if it is the best so far."""
        if figures["validation_accuracy"] > self.selected_accuracy:
            self.selected_epoch, self.selected_accuracy = self.epoch, figures["validation_accuracy"]
            self.selected_probabilities = probabilities
            self.selected_weights = self._weights() if self.keep_weights else {}

    def _figures(self, split: str, results: dict[str, Tensor]) -> dict[str, float]:
        """What the row tells of a split; nothing of one without labels."""
        if "labels" not in results:
            return {}
        labels, predictions = results["labels"].numpy(), results["predictions"].numpy()
        known = scores(results["loss"].item(), labels, predictions, self.classes)
        return {f"{split}_{name}": value for name, value in known.items()}

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
            "optimization": copied(self.steps.optimization.state()),
            "schedule": self.schedule.state(),
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
        self.steps.optimization.load(copied(state["optimization"]))  # the optimizer would go on in the given tensors
        self.schedule.load(state["schedule"])
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

    def _evaluated(self, split: str) -> Generator[Pause, None, dict[str, Tensor]]:
        """Of a split, on the device: its class probabilities, and, where it has labels, its loss, its labels and what is predicted."""
        self.model.eval()
        parts = []
        for images in torch.split(self.data.images[split], EVALUATION_BATCH[self.device.type]):
            with torch.no_grad():  # no inference mode: what a network keeps of it could not be trained on
                parts.append(self._logits(images.float()).detach())  # a network may return a parameter as it is
            yield Pause.WORKED
        logits, labels = torch.cat(parts), self.data.labels[split]
        results = {"probabilities": logits.softmax(dim=1)}
        if split in self.labelled:
            results |= {"loss": F.cross_entropy(logits, labels), "labels": labels, "predictions": logits.argmax(dim=1)}
        return results

    def _logits(self, pixels: Tensor) -> Tensor:
        """Float32 logits of images with pixels in 0..255, computed in the config's precision."""
        inputs = self.normalize(pixels)
        inputs = channels_last(inputs) if self.config.model.startswith(TORCHVISION) else inputs
        # No cache: inside another autocast region it is not emptied, and the network would go on with the weights of earlier steps.
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16", cache_enabled=False):
            logits = check_logits(f"model: {self.config.model}", self.model(inputs), list(inputs.shape), self.classes)
        return logits.float()
