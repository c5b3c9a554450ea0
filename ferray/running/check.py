"""A look, before anything is trained, at whether the code and the weights that a study names do what they must."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ferray.config import OWN_NETWORKS, Config, digest
from ferray.errors import ConfigError, FerrayError

if TYPE_CHECKING:
    from ferray.data import Dataset, Split
    from ferray.trial import Trial

MOST_CHECKS = 50
"""So many different networks, losses and transforms are tried, those of each variant's first trial before others."""

IMAGES = 4
"""Of the training split, for one step and one evaluation."""

CHECKED = ("model", "model_arguments", "width", "pretrained", "loss", "loss_arguments", "transform", "transform_arguments", "soft_labels")
"""The fields that decide what is built and called."""


def check(trials: Iterable[Trial], data: Dataset, say: Callable[[str], None]) -> None:
    """Trains each different combination of foreign code, arguments and weights among the trials on a few images.

    This runs on the processor of this machine, in seconds at most. Trials that have ferray's own networks, and nothing else that comes
    from outside, need no look. ``say`` is told what was taken from files of weights. Raises ConfigError, which names the variant,
    for the first that fails.
    """
    todo = _distinct([trial for trial in trials if _is_foreign(trial.config)])
    if not todo:
        return
    import torch

    threads = torch.get_num_threads()
    few = _few(data)
    told = set()
    try:
        for trial in todo[:MOST_CHECKS]:
            taken = _try(trial, few)
            if taken is not None and taken not in told:
                told.add(taken)
                say(f"variant {trial.variant!r}: pretrained: {taken}")
    finally:
        torch.set_num_threads(threads)


def _is_foreign(config: Config) -> bool:
    is_own = config.model in OWN_NETWORKS and config.loss == "cross_entropy"
    return not is_own or config.transform is not None or config.pretrained is not None or config.soft_labels


def _distinct(trials: list[Trial]) -> list[Trial]:
    """One trial of each combination, those that stand first in a variant before others."""
    variants: set[str] = set()
    first: list[Trial] = []
    others: list[Trial] = []
    for trial in trials:
        (others if trial.variant in variants else first).append(trial)
        variants.add(trial.variant)
    kept: dict[str, Trial] = {}
    for trial in [*first, *others]:
        settings = {**trial.config.model_dump(include=set(CHECKED)), "images": min(IMAGES, trial.config.batch_size)}
        kept.setdefault(digest({"settings": settings, "files": dict(trial.attachments.digests)}), trial)
    return list(kept.values())


def _few(data: Dataset) -> Dataset:
    """A few images of the training split, and the first ones of validation; no test images."""

    def part(split: Split, images: int) -> Split:
        return split.take(np.arange(min(images, len(split)), dtype=np.int64))

    return replace(data, train=part(data.train, IMAGES), validation=part(data.validation, IMAGES), test=part(data.test, 0))


def _try(trial: Trial, data: Dataset) -> str | None:
    """What was taken from a file of weights, if anything."""
    from ferray.code import told
    from ferray.training import fit

    batch_size = min(IMAGES, trial.config.batch_size)  # normalization over a batch of one image may fail
    brief: dict[str, Any] = {"epochs": 1, "batch_size": batch_size, "schedule": "constant", "device": "cpu"}
    try:
        epoch = next(fit(trial.config.model_copy(update=brief), data, attachments=trial.attachments))
    except FerrayError as error:
        raise ConfigError(f"variant {trial.variant!r}: {error}") from error
    except Exception as fault:
        raise ConfigError(f"variant {trial.variant!r}: one epoch on {len(data.train)} images raises {told(fault)}") from fault
    return epoch.pretrained
