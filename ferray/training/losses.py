"""What training minimises: cross-entropy against labels or against votes, or a loss of the user's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ferray.attachments import Attachments
from ferray.code import told
from ferray.config import Config
from ferray.errors import ConfigError
from ferray.seeds import derive
from ferray.training.factories import described, loaded, make
from ferray.training.generators import seeded
from ferray.training.state import module_state, restore_module


class Loss:
    """Logits [n, classes] and targets to one number, the mean over the images.

    Targets are labels [n], or, with ``soft_labels``, each class's share of the votes [n, classes].
    """

    def __init__(self, config: Config, classes: int, attachments: Attachments, device: torch.device) -> None:
        """Raises ConfigError where a loss of the user's own cannot be made."""
        self._where = f"loss: {config.loss}"
        self._smoothing = config.label_smoothing
        self._own = _own(config, classes, attachments, device) if config.loss != "cross_entropy" else None
        self.is_plain = self._own is None and not config.soft_labels and not config.label_smoothing
        """Whether it is the mean cross-entropy against labels that the figures tell."""

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Raises ConfigError where a loss of the user's own returns anything but one number."""
        if self._own is None:
            return F.cross_entropy(logits, targets, label_smoothing=self._smoothing)
        try:
            loss = self._own(logits, targets)
        except Exception as fault:
            given = f"logits {list(logits.shape)} and labels {list(targets.shape)}"
            raise ConfigError(f"{self._where}: on {given} it raises {told(fault)}") from fault
        if not isinstance(loss, Tensor) or loss.dim() or not loss.requires_grad:
            is_cut_off = isinstance(loss, Tensor) and not loss.dim()
            what = "one that gradients do not reach" if is_cut_off else described(loss)
            raise ConfigError(
                f"{self._where}: must return a scalar tensor, the mean loss of logits [n, classes] and labels [n], not {what}"
            )
        return loss

    def state(self) -> dict[str, Any]:
        """The buffers of a loss of the user's own, copied."""
        return module_state(self._own)

    def load(self, state: dict[str, Any]) -> None:
        """Takes over what state() gave."""
        restore_module(self._own, state)


def vote_shares(votes: Any, labels: Tensor, classes: int) -> Tensor:
    """Each class's share of an image's votes, float32 [n, classes], from votes [n, classes] and labels [n].

    An image that nobody voted on has its label for certain. Raises ConfigError where the data have no votes.
    """
    if votes is None:
        raise ConfigError("soft_labels: the data have no votes to train on; leave it out, or name the votes in the study's `data`")
    counts = torch.as_tensor(votes, dtype=torch.float32, device=labels.device)
    total = counts.sum(dim=1, keepdim=True)
    return torch.where(total > 0, counts / total.clamp(min=1e-12), F.one_hot(labels, classes).float())


def _own(config: Config, classes: int, attachments: Attachments, device: torch.device) -> Callable[[Tensor, Tensor], Any]:
    factory = loaded(attachments.code["loss"])
    with seeded(derive(config.seed, "loss"), torch.device("cpu")):
        made = make("loss", config.loss, factory, config.loss_arguments, {"num_classes": classes})
    where = f"loss: {config.loss}"
    if not callable(made):
        raise ConfigError(f"{where}: its factory must return what maps logits and labels to a loss, not {described(made)}")
    if isinstance(made, nn.Module):
        if any(parameter.requires_grad for parameter in made.parameters()):
            raise ConfigError(f"{where}: has parameters of its own, which would not be trained; put them into the network")
        return made.to(device)
    called: Callable[[Tensor, Tensor], Any] = made
    return called
