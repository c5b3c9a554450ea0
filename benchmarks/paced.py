"""Trials whose epochs take a given time and train nothing, so that what is left is orchestration: ferray's own, on Ray, with its ledger."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

AT_ONCE = 1e-9
"""Seconds of an epoch that takes none."""
STATE = 8
"""Bytes of a checkpoint."""


def install() -> None:
    """The hook of each of Ray's workers at its start, before trials begin there."""
    replace_training(fit)


def replace_training(fit: Callable[..., Iterator[Any]]) -> None:
    """Puts a training in the place of ferray's in this process."""
    for name, content in {
        "ferray.training": {"fit": fit, "__path__": []},
        "ferray.training.process": {"settled": lambda config: config},
        "ferray.training.state": {"dump_state": bytes, "load_state": len},
    }.items():
        module = ModuleType(name)
        vars(module).update(content)
        sys.modules[name] = module


def fit(config: Any, data: Any, state: Any = None, **options: Any) -> Iterator[Any]:
    """Epochs of as many seconds as the config's learning rate says, which nothing here has another use for."""
    for number in range(1, config.epochs + 1):
        began = time.perf_counter()
        time.sleep(config.learning_rate)
        yield from epoch(number, time.perf_counter() - began)


def row(number: int, seconds: float) -> dict[str, Any]:
    """An epoch's figures, of no meaning."""
    scores = {f"{split}_{metric}": 0.123456789 for split in ("train", "validation", "test") for metric in ("loss", "accuracy", "macro_f1")}
    return {"epoch": number, **scores, "penalty": 0.3, "learning_rate": 1e-3, "seconds": seconds, "images_per_second": 650.0}


def epoch(number: int, seconds: float) -> Iterator[Any]:
    """What a training yields of an epoch."""
    nothing: dict[str, Any] = {"probabilities": {}, "selected_probabilities": {}, "selected_weights": {}, "pretrained": None}
    told = {"row": row(number, seconds), "selected_epoch": 1, "diverged": False, "parameters": 1, "state": lambda: STATE}
    yield SimpleNamespace(**told, **nothing)


def alone(config: dict[str, Any]) -> None:
    """The same reports to Ray Tune, without ferray, its ledger and its checkpoints."""
    from ray import tune

    for number in range(1, config["epochs"] + 1):
        tune.report(row(number, 1.0))
